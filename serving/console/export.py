"""The list as a file: the columns and words of the page, CSV or an Excel workbook."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from serving.console.the_list import Line
from serving.console.words import Words
from serving.csv_text import cell, csv_bytes

#: A sheet has 1,048,576 rows; long before, a spreadsheet is no place to work a list.
MOST_IN_WORKBOOK = 20_000
_WIDTHS = (18, 11, 14, 14, 60, 13, 11, 16, 13, 30, 16, 16, 18)


def header(told: Words) -> list[str]:
    """The names of the columns."""
    names = (
        "Customer",
        "Stage",
        "Risk of stopping",
        "Value at risk",
        "Reasons",
        "Last order",
        "Days silent",
        "Expected back by",
        "Days overdue",
        "Next purchase to offer",
        "Product",
        "Assigned to",
        "Last outcome",
    )
    return [told.say(name) for name in names]


def cells(line: Line, told: Words) -> list[object]:
    """One customer, in the order of `header`."""
    one, offer = line.scored, line.next_purchase
    return [
        one.customer_id,
        told.say(one.stage),
        None if one.churn_probability is None else round(one.churn_probability, 4),
        None if one.value_at_risk is None else round(one.value_at_risk, 2),
        "; ".join(one.reasons),
        one.last_order_at[:10],
        one.days_since_last_order,
        one.expected_back_by,
        one.days_overdue,
        None if offer is None else offer.name or offer.product_id,
        None if offer is None else offer.product_id,
        line.note.assigned_to,
        None if one.last_outcome is None else told.say(one.last_outcome),
    ]


def csv_header(about: Mapping[str, str], told: Words) -> bytes:
    """The first line of the CSV."""
    # A spreadsheet takes CSV without this mark for its own code page, and Chinese is then unreadable.
    return b"\xef\xbb\xbf" + csv_bytes([[*header(told), *about]])


def csv_rows(part: Sequence[Line], about: Mapping[str, str], told: Words) -> bytes:
    """Customers as CSV; each row carries what must be known to read it. No cell can run as a formula."""
    return csv_bytes([cell(value) for value in (*cells(line, told), *about.values())] for line in part)


def workbook_of(every: Sequence[Line], about: Mapping[str, str], told: Words) -> bytes:
    """The list as a workbook of two sheets: the list, and what must be known to read it."""
    import xlsxwriter

    into = io.BytesIO()
    # No text may become a formula or a link, whatever a customer's id begins with.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(into, options) as book:
        bold = book.add_format({"bold": True})
        formats = {2: book.add_format({"num_format": "0%"}), 3: book.add_format({"num_format": "#,##0.00"})}
        sheet = book.add_worksheet(told.say("Customers at risk"))
        sheet.freeze_panes(1, 1)
        for column, (name, width) in enumerate(zip(header(told), _WIDTHS, strict=True)):
            sheet.set_column(column, column, width, formats.get(column))
            sheet.write_string(0, column, name, bold)
        for row, line in enumerate(every, start=1):
            for column, value in enumerate(cells(line, told)):
                if isinstance(value, str):
                    sheet.write_string(row, column, value)
                elif isinstance(value, int | float):
                    sheet.write_number(row, column, value)
        sheet.autofilter(0, 0, max(len(every), 1), len(_WIDTHS) - 1)
        second = book.add_worksheet(told.say("About this list"))
        second.set_column(0, 1, 32)
        for row, (name, value) in enumerate(about.items()):
            second.write_string(row, 0, name, bold)
            second.write_string(row, 1, value)
    return into.getvalue()
