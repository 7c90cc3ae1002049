"""Live features pushed to the online store, from the event log and beside the server: no request waits for it.

A process of its own follows the log as the servers do, and pushes what customers did since the last look in one batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd

from features.schema import C
from features.settings import Settings
from features.store.away import OnlineStoreAwayError
from features.store.feast_store import open_store
from features.store.online import push_live as push_to_store
from features.store.online_views import LIVE, LIVE_TIME
from serving.database import StoreAwayError, open_database
from serving.event_log import EventLog, Row
from serving.live import Live, Visit

log = logging.getLogger("regulars.serving")
_AT_ONCE = 2_000
_SHORT, _DAY = timedelta(hours=1), timedelta(days=1)


class LivePush:
    """Reads on from the last row pushed. `push` takes customer_id, event_timestamp (UTC) and the LIVE features."""

    def __init__(self, events: EventLog, push: Callable[[pd.DataFrame], None]) -> None:
        self.events = events
        self.push = push
        self.live = Live()
        self.seq = 0

    def once(self, *, occurred_from: datetime | None = None) -> int:
        """For how many customers something new was pushed. What could not be pushed is pushed by the next call."""
        seq, touched = self.seq, set()
        while rows := self.events.since(seq, limit=_AT_ONCE, occurred_from=occurred_from):
            self.live.apply(rows)
            touched |= self._customers(rows)
            seq = rows[-1]["seq"]
        if touched:
            frame = live_features(self.live, touched)
            if len(frame):
                self.push(frame)
        self.seq = seq
        return len(touched)

    def _customers(self, rows: Iterable[Row]) -> set[str]:
        known = (row["customer_id"] or self.live.owners.get(row["session_id"]) for row in rows)
        return {customer for customer in known if customer is not None and customer in self.live.customers}


def push_live(settings: Settings, *, every_seconds: float, once: bool) -> int:
    """Push the last day's events, then, unless `once`, all that come until the process is stopped; the first count.

    A database or online store that is away is waited for.
    """
    store = open_store(settings.data_home, settings)
    database = open_database(settings)
    following = LivePush(EventLog(database), partial(push_to_store, store))
    try:
        pushed = following.once(occurred_from=datetime.now(UTC).replace(tzinfo=None) - _DAY)
        while not once:
            time.sleep(every_seconds)
            try:
                following.once()
            except (StoreAwayError, OnlineStoreAwayError) as error:
                log.warning("live features are not pushed: %s", error)
    finally:
        database.close()
    return pushed


def live_features(live: Live, customers: Iterable[str]) -> pd.DataFrame:
    """One row per customer with anything done, sorted by customer_id; see LIVE for what the features mean."""
    rows = []
    for customer in sorted(customers):
        visit = live.customers.get(customer, Visit())  # forgotten meanwhile, of very many
        bought = [at for times in visit.bought.values() for at in times]
        times = [*visit.views.values(), *visit.cart.values(), *bought]
        if times:
            rows.append((customer, *_told(visit, max(times))))
    frame = pd.DataFrame(rows, columns=[C.CUSTOMER_ID, LIVE_TIME, *LIVE])
    return frame.assign(**{LIVE_TIME: pd.to_datetime(frame[LIVE_TIME], utc=True)})


def _told(visit: Visit, last: datetime) -> tuple[datetime, float, float, float]:
    views, carts = (sum(at > last - _SHORT for at in seen.values()) for seen in (visit.views, visit.cart))
    bought = sum(any(at > last - _DAY for at in times) for times in visit.bought.values())
    return last, float(views), float(carts), float(bought)
