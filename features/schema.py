"""The contract: every table, its grain, its columns and their types. All other modules take names from here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: No order, and no event, is older; what says so is a fault of the file.
EARLIEST = datetime(1970, 1, 1)


class Columns:
    """One vocabulary of column names."""

    ORDER_ID = "order_id"
    CUSTOMER_ID = "customer_id"
    PRODUCT_ID = "product_id"
    ORDERED_AT = "ordered_at"
    QUANTITY = "quantity"
    AMOUNT = "amount"
    DISCOUNT = "discount"
    COUPON = "coupon"
    CHANNEL = "channel"
    STORE_ID = "store_id"
    NAME = "name"
    DEPARTMENT = "department"
    CATEGORY = "category"
    SUBCATEGORY = "subcategory"
    BRAND = "brand"
    PRICE = "price"
    COST = "cost"
    IN_STOCK = "in_stock"
    LISTED_AT = "listed_at"
    EXPIRES_AT = "expires_at"
    HIDDEN = "hidden"
    JOINED_AT = "joined_at"
    CAMPAIGN_ID = "campaign_id"
    CONTACTED_AT = "contacted_at"
    TREATED = "treated"
    RESPONDED_AT = "responded_at"
    EVENT_ID = "event_id"
    KIND = "kind"
    OCCURRED_AT = "occurred_at"
    SESSION_ID = "session_id"
    PLACEMENT = "placement"
    REQUEST_ID = "request_id"
    EXPERIMENT = "experiment"
    VARIANT = "variant"
    PROPENSITY = "propensity"
    AS_OF = "as_of"


C = Columns


class Kind(StrEnum):
    """The type of a column, as a user names it; `SQL` gives how the lake stores it."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    MONEY = "money"
    FLAG = "flag"


SQL = {
    Kind.TEXT: "VARCHAR",
    Kind.TIME: "TIMESTAMP",  # UTC, microseconds
    Kind.NUMBER: "DOUBLE",
    Kind.MONEY: "DECIMAL(18, 4)",  # the shop's currency
    Kind.FLAG: "BOOLEAN",
}


@dataclass(frozen=True)
class Column:
    """One column of a contract table."""

    name: str
    kind: Kind
    description: str
    required: bool = False


@dataclass(frozen=True)
class TableContract:
    """One contract table. `key` names the columns whose newest row wins; without a key, rows are facts and add up."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    open: bool = False  # further columns are kept as text attributes

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the required columns, in contract order."""
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError when the contract has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


