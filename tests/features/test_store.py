from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast import Entity, ValueType

from features.build import entity_features, features_of
from features.definitions import CUSTOMER
from features.engine import connect
from features.errors import RegularsError
from features.home import ASIDE, Home
from features.ingest import ingest
from features.lake import Lake, read_lake
from features.settings import Settings
from features.snapshot import take_snapshot
from features.store.feast_store import open_store, point_in_time, register, view_name
from features.store.snapshots import build_snapshots, snapshots_of
from tests.features.small_shop import write_random_shop

MOMENTS = [datetime(2024, 3, 1) + timedelta(weeks=week) for week in range(3)]
NOW = datetime(2024, 5, 1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop of forty customers whose last order lies up to ninety days back."""
    root = tmp_path_factory.mktemp("store")
    mapping = write_random_shop(root, seed=7, customers=40, most_orders=8)
    settings = Settings(home=root / "home", threads=2)
    ingest("files", settings, mapping=mapping, now=NOW)
    home, lake = Home(settings.home), read_lake(Home(settings.home))
    snapshots, made = build_snapshots(settings, lake, MOMENTS)
    assert made == len(MOMENTS)
    register(open_store(home), snapshots)
    return settings


@pytest.fixture
def home(settings: Settings) -> Home:
    return Home(settings.home)


@pytest.fixture
def lake(home: Home) -> Lake:
    return read_lake(home)


def asked(*rows: tuple[str, datetime]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "as_of"])
    return frame.astype({"as_of": "datetime64[us]"})


def test_retrieval_equals_the_features_computed_directly(settings: Settings, home: Home, lake: Lake) -> None:
    snapshot = take_snapshot(lake, connect(settings), MOMENTS[1])
    direct = entity_features(snapshot, CUSTOMER, features_of(snapshot)).order_by("customer_id").to_pandas()
    found = point_in_time(open_store(home), asked(*((customer, MOMENTS[1]) for customer in direct["customer_id"])))
    pd.testing.assert_frame_equal(found[direct.columns], direct)


def test_rows_come_back_as_asked_in_order_with_repeats_and_unknown_customers(home: Home) -> None:
    frame = asked(("c03", MOMENTS[2]), ("nobody", MOMENTS[1]), ("c01", MOMENTS[0]), ("c03", MOMENTS[0]))
    frame = frame.assign(label=[3, 1, 4, 1])
    found = point_in_time(open_store(home), frame)
    pd.testing.assert_frame_equal(found[["customer_id", "as_of", "label"]], frame)
    assert found.loc[1, "orders_life":].isna().all()


def test_join_takes_the_newest_snapshot_at_or_before_the_moment(settings: Settings, home: Home) -> None:
    times = [
        MOMENTS[0] - timedelta(microseconds=1),
        MOMENTS[0],
        MOMENTS[1] - timedelta(microseconds=1),
        MOMENTS[1],
        MOMENTS[2] + timedelta(days=300),
    ]
    snapshots = {
        moment: pq.read_table(snapshots_of(settings, read_lake(home)).file(moment)).to_pandas() for moment in MOMENTS
    }
    customer = snapshots[MOMENTS[0]]["customer_id"][0]
    found = point_in_time(open_store(home), asked(*((customer, time) for time in times)))
    expected = [None, MOMENTS[0], MOMENTS[0], MOMENTS[1], MOMENTS[2]]
    for (_, row), moment in zip(found.iterrows(), expected, strict=True):
        if moment is None:
            assert np.isnan(row["days_since_first_order"])
        else:
            frame = snapshots[moment].set_index("customer_id")
            assert row["days_since_first_order"] == frame.loc[customer, "days_since_first_order"]


def test_lapsed_customers_keep_their_features(settings: Settings, home: Home, lake: Lake) -> None:
    frame = pq.read_table(snapshots_of(settings, lake).file(MOMENTS[-1])).to_pandas()
    lapsed = frame.loc[frame["days_since_last_order"].idxmax()]
    assert lapsed["days_since_last_order"] > 40
    found = point_in_time(open_store(home), asked((lapsed["customer_id"], datetime(2030, 1, 1))))
    assert found.loc[0, "days_since_last_order"] == lapsed["days_since_last_order"]


def test_feast_describes_each_feature_and_its_own_command_line_opens_the_registry(home: Home) -> None:
    fields = {field.name: field for field in open_store(home).get_feature_view(view_name(CUSTOMER)).schema}
    assert fields["gap_mean_days"].description == "Time between visits, mean."
    assert fields["orders_30d"].tags["window_days"] == "30"
    feast = [str(Path(sys.executable).with_name("feast")), "-c", str(home.feast), "feature-views", "list"]
    listed = subprocess.run(feast, capture_output=True, text=True, timeout=120, check=True)
    assert view_name(CUSTOMER) in listed.stdout


def test_building_again_computes_nothing_and_registering_again_changes_nothing(
    settings: Settings, home: Home, lake: Lake
) -> None:
    snapshots, made = build_snapshots(settings, lake, MOMENTS)
    before = (home.feast / "registry.db").read_bytes()
    register(open_store(home), snapshots)
    assert made == 0
    assert (home.feast / "registry.db").read_bytes() == before


def test_a_moment_whose_build_was_cut_short_is_built_by_the_next(settings: Settings, home: Home, lake: Lake) -> None:
    snapshots = snapshots_of(settings, lake)
    whole = pq.read_table(snapshots.file(MOMENTS[0]))
    snapshots.file(MOMENTS[0]).unlink()
    leftover = snapshots.folder(CUSTOMER) / f"{ASIDE}cut-short"
    leftover.write_bytes(b"half a file")
    _, made = build_snapshots(settings, lake, MOMENTS)
    assert made == 1
    assert not leftover.exists()
    assert pq.read_table(snapshots.file(MOMENTS[0])).equals(whole)


def test_registry_holds_no_pickled_code(home: Home) -> None:
    registry = (home.feast / "registry.db").read_bytes()
    assert b"cloudpickle" not in registry
    assert b"user_defined_function" not in registry


def test_the_ui_of_feast_opens_the_registry_and_cannot_write_it(home: Home) -> None:
    before = (home.feast / "registry.db").read_bytes()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    feast = [str(Path(sys.executable).with_name("feast")), "-c", str(home.feast), "ui", "--host", "127.0.0.1"]
    ui = subprocess.Popen([*feast, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            until = time.monotonic() + 60
            while time.monotonic() < until and ui.poll() is None:
                with contextlib.suppress(httpx.ConnectError):
                    client.get("/")
                    break
                time.sleep(0.2)
            views = client.get("/api/v1/feature_views", params={"project": "regulars"}).json()["featureViews"]
            assert view_name(CUSTOMER) in [view["spec"]["name"] for view in views]
            entity = {"name": "intruder", "project": "regulars", "join_key": "a", "value_type": 2}
            assert client.post("/api/v1/entities", json=entity).status_code == 500
    finally:
        ui.terminate()
        ui.wait()
    assert (home.feast / "registry.db").read_bytes() == before


def test_the_registry_is_read_only_for_whoever_opens_the_store(home: Home) -> None:
    before = (home.feast / "registry.db").read_bytes()
    store = open_store(home)
    with pytest.raises(RegularsError, match="read-only"):
        store.apply(Entity(name="intruder", value_type=ValueType.STRING))
    with pytest.raises(RegularsError, match="read-only"):
        store.delete_feature_view(view_name(CUSTOMER))
    with pytest.raises(RegularsError, match="read-only"):
        store.teardown()
    feast = [str(Path(sys.executable).with_name("feast")), "-c", str(home.feast), "apply"]
    refused = subprocess.run(feast, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode != 0
    assert "read-only" in refused.stderr
    assert (home.feast / "registry.db").read_bytes() == before
    assert "intruder" not in [entity.name for entity in open_store(home).list_entities()]
