"""What labels are read from: the lake's tables, the order lines added up once for all moments that are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.engine import connect, is_spark
from features.schema import ORDER_LINES, C
from training.protocols import Context

#: What is told apart: an order whose lines have several times keeps them all.
KEYS = (C.CUSTOMER_ID, C.ORDER_ID, C.ORDERED_AT)


def label_tables(context: Context) -> Mapping[str, Any]:
    """The tables of the lake (Ibis), whose order lines are one for each order and time.

    A line's quantity is the largest and its amount the sum of those it stands for: so whether something was bought,
    when, and for how much come out as from all lines, from a tenth of the rows. Nothing else is in them. On Spark the
    lines are the lake's own, as no table is kept there.
    """
    return context.shared("label tables", lambda: _added_up(context))


def _added_up(context: Context) -> Mapping[str, Any]:
    backend = connect(context.settings)
    tables = context.lake.tables(backend)
    if is_spark(backend):
        return tables
    lines = tables[ORDER_LINES.name]
    added = lines.group_by(*KEYS).aggregate(**{C.QUANTITY: lines[C.QUANTITY].max(), C.AMOUNT: lines[C.AMOUNT].sum()})
    return {**tables, ORDER_LINES.name: backend.create_table(ORDER_LINES.name, added, temp=True)}
