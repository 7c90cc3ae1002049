"""The shop as it was known at a moment: the only place where rows are cut at `as_of`.

Every relation holds rows of before `as_of` alone, so no feature computed from them can see later ones. Times are naive
UTC; a row at exactly `as_of` is out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

import ibis
import pyarrow.parquet as pq

from features.lake import Lake
from features.ledger import BREADTH, BUYERS, BUYERS_DAYS, CATEGORIES, KEYS, PAIRS, RHYTHM, SINCE, SOLD, TOTALS, UNTIL
from features.ledger_files import CUSTOMER, Ledger, memory_ledger
from features.ledger_store import lake_ledger
from features.ledger_today import buyers_since, sold_since
from features.schema import CONTACTS, CUSTOMERS, FACT_TIMES, INTERACTIONS, ORDER_LINES, PRODUCTS, RESPONSES, C

DAY_SECONDS = 86_400
#: The column by which a table's rows are before a moment or not. Products and customers describe, without a time.
TIMES = {**FACT_TIMES, INTERACTIONS.name: C.OCCURRED_AT}
_IDS = (C.CUSTOMER_ID, CUSTOMER)


class Relation(StrEnum):
    """What features are computed over, by grain."""

    CUSTOMERS = "customers"  # one customer who has bought, with totals as of the moment and as of days before
    SALES = "sales"  # one product that was bought, with totals as of the moment and as of days before
    PRODUCTS = "products"  # one product that a customer bought
    CATEGORIES = "categories"  # one category that a customer bought
    LINES = "lines"  # one order line
    ORDERS = "orders"  # one order of one customer
    VISITS = "visits"  # one calendar day (UTC) on which a customer bought
    CONTACTS = "contacts"  # one contact of a customer by a campaign
    RESPONSES = "responses"  # one response of a customer
    FEATURES = "features"  # one row of the entity, with the features made so far


#: The relations that hold one row for each value of these columns.
GRAIN: Mapping[Relation, tuple[str, ...]] = {
    Relation.CUSTOMERS: (C.CUSTOMER_ID,),
    Relation.SALES: (C.PRODUCT_ID,),
    Relation.PRODUCTS: (C.CUSTOMER_ID, C.PRODUCT_ID),
    Relation.CATEGORIES: (C.CUSTOMER_ID, C.CATEGORY),
}
#: The days before the moment as of which the totals of customers and of products are at hand.
WINDOWS = (7, 14, 30, 60, 90, 180, 365)
#: All totals of customers are at hand as of these; of the others, those that most features ask for.
WHOLE_WINDOWS = (90, 180)
IN_EVERY_WINDOW = ("orders", "lines", "amount")
SALES_WINDOWS = (7, 30, 90, 365)
NEW_PRODUCTS_DAYS = 30


def naive_utc(moment: datetime) -> datetime:
    """The moment as the lake writes times: in UTC, without a zone. A naive one is taken to be UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment


