"""The campaigns of the lake that held customers out, and how many of each arm ordered within the horizon after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from features.engine import connect
from features.labels import BOUGHT, campaign_labels
from features.schema import CONTACTS, ORDER_LINES, C
from training.contact_effect import Arms, Result
from training.protocols import Context

#: Campaigns looked at, the newest ones.
MOST_CAMPAIGNS = 24


def campaign_results(context: Context, *, horizon_days: int) -> list[Result]:
    """One entry per campaign with somebody held out, the newest first.

    Kept is a purchase in the horizon after the contact, or after the moment at which a customer was held out. A contact
    more than a horizon after the campaign's first is left out: campaigns that long are several.
    """
    tables = context.lake.tables(connect(context.settings))
    if CONTACTS.name not in tables:
        return []
    contacts = tables[CONTACTS.name]
    time, left_alone = contacts[C.CONTACTED_AT], ~contacts[C.TREATED].fill_null(True)
    begun = contacts.group_by(C.CAMPAIGN_ID).aggregate(first=time.min(), held_out=left_alone.any())
    begun = begun.filter(begun.held_out).order_by(begun.first.desc()).limit(MOST_CAMPAIGNS)
    last = datetime.fromisoformat(context.lake.manifest["last_order_at"])
    return [
        _result(tables, row[C.CAMPAIGN_ID], row["first"], last=last, horizon_days=horizon_days)
        for row in begun.to_pyarrow().to_pylist()
    ]


def _result(tables: Mapping[str, Any], campaign: str, first: datetime, *, last: datetime, horizon_days: int) -> Result:
    contacts, lines = tables[CONTACTS.name], tables[ORDER_LINES.name]
    # What lies outside cannot change the labels, and need not be read.
    its_own = {
        CONTACTS.name: contacts.filter(contacts[C.CAMPAIGN_ID] == campaign),
        ORDER_LINES.name: lines.filter(lines[C.ORDERED_AT] >= first),
    }
    labels = campaign_labels({**tables, **its_own}, first, horizon_days=horizon_days)
    passed = labels[C.CONTACTED_AT] <= last - timedelta(days=horizon_days)
    counted = labels.group_by([C.TREATED, passed.name("passed")]).aggregate(n=labels.count(), kept=labels[BOUGHT].sum())
    of = {(row[C.TREATED], row["passed"]): (row["n"], row["kept"]) for row in counted.to_pyarrow().to_pylist()}
    contacted, held_out = (of.get((treated, True), (0, 0)) for treated in (True, False))
    not_yet = sum(of.get((treated, False), (0, 0))[0] for treated in (True, False))
    return Result(campaign, first, Arms(*contacted, *held_out), not_yet)
