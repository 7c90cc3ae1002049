"""A small shop behind the console: orders in the lake, scores and lists made of the same orders, all by hand."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from tests.serving.small_scores import AS_OF, small_state
from training.customer_scores import SCHEMA
from training.insight.keep import keep_insight
from training.protocols import Context

CUSTOMERS = 60
#: With a mark, a customer of that shop alone.
ONLY = 55
CATEGORIES = ("Bread", "Cheese", "Coffee", "Fruit")
PRODUCTS = [
    {"product_id": f"p{n:02}", "name": f"{CATEGORIES[n % 4]} {n}", "category": CATEGORIES[n % 4], "price": 1.5 + n}
    for n in range(16)
]
STORES = ("North", "South", "12", "3")
HOUSEHOLDS = ("single", "couple", "family")
STAGES = ("regular", "slipping", "new", "regular", "slipping", "lapsed")
CHURN_BACKTEST = {
    "test_as_of": (AS_OF - timedelta(days=28)).isoformat(),
    "horizon_days": 28,
    "metrics": {"precision@10%": 0.62, "auc": 0.81},
}
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order_id"
customer_id = "customer_id"
product_id = "product_id"
ordered_at = "ordered_at"
quantity = "quantity"
amount = "amount"
store_id = "store"

[products]
path = "products.csv"
product_id = "product_id"
name = "name"
category = "category"

[customers]
path = "customers.csv"
customer_id = "customer_id"
household = "household"

[contacts]
path = "contacts.csv"
campaign_id = "campaign_id"
customer_id = "customer_id"
contacted_at = "contacted_at"
channel = "channel"
"""


def name_of(number: int, mark: str = "") -> str:
    """The first begins as a formula would, which no exported cell may be; with a mark, one is that shop's alone."""
    if mark and number == ONLY:
        return f"only{mark}"
    return "=c00" if number == 0 else f"c{number:02}"


def store_of(number: int, back: int) -> str:
    """Two orders of three are in the customer's own store, the last one elsewhere."""
    return STORES[(number + (back % 3 == 0)) % len(STORES)]


def orders() -> dict[str, list[tuple[float, list[str]]]]:
    """Customer n orders three products every n % 9 + 5 days, the last time n % 20 + 1 days before the scores.

    Every tenth buys of one category alone, the others of all.
    """
    made = {}
    for number in range(CUSTOMERS):
        gap, silent, on = number % 9 + 5, number % 20 + 1, 4 if number % 10 == 9 else 1
        made[name_of(number)] = [
            (float(silent + gap * back), [f"p{(number + (back + step * 3) * on) % 16:02}" for step in range(3)])
            for back in range(12)
        ]
    return made


def score_of(number: int, row: dict[str, object]) -> dict[str, object]:
    """Risk rises with the number, value falls; every sixth customer is no longer active."""
    stage = STAGES[number % 6]
    active = stage != "lapsed"
    risk = round((number + 1) / (CUSTOMERS + 1), 4)
    silent = number % 20 + 1
    due = AS_OF + timedelta(days=5 - silent)
    reason = {"message": "silent", "lowers": False, "number": float(number % 9 + 5), "other": float(silent)}
    second = {"message": "weeks", "lowers": True, "number": 9.0, "other": None}
    if number % 3 == 0:
        reason = {"message": "spend_down", "lowers": False, "number": 40.0, "other": None}
    return row | {
        "last_order_at": AS_OF - timedelta(days=silent),
        "days_since_last_order": silent,
        "orders": 12,
        "spend": 100.0 + number,
        "active": active,
        "stage": stage,
        "churn_probability": risk if active else None,
        "value_at_risk": round(risk * (90 - number), 2) if active else None,
        "expected_spend": float(90 - number),
        "purchase_probability": round(1 - risk, 4),
        "next_order_expected_at": AS_OF + timedelta(days=number % 9 + 1),
        "next_order_from": AS_OF + timedelta(days=1),
        "next_order_until": AS_OF + timedelta(days=30),
        "expected_back_by": due,
        "days_overdue": max(silent - 5, 0),
        "order_within": [0.1, 0.3, 0.6, 0.9],
        "reasons": [one | {"detail": None} for one in (reason, second)] if active else [],
    }


def open_shop(root: Path, write_scores: object, *, mark: str = "") -> Home:
    """The shop in a data home below `root`; `write_scores` is the fixture of that name.

    With a `mark` it is another shop with the same ids but one, in which every name holds the mark and sums differ.
    """
    made = {name_of(number, mark): theirs for number, theirs in enumerate(orders().values())}
    products = [row | {name: f"{row[name]}{mark}" for name in ("name", "category")} for row in PRODUCTS]
    files = root / "files"
    files.mkdir(parents=True)
    with (files / "orders.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["order_id", "customer_id", "product_id", "ordered_at", "quantity", "amount", "store"])
        for number, (customer, theirs) in enumerate(made.items()):
            for back, (ago, basket) in enumerate(theirs):
                at = AS_OF.replace(tzinfo=None) - timedelta(days=ago)
                for product in basket:
                    price = PRODUCTS[int(product[1:])]["price"]
                    order, store = f"{customer}-{ago:g}", f"{store_of(number, back)}{mark}"
                    rows.writerow([order, customer, product, f"{at:%Y-%m-%d %H:%M:%S}", 1, price, store])
    campaign = f"spring{mark},c07,{AS_OF - timedelta(days=100):%Y-%m-%d},mail\n"
    (files / "contacts.csv").write_text(f"campaign_id,customer_id,contacted_at,channel\n{campaign}")
    with (files / "products.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["product_id", "name", "category"], extrasaction="ignore")
        table.writeheader()
        table.writerows(products)
    homes = "".join(f"{name_of(number, mark)},{HOUSEHOLDS[number % 3]}{mark}\n" for number in range(CUSTOMERS))
    (files / "customers.csv").write_text(f"customer_id,household\n{homes}")
    (files / "shop.toml").write_text(MAPPING)
    settings = load_settings(home=root / "home", threads=1, seed=1)
    ingest("files", settings, mapping=files / "shop.toml", replace=False, now=AS_OF.replace(tzinfo=None))
    home = Home(settings.home)
    state = small_state(made, products)
    numbers = {name_of(number, mark): number for number in range(CUSTOMERS)}
    scored = [score_of(numbers[row["customer_id"]], row) for row in state.customers.to_pylist()]
    if mark:
        scored = [row | {name: (row[name] or 0) * 3 for name in ("spend", "expected_spend")} for row in scored]
    write_scores(
        home,
        customers=pa.Table.from_pylist(scored, schema=SCHEMA).to_pylist(),
        ranking=state.ranking,
        about={
            "lake_version": read_lake(home).version,
            "curve_days": [1.0, 7.0, 28.0, 90.0],
            "grades": {"churn": {"grade": "good", "why": "AUC surely above 0.780"}},
            "backtests": {"churn": CHURN_BACKTEST},
        },
    )
    context = Context(settings=settings, home=home, lake=read_lake(home))
    keep_insight(context, at=AS_OF)
    return home
