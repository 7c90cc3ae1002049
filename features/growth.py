"""How a version of the lake grew out of the one before: from when on anything can differ, and what came late.

Features as of a moment see rows before it alone. So where only facts were added, the earliest of them at S, every
snapshot as of S or before is the same as it was, and is kept instead of computed anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from features.lake import Lake
from features.merging import Merged, one
from features.schema import FACT_TIMES, ORDER_LINES, C
from features.sql import Queries, text


def growth(base: Lake | None, merged: Mapping[str, Merged]) -> dict[str, str | None] | None:
    """The version grown from, and the moment from which on rows may differ (`since`; None: any time).

    None as a whole for a lake begun anew. Customers and products have no time of their own: a change to them may
    change features of any moment.
    """
    if base is None:
        return None
    changed = {name: found for name, found in merged.items() if found.added or found.updated}
    times = [found.since for found in changed.values()]
    timed = [time for time in times if time is not None]
    known = len(timed) == len(times) and set(changed) <= set(FACT_TIMES) and bool(timed)
    return {"from": base.version, "since": min(timed).isoformat() if known else None}


def late_rows(con: Queries, base: Lake | None, merged: Mapping[str, Merged]) -> list[str]:
    """A sentence on new order lines older than the newest loaded before, when there are any."""
    if base is None or ORDER_LINES.name not in merged:
        return []
    last = str(base.manifest["last_order_at"])
    new = f"new_{ORDER_LINES.name} WHERE {C.ORDERED_AT} < {text(last)}::TIMESTAMP"
    late, since = (one(con, f"SELECT {what} FROM {new}") for what in ("sum(copies)", f"min({C.ORDERED_AT})"))
    if not late:
        return []
    return [
        f"{int(late):,} order lines are late: older than {last}, the newest loaded before. Features as of moments "
        f"after {since} change with them, and are computed anew when they are next asked for."
    ]


def unchanged_until(lake: Lake) -> tuple[str, datetime] | None:
    """The version grown from, and the moment up to which its features are this one's; None where that is not known."""
    grown: Mapping[str, Any] | None = lake.manifest.get("grown")
    if grown is None or grown["since"] is None:
        return None
    return grown["from"], datetime.fromisoformat(grown["since"])
