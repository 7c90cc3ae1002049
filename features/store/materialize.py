"""Writing the newest snapshot's online features to the online store, once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from features.definitions import CUSTOMER
from features.errors import NotReadyError
from features.home import Home, write_text
from features.lake import read_lake
from features.schema import C
from features.store.away import answering
from features.store.feast_store import writer
from features.store.online_views import ONLINE_VIEW
from features.store.snapshots import CREATED_AT, Snapshots
from features.store.sqlite_online import SnapshotSqliteOnlineStore, serialised_keys

_BATCH = 20_000


@dataclass(frozen=True)
class Materialized:
    """What was written: rows of the snapshot as of a moment. No rows when it was there already."""

    as_of: datetime
    rows: int


def materialize(home: Home, store: FeatureStore, snapshots: Snapshots, *, again: bool = False) -> Materialized:
    """Write the newest customer snapshot's online features, unless the online store has them or `again` is said.

    Call it holding the lock "features". A write cut short is done again by the next call: rows replace older ones only.
    Where the lake was begun anew since, all that the view holds is removed first: it is of other orders.
    """
    file = snapshots.newest(CUSTOMER)
    if file is None:
        raise NotReadyError("There are no features yet. Compute them:  regulars features build")
    view = store.get_feature_view(ONLINE_VIEW)
    names = [field.name for field in view.features]
    times = pq.read_table(file, columns=[C.AS_OF, CREATED_AT]).slice(0, 1)
    if not times.num_rows:
        raise NotReadyError("The newest snapshot has no customers. Load orders:  regulars ingest")
    as_of, created = (times[name][0].as_py() for name in (C.AS_OF, CREATED_AT))
    begun = str(read_lake(home).manifest["loads"][0])
    mark = f"{begun} {snapshots.path.name} {as_of.isoformat()} {created.isoformat()} {' '.join(names)}"
    marks = _marks(home)
    target = hashlib.sha256(json.dumps(store.config.online_store.model_dump(mode="json")).encode()).hexdigest()[:16]
    if marks.get(target) == mark and not again:
        return Materialized(as_of, 0)
    table = pq.read_table(file, columns=[C.CUSTOMER_ID, *names])
    with answering():
        if target in marks and marks[target].split(" ", 1)[0] != begun:
            _clear(store, view)
        _write(store, view, table, as_of.replace(tzinfo=UTC))
    writer(store).registry.apply_materialization(
        view, store.project, as_of.replace(tzinfo=UTC), max(as_of, created).replace(tzinfo=UTC)
    )
    write_text(home.materialized, json.dumps(marks | {target: mark}))
    return Materialized(as_of, table.num_rows)


def _clear(store: FeatureStore, view: FeatureView) -> None:
    online = store._get_provider().online_store  # Feast has no public name for it
    online.update(store.config, [view], [], [], [], True)
    online.update(store.config, [], [view], [], [], True)


def _write(store: FeatureStore, view: FeatureView, table: pa.Table, at: datetime) -> None:
    online = store._get_provider().online_store  # Feast has no public name for it
    if isinstance(online, SnapshotSqliteOnlineStore):
        keys = serialised_keys(C.CUSTOMER_ID, table[C.CUSTOMER_ID].to_pylist())
        columns = [table[field.name].to_pylist() for field in view.features]
        times = [round(at.timestamp() * 1e6)] * len(keys)
        online.write_rows(store.config, view, zip(keys, times, *columns, strict=True))
        return
    for batch in table.to_batches(max_chunksize=_BATCH):
        online.online_write_batch(store.config, view, list(_rows(batch, view, at)), None)


def _rows(batch: Any, view: FeatureView, at: datetime) -> Iterator[tuple[Any, dict[str, Any], datetime, None]]:
    """The batch as Feast's messages."""
    names = [field.name for field in view.features]
    kinds = ["string_val" if pa.types.is_string(batch.schema.field(name).type) else "double_val" for name in names]
    ids = batch[C.CUSTOMER_ID].to_pylist()
    for customer, *values in zip(ids, *(batch[name].to_pylist() for name in names), strict=True):
        key = EntityKey(join_keys=[C.CUSTOMER_ID], entity_values=[Value(string_val=customer)])
        told = zip(names, kinds, values, strict=True)
        yield key, {name: Value() if v is None else Value(**{kind: v}) for name, kind, v in told}, at, None


def _marks(home: Home) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(home.materialized.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found
