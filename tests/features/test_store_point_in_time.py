"""The point-in-time join beside plain loops, what Feast's own stores do with the same rows, and backfilled rows."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float64, String
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings
from features.store.feast_store import open_store, point_in_time, register
from features.store.point_in_time import Source, engine, joined
from features.store.snapshots import build_snapshots

START = datetime(2024, 1, 1)
OURS = "features.store.offline.SnapshotOfflineStore"


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def oracle(
    rows: list[tuple[str, int, int, float]], customer: str, asked: int, *, ttl: int | None, known_then: bool
) -> float | None:
    """The value of the newest row of the customer at or before `asked`; of two of one time, that told last."""
    best: tuple[int, int, float] | None = None
    for of, event, created, value in rows:
        if of != customer or event > asked or (known_then and created > asked):
            continue
        if best is None or (event, created) > best[:2]:
            best = (event, created, value)
    if best is None or (ttl is not None and asked - best[0] > ttl):
        return None
    return best[2]


customers = st.sampled_from(["a", "b", "ü", "it's"])
hours = st.integers(0, 12)
events = st.lists(st.tuples(customers, hours, st.integers(-2, 8)), max_size=14, unique=True)
frames = st.lists(st.tuples(customers, st.integers(-1, 22)), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


numbers = itertools.count()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, frames, st.sampled_from([None, 0, 3, 40]), st.booleans(), st.integers(1, 3))
def test_the_join_equals_plain_loops(
    folder: Path,
    told: list[tuple[str, int, int]],
    asked: list[tuple[str, int]],
    ttl: int | None,
    known_then: bool,
    files: int,
) -> None:
    rows = [(of, event, event + delay, float(number)) for number, (of, event, delay) in enumerate(told)]
    place = folder / str(next(numbers))
    place.mkdir()
    for part in range(files):
        of, event, created, value = zip(*rows[part::files], strict=True) if rows[part::files] else ((), (), (), ())
        columns = {
            "customer_id": pa.array(of, pa.string()),
            "as_of": pa.array(map(at, event), pa.timestamp("us")),
            "created_at": pa.array(map(at, created), pa.timestamp("us")),
            "value": pa.array(value, pa.float64()),
        }
        pq.write_table(pa.table(columns), place / f"{part}.parquet")
    frame = pa.table({"customer_id": pa.array([of for of, _ in asked], pa.string())})
    times = pa.chunked_array([pa.array([at(hour) for _, hour in asked], pa.timestamp("us"))])
    source = Source(
        str(place / "*.parquet"),
        {"customer_id": "customer_id"},
        "as_of",
        "created_at",
        ttl=timedelta(hours=ttl) if ttl else timedelta(0),
    )
    con = engine(threads=1, memory_limit=None, spill=None)
    found = joined(con, frame, times, source, ["value"], known_then=known_then)
    con.close()
    limit = ttl or None  # zero means never, as in Feast
    assert found.arrow("value").to_pylist() == [oracle(rows, *row, ttl=limit, known_then=known_then) for row in asked]


ROWS = [("a", 0, 0, 1.0), ("a", 10, 10, 2.0), ("b", 0, 0, 3.0), ("c", 4, 20, 4.0), ("c", 2, 2, 5.0)]
ASKED = [("a", 12), ("b", 400), ("nobody", 5), ("a", 9), ("a", 12), ("c", 6), ("c", 30)]


def feast_store(folder: Path, offline: str, *, ttl: timedelta) -> FeatureStore:
    """A store of ROWS with one view, whose values are good for `ttl`."""
    folder.mkdir()
    of, event, created, value = zip(*ROWS, strict=True)
    rows = pd.DataFrame({"customer_id": of, "as_of": map(at, event), "created_at": map(at, created), "value": value})
    rows.astype({"as_of": "datetime64[us]", "created_at": "datetime64[us]"}).to_parquet(folder / "rows.parquet")
    config = RepoConfig(
        project="trap",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": offline},
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    source = FileSource(
        path=str(folder / "rows.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="as_of",
        created_timestamp_column="created_at",
    )
    view = FeatureView(
        name="values",
        entities=[customer],
        ttl=ttl,
        source=source,
        schema=[Field(name="customer_id", dtype=String), Field(name="value", dtype=Float64)],
        online=False,
    )
    store.apply([customer, view])
    return store


def asked_of(store: FeatureStore, *, known_then: bool = False) -> pd.DataFrame:
    frame = pd.DataFrame(ASKED, columns=["customer_id", "event_timestamp"])
    frame["event_timestamp"] = pd.to_datetime([at(hour) for hour in frame["event_timestamp"]], utc=True)
    frame["label"] = range(len(frame))
    job = store.get_historical_features(frame, ["values:value"], filter_by_created_timestamp=known_then)
    found: pd.DataFrame = job.to_df()
    return found.sort_values("label", ignore_index=True)


def expected(*, ttl: int | None, known_then: bool) -> list[float | None]:
    return [oracle(ROWS, *row, ttl=ttl, known_then=known_then) for row in ASKED]


def values(found: pd.DataFrame) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in found["value"]]


@pytest.mark.parametrize("offline", [OURS, "duckdb"])
@pytest.mark.parametrize("known_then", [True, False])
def test_our_store_and_the_duckdb_store_of_feast_give_the_same(tmp_path: Path, offline: str, known_then: bool) -> None:
    store = feast_store(tmp_path / "store", offline, ttl=timedelta(days=4))
    found = asked_of(store, known_then=known_then)
    assert len(found) == len(ASKED)
    assert values(found) == expected(ttl=96, known_then=known_then)
    assert values(found)[1] is None  # lapsed, and still a row


def test_the_dask_store_of_feast_drops_those_who_lapsed_which_is_why_it_is_not_ours(tmp_path: Path) -> None:
    found = asked_of(feast_store(tmp_path / "store", "dask", ttl=timedelta(days=4)))
    assert "b" not in set(found["customer_id"])
    assert len(found) < len(ASKED)


def test_a_frame_may_be_sql_or_arrow_and_names_may_be_whole(tmp_path: Path) -> None:
    store = feast_store(tmp_path / "store", OURS, ttl=timedelta(0))
    query = "SELECT 'a' AS customer_id, TIMESTAMP '2024-01-01 11:00:00' AS event_timestamp"
    found = store.get_historical_features(query, ["values:value"], full_feature_names=True).to_arrow()
    assert found.column_names == ["customer_id", "event_timestamp", "values__value"]
    assert found["values__value"].to_pylist() == [2.0]
    empty = found.select(["customer_id", "event_timestamp"]).slice(0, 0)
    nothing = store.get_historical_features(empty, ["values:value"]).to_arrow()
    assert nothing.num_rows == 0
    assert nothing.schema.field("value").type == pa.float64()


def test_times_of_any_zone_and_precision_are_compared_in_utc(tmp_path: Path) -> None:
    store = feast_store(tmp_path / "store", OURS, ttl=timedelta(0))
    moment = pd.Timestamp(at(10), tz="UTC")
    times = [moment.tz_convert("Asia/Tokyo"), moment - pd.Timedelta(1, "ns")]
    for time, value in zip(times, [2.0, 1.0], strict=True):
        frame = pd.DataFrame({"customer_id": ["a"], "event_timestamp": [time]})
        assert store.get_historical_features(frame, ["values:value"]).to_df()["value"].tolist() == [value]


HEADER = "order,customer,product,at,paid"
MAPPING = (
    '[order_lines]\npath = "orders.csv"\norder_id = "order"\ncustomer_id = "customer"\nproduct_id = "product"\n'
    'ordered_at = "at"\namount = "paid"\n'
)
MOMENTS = [datetime(2024, 2, 1), datetime(2024, 3, 1)]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop whose February order was loaded in April, after its snapshots had been computed."""
    tmp_path = tmp_path_factory.mktemp("grown")
    chosen = Settings(home=tmp_path / "home", threads=1)
    (tmp_path / "shop.toml").write_text(MAPPING)
    loads = {
        datetime(2024, 3, 2): ["1,anna,p,2024-01-10 10:00,5.00", "2,anna,p,2024-02-28 10:00,5.00"],
        datetime(2024, 4, 1): ["3,anna,p,2024-02-20 10:00,7.00"],
    }
    for now, lines in loads.items():
        (tmp_path / "orders.csv").write_text("\n".join([HEADER, *lines]))
        ingest("files", chosen, mapping=tmp_path / "shop.toml", now=now)
        snapshots, _ = build_snapshots(chosen, read_lake(Home(chosen.home)), MOMENTS)
    register(open_store(Home(chosen.home), chosen), snapshots)
    return chosen


