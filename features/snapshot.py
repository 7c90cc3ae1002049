"""The shop as it was known at a moment: the only place where rows are cut at `as_of`.

Every relation holds rows of before `as_of` alone, so no feature computed from them can see later ones. Times are naive
UTC; a row at exactly `as_of` is out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

import ibis
import pyarrow.parquet as pq

from features.lake import Lake
from features.schema import CONTACTS, CUSTOMERS, FACT_TIMES, INTERACTIONS, ORDER_LINES, PRODUCTS, RESPONSES, C

DAY_SECONDS = 86_400
#: The column by which a table's rows are before a moment or not. Products and customers describe, without a time.
TIMES = {**FACT_TIMES, INTERACTIONS.name: C.OCCURRED_AT}


class Relation(StrEnum):
    """What features are computed over, by grain."""

    LINES = "lines"  # one order line
    ORDERS = "orders"  # one order of one customer
    BASKETS = "baskets"  # one product of one order of a customer
    VISITS = "visits"  # one calendar day (UTC) on which a customer bought
    GAPS = "gaps"  # one pair of consecutive visits of a customer
    PRODUCTS = "products"  # one product that a customer bought
    CATEGORIES = "categories"  # one category that a customer bought
    DEPARTMENTS = "departments"  # one department that a customer bought
    BRANDS = "brands"  # one brand that a customer bought
    CONTACTS = "contacts"  # one contact of a customer by a campaign
    RESPONSES = "responses"  # one response of a customer
    FEATURES = "features"  # one customer, with the features made so far


def naive_utc(moment: datetime) -> datetime:
    """The moment as the lake writes times: in UTC, without a zone. A naive one is taken to be UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment


@dataclass(frozen=True)
class Snapshot:
    """The contract tables (Ibis, by name) cut at `as_of`, and the relations made of them.

    `given` names the columns, as table.column, that hold any value in the lake. It comes from the load's record and
    not from the rows, so that the set of features is the same at every moment.
    """

    tables: Mapping[str, Any]
    as_of: datetime
    given: frozenset[str]

    def has(self, *columns: str) -> bool:
        """Whether all of these columns (table.column) hold any value."""
        return self.given.issuperset(columns)

    def before(self, days: int) -> Any:
        """The moment so many days before `as_of`, as an Ibis value."""
        return ibis.literal(self.as_of - timedelta(days=days))

    def days_since(self, time: Any) -> Any:
        """Days, with fractions, from a time to `as_of`."""
        return (self._seconds - time.epoch_seconds()) / float(DAY_SECONDS)

    @property
    def _seconds(self) -> int:
        return int(self.as_of.replace(tzinfo=UTC).timestamp())

    def table(self, name: str) -> Any:
        """A contract table's rows of before `as_of`."""
        table = self.tables[name]
        return table.filter(table[TIMES[name]] < ibis.literal(self.as_of)) if name in TIMES else table

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
        return visits.mutate(days_ago=((self._seconds - 1 - visits.day.epoch_seconds()) // DAY_SECONDS).cast("int64"))

    @cached_property
    def gaps(self) -> Any:
        """`gap_days` (whole days) between consecutive visits, and `back`: 0 for the latest gap, 1 for the next."""
        visits = self.visits
        in_time = ibis.window(group_by=C.CUSTOMER_ID, order_by=visits.day)
        backwards = ibis.window(group_by=C.CUSTOMER_ID, order_by=visits.day.desc())
        gaps = visits.mutate(
            gap_days=(
                (visits.day.epoch_seconds() - visits.day.lag().over(in_time).epoch_seconds()) // DAY_SECONDS
            ).cast("int64"),
            back=ibis.row_number().over(backwards),
        )
        return gaps.filter(gaps.gap_days.notnull())

    @cached_property
    def products(self) -> Any:
        """`first_at`, `last_at`, `lines` (purchases), those of the last 90 and 180 days, and what these cost."""
        lines = self.lines.filter(self.lines[C.QUANTITY] > 0)
        time = lines[C.ORDERED_AT]
        return lines.group_by([C.CUSTOMER_ID, C.PRODUCT_ID]).aggregate(
            first_at=time.min(),
            last_at=time.max(),
            lines=lines.count(),
            lines_90d=(time >= self.before(90)).sum(),
            lines_180d=(time >= self.before(180)).sum(),
            units_180d=lines[C.QUANTITY].sum(where=time >= self.before(180)),
            amount_180d=lines[C.AMOUNT].sum(where=time >= self.before(180)),
        )

    @cached_property
    def baskets(self) -> Any:
        """`back`: 0 in the customer's latest order, 1 in the one before; `nth`: 0 for the product's latest of these."""
        orders = self.orders.filter(self.orders.bought)
        # Orders of one moment have no order among them: their ids give one, the same each time.
        latest = ibis.window(group_by=C.CUSTOMER_ID, order_by=[orders[C.ORDERED_AT].desc(), orders[C.ORDER_ID].desc()])
        ranked = orders.select(C.CUSTOMER_ID, C.ORDER_ID, back=ibis.row_number().over(latest))
        lines = self.lines.filter(self.lines[C.QUANTITY] > 0).select(C.CUSTOMER_ID, C.ORDER_ID, C.PRODUCT_ID).distinct()
        placed = lines.join(ranked, [C.CUSTOMER_ID, C.ORDER_ID])
        again = ibis.window(group_by=[C.CUSTOMER_ID, C.PRODUCT_ID], order_by=placed.back)
        return placed.mutate(nth=ibis.row_number().over(again))

    @cached_property
    def categories(self) -> Any:
        """As `products`, by the category of the product; `usual_amount_180d` is what all customers pay for as much."""
        bought = self._by_attribute(C.CATEGORY)
        everybody = ibis.window(group_by=C.CATEGORY)
        paid, units = (bought[name].sum().over(everybody) for name in ("amount_180d", "units_180d"))
        price = ibis.cases((units > 0, paid.cast("float64") / units), else_=None)
        return bought.mutate(usual_amount_180d=bought.units_180d * price)

    @cached_property
    def departments(self) -> Any:
        """As `products`, by the department of the product."""
        return self._by_attribute(C.DEPARTMENT)

    @cached_property
    def brands(self) -> Any:
        """As `products`, by the brand of the product."""
        return self._by_attribute(C.BRAND)

    def _by_attribute(self, attribute: str) -> Any:
        """Sums of `products`, so that the lines are read once."""
        described = self.tables[PRODUCTS.name].select(C.PRODUCT_ID, attribute)
        joined = self.products.join(described, C.PRODUCT_ID)
        joined = joined.filter(joined[attribute].notnull())
        return joined.group_by([C.CUSTOMER_ID, attribute]).aggregate(
            first_at=joined.first_at.min(),
            last_at=joined.last_at.max(),
            lines=joined.lines.sum(),
            lines_90d=joined.lines_90d.sum(),
            lines_180d=joined.lines_180d.sum(),
            units_180d=joined.units_180d.sum(),
            amount_180d=joined.amount_180d.sum(),
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
    return Snapshot(tables=lake.tables(backend), as_of=naive_utc(as_of), given=columns_given(lake))