ORDER_LINES = TableContract(
    "order_lines",
    "one product of one order",
    (
        Column(C.ORDER_ID, Kind.TEXT, "The order (basket, invoice); unique within a customer.", required=True),
        Column(C.CUSTOMER_ID, Kind.TEXT, "Who bought.", required=True),
        Column(C.PRODUCT_ID, Kind.TEXT, "What was bought.", required=True),
        Column(C.ORDERED_AT, Kind.TIME, "When, in UTC.", required=True),
        Column(C.QUANTITY, Kind.NUMBER, "Units; negative for a return. 1 where the shop has none."),
        Column(C.AMOUNT, Kind.MONEY, "Paid for the line; negative for a return. Empty where the shop has none."),
        Column(C.DISCOUNT, Kind.MONEY, "Taken off the line by the shop, as a positive amount."),
        Column(C.COUPON, Kind.MONEY, "Taken off the line by coupons, as a positive amount."),
        Column(C.CHANNEL, Kind.TEXT, "Where the order came from, for instance web, app, store."),
        Column(C.STORE_ID, Kind.TEXT, "Which store."),
    ),
)
PRODUCTS = TableContract(
    "products",
    "one product",
    (
        Column(C.PRODUCT_ID, Kind.TEXT, "The product.", required=True),
        Column(C.NAME, Kind.TEXT, "What a customer would call it."),
        Column(C.DEPARTMENT, Kind.TEXT, "Widest grouping."),
        Column(C.CATEGORY, Kind.TEXT, "Grouping a category page would show."),
        Column(C.SUBCATEGORY, Kind.TEXT, "Narrowest grouping."),
        Column(C.BRAND, Kind.TEXT, "Brand."),
        Column(C.PRICE, Kind.MONEY, "Price now."),
        Column(C.COST, Kind.MONEY, "What one unit costs the shop; with it, margins are known."),
        Column(C.IN_STOCK, Kind.FLAG, "Whether it can be sold now; empty means yes."),
        Column(C.LISTED_AT, Kind.TIME, "When it was first offered, in UTC."),
        Column(C.EXPIRES_AT, Kind.TIME, "When it is offered no more, in UTC."),
        Column(C.HIDDEN, Kind.FLAG, "True: never recommended."),
    ),
    key=(C.PRODUCT_ID,),
)
CUSTOMERS = TableContract(
    "customers",
    "one customer",
    (
        Column(C.CUSTOMER_ID, Kind.TEXT, "The customer.", required=True),
        Column(C.JOINED_AT, Kind.TIME, "When they joined, in UTC."),
    ),
    key=(C.CUSTOMER_ID,),
    open=True,
)
CONTACTS = TableContract(
    "contacts",
    "one customer contacted (or held out) by one campaign",
    (
        Column(C.CAMPAIGN_ID, Kind.TEXT, "The campaign.", required=True),
        Column(C.CUSTOMER_ID, Kind.TEXT, "The customer.", required=True),
        Column(C.CONTACTED_AT, Kind.TIME, "When, in UTC.", required=True),
        Column(C.CHANNEL, Kind.TEXT, "How, for instance mail, e-mail, phone."),
        Column(C.TREATED, Kind.FLAG, "False for a customer held out for comparison; empty means contacted."),
    ),
)
RESPONSES = TableContract(
    "responses",
    "one response of one customer to one campaign",
    (
        Column(C.CAMPAIGN_ID, Kind.TEXT, "The campaign.", required=True),
        Column(C.CUSTOMER_ID, Kind.TEXT, "The customer.", required=True),
        Column(C.RESPONDED_AT, Kind.TIME, "When, in UTC.", required=True),
        Column(C.PRODUCT_ID, Kind.TEXT, "What was bought with it."),
        Column(C.AMOUNT, Kind.MONEY, "What was paid."),
    ),
)
INTERACTIONS = TableContract(
    "interactions",
    "one event on the site",
    (
        Column(C.EVENT_ID, Kind.TEXT, "The event; a repeated id is the same event.", required=True),
        Column(C.PRODUCT_ID, Kind.TEXT, "The product.", required=True),
        Column(C.KIND, Kind.TEXT, "view, cart, impression, click, purchase, dislike or return.", required=True),
        Column(C.OCCURRED_AT, Kind.TIME, "When, in UTC.", required=True),
        Column(C.CUSTOMER_ID, Kind.TEXT, "Who, when known."),
        Column(C.SESSION_ID, Kind.TEXT, "The visit, when the customer is not known."),
        Column(C.PLACEMENT, Kind.TEXT, "Where on the site."),
        Column(C.REQUEST_ID, Kind.TEXT, "The answer the event goes back to."),
        Column(C.EXPERIMENT, Kind.TEXT, "The experiment running."),
        Column(C.VARIANT, Kind.TEXT, "The variant shown."),
        Column(C.PROPENSITY, Kind.NUMBER, "The chance that the answer held the product, above 0 and at most 1."),
    ),
    key=(C.EVENT_ID,),
)

#: The time of each row of the tables that are facts.
FACT_TIMES = {
    ORDER_LINES.name: C.ORDERED_AT,
    CONTACTS.name: C.CONTACTED_AT,
    RESPONSES.name: C.RESPONDED_AT,
}
TABLES = {t.name: t for t in (ORDER_LINES, PRODUCTS, CUSTOMERS, CONTACTS, RESPONSES, INTERACTIONS)}