def _epoch_second(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Snapshot:
    """The contract tables (Ibis, by name) cut at `as_of`, and the relations made of them.

    `given` names the columns, as table.column, that hold any value in the lake. It comes from the load's record and
    not from the rows, so that the set of features is the same at every moment. `ledger` is that of the tables; one is
    made in memory when none is given. `now`, an Ibis value, stands for `as_of` where an expression is made for any
    midnight: then `as_of` is a midnight and nothing but what is relative to it may be read from it.
    """

    tables: Mapping[str, Any]
    as_of: datetime
    given: frozenset[str]
    ledger: Ledger | None = None
    now: Any = None

    def has(self, *columns: str) -> bool:
        """Whether all of these columns (table.column) hold any value."""
        return self.given.issuperset(columns)

    def before(self, days: int) -> Any:
        """The moment so many days before `as_of`, as an Ibis value."""
        return self._value(self.as_of - timedelta(days=days))

    def days_since(self, time: Any) -> Any:
        """Days, with fractions, from a time to `as_of`; both by their whole seconds, so never below 0."""
        return (self._seconds - time.epoch_seconds().floor()) / float(DAY_SECONDS)

    @property
    def _seconds(self) -> Any:
        return _epoch_second(self.as_of) if self.now is None else self.now.epoch_seconds()

    @property
    def _last_second(self) -> Any:
        """The last one with a moment before `as_of`."""
        return _epoch_second(self.as_of - timedelta(microseconds=1)) if self.now is None else self._seconds - 1

    def _value(self, moment: datetime) -> Any:
        """A moment some days from `as_of` as an Ibis value."""
        return ibis.literal(moment) if self.now is None else self.now - ibis.interval(days=(self.as_of - moment).days)

    def table(self, name: str) -> Any:
        """A contract table's rows of before `as_of`."""
        table = self.tables[name]
        return table.filter(table[TIMES[name]] < self._value(self.as_of)) if name in TIMES else table

    def relation(self, name: Relation) -> Any:
        """The relation by name. All hold customer_id."""
        return getattr(self, name.value)

    @cached_property
    def lines(self) -> Any:
        """Order lines as the contract has them, returns too."""
        return self.table(ORDER_LINES.name)

    @cached_property
    def orders(self) -> Any:
        """An order happened when its first purchased line did; one of returns alone, when its first line did.

        `bought` tells the two apart. Money is net of returns.
        """
        lines = self.lines
        bought = lines[C.QUANTITY] > 0
        back = lines[C.QUANTITY] < 0
        orders = lines.group_by([C.CUSTOMER_ID, C.ORDER_ID]).aggregate(
            first_purchase_at=lines[C.ORDERED_AT].min(where=bought),
            first_line_at=lines[C.ORDERED_AT].min(),
            lines=bought.sum(),
            units=lines[C.QUANTITY].sum(where=bought),
            amount=lines[C.AMOUNT].sum(),
            returned=-lines[C.AMOUNT].sum(where=back),
            discount=lines[C.DISCOUNT].sum(where=bought),
            coupon=lines[C.COUPON].sum(where=bought),
            channel=lines[C.CHANNEL].min(),
            store_id=lines[C.STORE_ID].min(),
        )
        return orders.mutate(
            ordered_at=orders.first_purchase_at.coalesce(orders.first_line_at),
            bought=orders.first_purchase_at.notnull(),
        ).drop("first_purchase_at", "first_line_at")

    @cached_property
    def visits(self) -> Any:
        """`day`, `days_ago` (whole days, 0 for the day that ends at `as_of`), and the orders of the day."""
        orders = self.orders.filter(self.orders.bought)
        by_day = orders.mutate(day=orders[C.ORDERED_AT].truncate("D"))
        visits = by_day.group_by([C.CUSTOMER_ID, "day"]).aggregate(orders=by_day.count())
        ago = (self._last_second - visits.day.epoch_seconds()) // DAY_SECONDS
        return visits.mutate(days_ago=ago.cast("int64"))

    @cached_property
    def _ledger(self) -> Ledger:
        return self.ledger or memory_ledger(self.tables)

    def _standing(self, table: str, *, days: int = 0) -> Any:
        """The rows of a table of the ledger that hold so many days before `as_of`."""
        return self._holding(table, self.as_of - timedelta(days=days))

    def _holding(self, table: str, moment: datetime) -> Any:
        rows = self._ledger.rows(table, moment)
        at = self._value(moment)
        return rows.filter((rows[SINCE] < at) & (rows[UNTIL] >= at))

    @cached_property
    def customers(self) -> Any:
        """Totals of customers who have bought (see features.ledger): `orders`, and `orders_before_90d` as of then.

        All of them for 90 and 180 days, IN_EVERY_WINDOW for the other WINDOWS. Counts are whole numbers and money is in
        1/10,000. `today` is the day before `as_of`, since 1970.
        """
        totals = self._standing(TOTALS)
        table = totals.filter(totals.orders > 0).drop(SINCE, UNTIL)
        sums = [name for name in table.columns if name not in (*_IDS, "first_order_at", "last_order_at")]
        parts = [
            (self._standing(TOTALS, days=days), sums if days in WHOLE_WINDOWS else IN_EVERY_WINDOW, f"_before_{days}d")
            for days in WINDOWS
        ]
        rhythm = self._standing(RHYTHM)
        parts.append((rhythm, [name for name in rhythm.columns if name not in (*_IDS, SINCE, UNTIL)], ""))
        for name in BREADTH.values():
            different = self._standing(name)
            parts.append((different, [name for name in different.columns if name not in (*_IDS, SINCE, UNTIL)], ""))
        products = self._standing(BREADTH["products"], days=NEW_PRODUCTS_DAYS)
        parts.append((products, ["products"], f"_before_{NEW_PRODUCTS_DAYS}d"))
        table = _side_by_side(table, CUSTOMER, parts)
        today = self._last_second // DAY_SECONDS
        return table.mutate(today=(ibis.literal(today) if self.now is None else today).cast("int64"))

    @cached_property
    def products(self) -> Any:
        """Each product of each customer: `first_at`, `last_at`, `lines` (purchases), `orders` with it.

        `lines_90d` are those of the 90 days up to the last. `last_order` is the latest order with it, counted from the
        customer's first as 1; `customer_orders`, all that they made; `streak`, how many in a row up to it held it.
        """
        return self._of_customers(PAIRS)

    @cached_property
    def categories(self) -> Any:
        """Each category of each customer: as of `products`."""
        return self._of_customers(CATEGORIES)

    def _of_customers(self, table: str) -> Any:
        rows, orders = self._standing(table), self._standing(TOTALS)
        rows = rows.join(orders.select(CUSTOMER, customer_orders=orders.orders), CUSTOMER)
        kept = ("first_at", "lines", "lines_90d", "orders", "last_order", "streak", "customer_orders")
        return rows.select(*KEYS[table], *kept, last_at=rows[SINCE])

    @cached_property
    def sales(self) -> Any:
        """Totals of products that were bought (see features.ledger): `lines`, and `lines_before_90d` as of then."""
        sold = self._sold(0)
        table = sold.filter(sold.lines > 0)
        parts = [(self._sold(days), f"_before_{days}d") for days in SALES_WINDOWS]
        parts.append((self._buyers(), ""))
        times = (C.PRODUCT_ID, "first_at", "last_at")
        named = [(rows, [name for name in rows.columns if name not in times], suffix) for rows, suffix in parts]
        return _side_by_side(table, C.PRODUCT_ID, named)

    def _sold(self, days: int) -> Any:
        """Totals of products so many days before: up to the last midnight, and what was sold since."""
        moment = self.as_of - timedelta(days=days)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        sold = self._holding(SOLD, midnight).drop(SINCE, UNTIL)
        if moment == midnight:
            return sold
        return sold_since(
            sold,
            _between(self.tables[ORDER_LINES.name], C.ORDERED_AT, midnight, moment),
            _between(self._ledger.rows(PAIRS, moment), SINCE, midnight, moment),
        )

    def _buyers(self) -> Any:
        midnight = self.as_of.replace(hour=0, minute=0, second=0, microsecond=0)
        buyers = self._holding(BUYERS, midnight).drop(SINCE, UNTIL)
        if self.as_of == midnight:
            return buyers
        pairs = self._ledger.rows(PAIRS, self.as_of)
        window = timedelta(days=BUYERS_DAYS)
        return buyers_since(
            buyers,
            _between(pairs, SINCE, midnight, self.as_of),
            _between(pairs, SINCE, midnight - window, self.as_of - window),
        )

    @cached_property
    def contacts(self) -> Any:
        """Contacts made; customers held out were not contacted."""
        contacts = self.table(CONTACTS.name)
        return contacts.filter(contacts[C.TREATED].fill_null(True))

    @cached_property
    def responses(self) -> Any:
        """Responses, as the contract has them."""
        return self.table(RESPONSES.name)

    def attributes(self) -> Any | None:
        """The customers table with its open attributes; None where the shop gave none."""
        if CUSTOMERS.name not in self.tables:
            return None
        return self.tables[CUSTOMERS.name].drop(C.JOINED_AT)

    def descriptions(self) -> Any | None:
        """Department, category, subcategory and brand of each product; None where the shop gave no products."""
        if PRODUCTS.name not in self.tables:
            return None
        return self.tables[PRODUCTS.name].select(C.PRODUCT_ID, C.DEPARTMENT, C.CATEGORY, C.SUBCATEGORY, C.BRAND)


def _side_by_side(table: Any, key: str, parts: Sequence[tuple[Any, Sequence[str], str]]) -> Any:
    """The table with columns of others (and what is put behind their names) that have one row for a key at most.

    A whole number that is not there is a count of nothing: 0.
    """
    chain = table
    columns: dict[str, Any] = {}
    for place, (rows, names, suffix) in enumerate(parts):
        kinds = rows.schema()
        of_part = f"{key}_{place}"
        chain = chain.left_join(
            rows.select(**{of_part: rows[key]}, **{f"{name}{suffix}": rows[name] for name in names}),
            [(key, of_part)],
        )
        columns |= {f"{name}{suffix}": kinds[name].is_integer() for name in names}
    chosen = {name: chain[name].fill_null(0) if counts else chain[name] for name, counts in columns.items()}
    return chain.select(*table.columns, **chosen)


def _between(rows: Any, time: str, start: datetime, end: datetime) -> Any:
    return rows.filter((rows[time] >= ibis.literal(start)) & (rows[time] < ibis.literal(end)))


def columns_given(lake: Lake) -> frozenset[str]:
    """The columns of the lake that hold any value, as table.column, by the files' own statistics."""
    found: set[str] = set()
    for name in lake.rows:
        metadata = pq.read_metadata(lake.file(name))
        for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
            for column in (group.column(j) for j in range(metadata.num_columns)):
                if column.statistics is None or column.statistics.null_count < group.num_rows:
                    found.add(f"{name}.{column.path_in_schema}")
    return frozenset(found)


def take_snapshot(lake: Lake, backend: Any, as_of: datetime) -> Snapshot:
    """The lake as it was known at `as_of` (a naive time is UTC)."""
    return Snapshot(lake.tables(backend), naive_utc(as_of), columns_given(lake), lake_ledger(lake, backend))
