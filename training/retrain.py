"""Models that learned from customers erased since: what they learned cannot be taken out, only learned anew."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from features.home import Home, write_text
from training.protocols import REGISTERED
from training.versions import ModelVersion

FILE = "retrain.json"


def _flag(home: Home) -> Path:
    return home.privacy / FILE


def flag_retrain(home: Home, *, at: datetime) -> None:
    """Note that models made before `at` (UTC, with its zone) have learned from somebody erased."""
    write_text(_flag(home), json.dumps({"asked_at": at.isoformat(timespec="seconds")}))


def asked_at(home: Home) -> datetime | None:
    """When somebody was last erased whom models may have learned from; None where nobody was."""
    try:
        return datetime.fromisoformat(json.loads(_flag(home).read_text(encoding="utf-8"))["asked_at"])
    except FileNotFoundError:
        return None


def to_retrain(home: Home) -> list[ModelVersion]:
    """Champions that were made before the last erasure; for a nightly job to train again. Empty where none were."""
    since = asked_at(home)
    if since is None or not home.has_registry:
        return []
    from training.tracking import open_registry

    registry = open_registry(home)
    champions = (registry.resolve(model) for model in REGISTERED)
    return [champion for champion in champions if champion is not None and champion.created < since]
