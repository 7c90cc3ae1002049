"""A file read in parts gives what it gives when it is read whole, wherever it is cut and whatever is wrong with it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features import file_parts
from features.file_parts import Part, open_part, parts_of_file
from features.mapping import Field, TableSource
from features.source_files import Found, examine, open_raw, take_rejects

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


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.integers(1, 12), st.sampled_from(["\n", "\r\n"]))
@example(["1,2,3\n", "\n", "\n", "1,2\n", "1,2,3\n"], 3, "\n")
def test_any_cut_of_any_csv_gives_the_same_rows_and_the_same_unreadable_lines(
    pieces: list[str], part_bytes: int, line_end: str
) -> None:
    text = "a,b,c\n" + "".join(pieces)
    _check(text.replace("\n", line_end).encode(), part_bytes, ",")
