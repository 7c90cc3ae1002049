"""docs/ingest.md as it stands: its files are written, its commands run, and what they print is what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from features.schema import TABLES

DOCS = Path(__file__).parents[2] / "docs" / "ingest.md"
COLUMNS = 110


def run_blocks(folder: Path) -> str:
    """The document with what its commands print now; files it shows are written to `folder` in their turn."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REGULARS_")}
    environment |= {"COLUMNS": str(COLUMNS), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def block(found: re.Match[str]) -> str:
        kind, title, body = found.groups()
        if title:
            (folder / title).write_text(body, encoding="utf-8")
        if kind != "console":
            return found[0]
        said = []
        for line in body.splitlines():
            if line.startswith("$ "):
                done = subprocess.run(
                    line[2:].split(), cwd=folder, env=environment, capture_output=True, text=True, timeout=60
                )
                assert done.returncode == 0, done.stderr
                said += [line, *(row.rstrip() for row in done.stdout.splitlines() if row.strip()), ""]
        return "```console\n" + "\n".join(said).rstrip() + "\n```\n"

    return re.sub(r"```(\w+)(?: title=(\S+))?\n(.*?)```\n", block, DOCS.read_text(encoding="utf-8"), flags=re.S)


def contract() -> str:
    """The tables of the contract, as the document shows them."""
    parts = []
    for table in TABLES.values():
        key = f" Key: {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
        parts.append(f"**`{table.name}`**: {table.grain}.{key}\n\n| column | type | |\n| --- | --- | --- |")
        for column in table.columns:
            name = f"**{column.name}**" if column.required else column.name
            parts.append(f"| {name} | {column.kind.value} | {column.description} |")
        parts.append("")
    return "\n".join(parts)


def with_contract(document: str) -> str:
    return re.sub(
        r"(<!-- contract: begin -->\n).*?(<!-- contract: end -->)",
        lambda found: f"{found[1]}\n{contract()}\n{found[2]}",
        document,
        flags=re.S,
    )


def test_example_runs_as_written_and_tables_are_the_contract(tmp_path: Path) -> None:
    assert with_contract(run_blocks(tmp_path)) == DOCS.read_text(encoding="utf-8")
