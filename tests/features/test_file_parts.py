"""A file read in parts gives what it gives when it is read whole, wherever it is cut and whatever is wrong with it."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features import file_parts
from features.errors import DataError
from features.file_parts import Part, open_part, parts_of_file
from features.home import Home
from features.left_out import LeaveOut
from features.mapping import Field, TableSource
from features.source_files import Found, examine, open_raw, take_rejects
from features.spark_load_parts import StageParts, Workplace
from features.staging import plan_of

Read = tuple[list[tuple[str | None, ...]], list[tuple[int, str]]]
SOURCE = {"table": "products", "fields": {"product_id": Field(column="a")}, "where": "shop.toml: [products]"}


def _read(con: duckdb.DuckDBPyConnection, lines_before: int) -> Read:
    rows = con.execute("SELECT * FROM raw").fetchall()
    take_rejects(con, lines_before)
    return rows, con.execute("SELECT line, row_text FROM rejects ORDER BY line").fetchall()


def _whole(found: Found, con: duckdb.DuckDBPyConnection) -> Read | str:
    try:
        return _read(con, 0)
    except duckdb.Error as error:
        return type(error).__name__


def _in_parts(found: Found, con: duckdb.DuckDBPyConnection, parts: list[Part], folder: Path) -> Read | str:
    rows, rejects = [], []
    try:
        for part in parts:
            some, refused = _read(con, open_part(con, found, part, folder))
            rows += some
            rejects += refused
    except duckdb.Error as error:
        return type(error).__name__
    return rows, rejects


def _check(data: bytes, part_bytes: int, delimiter: str | None = None) -> int:
    """How many parts there were, once it is sure that they give the same."""
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as con:
        folder = Path(name)
        (folder / "a.csv").write_bytes(data)
        source = TableSource(path=folder / "a.csv", delimiter=delimiter, **SOURCE)
        found = open_raw(con, examine(source), folder)
        expected = _whole(found, con)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(file_parts, "PART_BYTES", part_bytes)
            parts = parts_of_file(con, found)
        assert _in_parts(found, con, parts, folder) == expected
        return len(parts)


PIECES = ["1", "ab", ",", ",", ";", '"', '"', '""', " ", "\n", "\n", "ü", '"x"', ',"a\nb",', "1,2,3\n", '4,"5",6\n']


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.integers(1, 12), st.sampled_from(["\n", "\r\n"]))
@example(["1,2,3\n", '""1,2,3\n', "1,2,3\n", '""1,2,3\n'], 3, "\n")
@example(["1,2,3\n", '""1,"a\nb",""x"'], 4, "\n")
@example(["111\n", '"111ab"x","\n1,2,3\n1'], 7, "\n")
@example(["1,2,3\n", "\n", "\n", "1,2\n", "1,2,3\n"], 3, "\n")
def test_any_cut_of_any_csv_gives_the_same_rows_and_the_same_unreadable_lines(
    pieces: list[str], part_bytes: int, line_end: str
) -> None:
    text = "a,b,c\n" + "".join(pieces)
    _check(text.replace("\n", line_end).encode(), part_bytes, ",")


def test_a_file_in_order_is_cut_where_it_should_be_and_one_of_which_that_is_not_sure_is_not_cut() -> None:
    lines = "".join(f'{row},"two\nlines ""{row}""",ü\n' for row in range(50))
    assert _check(f"a,b,c\n{lines}".encode(), 100) > 8
    assert _check(f'a,b,c\n1,24" tall,3\n{lines}'.encode(), 100) > 8
    assert _check(f'a,b,c\n1,"2"x,3\n{lines}'.encode(), 100) > 8
    assert _check(f"a§b§c\n{lines}".replace(",", "§").encode(), 100, "§") == 1
    assert _check(f"a,b,c\n{lines}".replace("\n", "\r").encode(), 100) == 1


def _parquet(folder: Path, columns: str) -> Path:
    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT {columns} FROM range(9000)) TO '{folder}/a.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
        )
    return folder / "a.parquet"


@pytest.mark.parametrize(("more", "parts"), [("", 3), (", range AS file_row_number", 1)])
def test_a_parquet_file_is_cut_between_row_groups(
    more: str, parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it has a column of the name by which rows are told."""
    monkeypatch.setattr(file_parts, "PART_ROWS", 3000)
    beside = tmp_path / "b.parquet"
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT range AS k, 'k' || range AS name FROM range(7)) TO '{beside}' (FORMAT parquet)")
        columns = f"range AS a, range % 7 AS k{more}"
        source = TableSource(path=_parquet(tmp_path, columns), beside=None if more else beside, **SOURCE)
        found = open_raw(con, examine(source), tmp_path)
        expected = con.execute("SELECT * FROM raw ORDER BY a").fetchall()
        cut = parts_of_file(con, found)
        rows = []
        for part in cut:
            assert open_part(con, found, part, tmp_path) == 0
            rows += con.execute("SELECT * FROM raw ORDER BY a").fetchall()
    assert len(cut) == parts
    assert len(expected) == 9000
    assert rows == expected


def test_a_machine_that_does_not_see_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    source = TableSource(path=tmp_path / "a.csv", **SOURCE)
    with duckdb.connect() as con:
        plan = plan_of(con, examine(source), tmp_path, datetime(2024, 1, 1), names_nobody=False)
        parts = parts_of_file(con, plan.found)
    (tmp_path / "a.csv").unlink()
    stage = StageParts(plan, parts, LeaveOut(), Workplace(Home(tmp_path), "1GB"))
    with pytest.raises(DataError, match=r"a\.csv: the machine .* has no such file\. Put it into a folder that all"):
        list(stage(iter([pa.record_batch([pa.array([0])], ["id"])])))
