from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result

from features.engine import connect
from features.errors import DataError
from features.home import Home
from features.horizon import Horizon
from features.ingest import ingest
from features.label_rates import label_report
from features.lake import read_lake
from features.settings import Settings
from tests.features.loading import CAMPAIGNS

AS_OF = datetime(2024, 3, 1)
ORDERS = """
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
MAPPING = ORDERS + CAMPAIGNS
#: Days from AS_OF on which each customer orders bread; 10 a time.
ORDERED = {"ann": (-50, -3, 2, 40), "bob": (-5, 30), "cat": (-40, 5), "dan": (-6, 13), "eve": (-90, -60)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("labels")

    def at(days: float) -> str:
        return f"{AS_OF + timedelta(days=days):%Y-%m-%d %H:%M}"

    def write(name: str, header: str, rows: list[str]) -> None:
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]))

    lines = [f"{c}{day},{c},bread,{at(day)},10" for c, days in ORDERED.items() for day in days]
    write("orders", "order,customer,product,at,paid", [*lines, f"x,ann,milk,{at(-3)},5"])
    write("products", "id,category", ["bread,bakery", "milk,dairy"])
    write(
        "contacts",
        "campaign,customer,at,treated",
        [f"spring,ann,{at(1)},true", f"spring,bob,{at(1)},true", f"spring,cat,{at(1)},false"],
    )
    write("responses", "campaign,customer,at", [f"spring,ann,{at(2)}"])
    (folder / "shop.toml").write_text(MAPPING)
    settings = Settings(home=folder / "home", threads=2)
    ingest("files", settings, mapping=folder / "shop.toml", now=datetime(2024, 6, 1))
    return settings


def test_base_rates_worked_by_hand(settings: Settings) -> None:
    lake = read_lake(Home(settings.home))
    report = label_report(lake, connect(settings), AS_OF, Horizon(14, "14 days, as set"))
    told = [(rate.label, rate.asked_of, rate.true, rate.rows) for rate in report.labels]
    assert told == [
        ("active", "customers who ever bought", 3, 5),  # ann, bob, dan
        ("stopped", "active customers", 1, 3),  # bob; ann ordered on day 2, dan on day 13
        ("bought", "customers who ever bought", 3, 5),  # ann, cat, dan
        ("spend", "customers who ever bought", 3, 5),
        ("category", "customers and categories", 3, 10),
        ("responded", "contacts", 1, 2),
        ("bought", "contacts", 1, 2),
        ("bought", "customers held out", 1, 1),  # cat
    ]
    assert report.labels[1].base_rate == pytest.approx(1 / 3)
    assert report.labels[1].rule == "no order within 14 days"
    assert report.active_rule == "an order within the horizon before as_of"
    assert report.spend_mean == pytest.approx(6.0)
    assert report.categories == {"bakery": 0.6, "dairy": 0.0}


def test_a_moment_whose_horizon_has_not_passed_is_refused(settings: Settings) -> None:
    lake = read_lake(Home(settings.home))
    with pytest.raises(DataError, match="is not known yet: the last order is of 2024-04-10"):
        label_report(lake, connect(settings), datetime(2024, 4, 1), Horizon(14, ""))


def test_contacts_whose_answers_are_still_to_come_are_left_out_and_said_so(settings: Settings) -> None:
    lake = read_lake(Home(settings.home))
    report = label_report(lake, connect(settings), datetime(2024, 3, 20), Horizon(14, ""))
    assert "contacts" not in {rate.asked_of for rate in report.labels}
    assert report.notes == [
        "What came of contacts within the horizon is known a horizon after the last of them: ask as of "
        "2024-03-13 or before."
    ]


def test_command_prints_base_rates_and_writes_the_labels(
    settings: Settings, tmp_path: Path, regulars: Callable[..., Result]
) -> None:
    arguments = ["features", "labels", "--as-of", "2024-03-01", "--horizon", "14"]
    done = regulars(settings.home, *arguments, "--json", "--write", str(tmp_path / "labels"))
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["horizon"]["days"], report["horizon"]["rule"]) == (14, "14 days, as set")
    assert [rate["label"] for rate in report["labels"]][:2] == ["active", "stopped"]
    written = pq.read_table(tmp_path / "labels" / "customer.parquet").to_pylist()
    assert [row["customer_id"] for row in written] == ["ann", "bob", "cat", "dan", "eve"]
    assert [row["stopped"] for row in written] == [False, True, False, False, True]
    assert pq.read_table(tmp_path / "labels" / "customer_category.parquet").num_rows == 10
    assert pq.read_table(tmp_path / "labels" / "campaign.parquet").num_rows == 3

    shown = regulars(settings.home, *arguments)
    assert "33.33%" in shown.stdout
    assert "Horizon: 14 days, as set." in shown.stdout
