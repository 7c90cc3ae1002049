from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.feature_rivals import compute, differences
from features.home import Home
from features.ingest import ingest
from features.lake import Lake, read_lake
from features.settings import Settings

AS_OF = datetime(2024, 6, 1)
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
quantity = "pieces"
amount = "paid"
discount = "off"
coupon = "coupon"
store_id = "store"
[products]
path = "products.csv"
product_id = "id"
category = "category"
brand = "brand"
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Sixty customers over fifteen months, two of them after the moment; returns, free lines, an order of two days."""
    folder = tmp_path_factory.mktemp("rivals")
    rng = np.random.default_rng(3)
    rows = ["order,customer,product,at,pieces,paid,off,coupon,store"]
    for order in range(700):
        at = AS_OF + timedelta(seconds=int(rng.integers(-400 * 86_400, 60 * 86_400)))
        for product in rng.choice(12, rng.integers(1, 6), replace=False):
            pieces = rng.choice([1, 2, 3, 0, -1], p=[0.6, 0.2, 0.1, 0.05, 0.05])
            money = rng.integers(0, 900, 3) / 100 * [pieces, 0.2, 0.1]
            later = at + timedelta(days=int(rng.integers(0, 3)) if product == 0 else 0)
            paid, off, coupon = (f"{value:.2f}" for value in money)
            ids = f"o{order},c{order % 60},p{product},{later:%Y-%m-%d %H:%M:%S}"
            rows.append(f"{ids},{pieces},{paid},{off},{coupon},s{order % 3}")
    (folder / "orders.csv").write_text("\n".join(rows))
    names = "".join(f"p{n},{'' if n == 5 else f'category {n % 4}'},{'own' if n % 2 else ''}\n" for n in range(12))
    (folder / "products.csv").write_text(f"id,category,brand\n{names}")
    (folder / "shop.toml").write_text(MAPPING)
    settings = Settings(home=folder / "home", threads=2)
    ingest("files", settings, mapping=folder / "shop.toml", now=datetime(2024, 9, 1))
    return read_lake(Home(settings.home))


def home_of(lake: Lake) -> Path:
    return lake.path.parents[2]


def test_pandas_computes_what_ours_does_and_the_check_says_where_it_does_not(lake: Lake) -> None:
    home = home_of(lake)
    assert compute("pandas", home, as_of=AS_OF)["seconds"] > 0
    assert differences("pandas", home, lake, as_of=AS_OF) == []

    file = home / "pandas-customer.parquet"
    wrong = pd.read_parquet(file)
    wrong.loc[3, "gap_spread_days"] += 0.01
    wrong.to_parquet(file)
    [found] = differences("pandas", home, lake, as_of=AS_OF)
    assert found.startswith("customer.gap_spread_days: 1 rows")
