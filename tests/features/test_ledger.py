"""The ledger against what plain Python makes of the same orders, at any moment, however it is cut into parts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import ledger_files, ledger_input
from features.build import entity_features, features_of
from features.definitions import CUSTOMER, CUSTOMER_PRODUCT, ENTITIES, PRODUCT, Entity
from features.engine import connect
from features.errors import RegularsError
from features.home import Home, remove_directory
from features.ingest import ingest
from features.lake import read_lake
from features.ledger_store import lake_ledger
from features.runs import in_order
from features.settings import Settings
from features.snapshot import Snapshot, naive_utc, take_snapshot
from tests.features.small_shop import arrow, line, snapshot_of, write_random_shop

START = datetime(2024, 1, 1)
CATEGORIES = {"p0": "red", "p1": "red", "p2": "blue", "p3": None}


def features_at(taken: Snapshot, entity: Entity) -> pd.DataFrame:
    table = entity_features(taken, entity, features_of(taken, entity))
    return table.to_pandas().set_index(list(entity.keys)).sort_index()


@st.composite
def order_lines(draw: st.DrawFn) -> list[dict[str, object]]:
    """Orders of few customers and products; some go on at a later moment, some lines come back."""
    hours = st.integers(0, 24 * 300)
    rows = []
    for order in range(draw(st.integers(1, 12))):
        customer, at = draw(st.sampled_from("ab")), draw(hours)
        for _ in range(draw(st.integers(1, 3))):
            later = draw(st.sampled_from([0, 0, 0, 0, 5, 24 * 40]))
            rows.append(
                line(
                    customer,
                    f"o{order:02}",
                    (START + timedelta(hours=at + later)).isoformat(),
                    draw(st.sampled_from(sorted(CATEGORIES))),
                    quantity=draw(st.sampled_from([1.0, 2.0, 0.5, -1.0])),
                    amount=draw(st.integers(1, 900)) / 100,
                    store_id=f"s{order % 2}",
                )
            )
    return rows


def rows_before(lines: list[dict[str, object]], moment: datetime) -> Iterator[tuple[str, str, str, datetime, float]]:
    for row in lines:
        at = datetime.fromisoformat(str(row["ordered_at"]))
        if at < moment:
            yield str(row["customer_id"]), str(row["order_id"]), str(row["product_id"]), at, float(str(row["quantity"]))


@settings(max_examples=15, deadline=None)
@given(order_lines(), st.integers(0, 24 * 420).map(lambda hours: START + timedelta(hours=hours)))
def test_totals_are_what_python_counts_in_the_rows_before(lines: list[dict[str, object]], moment: datetime) -> None:
    products = [{"product_id": name, "category": category} for name, category in CATEGORIES.items()]
    shop = {"order_lines": arrow("order_lines", lines), "products": arrow("products", products)}
    taken = snapshot_of(shop, moment)
    bought = [row for row in rows_before(lines, moment) if row[4] > 0]
    began: dict[tuple[str, str], datetime] = {}
    for customer, order, _, at, _ in bought:
        began[customer, order] = min(at, began.get((customer, order), at))

    def ago(days: int) -> datetime:
        return moment - timedelta(days=days)

    customers = features_at(taken, CUSTOMER)
    assert customers.index.tolist() == sorted({customer for customer, _ in began})
    for customer, found in customers.iterrows():
        orders = [at for (who, _), at in began.items() if who == customer]
        mine = [row for row in bought if row[0] == customer]
        for days in (7, 30, 90, 180):
            assert found[f"orders_{days}d"] == sum(at >= ago(days) for at in orders)
        assert found["days_since_last_order"] == pytest.approx((moment - max(orders)) / timedelta(days=1))
        assert found["visits_life"] == len({at.date() for at in orders})
        assert found["products_90d"] == len({row[2] for row in mine if row[3] >= ago(90)})
        assert found["repeated_product_share_life"] == pytest.approx(
            sum(sum(row[2] == name for row in mine) > 1 for name in {row[2] for row in mine})
            / len({row[2] for row in mine})
        )
        first = {name: min(row[3] for row in mine if row[2] == name) for name in {row[2] for row in mine}}
        assert found["new_products_30d"] == sum(at >= ago(30) for at in first.values())
        if any(CATEGORIES[row[2]] for row in bought):
            kinds = [(CATEGORIES[row[2]], row[3]) for row in mine if CATEGORIES[row[2]]]
            recent = {kind for kind, at in kinds if at >= ago(90)}
            assert found["categories_90d"] == len(recent)
            assert found["categories_lost_90d"] == len({kind for kind, at in kinds if at >= ago(180)} - recent)

    sold = features_at(taken, PRODUCT)
    assert sold.index.tolist() == sorted({row[2] for row in bought})
    for product, found in sold.iterrows():
        mine = [row for row in bought if row[2] == product]
        assert found["lines_30d"] == sum(row[3] >= ago(30) for row in mine)
        assert found["buyers_90d"] == len({row[0] for row in mine if row[3] >= ago(90)})
        assert found["buyers_life"] == len({row[0] for row in mine})
        assert found["days_since_last_sold"] == pytest.approx(
            (moment - max(row[3] for row in mine)) / timedelta(days=1)
        )

    for (customer, product), found in features_at(taken, CUSTOMER_PRODUCT).iterrows():
        times = [row[3] for row in bought if row[:1] + row[2:3] == (customer, product)]
        assert found["lines_life"] == len(times)
        assert found["lines_90d_to_last"] == sum(at >= max(times) - timedelta(days=90) for at in times)
        assert found["customer_orders"] == sum(who == customer for who, _ in began)


def test_an_order_that_goes_on_after_the_next_one_is_counted_once_in_its_own_place() -> None:
    """First order with bread on day 1 and again on day 5; the second, in between, with bread and milk."""
    lines = [
        line("ann", "1", "2024-01-01"),
        line("ann", "2", "2024-01-03"),
        line("ann", "2", "2024-01-03", "milk"),
        line("ann", "1", "2024-01-05"),
        line("ann", "1", "2024-01-05", "milk"),
        line("ann", "1", "2024-01-07", "tea"),
        line("ann", "3", "2024-01-09", "tea"),
    ]
    taken = snapshot_of({"order_lines": arrow("order_lines", lines)}, "2024-01-08")
    found = features_at(taken, CUSTOMER_PRODUCT)[["lines_life", "orders_life", "orders_since_last", "streak"]]
    assert found.loc["ann"].to_dict("index") == {
        "bread": {"lines_life": 3, "orders_life": 2, "orders_since_last": 0, "streak": 2},
        "milk": {"lines_life": 2, "orders_life": 2, "orders_since_last": 0, "streak": 2},
        "tea": {"lines_life": 1, "orders_life": 1, "orders_since_last": 1, "streak": 0},
    }


def test_a_product_that_came_back_before_it_was_first_sold_is_as_old_as_that_sale() -> None:
    lines = [line("ann", "0", "2024-01-01", quantity=-1), line("bob", "1", "2024-01-10T09:00")]
    taken = snapshot_of({"order_lines": arrow("order_lines", lines)}, "2024-01-10T12:00")
    assert features_at(taken, PRODUCT).loc["bread", "days_since_first_sold"] == 3 / 24


def test_time_since_an_order_of_the_same_second_is_not_negative() -> None:
    shop = {"order_lines": arrow("order_lines", [line("ann", "1", "2024-01-01T10:00:00.25")])}
    found = features_at(snapshot_of(shop, "2024-01-01T10:00:00.75"), CUSTOMER).loc["ann"]
    assert found["days_since_last_order"] == 0


def test_a_store_counts_though_the_first_line_of_its_order_does_not_name_it() -> None:
    lines = [
        line("ann", "1", "2024-01-01", "bread"),
        line("ann", "1", "2024-01-01", "milk", store_id="north", channel="web"),
        line("ann", "1", "2024-01-01", "pin", store_id="back", quantity=-1),
        line("ann", "2", "2024-01-02", "bread", store_id="south"),
        line("ann", "2", "2024-01-02", "milk", store_id="north"),
    ]
    found = features_at(snapshot_of({"order_lines": arrow("order_lines", lines)}, "2024-02-01"), CUSTOMER).loc["ann"]
    assert (found["stores_180d"], found["channels_180d"]) == (2, 1)


def test_a_department_called_known_is_one_like_any_other() -> None:
    products = [{"product_id": "bread", "department": "Known"}, {"product_id": "milk", "department": "Food"}]
    lines = [line("ann", "1", "2024-01-01", "bread"), line("ann", "1", "2024-01-01", "milk")]
    shop = {"order_lines": arrow("order_lines", lines), "products": arrow("products", products)}
    found = features_at(snapshot_of(shop, "2024-02-01"), CUSTOMER).loc["ann"]
    assert (found["department_share_known"], found["department_share_food"]) == (0.5, 0.5)


def test_gaps_of_very_many_buyers_add_up() -> None:
    """Fifty years of each of 10,000 buyers are more microseconds than 64 bits hold."""
    orders = [(f"c{number}", at) for number in range(10_000) for at in ("1974-01-01", "2023-12-20")]
    lines = [line(customer, at, at) for customer, at in orders]
    found = features_at(snapshot_of({"order_lines": arrow("order_lines", lines)}, "2024-01-01"), PRODUCT)
    assert found.loc["bread", "reorder_gap_days"] == (datetime(2023, 12, 20) - datetime(1974, 1, 1)).days


def test_the_usual_price_is_that_of_the_180_days_before_of_the_category_alone() -> None:
    products = [{"product_id": name, "category": kind} for name, kind in [("bread", "a"), ("milk", "b"), ("tea", "b")]]
    lines = [
        line("bob", "0", "1970-01-01", "bread", amount=50),
        line("bob", "1", "2024-01-01", "milk", quantity=2, amount=6),  # 180 days before ann's: 3 each
        line("bob", "2", "2023-12-31", "milk", amount=90),  # too long ago
        line("ann", "3", "2024-06-29", "tea", quantity=2, amount=9),
        line("ann", "4", "2024-06-29T12:00", "bread", amount=1),  # nobody bought its category of late
    ]
    shop = {"order_lines": arrow("order_lines", lines), "products": arrow("products", products)}
    assert features_at(snapshot_of(shop, "2024-06-30"), CUSTOMER).loc["ann", "price_level_180d"] == 1.5


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    mapping = write_random_shop(tmp_path, seed=5, customers=40, most_orders=12)
    chosen = Settings(home=tmp_path / "home", threads=1)
    ingest("files", chosen, mapping=mapping, now=naive_utc(datetime(2024, 6, 1)))
    return chosen


def test_parts_and_epochs_on_disk_hold_what_one_table_in_memory_does(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_input, "PART_LINES", 48)
    monkeypatch.setattr(ledger_files, "FEWEST", 3)
    monkeypatch.setattr(ledger_files, "SALES_ROWS", 40)
    lake = read_lake(Home(shop.home))
    backend = connect(shop)
    parts: list[str] = []
    stored = lake_ledger(lake, backend, parts.append)
    assert len(parts) > 3
    assert len(stored.epochs["totals"]) > 1
    for moment in (datetime(2023, 12, 1), datetime(2024, 1, 20, 13, 30), datetime(2024, 2, 29), datetime(2024, 8, 1)):
        taken = take_snapshot(lake, backend, moment)
        in_memory = Snapshot(taken.tables, taken.as_of, taken.given)
        for entity in ENTITIES.values():
            if features_of(taken, entity):
                pd.testing.assert_frame_equal(
                    features_at(taken, entity), features_at(in_memory, entity), check_exact=True
                )


def test_a_ledger_of_which_a_part_was_removed_is_made_anew(shop: Settings) -> None:
    lake, backend = read_lake(Home(shop.home)), connect(shop)
    ledger = lake_ledger(lake, backend)
    (ledger.path / ledger_files.MANIFEST).unlink()
    assert lake_ledger(lake, backend).rows("totals", datetime(2024, 8, 1)).count().to_pyarrow().as_py() >= 40


def test_a_home_named_like_a_pattern_has_a_ledger_and_one_removed_while_read_is_told_of(tmp_path: Path) -> None:
    mapping = write_random_shop(tmp_path, seed=5, customers=3, most_orders=3)
    chosen = Settings(home=tmp_path / "shop[1]", threads=1)
    ingest("files", chosen, mapping=mapping, now=naive_utc(datetime(2024, 6, 1)))
    ledger = lake_ledger(read_lake(Home(chosen.home)), connect(chosen))
    assert ledger.rows("totals", datetime(2024, 8, 1)).count().to_pyarrow().as_py() >= 3
    remove_directory(ledger.path)
    with pytest.raises(RegularsError, match=r"was removed while it was read. Ask again"):
        ledger.rows("totals", datetime(2024, 8, 1))


def test_a_ledger_killed_while_it_is_written_is_made_anew_and_leaves_nothing_behind(shop: Settings) -> None:
    code = (
        "import os; from features import ledger_files, ledger_input; ledger_input.PART_LINES = 60\n"
        "from features.settings import Settings; from features.engine import connect\n"
        "from features.lake import read_lake; from features.home import Home\n"
        "from features.ledger_store import lake_ledger; from pathlib import Path\n"
        f"chosen = Settings(home=Path({str(shop.home)!r}))\n"
        "heard = []; say = lambda text: heard.append(text) or len(heard) == 3 and os.kill(os.getpid(), 9)\n"
        "lake_ledger(read_lake(Home(chosen.home)), connect(chosen), say)\n"
    )
    died = subprocess.run([sys.executable, "-c", code], check=False)
    assert died.returncode == -9
    left = list((shop.home / "ledgers").iterdir())
    assert len(left) == 1  # what was begun
    lake = read_lake(Home(shop.home))
    ledger = lake_ledger(lake, connect(shop))
    assert list((shop.home / "ledgers").iterdir()) == [ledger.path]
    assert ledger.rows("totals", datetime(2024, 8, 1)).count().to_pyarrow().as_py() >= 40


@given(
    st.lists(st.integers(-5, 5) | st.integers(-(2**62), 2**62), max_size=50).map(lambda keys: np.array(keys, np.int64))
)
def test_rows_are_put_in_order_and_equal_ones_stay_as_they_stand(keys: np.ndarray) -> None:
    assert in_order(keys).tolist() == sorted(range(len(keys)), key=lambda row: keys[row])
