"""One text of SQL gives the features of any midnight, to the last bit those of an expression made for it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis import literal

from features import any_midnight
from features.any_midnight import is_midnight, midnight_sql
from features.build import entity_features, features_of, row_of
from features.definitions import ENTITIES, Entity
from features.engine import connect
from features.home import Home
from features.ingest import ingest
from features.lake import Lake, read_lake
from features.settings import Settings
from features.snapshot import take_snapshot
from features.store.snapshots import CREATED_AT, build_snapshots
from tests.features.small_shop import write_random_shop
from tests.spark import full_shop
from training.protocols import Context

#: The last is of before the shop's first order.
MOMENTS = (datetime(2024, 9, 1), datetime(2024, 5, 20), datetime(2020, 1, 1))
TOLD_AT = datetime(2024, 4, 21, 3, 4, 5, 678901)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A shop with everything a feature may read: categories, attributes, returns, contacts and responses."""
    return full_shop.loaded(tmp_path_factory.mktemp("midnights"))


@pytest.fixture(scope="module")
def settings(context: Context) -> Settings:
    return context.settings


@pytest.fixture(scope="module")
def lake(context: Context) -> Lake:
    return context.lake


def made_for(lake: Lake, backend: Any, entity: Entity, moment: datetime) -> pa.Table:
    """By an expression of its own."""
    taken = take_snapshot(lake, backend, moment)
    table = entity_features(taken, entity, features_of(taken, entity)).order_by(list(entity.keys))
    return row_of(table, entity, moment).mutate(**{CREATED_AT: literal(TOLD_AT)}).to_pyarrow()


@pytest.mark.parametrize("name", ENTITIES)
def test_features_are_those_of_an_expression_made_for_the_moment(name: str, lake: Lake, settings: Settings) -> None:
    entity, backend = ENTITIES[name], connect(settings)
    text = midnight_sql(lake, backend, entity, lambda taken: features_of(taken, entity), CREATED_AT)
    rows = []
    for moment in MOMENTS:
        found = text.table(lake, backend, moment, TOLD_AT)
        assert found.equals(made_for(lake, backend, entity, moment)), moment
        rows.append(found.num_rows)
    assert rows[0] > 8
    assert rows[-1] == 0


@pytest.mark.parametrize("name", ENTITIES)
def test_the_text_names_no_moment(name: str, lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made at another midnight reads the same to the letter, so nothing in it is of one moment."""
    entity = ENTITIES[name]
    texts = []
    for midnight in (datetime(2020, 1, 1), datetime(2013, 8, 9)):
        monkeypatch.setattr(any_midnight, "_made", {})
        monkeypatch.setattr(any_midnight, "_MADE_AT", midnight)
        made = midnight_sql(lake, connect(settings), entity, lambda taken: features_of(taken, entity), CREATED_AT)
        texts.append((made.sql, made.read))
    assert texts[0] == texts[1]


def test_a_moment_within_a_day_is_told_from_a_midnight_and_has_an_expression_of_its_own(
    lake: Lake, settings: Settings
) -> None:
    noon = datetime(2024, 9, 1, 12)
    assert not is_midnight(noon)
    snapshots, _ = build_snapshots(settings, lake, [noon, MOMENTS[0]])
    at_noon, at_midnight = (pq.read_table(snapshots.file(moment)) for moment in (noon, MOMENTS[0]))
    assert at_noon.schema.equals(at_midnight.schema)
    silent = [
        dict(zip(*table.select(["customer_id", "days_since_last_order"]).to_pydict().values(), strict=True))
        for table in (at_midnight, at_noon)
    ]
    still = [who for who in silent[0] if silent[1][who] == pytest.approx(silent[0][who] + 0.5)]
    assert len(still) > 20


def test_a_lake_loaded_since_has_a_text_of_its_own(tmp_path: Path) -> None:
    moment, entity, sizes = datetime(2024, 4, 20), ENTITIES["customer"], []
    for customers in (5, 9):
        (tmp_path / str(customers)).mkdir()
        mapping = write_random_shop(tmp_path / str(customers), seed=customers, customers=customers, most_orders=4)
        settings = Settings(home=tmp_path / "home", threads=1)
        ingest("files", settings, mapping=mapping, now=datetime(2024, 5, 1), replace=True)
        loaded, backend = read_lake(Home(settings.home)), connect(settings)
        text = midnight_sql(loaded, backend, entity, lambda taken: features_of(taken, entity), CREATED_AT)
        found = text.table(loaded, backend, moment, TOLD_AT)
        assert found.equals(made_for(loaded, backend, entity, moment))
        sizes.append(found.num_rows)
    assert sizes[0] < sizes[1]
