"""Reading the lake: the version that is current, and what is said when there is none."""

from __future__ import annotations

import json

import ibis
import pytest

from features.errors import DataError, NotReadyError
from features.home import ASIDE, write_text
from features.lake import CURRENT, MANIFEST, lake_before, read_lake
from features.schema import TABLES
from tests.features.loading import GOOD, MAPPING, NOW, Shop


def test_nothing_loaded_says_what_to_run(shop: Shop) -> None:
    with pytest.raises(NotReadyError, match=r"No data is loaded in .*home. Load some first:  regulars ingest"):
        read_lake(shop.home)


def test_lake_says_what_it_holds(shop: Shop) -> None:
    report = shop.load_lines(GOOD, GOOD.replace("o1", "o2").replace("2024-01-02", "2024-03-04"))
    lake = read_lake(shop.home)
    assert lake.version == report.version
    assert lake.rows == {"order_lines": 2}
    assert lake.has_amounts
    expected = {"orders": 2, "customers": 1, "products": 1, "first_order_at": "2024-01-02 10:00:00"}
    assert {name: lake.manifest[name] for name in expected} == expected
    assert lake.manifest["last_order_at"] == "2024-03-04 10:00:00"
    assert lake.manifest["sources"] == ["files"]
    assert lake.manifest["created_at"] == NOW.isoformat()


def test_every_column_of_the_contract_is_there_though_not_given(shop: Shop) -> None:
    shop.load_lines(GOOD, mapping=MAPPING.replace('amount = "paid"\n', ""))
    lake = read_lake(shop.home)
    assert not lake.has_amounts
    lines = lake.tables(ibis.duckdb.connect())["order_lines"]
    assert list(lines.columns) == [column.name for column in TABLES["order_lines"].columns]
    assert str(lines.schema()["amount"]) == "decimal(18, 4)"
    assert str(lines.schema()["ordered_at"]) == "timestamp(6)"
    assert lines.count().execute() == 1


@pytest.mark.parametrize("pointer", ["gone", "", "\n"])
def test_pointer_to_nothing_is_an_error_with_the_way_out(shop: Shop, pointer: str) -> None:
    shop.load_lines(GOOD)
    write_text(shop.home.lake / CURRENT, pointer)
    with pytest.raises(DataError, match=r"names version .*, whose manifest.json is missing or damaged. Load your data"):
        read_lake(shop.home)


def test_lake_before_is_the_newest_older_one_and_never_one_being_written(shop: Shop) -> None:
    first = shop.load_lines(GOOD)
    assert lake_before(shop.home, read_lake(shop.home)) is None
    shop.load_lines(GOOD.replace("o1", "o2"), now=NOW.replace(hour=13))
    half = shop.home.lake / "versions" / f"{ASIDE}half"
    half.mkdir()
    (half / MANIFEST).write_text(json.dumps({"created_at": NOW.replace(hour=13).isoformat(), "rows": {}}))
    found = lake_before(shop.home, read_lake(shop.home))
    assert found is not None
    assert found.version == first.version
