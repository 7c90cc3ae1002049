from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result

from features.definitions import CUSTOMER, PRODUCT
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.quality_page import snapshot_page
from features.settings import Settings
from features.snapshot_quality import SnapshotFile, SnapshotQuality, snapshot_quality
from features.store.snapshots import build_snapshots

BEFORE, NOW = datetime(2024, 2, 1), datetime(2024, 2, 15)
CLOSED = 41  # 2024-02-11: no orders
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
amount = "paid"
[products]
path = "products.csv"
product_id = "id"
category = "category"
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Forty customers order every day, at ten times the price and a product of a new category from February on."""
    folder = tmp_path_factory.mktemp("snapshot-quality")
    rows = ["order,customer,product,at,paid"]
    for day in range(50):
        at = datetime(2024, 1, 1, 9) + timedelta(days=day)
        product, paid = ("tea", 50) if at >= BEFORE else ("bread", 5)
        rows += [f"{day}-{n},c{n},{product},{at:%Y-%m-%d %H:%M},{paid + n}" for n in range(40) if day != CLOSED]
    (folder / "orders.csv").write_text("\n".join([*rows, "x,c1,bread,never,1"]))
    (folder / "products.csv").write_text("id,category\nbread,bakery\ntea,drinks\n")
    (folder / "shop.toml").write_text(MAPPING)
    settings = Settings(home=folder / "home", threads=2)
    ingest("files", settings, mapping=folder / "shop.toml", now=datetime(2024, 6, 1))
    return settings


def report_of(settings: Settings, entity=CUSTOMER, *, alone: bool = False) -> SnapshotQuality:
    lake = read_lake(Home(settings.home))
    snapshots, _ = build_snapshots(settings, lake, [BEFORE, NOW], entity=entity)
    now, before = (SnapshotFile(moment, snapshots.file(moment, entity)) for moment in (NOW, BEFORE))
    return snapshot_quality(lake, settings, entity, now, None if alone else before, horizon_days=7)


def test_rows_days_and_what_was_set_aside_are_told(settings: Settings) -> None:
    report = report_of(settings)
    assert (report.rows, report.rows_before, report.days_between) == (40, 40, 14)
    assert report.quarantined == {"order_lines": {"bad_ordered_at": 1}}
    assert report.days_since_last_order == 0
    assert report.days_without_orders == ["2024-02-11"]
    assert any("No order on 2024-02-11" in said for said in report.findings)


def test_ranges_are_those_of_the_snapshot(settings: Settings) -> None:
    report = report_of(settings)
    spend = report.features["spend_7d"]  # six orders, the shop was closed on one day
    assert (spend.least, spend.median, spend.most) == (6 * 50, 6 * 69, 6 * 89)
    assert spend.missing == 0
    assert report.features["gap_mean_days"].missing_before == 0


def test_what_moved_is_named_and_what_did_not_is_not(settings: Settings) -> None:
    report = report_of(settings)
    assert report.features["spend_7d"].drift > 1
    assert report.features["days_since_last_order"].drift == 0
    [said] = [said for said in report.findings if said.startswith("Moved by 0.25 or more")]
    assert "days_since_last_order" not in said


def test_new_categories_are_named(settings: Settings) -> None:
    report = report_of(settings, PRODUCT)
    assert report.values["attribute_category"].new == ["drinks"]
    assert "attribute_category: 1 new: drinks." in report.findings
    assert report.rows - report.rows_before == 1


def test_the_first_snapshot_has_nothing_to_be_compared_with(settings: Settings) -> None:
    report = report_of(settings, alone=True)
    assert (report.before, report.rows_before, report.new_features) == (None, None, [])
    assert all(feature.drift is None for feature in report.features.values())
    assert "against" not in snapshot_page(report).split("<h2>")[0]


def test_page_shows_drift_and_needs_nothing_from_outside(settings: Settings) -> None:
    page = snapshot_page(report_of(settings))
    assert 'role="img"' in page
    assert "spend_7d" in page
    for outside in ("<script", "src=", "http", "url(", "@import"):
        assert outside not in page


def test_commands_leave_the_report_beside_the_snapshot(
    settings: Settings, tmp_path: Path, regulars: Callable[..., Result]
) -> None:
    arguments = ["features", "quality", "--as-of", "2024-02-15", "--against", "2024-02-01"]
    done = regulars(settings.home, *arguments, "--json", "--html", str(tmp_path / "page.html"))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["as_of"], told["before"]) == (NOW.isoformat(), BEFORE.isoformat())
    lake = read_lake(Home(settings.home))
    snapshots, _ = build_snapshots(settings, lake, [NOW])
    assert json.loads(snapshots.file(NOW).with_suffix(".quality.json").read_text()) == told
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert pq.read_table(snapshots.file(NOW)).num_rows == 40

    built = regulars(settings.home, "features", "build", "--as-of", "2024-02-08")
    assert built.exit_code == 0, built.output
    between = datetime(2024, 2, 8)
    kept = json.loads(snapshots.file(between).with_suffix(".quality.json").read_text())
    assert kept["before"] == BEFORE.isoformat()  # the newest snapshot of an earlier moment

    wrong = regulars(settings.home, "features", "quality", "--as-of", "2024-02-01", "--against", "2024-02-02")
    assert "must be before --as-of" in str(wrong.exception)