@pytest.mark.parametrize(
    ("asked", "known_then", "orders"),
    [
        (datetime(2024, 3, 1), True, 2.0),  # the late order was not known in March
        (datetime(2024, 3, 31, 23), True, 2.0),
        (datetime(2024, 4, 1), True, 3.0),
        (datetime(2024, 3, 1), False, 3.0),  # what is known now of that moment
        (datetime(2024, 2, 1), True, 1.0),  # nothing that came late is of before
        (datetime(2024, 1, 31), True, None),
    ],
)
def test_backfilled_rows_do_not_leak(grown: Settings, asked: datetime, known_then: bool, orders: float | None) -> None:
    frame = pd.DataFrame({"customer_id": ["anna"], "as_of": pd.array([asked], "datetime64[us]")})
    store = open_store(Home(grown.home), grown)
    found = point_in_time(store, frame, names=["orders_life"], known_then=known_then)["orders_life"][0]
    assert (None if pd.isna(found) else found) == orders


def test_what_came_late_says_when_and_what_was_before_is_kept(grown: Settings) -> None:
    lake = read_lake(Home(grown.home))
    snapshots, made = build_snapshots(grown, lake, MOMENTS)
    assert made == 0
    [before] = snapshots.earlier(MOMENTS[1])
    told = {
        file.name: pq.read_table(file, columns=["as_of", "created_at"]).to_pylist()[0]["created_at"]
        for file in (snapshots.file(MOMENTS[0]), before, snapshots.file(MOMENTS[1]))
    }
    assert list(told.values()) == [MOMENTS[0], MOMENTS[1], datetime(2024, 4, 1)]
    assert lake.manifest["created_at"] == datetime(2024, 4, 1).isoformat()
