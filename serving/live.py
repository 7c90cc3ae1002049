"""What customers and visits did since the scores were made, in memory, as the event log tells it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from features.erased import Erased
from features.sources.live_events import IDENTIFY
from serving.event_log import Row

MOST_KEPT = 20  # products of one visit
MOST_VISITS = 200_000
MOST_BOUGHT = 200


@dataclass(frozen=True)
class Bought:
    """Live purchases of one product: how many, and when the last was (UTC)."""

    times: int
    last: datetime


@dataclass(frozen=True)
class Interest:
    """What a recommendation takes from live events. Products are ids, the latest last."""

    views: tuple[str, ...] = ()
    cart: tuple[str, ...] = ()
    bought: Mapping[str, Bought] = field(default_factory=dict)
    against: tuple[str, ...] = ()  # disliked, or sent back


NO_INTEREST = Interest()


@dataclass
class Visit:
    """What one customer, or one visit of nobody known, did. Times are UTC."""

    views: dict[str, datetime] = field(default_factory=dict)
    cart: dict[str, datetime] = field(default_factory=dict)
    bought: dict[str, list[datetime]] = field(default_factory=dict)
    against: dict[str, datetime] = field(default_factory=dict)

    def note(self, kind: str, product: str, at: datetime) -> None:
        """One event. A purchase ends the interest in a product, and what was said against it; so does the reverse."""
        if kind in ("view", "click"):
            _latest(self.views, product, at)
        elif kind == "cart":
            _latest(self.cart, product, at)
        elif kind == "purchase":
            self._buy(product, [at])
            for done in (self.views, self.cart, self.against):
                done.pop(product, None)
        elif kind in ("dislike", "return"):
            _latest(self.against, product, at, most=MOST_BOUGHT)
            self.bought.pop(product, None)
            for done in (self.views, self.cart):
                done.pop(product, None)

    def join(self, other: Visit) -> None:
        """Take in what another did; what is newer stays last."""
        kept = (
            (self.views, other.views, MOST_KEPT),
            (self.cart, other.cart, MOST_KEPT),
            (self.against, other.against, MOST_BOUGHT),
        )
        for mine, theirs, most in kept:
            both = sorted({**theirs, **mine}.items(), key=lambda pair: pair[1])[-most:]
            mine.clear()
            mine.update(both)
        for product, times in other.bought.items():
            self._buy(product, times)

    def _buy(self, product: str, times: list[datetime]) -> None:
        self.bought[product] = sorted([*self.bought.pop(product, []), *times])[-MOST_KEPT:]
        if len(self.bought) > MOST_BOUGHT:
            self.bought.pop(next(iter(self.bought)))


def _bought_since(bought: Mapping[str, list[datetime]], since: datetime | None) -> dict[str, Bought]:
    counted = {}
    for product, times in bought.items():
        later = [at for at in times if since is None or at >= since]
        if later:
            counted[product] = Bought(len(later), later[-1])
    return counted


def _latest(products: dict[str, datetime], product: str, at: datetime, *, most: int = MOST_KEPT) -> None:
    products.pop(product, None)
    products[product] = at
    if len(products) > most:
        products.pop(next(iter(products)))


class Live:
    """All customers and visits with live events, the least recently active forgotten first."""

    def __init__(self, *, most: int = MOST_VISITS) -> None:
        self.most = most
        self.customers: OrderedDict[str, Visit] = OrderedDict()
        self.sessions: OrderedDict[str, Visit] = OrderedDict()
        self.owners: OrderedDict[str, str] = OrderedDict()  # session_id -> customer_id

    def apply(self, rows: Iterable[Row]) -> None:
        """Take in rows of the log, oldest first."""
        for row in rows:
            customer, session = row["customer_id"], row["session_id"]
            if session is not None:
                if customer is not None:
                    self._own(session, customer)
                else:
                    customer = self.owners.get(session)
            if row["kind"] == IDENTIFY or row["kind"] == "impression":
                continue
            who = self._of(self.sessions, session) if customer is None else self._of(self.customers, customer)
            who.note(row["kind"], row["product_id"], row["occurred_at"])

    def forget(self, erased: Erased) -> None:
        """Drop what is known of customers who were erased. Other threads may be reading."""
        for customer in erased.among(list(self.customers)):
            self.customers.pop(customer, None)
        theirs = erased.among(set(self.owners.values()))
        for session, owner in list(self.owners.items()):
            if owner in theirs:
                self.owners.pop(session, None)

    def knows(self, customer_id: str | None, session_id: str | None) -> bool:
        """Whether anything is known of the customer or the visit."""
        return customer_id in self.customers or session_id in self.sessions or session_id in self.owners

    def interest(
        self,
        customer_id: str | None,
        session_id: str | None,
        *,
        now: datetime,
        session_minutes: float,
        bought_since: datetime | None,
    ) -> Interest:
        """What counts now: views and cart of the last `session_minutes`, purchases not before `bought_since` (UTC)."""
        if session_id is not None:
            customer_id = customer_id or self.owners.get(session_id)
        visits = [
            visit
            for visit in (
                None if customer_id is None else self.customers.get(customer_id),
                None if session_id is None else self.sessions.get(session_id),
            )
            if visit is not None
        ]
        if not visits:
            return NO_INTEREST
        visit = visits[0]
        if len(visits) > 1:  # a visit not yet known to be this customer's: joined for this answer alone
            visit = Visit()
            for part in visits:
                visit.join(part)
        from_then = now - timedelta(minutes=session_minutes)
        return Interest(
            views=tuple(product for product, at in visit.views.items() if at >= from_then),
            cart=tuple(product for product, at in visit.cart.items() if at >= from_then),
            bought=_bought_since(visit.bought, bought_since) if visit.bought else {},
            against=tuple(visit.against),
        )

    def _own(self, session: str, customer: str) -> None:
        self.owners[session] = customer
        self.owners.move_to_end(session)
        while len(self.owners) > self.most:
            self.owners.popitem(last=False)
        anonymous = self.sessions.pop(session, None)
        if anonymous is not None:
            self._of(self.customers, customer).join(anonymous)

    def _of(self, visits: OrderedDict[str, Visit], key: str) -> Visit:
        visit = visits.get(key)
        if visit is None:
            visit = visits[key] = Visit()
            while len(visits) > self.most:
                visits.popitem(last=False)
        else:
            visits.move_to_end(key)
        return visit
