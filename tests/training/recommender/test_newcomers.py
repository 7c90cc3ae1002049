"""Lists for customers with attributes and no order, in a shop where an attribute decides what is bought."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.engine import connect
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.matrix import read_purchases
from features.settings import load_settings
from training.newcomer_lists import PRIOR_CUSTOMERS, newcomer_lists, value_ratios
from training.newcomers import load_newcomers, save_newcomers
from training.protocols import Context

MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "who"
product_id = "what"
ordered_at = "at"
[customers]
path = "people.csv"
customer_id = "who"
age = "age"
town = "town"
nickname = "nickname"
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """200 customers: the young buy y0..y9, the old o0..o9, everybody b0 now and then; the town says nothing."""
    folder: Path = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(3)
    lines, people = [], []
    for n in range(260):
        age = "young" if n % 4 == 0 else "old"  # most are old, so that popularity is theirs
        people.append((f"c{n:03}", age, f"town {n % 3}", f"name {n}"))
        if n < 200:
            own = [f"{age[0]}{k}" for k in rng.choice(10, size=3, replace=False)]
            lines += [(f"{n}-{k}", f"c{n:03}", what, f"2024-01-{k + 1:02}") for k, what in enumerate([*own, "b0"])]
    pd.DataFrame(lines, columns=["order", "who", "what", "at"]).to_csv(folder / "orders.csv", index=False)
    pd.DataFrame(people, columns=["who", "age", "town", "nickname"]).to_csv(folder / "people.csv", index=False)
    (folder / "shop.toml").write_text(MAPPING)
    settings = load_settings(home=folder / "home", threads=1)
    ingest("files", settings, mapping=folder / "shop.toml", replace=False, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))


def test_a_profile_foretells_better_than_popularity(shop: Context) -> None:
    purchases = read_purchases(shop.lake, connect(shop.settings))
    place = np.arange(purchases.n_products, dtype=np.int32)
    found = newcomer_lists(shop, purchases, place, n_products=purchases.n_products)
    assert found is not None
    names = purchases.product_ids.to_pylist()
    profiles = dict(zip(*(found.customers[name].to_pylist() for name in ("customer_id", "profile")), strict=True))
    assert sorted(profiles) == [f"c{n:03}" for n in range(200, 260)]
    popular = [names[code] for code in np.argsort(-np.bincount(purchases.products), kind="stable")[:10]]

    def of_own_kind(customer: str, products: list[str]) -> float:
        kind = "y" if int(customer[1:]) % 4 == 0 else "o"
        return float(np.mean([product[0] in (kind, "b") for product in products]))

    ours = [of_own_kind(who, [names[code] for code in found.lists[row][:10]]) for who, row in profiles.items()]
    theirs = [of_own_kind(who, popular) for who in profiles]
    assert np.mean(ours) > 0.95
    assert np.mean(ours) > np.mean(theirs) + 0.1


def test_a_value_of_few_customers_says_nothing_and_others_are_drawn_to_all_by_hand() -> None:
    bought = np.array([[30.0, 10.0], [10.0, 10.0], [3.0, 0.0]])
    customers = np.array([40.0, 60.0, 3.0])
    ratios = value_ratios(bought, customers)
    everybody = np.array([43 / 103, 20 / 103])
    np.testing.assert_allclose(ratios[0], (bought[0] + PRIOR_CUSTOMERS * everybody) / 60 / everybody)
    np.testing.assert_array_equal(ratios[2], [1, 1])


def test_lists_are_read_back_as_they_were_written(shop: Context, tmp_path: Path) -> None:
    purchases = read_purchases(shop.lake, connect(shop.settings))
    place = np.arange(purchases.n_products, dtype=np.int32)
    found = newcomer_lists(shop, purchases, place, n_products=purchases.n_products)
    save_newcomers(found, tmp_path)
    again = load_newcomers(tmp_path)
    assert again.customers.equals(pq.read_table(tmp_path / "newcomers.parquet"))
    np.testing.assert_array_equal(again.lists, found.lists)
    assert load_newcomers(tmp_path / "none") is None
