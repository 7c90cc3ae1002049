"""The notebooks run from top to bottom on a small shop, and say nothing on stderr."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from features.home import Home
from features.lake import read_lake
from tests.notebooks.executed import NOTEBOOKS, executed, outputs_of, text_of
from training.promotions import history
from training.tracking import open_registry


def test_from_orders_to_a_promoted_model(home: Home) -> None:
    said = executed("00-from-orders-to-a-promoted-model", pictures=2)
    (promotion,) = history(home, "churn")
    assert (promotion.action, promotion.who) == ("promoted", "notebook")
    champion = open_registry(home).resolve("churn")
    assert champion is not None
    assert champion.version == promotion.to_version
    table = said[-1]["data"]["text/plain"]
    assert "churn_probability" in table
    assert (home.scores / "CURRENT").is_file()


def test_from_orders_to_a_lake_you_can_trust(home: Home) -> None:
    before = read_lake(home).version
    text = text_of(executed("01-from-orders-to-a-lake-you-can-trust", pictures=1))
    assert "bad_ordered_at" in text
    assert "Nothing was loaded. Correct the mapping: name its format" in text
    for broken in ('"zwei"', "31.02.2017", '"Kunde":null', "b4;k4"):
        assert broken in text
    exported, kept = re.search(r"paid: ([\d,.]+) exported, ([\d,.]+) in the lake", text).groups()
    assert exported == kept
    versions = re.findall(r"^(?:whole|whole, once more|in halves) +([0-9a-f]{16}) ", text, re.MULTILINE)
    assert len(versions) == 3
    assert len(set(versions)) == 1
    assert read_lake(home).version == before  # it works in a folder of its own


def test_the_shop_in_pictures(home: Home) -> None:
    said = executed("07-the-shop-in-pictures", pictures=3)
    assert said[0]["text"].startswith("400 customers")
    assert "Champions" in "".join(output.get("data", {}).get("text/plain", "") for output in said)
    assert not home.insight.exists()  # it looks, and keeps nothing


def test_features_without_leakage(home: Home) -> None:
    said = executed("02-features-without-leakage", pictures=1)
    assert said[1]["text"].endswith("3 other futures (deleted, shuffled, added): 0 moved\n")
    caught = ast.literal_eval(said[2]["data"]["text/plain"])
    assert list(caught) == ["orders_and_all_rows"]  # the planted leak, and none of the features beside it
    assert "added" in caught["orders_and_all_rows"]


def test_orders_load_in_a_notebook_without_widgets(tmp_path: Path, home: Home) -> None:
    """DuckDB has other rules about progress bars in a notebook than elsewhere."""
    lines = [
        "from pathlib import Path",
        "from tests.small_shop import loaded",
        f"print(loaded(Path({str(tmp_path / 'new')!r})).lake.rows)",
    ]
    cell = "\n".join(lines)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS.parent)}}).execute()
    (said,) = outputs_of(notebook)
    assert "'products': 40" in said["text"]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_what_is_kept_is_valid_ran_in_order_and_did_not_fail(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kept = outputs_of(notebook)
    assert not [output for output in kept if output.output_type == "error" or output.get("name") == "stderr"]
    assert path.stat().st_size < 300_000
