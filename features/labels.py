"""What customers did in the time after a moment: the only place that reads rows at or after it.

Every label of T is of rows with T <= time < T + horizon, beside what was known before T. That this time has passed is
for the caller to see to: `until_known` refuses a moment for which it has not. All are Ibis tables, not yet computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import ibis

from features.errors import DataError
from features.lake import Lake
from features.schema import CONTACTS, ORDER_LINES, PRODUCTS, RESPONSES, C
from features.snapshot import DAY_SECONDS, naive_utc

ACTIVE, STOPPED, BOUGHT, SPEND = "active", "stopped", "bought", "spend"
LABELS = (STOPPED, BOUGHT, SPEND)
BOUGHT_BEFORE, RESPONDED = "bought_before", "responded"
DAYS_TO_NEXT_ORDER = "days_to_next_order"
VISITS_FOLLOWED, SPEND_FOLLOWED = "visits_followed", "spend_followed"
#: The rule by which a customer counts as active, for reports.
ACTIVE_RULE = "an order within the horizon before as_of"


def customer_labels(tables: Mapping[str, Any], as_of: datetime, *, horizon_days: int) -> Any:
    """One row per customer with a purchase before `as_of`: customer_id, as_of, active, stopped, bought, spend.

    `active`: a purchase in [as_of - horizon, as_of). `bought`: one in [as_of, as_of + horizon); `stopped`: none.
    `spend` (float, the shop's currency, net of returns) is what the lines of that time add up to, null where the shop
    has no amounts at all.
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


def wait_labels(tables: Mapping[str, Any], as_of: datetime, *, until: datetime) -> Any:
    """One row per customer with a purchase before `as_of`: customer_id, as_of, days_to_next_order.

    That is the time from `as_of` to the first purchase in [as_of, until), null where there is none.
    """
    moment, end = naive_utc(as_of), naive_utc(until)
    now = ibis.literal(moment)
    lines = tables[ORDER_LINES.name]
    lines = lines.filter((lines[C.QUANTITY] > 0) & (lines[C.ORDERED_AT] < ibis.literal(end)))
    after = lines[C.ORDERED_AT] >= now
    made = lines.group_by(C.CUSTOMER_ID).aggregate(known=(~after).any(), next_at=lines[C.ORDERED_AT].min(where=after))
    made = made.filter(made.known)
    seconds = made.next_at.epoch_seconds() - now.epoch_seconds()
    return made.select(
        C.CUSTOMER_ID,
        **{
            C.AS_OF: now,
            DAYS_TO_NEXT_ORDER: seconds.cast("float64") / DAY_SECONDS,
        },
    )


def followed_labels(tables: Mapping[str, Any], as_of: datetime, *, until: datetime) -> Any:
    """One row per customer with a purchase before `as_of`: customer_id, as_of, visits_followed, spend_followed.

    Days with a purchase in [as_of, until), and what the lines of that time add up to (float, net of returns; 0 where
    the shop has no amounts).
    """
    now, end = ibis.literal(naive_utc(as_of)), ibis.literal(naive_utc(until))
    lines = tables[ORDER_LINES.name]
    lines = lines.filter(lines[C.ORDERED_AT] < end)
    bought, after = lines[C.QUANTITY] > 0, lines[C.ORDERED_AT] >= now
    made = lines.group_by(C.CUSTOMER_ID).aggregate(
        known=(bought & ~after).any(),
        visits=lines[C.ORDERED_AT].date().nunique(where=bought & after),
        spend=lines[C.AMOUNT].sum(where=after).cast("float64"),
    )
    made = made.filter(made.known)
    return made.select(
        C.CUSTOMER_ID,
        **{C.AS_OF: now, VISITS_FOLLOWED: made.visits, SPEND_FOLLOWED: made.spend.fill_null(0.0)},
    )


def category_labels(tables: Mapping[str, Any], as_of: datetime, *, horizon_days: int) -> Any:
    """One row per customer with a purchase before `as_of` and category sold before it, bought by them or not.

    Columns: customer_id, category, as_of, active, bought_before (they bought of the category before `as_of`), bought
    (they did in [as_of, as_of + horizon)). A category first sold afterwards has no rows: at `as_of` nobody could know.
    """
    moment = naive_utc(as_of)
    now, end = ibis.literal(moment), ibis.literal(moment + timedelta(days=horizon_days))
    lines = tables[ORDER_LINES.name]
    lines = lines.filter((lines[C.QUANTITY] > 0) & (lines[C.ORDERED_AT] < end))
    described = tables[PRODUCTS.name].select(C.PRODUCT_ID, C.CATEGORY)
    lines = lines.join(described.filter(described[C.CATEGORY].notnull()), C.PRODUCT_ID)
    after = lines[C.ORDERED_AT] >= now
    seen = lines.group_by([C.CUSTOMER_ID, C.CATEGORY]).aggregate(**{BOUGHT_BEFORE: (~after).any(), BOUGHT: after.any()})
    categories = lines.filter(~after).select(C.CATEGORY).distinct()
    customers = customer_labels(tables, as_of, horizon_days=horizon_days).select(C.CUSTOMER_ID, C.AS_OF, ACTIVE)
    pairs = customers.cross_join(categories).left_join(seen, [C.CUSTOMER_ID, C.CATEGORY])
    return pairs.select(
        C.CUSTOMER_ID,
        C.CATEGORY,
        C.AS_OF,
        ACTIVE,
        **{name: pairs[name].fill_null(False) for name in (BOUGHT_BEFORE, BOUGHT)},
    )


def campaign_labels(tables: Mapping[str, Any], as_of: datetime, *, horizon_days: int) -> Any:
    """One row per campaign and customer whom it first contacted, or held out, in [as_of, as_of + horizon).

    Columns: campaign_id, customer_id, as_of, contacted_at, treated (false: held out for comparison), responded (a
    response to this campaign in [contacted_at, contacted_at + horizon)), bought (a purchase in the same time, which
    those held out can make too). So the last label is known two horizons after `as_of`. Someone both contacted and
    held out counts as contacted.
    """
    moment = naive_utc(as_of)
    horizon = timedelta(days=horizon_days)
    keys = [C.CAMPAIGN_ID, C.CUSTOMER_ID]
    contacts = tables[CONTACTS.name]
    first = contacts.group_by(keys).aggregate(
        **{C.CONTACTED_AT: contacts[C.CONTACTED_AT].min(), C.TREATED: contacts[C.TREATED].fill_null(True).any()}
    )
    time = first[C.CONTACTED_AT]
    first = first.filter((time >= ibis.literal(moment)) & (time < ibis.literal(moment + horizon)))
    first = first.mutate(until=first[C.CONTACTED_AT] + ibis.interval(days=horizon_days))
    lines = tables[ORDER_LINES.name]
    purchases = lines.filter(lines[C.QUANTITY] > 0)
    made = _happened(first, purchases, C.ORDERED_AT, [C.CUSTOMER_ID], BOUGHT)
    if RESPONSES.name in tables:
        made = _happened(made, tables[RESPONSES.name], C.RESPONDED_AT, keys, RESPONDED)
    else:
        made = made.mutate(**{RESPONDED: ibis.literal(False)})
    made = made.mutate(**{C.AS_OF: ibis.literal(moment)})
    return made.select(*keys, C.AS_OF, C.CONTACTED_AT, C.TREATED, RESPONDED, BOUGHT)


def contact_labels(tables: Mapping[str, Any], *, until: datetime, horizon_days: int) -> Any:
    """One row per campaign and customer whom it contacted, where the horizon after that had passed by `until`.

    Columns: campaign_id, customer_id, contacted_at (the first time), channel (then; null where not known), responded (a
    response to this campaign in [contacted_at, contacted_at + horizon)). Nobody who was held out alone.
    """
    keys = [C.CAMPAIGN_ID, C.CUSTOMER_ID]
    contacts = tables[CONTACTS.name]
    contacts = contacts.filter(contacts[C.TREATED].fill_null(True))
    begun = contacts.group_by(keys).aggregate(began=contacts[C.CONTACTED_AT].min())
    begun = begun.filter(begun.began <= ibis.literal(naive_utc(until) - timedelta(days=horizon_days)))
    both = contacts.select(*keys, C.CONTACTED_AT, C.CHANNEL).join(begun, keys)
    first = both.filter(both[C.CONTACTED_AT] == both.began)
    first = first.group_by([*keys, C.CONTACTED_AT]).aggregate(**{C.CHANNEL: first[C.CHANNEL].min()})
    first = first.mutate(until=first[C.CONTACTED_AT] + ibis.interval(days=horizon_days))
    made = _happened(first, tables[RESPONSES.name], C.RESPONDED_AT, keys, RESPONDED)
    return made.select(*keys, C.CONTACTED_AT, C.CHANNEL, RESPONDED)


def assigned_labels(tables: Mapping[str, Any], campaign_id: str, first: datetime, *, horizon_days: int) -> Any:
    """One row per customer whom the campaign first contacted, or held out, in [first, first + horizon), as assigned.

    Columns: customer_id, treated (false: held out for comparison), bought (a purchase in [first, first + horizon)).
    `first` is the campaign's first moment, and the time after it is that of both arms, whenever each customer was
    contacted: the held out are often stamped when the lot was drawn and the others weeks later, when more customers of
    any kind have gone, which would seem to be an effect of the contact. Someone both contacted and held out counts as
    contacted.
    """
    moment = naive_utc(first)
    start, end = ibis.literal(moment), ibis.literal(moment + timedelta(days=horizon_days))
    contacts = tables[CONTACTS.name]
    contacts = contacts.filter(contacts[C.CAMPAIGN_ID] == campaign_id)
    assigned = contacts.group_by(C.CUSTOMER_ID).aggregate(
        **{C.CONTACTED_AT: contacts[C.CONTACTED_AT].min(), C.TREATED: contacts[C.TREATED].fill_null(True).any()}
    )
    time = assigned[C.CONTACTED_AT]
    assigned = assigned.filter((time >= start) & (time < end))
    lines = tables[ORDER_LINES.name]
    made = lines.filter((lines[C.QUANTITY] > 0) & (lines[C.ORDERED_AT] >= start) & (lines[C.ORDERED_AT] < end))
    buyers = made.select(C.CUSTOMER_ID, happened=ibis.literal(True)).distinct()
    joined = assigned.left_join(buyers, C.CUSTOMER_ID)
    return joined.select(C.CUSTOMER_ID, C.TREATED, **{BOUGHT: joined.happened.fill_null(False)})


def _happened(contacts: Any, events: Any, time: str, keys: list[str], name: str) -> Any:
    """The contacts, each with whether there is an event of theirs between the contact and `until`."""
    events = events.select(*keys, at=events[time])
    both = contacts.join(events, keys)
    within = both.filter((both.at >= both[C.CONTACTED_AT]) & (both.at < both.until))
    found = within.select(C.CAMPAIGN_ID, C.CUSTOMER_ID, happened=ibis.literal(True)).distinct()
    joined = contacts.left_join(found, [C.CAMPAIGN_ID, C.CUSTOMER_ID])
    return joined.select(*contacts.columns, **{name: joined.happened.fill_null(False)})


def until_known(lake: Lake, as_of: datetime, horizon_days: int) -> None:
    """Raises DataError where the time after `as_of` is not in the lake yet, so that its labels are not known."""
    last = datetime.fromisoformat(lake.manifest["last_order_at"])
    if naive_utc(as_of) + timedelta(days=horizon_days) > last:
        raise DataError(
            f"What customers did in the {horizon_days} days after {as_of:%Y-%m-%d} is not known yet: the last "
            f"order is of {last:%Y-%m-%d}. Choose an earlier moment."
        )
