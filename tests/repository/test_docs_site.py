from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from features.settings import Settings
from serving.cli import app

ROOT = Path(__file__).parents[2]
#: What a browser fetches by itself; links that a reader follows are not among them.
FETCHED = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?:https?:)?//([^"'/]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it: a broken link or a page outside the menu fails."""
    into = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into)]
    plain = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return into


def test_every_page_of_the_docs_is_on_the_site(site: Path) -> None:
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= {path.stem for path in site.glob("*.html")}


def test_reading_it_asks_no_other_host(site: Path) -> None:
    fetched = {host for page in site.rglob("*.html") for host in FETCHED.findall(page.read_text(encoding="utf-8"))}
    assert fetched == set()
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?https?:", style.read_text(encoding="utf-8")), style


def test_every_command_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in typer.main.get_group(app).list_commands(None):  # type: ignore[arg-type]
        assert f'id="regulars-{name}"' in page, name


def test_every_setting_is_in_the_reference_and_nobodys_own_name_or_cores(site: Path) -> None:
    page = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"<code>{name}</code>" in page, name
    assert "cores, at most 8" in page


def test_the_comparison_shows_the_figures_of_the_readme(site: Path) -> None:
    page = (site / "comparison.html").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    figures = re.findall(r"\| (recall@10|auc|mae) \| ([0-9.]+) \|", readme)
    assert len(figures) >= 4
    for metric, value in figures:
        assert metric in page
        assert value in page
