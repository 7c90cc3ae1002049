"""A notebook run from top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def executed(name: str, *, pictures: int) -> list[Any]:
    """The outputs of a notebook, run now. It drew so many pictures and said nothing on stderr."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    # What is printed comes in parts, cut by the clock: on a busy machine in the middle of a line.
    client = NotebookClient(
        notebook, timeout=300, coalesce_streams=True, resources={"metadata": {"path": str(NOTEBOOKS)}}
    )
    client.execute()
    said = outputs_of(notebook)
    assert [output["text"] for output in said if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in said) == pictures
    return said


def outputs_of(notebook: Any) -> list[Any]:
    """What its cells say, in order."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def text_of(said: list[Any]) -> str:
    """All that was printed and shown as text."""
    return "\n".join(output.get("text", output.get("data", {}).get("text/plain", "")) for output in said)
