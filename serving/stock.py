"""What is in stock, told while the server runs: it counts at once, over what the products of the scoring say.

A word stands until the next about the same product, whatever is loaded or scored meanwhile: a file of last night must
not bring back what was sold out this morning. Told null, a product is again what its file says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from msgspec import Meta, Struct

from serving.catalogue import Catalogue
from serving.database import Database, stock
from serving.doorbell import Doorbell
from serving.event_types import MOST_EVENTS, EventId

MOST_PRODUCTS = MOST_EVENTS
DOORBELL = "stock.doorbell"
#: Another machine's words ring no bell here, so the log is looked at this often in any case.
_LOOK_SECONDS = 1.0
_AT_ONCE = 500  # ids in one question, and rows of one look; SQLite takes no more than some thousands of parameters


class Stocked(Struct, forbid_unknown_fields=True, frozen=True):
    """Whether a product can be sold now."""

    product_id: Annotated[EventId, Meta(description="The product.")]
    in_stock: Annotated[
        bool | None, Meta(description="True or false stands until told otherwise; null: as the product file says.")
    ]


class StockBatch(Struct, forbid_unknown_fields=True, frozen=True):
    """Products told of together: all are kept, or none. Of a product named twice, the later word counts."""

    products: Annotated[list[Stocked], Meta(min_length=1, max_length=MOST_PRODUCTS)]


class StockAnswer(Struct, frozen=True):
    """What became of the words sent. All are on disk."""

    changed: Annotated[int, Meta(description="Products of which another word stood, or none.")]
    unchanged: Annotated[int, Meta(description="Products of which the same was told before.")]
    unknown: Annotated[
        list[str], Meta(description="Products that the scores do not know, the first 20: kept for scores that do.")
    ]


def fault(told: Stocked) -> tuple[str, str] | None:
    """(field, what is wrong) with a word that has the right types; None when it can be kept."""
    # In a pattern, $ also stands before a last line feed.
    return ("product_id", "ends with a line feed") if told.product_id.endswith("\n") else None


class StockLog:
    """The last word about each product in the database, numbered in the order in which they became visible.

    After each change `doorbell` rings, and `announce` is called: what makes servers look for anything new.
    """

    def __init__(self, database: Database, announce: Callable[[], None] = lambda: None) -> None:
        self.database = database
        self.announce = announce
        self.doorbell = Doorbell(database.folder / DOORBELL)

    def write(self, told: Mapping[str, bool | None], *, at: datetime) -> int:
        """How many products another word stood for; when this returns, the new ones are on disk.

        Raises StoreAwayError when nothing was written.
        """
        with self.database.write() as connection:
            before: dict[str, bool | None] = {}
            for ids in _parts(list(told)):
                wanted = sa.select(stock.c.product_id, stock.c.in_stock).where(stock.c.product_id.in_(ids))
                before.update((row.product_id, row.in_stock) for row in connection.execute(wanted))
            # Null about a product never told of says nothing new.
            new = {product: word for product, word in told.items() if before.get(product) != word}
            for ids in _parts([product for product in new if product in before]):
                connection.execute(sa.delete(stock).where(stock.c.product_id.in_(ids)))
            if new:
                rows = [{"product_id": product, "in_stock": word, "told_at": at} for product, word in new.items()]
                connection.execute(sa.insert(stock), rows)
        if new:
            self.doorbell.ring()
            self.announce()
        return len(new)

    def since(self, seq: int) -> tuple[int, dict[str, bool | None]]:
        """The number of the last of the first words after `seq`, and those words; `seq` where there is none."""
        wanted = sa.select(stock).where(stock.c.seq > seq).order_by(stock.c.seq).limit(_AT_ONCE)
        with self.database.read() as connection:
            rows = connection.execute(wanted).all()
        return (rows[-1].seq if rows else seq), {row.product_id: row.in_stock for row in rows}


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


class Shelf:
    """What this process knows of the stock, laid over the catalogues that answer. `catalogues` says which those are."""

    def __init__(self, log: StockLog, catalogues: Callable[[], Iterable[Catalogue]]) -> None:
        self.log = log
        self.told: dict[str, bool] = {}
        self._catalogues = catalogues
        self._seq = 0
        self._heard: bytes | None = None
        self._looked = float("-inf")
        self._reading = threading.Lock()

    def read(self) -> None:
        """Take up what was told since the last look. Raises StoreAwayError; what was known before then stands.

        Costs nothing where the bell did not ring: events ring theirs far more often.
        """
        heard = self.log.doorbell.read()  # before reading, so that a ring meanwhile is noticed
        if heard == self._heard and time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        with self._reading:
            while True:
                seq, words = self.log.since(self._seq)
                if not words:
                    self._heard, self._looked = heard, time.monotonic()
                    return
                # Another dictionary, so that a thread that lays the one before out is not disturbed.
                told = {product: word for product, word in (self.told | words).items() if word is not None}
                self.told, self._seq = told, seq
                for catalogue in self._catalogues():
                    catalogue.tell_stock(words)

    def lay(self, catalogue: Catalogue) -> None:
        """Tell a catalogue all that is known: one that was just loaded."""
        catalogue.tell_stock(self.told)
