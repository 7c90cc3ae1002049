"""The campaigns of the lake that held customers out, and how many of each arm ordered within the horizon after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from features.engine import connect
from features.labels import BOUGHT, assigned_labels
from features.schema import CONTACTS, C
from training.contact_effect import Arms, Result
from training.protocols import Context

#: Campaigns looked at, the newest ones.
MOST_CAMPAIGNS = 24


def campaign_results(context: Context, *, horizon_days: int) -> list[Result]:
    """One entry per campaign with somebody held out, the newest first.

    Kept is a purchase in the horizon after the campaign's first moment, of either arm (`assigned_labels` says why). A
    contact more than a horizon after it is left out: campaigns that long are several.
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
    labels = assigned_labels(tables, campaign, first, horizon_days=horizon_days)
    counted = labels.group_by(C.TREATED).aggregate(n=labels.count(), kept=labels[BOUGHT].sum())
    of = {row[C.TREATED]: (row["n"], row["kept"]) for row in counted.to_pyarrow().to_pylist()}
    if first + timedelta(days=horizon_days) > last:
        return Result(campaign, first, Arms(0, 0, 0, 0), sum(n for n, _ in of.values()))
    contacted, held_out = (of.get(treated, (0, 0)) for treated in (True, False))
    return Result(campaign, first, Arms(*contacted, *held_out), 0)
