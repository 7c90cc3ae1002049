"""What happened with one customer: orders and contacts of campaigns from the lake, outcomes, plans, notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from features.schema import C
from serving.catalogue import Catalogue
from serving.console.history import order_lines
from serving.database import Database, contact_plan_members, desk_notes, outcomes

ORDER, OUTCOME, CONTACT, PLAN, NOTE = "order", "outcome", "contact", "plan", "note"
#: Orders shown at most; the sums above them are of all.
MOST_ORDERS = 40
MOST_CATEGORIES = 8
QUARTERS = 8


@dataclass(frozen=True)
class Happening:
    """One thing that happened. Time in UTC."""

    at: datetime
    kind: str
    what: str = ""
    amount: float | None = None
    products: int = 0
    names: tuple[str, ...] = ()
    who: str | None = None
    campaign: str | None = None
    channel: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Past:
    """What the lake knows of one customer's orders. `categories`: name -> lines bought by quarter, oldest first."""

    happenings: Sequence[Happening] = ()
    months: Sequence[float] = ()
    quarters: Sequence[str] = ()
    categories: dict[str, list[int]] = field(default_factory=dict)
    orders: int = 0


def past_of(file: Path, customer: str, catalogue: Catalogue | None) -> Past:
    """Orders of the customer, and what categories they bought in which quarter."""
    columns = (C.CUSTOMER_ID, C.ORDER_ID, C.ORDERED_AT, C.PRODUCT_ID, C.QUANTITY, C.AMOUNT, C.CHANNEL, C.STORE_ID)
    rows = order_lines(file, [customer], columns).to_pylist()
    orders: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        orders.setdefault(str(row[C.ORDER_ID]), []).append(row)
    happenings = [_order(lines, catalogue) for lines in orders.values()]
    happenings.sort(key=lambda one: one.at, reverse=True)
    quarters, categories = _categories(rows, catalogue)
    return Past(happenings[:MOST_ORDERS], (), quarters, categories, len(happenings))


def _order(lines: list[dict], catalogue: Catalogue | None) -> Happening:
    amounts = [float(line[C.AMOUNT]) for line in lines if line[C.AMOUNT] is not None]
    best = sorted(lines, key=lambda line: -float(line[C.AMOUNT] or 0))
    names = tuple(dict.fromkeys(_name(line[C.PRODUCT_ID], catalogue) for line in best))
    return Happening(
        at=min(line[C.ORDERED_AT] for line in lines),
        kind=ORDER,
        amount=sum(amounts) if amounts else None,
        products=len({line[C.PRODUCT_ID] for line in lines}),
        names=names[:3],
        channel=lines[0][C.CHANNEL] or lines[0][C.STORE_ID],
    )


def _name(product: str, catalogue: Catalogue | None) -> str:
    code = None if catalogue is None else catalogue.codes.get(product)
    return product if code is None or catalogue is None else catalogue.label(code)


def _categories(rows: list[dict], catalogue: Catalogue | None) -> tuple[list[str], dict[str, list[int]]]:
    if not rows or catalogue is None:
        return [], {}
    last = max(row[C.ORDERED_AT] for row in rows)
    newest = last.year * 4 + (last.month - 1) // 3
    quarters = [f"{(newest - back) // 4} Q{(newest - back) % 4 + 1}" for back in range(QUARTERS - 1, -1, -1)]
    counts: dict[str, list[int]] = {}
    for row in rows:
        code = catalogue.codes.get(row[C.PRODUCT_ID])
        category = None if code is None else catalogue.categories[code]
        place = QUARTERS - 1 - (newest - (row[C.ORDERED_AT].year * 4 + (row[C.ORDERED_AT].month - 1) // 3))
        if category is not None and place >= 0:
            counts.setdefault(category, [0] * QUARTERS)[place] += 1
    first = min((at for found in counts.values() for at, count in enumerate(found) if count), default=0)
    most = Counter({category: sum(found) for category, found in counts.items()}).most_common(MOST_CATEGORIES)
    return quarters[first:], {category: counts[category][first:] for category, _ in most}


def campaigns_of(file: Path, customer: str) -> list[Happening]:
    """Contacts that the shop's campaigns had with the customer, as the lake has them."""
    table: pa.Table = pq.read_table(file, filters=[(C.CUSTOMER_ID, "=", customer)])
    return [
        Happening(
            at=row[C.CONTACTED_AT],
            kind=CONTACT,
            what="held out" if row[C.TREATED] is False else "contacted",
            campaign=row[C.CAMPAIGN_ID],
            channel=row[C.CHANNEL],
        )
        for row in table.to_pylist()
    ]


def written_of(database: Database, customer: str) -> list[Happening]:
    """Outcomes, places in recorded plans, and the team's notes. Raises StoreAwayError."""
    said, member, note = outcomes.c, contact_plan_members.c, desk_notes.c
    with database.read() as connection:
        columns = (said.occurred_at, said.outcome, said.who, said.campaign_id, said.channel, said.note)
        found = [
            Happening(at, OUTCOME, outcome, who=who, campaign=campaign, channel=channel, note=text)
            for at, outcome, who, campaign, channel, text in connection.execute(
                sa.select(*columns).where(said.customer_id == customer)
            )
        ]
        placed = sa.select(member.planned_at, member.treated, member.campaign_id).where(member.customer_id == customer)
        for at, treated, campaign in connection.execute(placed):
            found.append(Happening(at, PLAN, "on the list" if treated else "held out", campaign=campaign))
        noted = sa.select(note.written_at, note.kind, note.assigned_to, note.snoozed_until, note.who)
        for at, kind, to, until, who in connection.execute(noted.where(note.customer_id == customer)):
            text = to if kind == "assigned" else None if until is None else until.date().isoformat()
            found.append(Happening(at, NOTE, kind, who=who, note=text))
    return found
