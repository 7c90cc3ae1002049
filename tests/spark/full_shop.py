"""A made-up shop whose data allow every built-in feature: returns, coupons, stores, campaigns, attributes, fractions.

80 customers over a year. Times have microseconds, so that nothing is equal only because all seconds are whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from tests.features.loading import CAMPAIGNS
from training.protocols import Context

START, DAYS = datetime(2024, 1, 1), 364
CUSTOMERS, PRODUCTS = 80, 24
HORIZON = 28

MAPPING = f"""
[order_lines]
path = "orders.csv"
order_id = "order_id"
customer_id = "customer_id"
product_id = "product_id"
ordered_at = "ordered_at"
quantity = "quantity"
amount = "amount"
discount = "discount"
coupon = "coupon"
channel = "channel"
store_id = "store_id"

[products]
path = "products.csv"
product_id = "product_id"
name = "name"
department = "department"
category = "category"
brand = "brand"

[customers]
path = "customers.csv"
customer_id = "customer_id"
age = "age"
town = "town"
{CAMPAIGNS}"""


def loaded(root: Path) -> Context:
    """The shop in a data home below `root`, loaded on DuckDB."""
    files = root / "files"
    files.mkdir(parents=True)
    rng = np.random.default_rng(3)
    _orders(rng).to_csv(files / "orders.csv", index=False)
    names = [f"p{number:02}" for number in range(PRODUCTS)]
    kinds = pd.DataFrame({"product_id": names, "name": [f"no. {name}" for name in names]})
    for column, values in {
        "department": ("Dairy", "Bakery", "Drinks"),
        "category": ("milk", "cheese", "bread", "cake", "tea", None),
        "brand": ("Own", "Best", None, "Finest & Co."),
    }.items():
        kinds[column] = [values[number % len(values)] for number in range(PRODUCTS)]
    kinds.to_csv(files / "products.csv", index=False)
    who = [f"c{number:03}" for number in range(CUSTOMERS)]
    ages, towns = rng.choice(["20-39", "40-59", "60+"], CUSTOMERS), rng.choice(["Aix", "Bonn", ""], CUSTOMERS)
    pd.DataFrame({"customer_id": who, "age": ages, "town": towns}).to_csv(files / "customers.csv", index=False)
    _campaigns(rng, who, files)
    (files / "shop.toml").write_text(MAPPING)
    settings = load_settings(home=root / "home", threads=1, seed=1, horizon_days=HORIZON)
    ingest("files", settings, mapping=files / "shop.toml", replace=False, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))


def _orders(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for customer in range(CUSTOMERS):
        gap = rng.uniform(3, 14)
        until = DAYS if customer % 3 else rng.uniform(DAYS / 2, DAYS)
        day, visit = rng.uniform(0, gap), 0
        while day < until:
            at = START + timedelta(days=float(day), microseconds=int(rng.integers(1, 999_999)))
            order = f"o{customer}-{visit}"
            for product in rng.choice(PRODUCTS // 2, size=rng.integers(1, 5), replace=False):
                # Some lines of an order come later, a few come back.
                later = timedelta(days=40) if rng.random() < 0.02 else timedelta()
                back = rng.random() < 0.04
                quantity = -1.0 if back else float(rng.choice([1, 2, 0.5]))
                amount = round(float(quantity * rng.uniform(1, 9)), 2)
                rows.append(
                    {
                        "order_id": order,
                        "customer_id": f"c{customer:03}",
                        "product_id": f"p{int(product) + customer % 2 * PRODUCTS // 2:02}",
                        "ordered_at": f"{at + later:%Y-%m-%d %H:%M:%S.%f}",
                        "quantity": quantity,
                        "amount": amount if rng.random() > 0.02 else None,
                        "discount": 0 if back else round(float(rng.choice([0, 0, 0.5, 1])), 2),
                        "coupon": 0 if back else float(rng.choice([0, 0, 0, 0.25])),
                        "channel": rng.choice(["web", "store"]),
                        "store_id": f"s{rng.integers(0, 4)}",
                    }
                )
            day, visit = day + rng.gamma(9, gap / 9), visit + 1
    return pd.DataFrame(rows)


def _campaigns(rng: np.random.Generator, who: list[str], files: Path) -> None:
    contacts = [
        (f"k{campaign}", customer, f"{START + timedelta(days=60 * campaign + 30)}", bool(rng.random() < 0.7))
        for campaign in range(5)
        for customer in rng.choice(who, size=30, replace=False)
    ]
    made = pd.DataFrame(contacts, columns=["campaign", "customer", "at", "treated"])
    made.to_csv(files / "contacts.csv", index=False)
    answered = made[made["treated"]].iloc[::4]
    answered = answered.assign(at=pd.to_datetime(answered["at"]) + pd.to_timedelta(5, "D"))
    answered.drop(columns="treated").to_csv(files / "responses.csv", index=False)
