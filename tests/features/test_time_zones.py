"""Files in local time, through the real load: neither a zone nor the clocks' changes move a row over the moment."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pandas as pd
import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings

from features.build import entity_features, features_of
from features.definitions import ENTITIES
from features.engine import connect
from features.labels import customer_labels
from features.lake import read_lake
from features.snapshot import Snapshot, take_snapshot
from features.time_safety import moved_features
from tests.features.loading import MAPPING, Shop

#: The middle (UTC) of days on which clocks change: forward and back, in each of the zones.
CHANGES = {
    "America/New_York": (datetime(2023, 3, 12, 7), datetime(2023, 11, 5, 6)),
    "Europe/Berlin": (datetime(2023, 3, 26, 1), datetime(2023, 10, 29, 1)),
    "Australia/Lord_Howe": (datetime(2023, 9, 30, 15, 30), datetime(2023, 4, 1, 15)),  # by half an hour
}
PRODUCTS = '[products]\npath = "products.csv"\nproduct_id = "id"\ncategory = "category"\n'
INSTANT = timedelta(microseconds=1)


def in_utc(local: datetime, zone: str) -> datetime:
    """As docs/ingest.md says: of an hour that comes twice the second, of one that is skipped the offset from before."""
    readings = [local.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    return max(reading.astimezone(UTC).replace(tzinfo=None) for reading in readings)


def load(folder: Path, zone: str, times: Sequence[str]) -> Shop:
    """Each time is an order of a customer and product of its own, and one more of a customer who has them all."""
    shop = Shop(folder)
    shop.write("products.csv", "id,category\n" + "".join(f"p{n},c{n}\n" for n in range(len(times))))
    alone = [f"o{n},only{n},p{n},{at},1,2.50" for n, at in enumerate(times)]
    shared = [f"o{n},all,p{n},{at},1,2.50" for n, at in enumerate(times)]
    shop.load_lines(*alone, *shared, mapping=MAPPING + f'timezone = "{zone}"\n' + PRODUCTS)
    return shop


def snapshot(shop: Shop, as_of: datetime) -> Snapshot:
    return take_snapshot(read_lake(shop.home), connect(shop.settings), as_of)


def known(taken: Snapshot, entity: str) -> pd.DataFrame:
    """All features, by the entity's keys as one text."""
    of = ENTITIES[entity]
    frame = entity_features(taken, of, features_of(taken, of)).to_pandas()
    frame.index = pd.Index([" ".join(key) for key in frame[list(of.keys)].itertuples(index=False)], dtype=object)
    return frame.sort_index()


minutes = st.integers(-4 * 12, 4 * 12).map(lambda fives: 5 * fives)


