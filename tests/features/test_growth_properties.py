"""Whatever comes in whichever pieces, the features of every entity are those of a load of all at once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings

from features.definitions import ENTITIES
from features.lake import read_lake
from features.store.snapshots import CREATED_AT, build_snapshots
from tests.features.loading import MAPPING, Shop

START = datetime(2024, 1, 1)
MOMENTS = [START + timedelta(days=days) for days in (15, 30, 45)]
CATALOGUE = "id,category\nbread,bakery\nmilk,dairy\ntea,drinks\n"
TABLES = '[products]\npath = "products.csv"\nproduct_id = "id"\ncategory = "category"\n'
HEADER = "order,customer,product,at,pieces,paid"

# Few orders and many times: an order goes on later, and comes back later, under the same id.
times = st.integers(0, 50 * 24).map(lambda hours: START + timedelta(hours=hours)) | st.sampled_from(MOMENTS)
line = st.tuples(
    st.sampled_from(["o1", "o2", "o3", "o4"]),
    st.sampled_from(["ann", "bob", "cat"]),
    st.sampled_from(["bread", "milk", "tea"]),
    times,
    st.sampled_from([1, 2, -1]),
)
files = st.lists(st.lists(line, min_size=1, max_size=10), min_size=2, max_size=3)


def rows(lines: Sequence[tuple[str, str, str, datetime, int]]) -> list[str]:
    return [f"{o},{c},{p},{at:%Y-%m-%d %H:%M},{n},{3.25 * n}" for o, c, p, at, n in dict.fromkeys(lines)]


def build(shop: Shop) -> tuple[dict[tuple[str, datetime], pa.Table], dict[str, int]]:
    """Every snapshot, without the time at which it was told; and by entity how many were computed."""
    found, computed = {}, {}
    for name, entity in ENTITIES.items():
        snapshots, computed[name] = build_snapshots(shop.settings, read_lake(shop.home), MOMENTS, entity=entity)
        for moment in MOMENTS:
            table = pq.read_table(snapshots.file(moment, entity))
            found[name, moment] = table.drop_columns([c for c in table.column_names if c == CREATED_AT])
    return found, computed


def grown(folder: Path, pieces: Sequence[Sequence[str]]) -> list[tuple[Mapping, Mapping[str, int]]]:
    """What was there after each load."""
    shop = Shop(folder)
    shop.write("products.csv", CATALOGUE)
    after = []
    for number, piece in enumerate(pieces):
        shop.load_lines(*piece, header=HEADER, mapping=MAPPING + (TABLES if number == 0 else ""))
        after.append(build(shop))
    return after


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files)
def test_loads_in_pieces_late_ones_too_equal_one_of_everything_and_keep_what_they_cannot_change(pieces) -> None:
    every = dict.fromkeys(line for piece in pieces for line in piece)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        after = grown(Path(one), [rows(piece) for piece in pieces])
        [(whole, _)] = grown(Path(other), [rows(list(every))])
    seen: set = set(pieces[0])
    for (before, _), (now, computed), piece in zip(after, after[1:], pieces[1:], strict=False):
        new = set(piece) - seen
        seen |= new
        since = min((at for _, _, _, at, _ in new), default=datetime.max)
        kept = [moment for moment in MOMENTS if moment <= since]
        # A moment at or before the earliest new row is not computed again, and is what it was.
        assert all(count == (len(MOMENTS) - len(kept) if new else 0) for count in computed.values())
        assert all(now[key].equals(before[key]) for key in now if key[1] in kept)
    found, _ = after[-1]
    for key, table in whole.items():
        assert found[key].equals(table), key


def test_a_contact_loaded_late_changes_features_from_its_own_time_on(shop: Shop) -> None:
    contacts = (
        '[contacts]\npath = "contacts.csv"\ncampaign_id = "campaign"\ncustomer_id = "customer"\ncontacted_at = "at"\n'
    )
    shop.write("contacts.csv", "campaign,customer,at\nx,ann,2024-01-02\n")
    shop.load_lines("o1,ann,tea,2024-01-03,1,2", "o2,ann,tea,2024-02-20,1,2", header=HEADER, mapping=MAPPING + contacts)
    before, _ = build_customers(shop)
    shop.write("contacts.csv", "campaign,customer,at\nx,ann,2024-01-20\n")
    shop.write("shop.toml", contacts)
    shop.load()
    after, computed = build_customers(shop)
    assert computed == 2
    assert [after[moment]["contacts_90d"].to_pylist() for moment in MOMENTS] == [[1], [2], [2]]
    assert after[MOMENTS[0]].equals(before[MOMENTS[0]])


def build_customers(shop: Shop) -> tuple[dict[datetime, pa.Table], int]:
    snapshots, computed = build_snapshots(shop.settings, read_lake(shop.home), MOMENTS)
    return {moment: pq.read_table(snapshots.file(moment)) for moment in MOMENTS}, computed
