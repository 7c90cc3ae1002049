from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.definitions import CUSTOMER
from features.home import Home
from features.ingest import IngestReport, ingest
from features.lake import read_lake
from features.settings import Settings
from features.store.snapshots import Snapshots, build_snapshots

START = datetime(2024, 1, 1)
MOMENTS = [START + timedelta(days=days) for days in (20, 30, 40)]
NOW = datetime(2024, 6, 1)
HEADER = "order,customer,product,at,paid"


def orders(days: range, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        f"{day}-{n},c{rng.integers(0, 9)},p{rng.integers(0, 5)},"
        f"{START + timedelta(days=day, hours=9 + n):%Y-%m-%d %H:%M},{rng.integers(100, 900) / 100}"
        for day in days
        for n in range(4)
    ]


class Shop:
    """A home that loads one file after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home", threads=2)

    def load(self, rows: list[str], *, products: str | None = None) -> IngestReport:
        (self.folder / "orders.csv").write_text("\n".join([HEADER, *rows]))
        mapping = (
            '[order_lines]\npath = "orders.csv"\norder_id = "order"\ncustomer_id = "customer"\nproduct_id = "product"\n'
            'ordered_at = "at"\namount = "paid"\n'
        )
        if products is not None:
            (self.folder / "products.csv").write_text(products)
            mapping += '[products]\npath = "products.csv"\nproduct_id = "id"\ncategory = "category"\n'
        (self.folder / "shop.toml").write_text(mapping)
        return ingest("files", self.settings, mapping=self.folder / "shop.toml", now=NOW)

    def build(self, moments: list[datetime] = MOMENTS) -> tuple[Snapshots, int]:
        return build_snapshots(self.settings, read_lake(Home(self.settings.home)), moments)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.load(orders(range(40), seed=1))
    made.build(MOMENTS[:2])
    return made


def test_a_day_appended_keeps_every_snapshot_before_it_and_equals_a_full_rebuild(shop: Shop, tmp_path: Path) -> None:
    shop.load(orders(range(40, 41), seed=2))
    snapshots, computed = shop.build([*MOMENTS, START + timedelta(days=41)])
    assert computed == 2  # day 40, never built before, and day 41; days 20 and 30 are kept

    (tmp_path / "whole").mkdir()
    whole = Shop(tmp_path / "whole")
    whole.load([*orders(range(40), seed=1), *orders(range(40, 41), seed=2)])
    rebuilt, made = whole.build([*MOMENTS, START + timedelta(days=41)])
    assert made == 4
    for moment in [*MOMENTS, START + timedelta(days=41)]:
        assert pq.read_table(snapshots.file(moment)).equals(pq.read_table(rebuilt.file(moment)))


def test_late_rows_are_reported_and_change_features_from_their_own_time_on(shop: Shop) -> None:
    before = {moment: pq.read_table(shop.build()[0].file(moment)) for moment in MOMENTS}
    report = shop.load(["late,c1,p1,2024-01-26 12:00,5.00"])
    assert any(
        "1 order lines are late" in said and "after 2024-01-26 12:00:00 change" in said for said in report.warnings
    )
    snapshots, computed = shop.build()
    assert computed == 2
    assert pq.read_table(snapshots.file(MOMENTS[0])).equals(before[MOMENTS[0]])
    for moment in MOMENTS[1:]:
        assert not pq.read_table(snapshots.file(moment)).equals(before[moment])


def test_a_row_at_the_moment_itself_does_not_change_the_snapshot_as_of_it(shop: Shop) -> None:
    shop.load([f"edge,c1,p1,{MOMENTS[1]:%Y-%m-%d %H:%M},5.00"])
    assert shop.build(MOMENTS[:2])[1] == 0


def test_products_that_change_change_every_moment(shop: Shop) -> None:
    shop.load(orders(range(40, 41), seed=2), products="id,category\np1,bread\np2,milk\n")
    snapshots, computed = shop.build()
    assert computed == len(MOMENTS)
    assert "categories_life" in {column["name"] for column in snapshots.catalogue(CUSTOMER)}


def test_rows_in_time_are_not_called_late(shop: Shop) -> None:
    report = shop.load(orders(range(40, 42), seed=2))
    assert not [said for said in report.warnings if "late" in said]
