from __future__ import annotations

import json
import math

import pytest
from rich.text import Text

from features.terminal import print_json, print_table


def test_a_number_that_is_not_known_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"auc": math.nan, "lift": [math.inf, 1.5], "name": "é"})
    said = capsys.readouterr().out
    assert json.loads(said) == {"auc": None, "lift": [None, 1.5], "name": "é"}
    assert "é" in said


def test_counts_are_grouped_and_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("[1] Lake", ("table", "rows", "given"), [("[red]x", 1469307, True), (None, 5, False)])
    lines = capsys.readouterr().out.splitlines()
    assert "[1] Lake" in lines[1]
    assert any(line.split() == ["[red]x", "1,469,307", "True"] for line in lines)
    assert any(line.split() == ["5", "False"] for line in lines)


def test_styled_cells_keep_their_text_and_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("value",), [(Text("*0.5", style="green", justify="right"),), (Text("10.25", justify="right"),)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert " *0.5" in lines
    assert "10.25" in lines