@st.composite
def local_times(draw: st.DrawFn) -> tuple[str, list[datetime], datetime]:
    """A zone, wall-clock times around a change, and a moment in UTC: one of these, near it, or an instant off."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = draw(st.sampled_from(CHANGES[zone]))
    wall = change.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    times = [wall + timedelta(minutes=m) for m in draw(st.lists(minutes, min_size=2, max_size=12, unique=True))]
    near = st.sampled_from([in_utc(time, zone) for time in times]) | minutes.map(
        lambda m: change + timedelta(minutes=m)
    )
    off = draw(st.sampled_from([timedelta(0), INSTANT, -INSTANT]))
    return zone, times, draw(near) + off


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(local_times())
def test_what_is_known_is_what_python_says_came_before_in_utc(found: tuple[str, list[datetime], datetime]) -> None:
    zone, times, as_of = found
    utc = [in_utc(time, zone) for time in times]
    before = [n for n, time in enumerate(utc) if time < as_of]
    with tempfile.TemporaryDirectory() as folder:
        shop = load(Path(folder), zone, [time.isoformat() for time in times])
        taken = snapshot(shop, as_of)
        customers = known(taken, "customer")
        everybody = ["all", *(f"only{n}" for n in before)] if before else []
        assert sorted(customers.index) == sorted(everybody)
        assert list(known(taken, "product").index) == sorted(f"p{n}" for n in before)
        pairs = [(who, n) for n in before for who in ("all", f"only{n}")]
        assert list(known(taken, "customer_product").index) == sorted(f"{who} p{n}" for who, n in pairs)
        assert list(known(taken, "customer_category").index) == sorted(f"{who} c{n}" for who, n in pairs)
        if before:
            # Whole seconds: the moment's own microsecond is not counted.
            seconds = (as_of.replace(microsecond=0) - max(utc[n] for n in before)).total_seconds()
            assert customers.loc["all", "days_since_last_order"] == seconds / 86_400
            assert customers.loc["all", "orders_life"] == len(before)
        assert moved_features(taken.tables, taken.given, as_of, features_of(taken)) == {}
        labels = customer_labels(taken.tables, as_of, horizon_days=7).to_pandas()
        assert labels.set_index("customer_id")["bought"].to_dict() == {
            who: who == "all" and len(before) < len(times) for who in everybody
        }


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("America/New_York", "2023-11-05 01:30:00", datetime(2023, 11, 5, 6, 30)),  # comes twice: the second
        ("America/New_York", "2023-03-12 02:30:00", datetime(2023, 3, 12, 7, 30)),  # skipped: as if not moved yet
        ("Europe/Berlin", "2023-10-29 02:30:00", datetime(2023, 10, 29, 1, 30)),
        ("Europe/Berlin", "2023-03-26 02:30:00", datetime(2023, 3, 26, 1, 30)),
        ("Europe/Berlin", "2023-10-29T02:30:00+02:00", datetime(2023, 10, 29, 0, 30)),  # says itself: the first
    ],
)
def test_an_event_exactly_at_the_moment_is_out_for_every_entity_in_any_zone(
    tmp_path: Path, zone: str, local: str, utc: datetime
) -> None:
    shop = load(tmp_path, zone, [local])
    for entity in ENTITIES:
        assert len(known(snapshot(shop, utc), entity)) == 0
        assert len(known(snapshot(shop, utc + INSTANT), entity)) > 0


def test_a_moment_given_in_a_zone_is_the_same_moment_in_utc(tmp_path: Path) -> None:
    shop = load(tmp_path, "Europe/Berlin", ["2023-10-28T12:00", "2023-10-29T02:15", "2023-10-29T02:45"])
    utc = datetime(2023, 10, 29, 1, 30)
    there = utc.replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    for entity in ENTITIES:
        pd.testing.assert_frame_equal(known(snapshot(shop, utc), entity), known(snapshot(shop, there), entity))
    assert known(snapshot(shop, there), "customer").loc["all", "orders_life"] == 2


LEAKING = """
from features.definitions import Feature
from features.snapshot import Relation

FEATURES = [Feature("{name}", Relation.ORDERS, lambda orders, at: {expression}, "Mine.", "orders")]
"""


def test_the_check_command_names_a_leak_in_a_shops_own_features(
    tmp_path: Path, regulars: Callable[..., Result]
) -> None:
    shop = load(tmp_path, "Europe/Berlin", ["2023-10-28T12:00", "2023-10-29T02:15", "2023-11-03T02:45"])
    mine = {"REGULARS_FEATURES_FILE": str(shop.folder / "mine.py")}
    shop.write("mine.py", LEAKING.format(name="mine", expression="orders.bought.sum()"))
    honest = regulars(shop.home.root, "features", "check", "--json", **mine)
    assert honest.exit_code == 0, honest.output
    told = json.loads(honest.stdout)
    assert set(told["entities"]) == set(ENTITIES)
    assert all(entity["moved"] == {} and entity["features"] > 5 for entity in told["entities"].values())

    late = "orders.bought.sum() + at.tables['order_lines'].ordered_at.max().epoch_seconds().as_scalar()"
    shop.write("mine.py", LEAKING.format(name="peeks", expression=late))
    leaking = regulars(shop.home.root, "features", "check", **mine)
    assert leaking.exit_code == 1
    assert "peeks" in str(leaking.exception)
    assert "rows deleted" in str(leaking.exception)
