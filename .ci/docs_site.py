"""Pages of the documentation that are made from the code: commands, settings, changes, and the measured figures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FIGURES = re.compile(r"<!-- figures: begin -->(.*?)<!-- figures: end -->", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, which lie nowhere on disk."""
    pages = {"commands": commands(), "settings": settings(), "changes": (ROOT / "CHANGELOG.md").read_text("utf-8")}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the measured figures of README.md where a page asks for them."""
    if "<!-- figures -->" not in markdown:
        return markdown
    found = FIGURES.search((ROOT / "README.md").read_text("utf-8"))
    if found is None:
        raise ValueError("README.md has no block of figures: python -m benchmarks.figures --write")
    return markdown.replace("<!-- figures -->", found.group(1).strip())


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Search in pages opened as files needs a script that the theme would fetch from elsewhere: ours lies here."""
    return _script_of_ours(output, up="../" * page.file.dest_uri.count("/"))


def on_post_template(output: str, **_: Any) -> str:
    """The same of the page for what is not there."""
    return _script_of_ours(output, up="")


def _script_of_ours(page: str, *, up: str) -> str:
    return re.sub(r"https://[a-z.]+/iframe-worker/shim", f"{up}vendor/iframe-worker.js", page)


def commands() -> str:
    """Every command with its help, as `regulars --help` tells it."""
    command = [sys.executable, "-m", "typer", "serving.cli", "utils", "docs", "--name", "regulars"]
    plain = {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "USER": "you"}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    return done.stdout.replace("# `regulars`", "# Commands", 1)


def settings() -> str:
    """Every setting with its default, from the model that reads them."""
    sys.path.insert(0, str(ROOT))
    from features.nightly_settings import NightlySettings, NightlySource
    from features.settings import Settings

    table, nightly, source = (_fields(model) for model in (Settings, NightlySettings, NightlySource))
    return f"""# Settings

Each may stand in `regulars.toml` in the working folder (or the file that `REGULARS_CONFIG` names), and as `REGULARS_`
and its name in capitals in the environment, which wins: `REGULARS_PORT=8080 regulars serve`. A name that is no setting
is an error.

{table}

## The table nightly

Lines below `[nightly]`; what they mean for a night stands in [Nights](../nightly.md).

{nightly}

Each of its `sources` has

{source}
"""


def _fields(model: Any) -> str:
    """A table of a settings model's fields."""
    rows = ["| setting | default | |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        default = "" if field.default_factory is not None or field.default is None else f"`{field.default}`"
        if name == "threads":  # as many as this machine has cores
            default = "cores, at most 8"
        if field.default in ((), {}, "") or hasattr(field.default, "model_dump"):  # a table of its own
            default = ""
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)
