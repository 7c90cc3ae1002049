from __future__ import annotations

import json
import math

import pytest
import typer
from rich.text import Text

from features.errors import DataError
from features.terminal import print_json, print_table, run, step


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


def test_step_says_how_far_it_is_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    with step("Loading [a]") as say:
        say("orders: 5 [rows]")
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.split() == ["0.0", "s", "orders:", "5", "[rows]"]
    assert second.startswith("✓ Loading [a] ")
    assert second.endswith(" s")


def test_step_that_fails_is_not_ticked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), step("Loading"):
        raise KeyError("stopped")
    assert capsys.readouterr().err == ""


def failing(error: Exception) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail(number: int = 0) -> None:
        if number:
            raise error

    return app


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 0, ""),
        (["--number", "1"], 1, "error: orders.csv: [order_lines] is wrong\n"),
        (["--number", "x"], 2, "Invalid value for"),
        (["--speed"], 2, "No such option"),
    ],
)
def test_exit_codes_and_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.setattr("sys.argv", ["regulars", *arguments])
    with pytest.raises(SystemExit) as ended:
        run(failing(DataError("orders.csv: [order_lines] is wrong")), name="regulars")
    assert ended.value.code == code
    assert said in capsys.readouterr().err


def test_error_that_is_no_users_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["regulars", "--number", "1"])
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()), name="regulars")
