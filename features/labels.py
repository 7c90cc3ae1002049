"""What customers did in the time after a moment: the only place that reads rows at or after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import ibis

from features.schema import ORDER_LINES, C
from features.snapshot import naive_utc

ACTIVE, STOPPED, BOUGHT, SPEND = "active", "stopped", "bought", "spend"
LABELS = (STOPPED, BOUGHT, SPEND)
#: The rule by which a customer counts as active, for reports.
ACTIVE_RULE = "an order within the horizon before as_of"


def customer_labels(tables: Mapping[str, Any], as_of: datetime, *, horizon_days: int) -> Any:
    """One row per customer with a purchase before `as_of`: customer_id, as_of, active, stopped, bought, spend.

    `active`: a purchase in [as_of - horizon, as_of). `bought`: one in [as_of, as_of + horizon); `stopped`: none.
    `spend` (float, the shop's currency, net of returns) is what the lines of that time add up to, null where the shop
    has no amounts at all. An Ibis table, not yet computed; that the time has passed is for the caller to see to.
    """
    moment = naive_utc(as_of)
    horizon = timedelta(days=horizon_days)
    start, now, end = (ibis.literal(time) for time in (moment - horizon, moment, moment + horizon))
    lines = tables[ORDER_LINES.name]
    lines = lines.filter(lines[C.ORDERED_AT] < end)
    time, bought = lines[C.ORDERED_AT], lines[C.QUANTITY] > 0
    after = time >= now
    made = lines.group_by(C.CUSTOMER_ID).aggregate(
        known=(bought & ~after).any(),
        active=(bought & (time >= start) & ~after).any(),
        bought=(bought & after).any(),
        spend=lines[C.AMOUNT].sum(where=after).cast("float64"),
        amounts=lines[C.AMOUNT].count(),
    )
    made = made.filter(made.known)
    some_amounts = lines[C.AMOUNT].count().as_scalar() > 0
    return made.select(
        C.CUSTOMER_ID,
        **{
            C.AS_OF: ibis.literal(moment),
            ACTIVE: made.active,
            STOPPED: ~made.bought,
            BOUGHT: made.bought,
            SPEND: ibis.cases((some_amounts, made.spend.fill_null(0.0)), else_=None).cast("float64"),
        },
    )
