"""A source file in parts that can be read each by itself, which together give what reading it whole gives.

A CSV is cut after records whose ends are certain: a line end within quotes is none. Quotes are read as DuckDB's reader
reads them: one opens where a value begins, or the blanks after a closing one end; elsewhere it is a letter. Each part
is read below the first line of the file. A Parquet file is cut between its row groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from features.source_files import Found, csv_view, parquet_view
from features.sql import text

PART_BYTES = 1 << 25
PART_ROWS = 500_000
_CHUNK = 1 << 22
#: A record of more bytes than this is a quote that never closes: DuckDB gives up at 2 MB.
_LONGEST = 1 << 26
_QUOTE, _LINE_END, _RETURN = b'"\n\r'
_SPECIAL = re.compile(b'["\n]')
#: What Parquet files call their rows when DuckDB numbers them.
_NUMBER = "file_row_number"


@dataclass(frozen=True)
class Part:
    """A part of a file: bytes of a CSV, which begin after so many records, or rows of a Parquet file; None: all."""

    number: int
    span: tuple[int, int] | None = None
    records_before: int = 0


def parts_of_file(con: duckdb.DuckDBPyConnection, found: Found) -> list[Part]:
    """The parts of an opened file, in order."""
    if found.file.is_parquet:
        return _row_groups(con, found)
    return list(_csv_parts(found.path, found.delimiter, PART_BYTES))


def open_part(con: duckdb.DuckDBPyConnection, found: Found, part: Part, scratch: Path) -> int:
    """Makes view `raw` of a part's rows; how many lines of the file are before those that DuckDB counts in it."""
    if found.file.is_parquet:
        parquet_view(con, found.file.source, part.span)
        return 0
    if part.span is None:
        csv_view(con, found.path, found.delimiter, len(found.names))
        return 0
    piece = scratch / "part.csv"
    begin, end = part.span
    with found.path.open("rb") as file, piece.open("wb") as out:
        if begin:
            out.write(_first_record(file.read(_CHUNK), found.delimiter))
        file.seek(begin)
        while begin < end and (some := file.read(min(_CHUNK, end - begin))):
            out.write(some)
            begin += len(some)
    csv_view(con, piece, found.delimiter, len(found.names))
    return max(part.records_before - 1, 0)


def _row_groups(con: duckdb.DuckDBPyConnection, found: Found) -> list[Part]:
    if _NUMBER in found.names:
        return [Part(0)]
    groups = con.execute(
        "SELECT row_group_id, any_value(row_group_num_rows) FROM parquet_metadata("
        f"{text(str(found.path))}) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    parts: list[Part] = []
    begin = end = 0
    for _, rows in groups:
        end += int(rows)
        if end - begin >= PART_ROWS:
            parts.append(Part(len(parts), (begin, end)))
            begin = end
    if end > begin or not parts:
        parts.append(Part(len(parts), (begin, end)))
    return parts


def _csv_parts(path: Path, delimiter: str, part_bytes: int) -> Iterator[Part]:
    size = path.stat().st_size
    begin = records = number = 0
    for end, before in _cuts(path, delimiter, part_bytes):
        yield Part(number, (begin, end), records)
        begin, records, number = end, before, number + 1
    if begin < size or not number:
        yield Part(number, (begin, size), records)


def _cuts(path: Path, delimiter: str, part_bytes: int) -> Iterator[tuple[int, int]]:
    """Where the file can be cut into parts of about so many bytes, and the records before each cut."""
    if len(delimiter.encode()) > 1:
        return  # its bytes may be those of other letters
    separator = delimiter.encode()[0]
    base = last = records = 0
    held = b""
    with path.open("rb") as file:
        while some := file.read(min(_CHUNK, part_bytes)):
            held += some
            ends = _record_ends(held, separator)
            if len(ends):
                whole = int(ends[-1])
                if base + whole - last >= part_bytes:
                    after = _where_to_cut(held, ends, separator)
                    if after is not None:
                        last = base + int(ends[after])
                        yield last, records + after + 1
                records += len(ends)
                base += whole
                held = held[whole:]
            elif len(held) > _LONGEST:
                return


def _where_to_cut(data: bytes, ends: NDArray[np.int64], separator: int) -> int | None:
    """The last record end to cut at, by its place in `ends`; None where there is none.

    DuckDB tells of some unreadable lines in words that depend on the line before: not after an empty one, nor before
    one that begins with two quotes and goes on.
    """
    fine = (b"", bytes([separator]), b"\r", b"\n")
    for place in range(len(ends) - 1, 0, -1):
        before, end = int(ends[place - 1]), int(ends[place])
        goes_on = data[end : end + 2] == b'""' and data[end + 2 : end + 3] not in fine
        if end + 2 < len(data) and data[before:end].strip(b"\r\n") and not goes_on:
            return place
    return None


def _first_record(data: bytes, delimiter: str) -> bytes:
    return data[: int(_record_ends(data, delimiter.encode()[0])[0])]


def _record_ends(data: bytes, separator: int) -> NDArray[np.int64]:
    """Where the records in data that begins with one end: the place after each line end that is not in quotes."""
    letters = np.frombuffer(data, np.uint8)
    line_ends = np.flatnonzero(letters == _LINE_END)
    quotes = np.flatnonzero(letters == _QUOTE)
    if not len(quotes):
        return line_ends + 1
    if not _are_in_order(letters, quotes, separator):
        return np.fromiter(_walked(data, separator), np.int64)
    outside: NDArray[np.int64] = line_ends[np.searchsorted(quotes, line_ends) % 2 == 0]
    return outside + 1


def _are_in_order(letters: NDArray[np.uint8], quotes: NDArray[np.int64], separator: int) -> bool:
    """Whether every other quote begins a value and the next one ends it; two within a value are one letter of it."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = letters[np.maximum(opening, 1) - 1]
    after = letters[np.minimum(closing + 1, len(letters) - 1)]
    begins = (opening == 0) | np.isin(before, (separator, _LINE_END, _QUOTE))
    ends = (closing == len(letters) - 1) | np.isin(after, (separator, _LINE_END, _RETURN, _QUOTE))
    return bool(begins.all() and ends.all())


def _walked(data: bytes, separator: int) -> Iterator[int]:
    """Record ends where quotes are not as they should be, letter by letter."""
    blank = b"" if separator == 32 else b" "
    place = value = 0  # `value`: after it begins, or goes on, the value that is read
    while (found := _SPECIAL.search(data, place)) is not None:
        at = found.start()
        place = at + 1
        if data[at] == _LINE_END:
            yield place
            value = place
            continue
        begun = max(data.rfind(separator, value, at) + 1, value)
        if data[begun:at].strip(blank):
            continue  # a letter of its value
        closed = _closing(data, place)
        if closed is None:
            return
        place = value = closed + 1


def _closing(data: bytes, place: int) -> int | None:
    """The quote that closes a value begun before `place`; None where none does."""
    while (at := data.find(b'"', place)) >= 0:
        if data[at + 1 : at + 2] != b'"':
            return at
        place = at + 2
    return None
