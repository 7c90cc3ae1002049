"""A made-up shop small enough to train on in seconds: 400 customers, a year, 40 products.

Customers come at their own rhythm, buy mostly from their own few products, and every second stops for good somewhere in
the last two thirds of the year, so that there is something to learn. The same seed gives the same shop.
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
from training.protocols import Context

START = datetime(2024, 1, 1)
DAYS = 364
CATEGORIES = ("bread", "cheese", "fruit", "coffee")

MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "Receipt"
customer_id = "Member"
product_id = "Article"
ordered_at = { column = "Time", format = "%d/%m/%Y %H:%M" }
quantity = "Pieces"
amount = { expression = "Pieces * Price" }

[products]
path = "articles.csv"
product_id = "Article"
name = "Name"
category = "Category"
"""


def write_files(folder: Path, *, customers: int = 400, products: int = 40, seed: int = 7) -> Path:
    """Writes orders.csv, articles.csv and shop.toml; the path of the last."""
    rng = np.random.default_rng(seed)
    price = np.round(rng.uniform(1, 12, products), 2)
    popularity = rng.zipf(1.6, products).clip(max=20) / 20
    lines = []
    for customer in range(customers):
        gap = rng.uniform(4, 12)
        favourites = rng.choice(products, size=6, replace=False)
        taste = popularity / popularity.sum() * 0.3
        taste[favourites] += 0.7 / len(favourites)
        until = DAYS if customer % 2 else rng.uniform(DAYS / 3, DAYS)
        day, visit = rng.uniform(0, gap), 0
        while day < until:
            at = START + timedelta(minutes=int(day * 1440))
            for product in rng.choice(products, size=rng.integers(1, 5), replace=False, p=taste / taste.sum()):
                pieces = int(rng.integers(1, 4))
                lines.append(
                    (
                        f"{customer}-{visit}",
                        f"m{customer}",
                        f"a{product}",
                        f"{at:%d/%m/%Y %H:%M}",
                        pieces,
                        price[product],
                    )
                )
            day, visit = day + rng.gamma(9, gap / 9), visit + 1
    folder.mkdir(parents=True, exist_ok=True)
    orders = pd.DataFrame(lines, columns=["Receipt", "Member", "Article", "Time", "Pieces", "Price"])
    orders.to_csv(folder / "orders.csv", index=False)
    names = [f"{CATEGORIES[product % 4]} no. {product}" for product in range(products)]
    articles = {"Article": [f"a{p}" for p in range(products)], "Name": names}
    pd.DataFrame(articles | {"Category": [name.split()[0] for name in names]}).to_csv(
        folder / "articles.csv", index=False
    )
    (folder / "shop.toml").write_text(MAPPING)
    return folder / "shop.toml"


def loaded(root: Path) -> Context:
    """The shop in a data home below `root`."""
    mapping = write_files(root / "files")
    settings = load_settings(home=root / "home", threads=1, seed=1)
    ingest("files", settings, mapping=mapping, replace=False, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))
