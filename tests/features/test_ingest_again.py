"""Loading again, in pieces, in another order: the lake is a function of the rows it was given."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import DataError, RegularsError
from features.home import ASIDE
from features.lake import MANIFEST, read_lake
from tests.features.loading import GOOD, HEADER, MAPPING, NOW, Shop, check_counts

LINES = [
    f"o{order},{customer},{product},2024-01-0{day} 10:00:00,{pieces},{paid}"
    for order, (customer, product, day, pieces, paid) in enumerate(
        [
            ("ann", "tea", 1, 1, "2.50"),
            ("ann", "jam", 2, 2, ""),
            ("bob", "tea", 3, -1, "-2.5"),
            ("eve", "rye", 4, 0, "1"),
        ]
    )
]
KEEP = MAPPING + 'duplicates = "keep"\n'
GOODS = """
[products]
path = "goods.csv"
product_id = "id"
name = "title"
brand = "brand"
"""


def test_loading_twice_changes_nothing(shop: Shop) -> None:
    first = shop.load_lines(*LINES, "broken line", LINES[0])
    assert first.changed
    assert first.version_before is None
    before = shop.state()
    second = shop.load()
    assert not second.changed
    assert second.version == second.version_before == first.version
    assert [(t.table, t.read, t.added, t.held) for t in second.tables] == [("order_lines", 0, 0, 4)]
    assert second.warnings == first.warnings
    assert shop.state() == before


def test_same_rows_from_another_file_add_nothing(shop: Shop) -> None:
    first = shop.load_lines(*LINES)
    header = ";".join(reversed(HEADER.split(",")))
    rows = (";".join(reversed(line.split(","))) for line in reversed(LINES))
    second = shop.load_lines(*rows, header=header)
    check_counts(second)
    assert not second.changed
    assert second.version == first.version
    assert (second.tables[0].read, second.tables[0].already) == (4, 4)
    assert [path.name for path in (shop.home.lake / "versions").iterdir()] == [first.version]


def test_files_of_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    written = []
    for name, lines in (("a", LINES), ("b", list(reversed(LINES)))):
        (tmp_path / name).mkdir()
        shop = Shop(tmp_path / name)
        shop.load_lines(*lines)
        written.append(read_lake(shop.home).file("order_lines").read_bytes())
    assert written[0] == written[1]


def test_later_file_adds_what_is_new(shop: Shop) -> None:
    shop.load_lines(*LINES[:2])
    report = shop.load_lines(*LINES[1:], "x,ann,tea,never,1,1")
    check_counts(report)
    [table] = report.tables
    assert (table.read, table.added, table.already, table.held) == (4, 2, 1, 4)
    assert table.quarantined == {"bad_ordered_at": 1}


def test_version_goes_back_with_the_rows(shop: Shop) -> None:
    first = shop.load_lines(*LINES[:2])
    second = shop.load_lines(*LINES[2:])
    back = shop.load_lines(*LINES[:2], replace=True)
    assert back.version == first.version != second.version
    assert back.version_before == second.version
    assert shop.current() == first.version
    assert not shop.load().changed


def test_replace_begins_anew(shop: Shop) -> None:
    shop.write("goods.csv", "id,title,brand\ntea,Tea,A\n")
    shop.load_lines(*LINES, "broken", mapping=MAPPING + GOODS)
    report = shop.load_lines(GOOD, replace=True)
    assert list(read_lake(shop.home).rows) == ["order_lines"]
    assert report.tables[0].held == 1
    assert shop.quarantine() == []


def test_tables_not_in_a_load_stay_as_they_are(shop: Shop) -> None:
    shop.write("goods.csv", "id,title,brand\ntea,Tea,A\n,none,\n")
    shop.load_lines(*LINES, mapping=MAPPING + GOODS)
    report = shop.load_lines(GOOD)
    assert [table.table for table in report.tables] == ["order_lines"]
    assert read_lake(shop.home).rows == {"order_lines": 5, "products": 1}
    assert shop.values("name", "products") == ["Tea"]
    assert shop.reasons("products") == {"missing_product_id": 1}


def test_products_alone_may_follow(shop: Shop) -> None:
    shop.load_lines(*LINES)
    shop.write("goods.csv", "id,title,brand\ntea,Tea,A\n")
    shop.write("goods.toml", GOODS)
    shop.load(mapping="goods.toml")
    assert read_lake(shop.home).rows == {"order_lines": 4, "products": 1}


def test_of_a_key_the_newest_wins(shop: Shop) -> None:
    shop.write("goods.csv", "id,title,brand\ntea,Old,A\njam,Jam,B\ntea,Tea,\n")
    first = shop.load_lines(GOOD, mapping=MAPPING + GOODS)
    check_counts(first)
    assert first.tables[1].quarantined == {"repeated_key": 1}
    assert '"name":"Old"' in shop.quarantine("products")[0][1]
    assert shop.rows("products", "product_id, name, brand") == [("jam", "Jam", "B"), ("tea", "Tea", None)]
    shop.write("goods.csv", "id,title,brand\nrye,Rye,\njam,Jam,B\ntea,Green tea,A\n")
    second = shop.load()
    check_counts(second)
    goods = second.tables[1]
    assert (goods.read, goods.added, goods.updated, goods.already, goods.held) == (3, 1, 1, 1, 3)
    assert shop.rows("products", "product_id, name, brand") == [
        ("jam", "Jam", "B"),
        ("rye", "Rye", None),
        ("tea", "Green tea", "A"),
    ]


def test_attributes_of_customers_may_come_and_go(shop: Shop) -> None:
    people = '[customers]\npath = "people.csv"\ncustomer_id = "id"\n'
    shop.write("people.csv", "id,age,town\nann,30,Ghent\nbob,40,Ghent\n")
    shop.load_lines(GOOD, mapping=MAPPING + people + 'age = "age"\n')
    shop.write("people.csv", "id,age,town\nann,30,Ghent\neve,50,Bruges\n")
    report = shop.load_lines(GOOD, mapping=MAPPING + people + 'town = "town"\n')
    check_counts(report)
    assert (report.tables[1].added, report.tables[1].updated) == (1, 1)
    assert shop.rows("customers", "customer_id, age, town") == [
        ("ann", None, "Ghent"),
        ("bob", "40", None),
        ("eve", None, "Bruges"),
    ]


def test_copies_kept_are_not_added_again(shop: Shop) -> None:
    first = shop.load_lines(GOOD, GOOD, mapping=KEEP)
    assert first.tables[0].held == 2
    report = shop.load_lines(GOOD, LINES[0], GOOD, mapping=KEEP)
    check_counts(report)
    assert (report.tables[0].added, report.tables[0].already, report.tables[0].held) == (1, 2, 3)
    report = shop.load_lines(GOOD, GOOD, GOOD, mapping=KEEP)
    check_counts(report)
    assert (report.tables[0].added, report.tables[0].held) == (1, 4)


def test_quarantine_keeps_what_each_file_gave_once(shop: Shop) -> None:
    shop.load_lines(GOOD, "o2,ann,tea,never,1,1", "o2,ann,tea,never,1,1", ",ann,tea,2024-01-01,1,1")
    assert shop.reasons() == {"bad_ordered_at": 2, "missing_order_id": 1}
    shop.load_lines(LINES[0], "o9,ann,tea,2024-01-01,1,x")
    assert shop.reasons() == {"bad_ordered_at": 2, "missing_order_id": 1, "bad_amount": 1}
    # The first file once more, not the last load: nothing is there twice.
    report = shop.load_lines(GOOD, "o2,ann,tea,never,1,1", "o2,ann,tea,never,1,1", ",ann,tea,2024-01-01,1,1")
    assert report.tables[0].already == 1
    assert shop.reasons() == {"bad_ordered_at": 2, "missing_order_id": 1, "bad_amount": 1}
    assert read_lake(shop.home).manifest["quarantined"] == {"order_lines": shop.reasons()}


def test_quarantine_of_a_file_is_emptied_when_its_mapping_is_corrected(shop: Shop) -> None:
    lines = (GOOD.replace("2024-01-02 10:00:00", "02/01/2024"), GOOD.replace("o1", "o2"))
    shop.load_lines(*lines)
    assert shop.reasons() == {"bad_ordered_at": 1}
    both = """{ expression = "coalesce(try_strptime(at, '%d/%m/%Y'), try_cast(at AS TIMESTAMP))" }"""
    report = shop.load_lines(*lines, mapping=MAPPING.replace('"at"', both))
    assert report.tables[0].quarantined == {}
    assert shop.quarantine() == []
    assert shop.values("order_id") == ["o1", "o2"]


def test_rows_set_aside_are_kept_though_no_good_row_is_new(shop: Shop) -> None:
    shop.load_lines(GOOD)
    report = shop.load_lines(GOOD, "o2,ann,tea,never,1,1")
    assert not report.changed
    assert shop.reasons() == {"bad_ordered_at": 1}


def test_older_versions_are_removed_but_for_the_last_three(shop: Shop) -> None:
    versions = [shop.load_lines(line).version for line in LINES]
    kept = {path.name for path in (shop.home.lake / "versions").iterdir()}
    assert kept == set(versions[1:])
    assert shop.current() == versions[-1]


def test_damaged_lake_is_named_and_replaced(shop: Shop) -> None:
    version = shop.load_lines(*LINES).version
    (shop.home.lake / "versions" / version / MANIFEST).write_text("{")
    with pytest.raises(DataError, match=r"missing or damaged. Load your data anew:  regulars ingest --replace"):
        shop.load()
    assert shop.load(replace=True).tables[0].held == 4


def test_lake_of_an_earlier_release_is_named_and_replaced(shop: Shop) -> None:
    version = shop.load_lines(*LINES).version
    manifest = shop.home.lake / "versions" / version / MANIFEST
    manifest.write_text(json.dumps({k: v for k, v in json.loads(manifest.read_text()).items() if k != "content"}))
    with pytest.raises(DataError, match="was written by an earlier release"):
        shop.load()
    assert shop.load(replace=True).tables[0].held == 4


def test_memory_that_is_not_enough_is_named_and_the_lake_stays(shop: Shop) -> None:
    from features.ingest import ingest

    shop.load_lines(*LINES)
    before = shop.state()
    shop.orders(*[f"o{n},c{n},p{n},2024-01-02 10:00:00,1,1" for n in range(300_000)])
    tight = shop.settings.model_copy(update={"memory_limit": "12MB"})
    with pytest.raises(RegularsError, match=r"memory_limit 12MB is not enough.*Raise REGULARS_MEMORY_LIMIT"):
        ingest("files", tight, mapping=shop.folder / "shop.toml", now=NOW)
    assert shop.state() == before


VALUES = st.sampled_from(["1", "2", "", "x"])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["o1", "o2", ""]),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["tea", "jam"]),
        st.sampled_from(["2024-01-02", "2024-01-03", "never"]),
        VALUES,
        st.sampled_from(["1.5", "-2", "", "x"]),
    ).map(",".join),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, data=st.data())
def test_in_pieces_and_in_any_order_equals_at_once(rows: list[str], data: st.DataObject) -> None:
    """However the lines are shuffled and split over two files, the lake and its version are the same."""
    rows = [*rows, GOOD]
    shuffled = data.draw(st.permutations(rows))
    first = [row for row in shuffled if data.draw(st.booleans())]
    second = list(shuffled)
    for row in first:
        second.remove(row)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        whole, pieces = Shop(Path(one)), Shop(Path(two))
        at_once = whole.load_lines(*rows)
        check_counts(at_once)
        for part in (first, second):
            # A piece needs a row that can be used.
            check_counts(pieces.load_lines(*part, GOOD))
        assert pieces.current() == whole.current()
        columns = "order_id, customer_id, product_id, ordered_at, quantity, amount"
        assert pieces.rows(columns=columns) == whole.rows(columns=columns)
        assert len(whole.rows()) == len(set(whole.rows()))
        duplicates = {"duplicate_line"}
        assert {k: v for k, v in pieces.reasons().items() if k not in duplicates} == {
            k: v for k, v in whole.reasons().items() if k not in duplicates
        }
        assert not list(pieces.home.root.rglob(f"{ASIDE}*"))


def test_sum_of_money_is_exact(shop: Shop) -> None:
    shop.load_lines(*[f"o{n},ann,tea,2024-01-02 10:00:00,1,0.1" for n in range(10)])
    assert sum(shop.values("amount")) == Decimal("1")
