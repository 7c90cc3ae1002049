"""The quality report of a version of the lake, kept in its folder as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path

from features.home import Home, write_text
from features.lake import Lake, lake_before, read_lake
from features.quality import Quality, quality
from features.quality_page import quality_page
from features.settings import Settings

JSON, PAGE = "quality.json", "quality.html"


def keep_quality(home: Home, settings: Settings) -> Quality:
    """The report on the current version, against the one before; written beside its tables."""
    lake = read_lake(home)
    report = quality(lake, settings, before=lake_before(home, lake))
    write_text(page_of(lake), quality_page(report))
    write_text(lake.path / JSON, json.dumps(report.as_json(), indent=2))
    return report


def page_of(lake: Lake) -> Path:
    """The page kept with a version."""
    return lake.path / PAGE
