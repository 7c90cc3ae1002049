"""Rows as CSV that no spreadsheet runs as formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import msgspec

#: A cell that begins with one of these would run as a formula in a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """The rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def cells(item: msgspec.Struct) -> list[object]:
    """The fields of one item; lists are joined by '; '."""
    return [cell(getattr(item, name)) for name in item.__struct_fields__]


def cell(value: object) -> object:
    """One value, fit for a cell."""
    if isinstance(value, list):
        value = "; ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
