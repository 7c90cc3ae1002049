"""Files of all kinds that shops export: what is read, what is refused, and what the message says to do."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError, DataError
from tests.features.loading import GOOD, HEADER, MAPPING, Shop, check_counts

AT = dt.datetime(2024, 1, 2, 10)
ROW = ("o1", "ann", "tea", AT, 2.0, Decimal("5.0000"))
COLUMNS = "order_id, customer_id, product_id, ordered_at, quantity, amount"


def loads_the_good_row(shop: Shop, content: str | bytes, mapping: str = MAPPING) -> None:
    shop.write("orders.csv", content)
    shop.write("shop.toml", mapping)
    report = shop.load()
    check_counts(report)
    assert report.tables[0].quarantined == {}
    assert shop.rows(columns=COLUMNS) == [ROW]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiter_is_found_in_the_first_line(shop: Shop, delimiter: str) -> None:
    loads_the_good_row(shop, f"{HEADER}\n{GOOD}\n".replace(",", delimiter))


def test_delimiter_named_is_used(shop: Shop) -> None:
    content = f"{HEADER}\n{GOOD}\n".replace(",", "~")
    loads_the_good_row(shop, content, MAPPING + 'delimiter = "~"\n')


def test_delimiter_in_quoted_names_does_not_count(shop: Shop) -> None:
    header = HEADER.replace(",", ";").replace("paid", '"paid, in pounds, with tax, and all, of it, there"')
    mapping = MAPPING.replace('"paid"', '"paid, in pounds, with tax, and all, of it, there"')
    loads_the_good_row(shop, f"{header}\n{GOOD.replace(',', ';')}\n", mapping)


def test_byte_order_mark_is_no_part_of_the_first_name(shop: Shop) -> None:
    loads_the_good_row(shop, f"{HEADER}\n{GOOD}\n".encode("utf-8-sig"))


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_of_other_systems(shop: Shop, ends: str) -> None:
    loads_the_good_row(shop, f"{HEADER}\n{GOOD}\n".replace("\n", ends))


def test_line_ends_of_two_kinds_in_one_file(shop: Shop) -> None:
    second = GOOD.replace("tea", "milk")
    shop.write("orders.csv", f"{HEADER}\r\n{GOOD}\n{second}\r\n{GOOD.replace('tea', 'jam')}\n")
    shop.write("shop.toml", MAPPING)
    assert shop.load().tables[0].added == 3
    assert shop.values("product_id") == ["jam", "milk", "tea"]


def test_last_line_without_an_end(shop: Shop) -> None:
    loads_the_good_row(shop, f"{HEADER}\n{GOOD}")


def test_blank_lines_are_no_rows(shop: Shop) -> None:
    loads_the_good_row(shop, f"{HEADER}\n\n{GOOD}\n\n\n")


def test_blanks_around_values_and_names_are_no_part_of_them(shop: Shop) -> None:
    spaced = ", ".join(HEADER.split(",")) + "\n" + " ,\t".join(GOOD.split(",")) + " \u00a0\n"
    loads_the_good_row(shop, spaced)


def test_quoted_values_hold_line_ends_delimiters_and_quotes(shop: Shop) -> None:
    shop.load_lines('"o1","ann","tea, ""green""\nloose","2024-01-02 10:00:00","2","5.00"')
    assert shop.rows(columns="product_id, quantity") == [('tea, "green"\nloose', 2.0)]


@pytest.mark.parametrize(
    ("encoding", "name"), [("latin-1", "Crème brûlée"), ("cp1252", "Tea: 5€"), ("utf-16", "茶"), ("utf-16-le", "茶")]
)
def test_encoding_named_is_read(shop: Shop, encoding: str, name: str) -> None:
    shop.write("orders.csv", f"{HEADER}\n{GOOD.replace('tea', name)}\n", encoding=encoding)
    shop.write("shop.toml", MAPPING + f'encoding = "{encoding}"\n')
    shop.load()
    assert shop.values("product_id") == [name]


def test_a_long_file_in_another_encoding_is_read_whole(shop: Shop) -> None:
    lines = [f"o{n},ann,café {n},2024-01-02 10:00:00,2,5.00" for n in range(120_000)]
    shop.write("orders.csv", "\r\n".join([HEADER, *lines]), encoding="latin-1")
    shop.write("shop.toml", MAPPING + 'encoding = "latin-1"\n')
    assert shop.load().tables[0].added == len(lines)
    assert set(shop.values("product_id")) == {f"café {n}" for n in range(120_000)}


def test_latin_1_read_as_utf_8_is_refused_with_the_line_and_what_to_write(shop: Shop) -> None:
    shop.write("orders.csv", f"{HEADER}\n{GOOD}\n{GOOD.replace('tea', 'café')}\n", encoding="latin-1")
    shop.write("shop.toml", MAPPING)
    with pytest.raises(DataError, match=r"not written in utf-8 \(line 3: .*encoding = \"latin-1\"") as refused:
        shop.load()
    assert str(shop.folder / "orders.csv") in str(refused.value)
    assert not (shop.home.lake / "CURRENT").exists()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_read_as_utf_8_is_refused(shop: Shop, encoding: str) -> None:
    shop.write("orders.csv", f"{HEADER}\n{GOOD}\n", encoding=encoding)
    shop.write("shop.toml", MAPPING)
    with pytest.raises(DataError, match=r"encoding = .*\"utf-16\""):
        shop.load()


def test_utf_8_cut_short_in_a_letter_is_refused(shop: Shop) -> None:
    shop.write("orders.csv", f"{HEADER}\n{GOOD}\n".encode() + "é".encode()[:1])
    shop.write("shop.toml", MAPPING)
    with pytest.raises(DataError, match="not written in utf-8"):
        shop.load()


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "rot13"])
def test_encoding_that_is_none_is_refused(shop: Shop, encoding: str) -> None:
    shop.orders(GOOD, mapping=MAPPING + f'encoding = "{encoding}"\n')
    with pytest.raises(ConfigError, match=f"encoding '{encoding}' is not known. Try utf-8, latin-1"):
        shop.load()


def test_empty_file_is_refused(shop: Shop) -> None:
    shop.write("orders.csv", b"")
    shop.write("shop.toml", MAPPING)
    with pytest.raises(DataError, match=r"orders.csv: the file is empty \(0 bytes\). Nothing was loaded. Export it"):
        shop.load()


@pytest.mark.parametrize("content", [HEADER, HEADER + "\n", HEADER + "\n\n"])
def test_file_with_names_alone_is_refused(shop: Shop, content: str) -> None:
    shop.write("orders.csv", content)
    shop.write("shop.toml", MAPPING)
    with pytest.raises(DataError, match=r"holds no rows \(columns: order, customer, product"):
        shop.load()


def test_parquet_without_rows_is_refused(shop: Shop) -> None:
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in HEADER.split(",")}), shop.folder / "o.parquet")
    shop.write("shop.toml", MAPPING.replace("orders.csv", "o.parquet"))
    with pytest.raises(DataError, match="holds no rows"):
        shop.load()


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"PK\x03\x04 workbook", "an Excel workbook or a zip archive. Save it as CSV"),
        (b"\x1f\x8b\x08 packed", "compressed with gzip. Unpack it first"),
        (b"PAR1 columns", r"a Parquet file. Name it with the ending .parquet"),
    ],
)
def test_files_of_other_kinds_are_named(shop: Shop, start: bytes, said: str) -> None:
    shop.write("orders.csv", start)
    shop.write("shop.toml", MAPPING)
    with pytest.raises(DataError, match=said):
        shop.load()


def test_unreadable_lines_of_a_csv_are_none_of_the_parquet_file_read_after_it(shop: Shop) -> None:
    pq.write_table(pa.table({"id": ["tea"]}), shop.folder / "goods.parquet")
    goods = '[products]\npath = "goods.parquet"\nproduct_id = "id"\n'
    lines, products = shop.load_lines(GOOD, "o2,ann", mapping=MAPPING + goods).tables
    assert lines.quarantined == {"unreadable_line": 1}
    assert (products.read, products.quarantined) == (1, {})


def test_an_unreadable_line_after_another_is_kept_without_the_end_of_that_one(shop: Shop) -> None:
    shop.write("orders.csv", f"{HEADER}\r\n{GOOD}\r\no2,ann\r\no3,ann\r\n")
    shop.write("shop.toml", MAPPING)
    assert [row for _, row in (shop.load(), shop.quarantine())[1]] == ["line 3: o2,ann", "line 4: o3,ann"]


def test_parquet_that_is_none_is_refused(shop: Shop) -> None:
    shop.write("orders.parquet", b"not a parquet file at all")
    shop.write("shop.toml", MAPPING.replace("orders.csv", "orders.parquet"))
    with pytest.raises(DataError, match=r"orders.parquet: cannot be read: .*Nothing was loaded"):
        shop.load()


def test_missing_column_is_named_with_those_found_and_the_nearest(shop: Shop) -> None:
    shop.orders(GOOD, header=HEADER.replace("customer", "Customer"))
    with pytest.raises(DataError) as refused:
        shop.load()
    said = str(refused.value)
    assert "orders.csv: column 'customer' named for customer_id is missing" in said
    assert "(found: order, Customer, product, at, pieces, paid)" in said
    assert "Did you mean 'Customer'?" in said
    assert "Correct " in said
    assert "shop.toml: [order_lines]" in said


def test_column_that_is_there_twice_is_refused_only_when_it_is_mapped(shop: Shop) -> None:
    shop.load_lines(f"{GOOD},x,y", header=f"{HEADER},note,note")
    assert shop.rows(columns=COLUMNS) == [ROW]
    shop.orders(GOOD, header=HEADER.replace("paid", "pieces"))
    with pytest.raises(DataError, match="column 'pieces' named for quantity is there 2 times"):
        shop.load()


def test_names_that_differ_in_case_are_two_columns(shop: Shop) -> None:
    shop.load_lines(f"{GOOD},other", header=f"{HEADER},PRODUCT")
    assert shop.values("product_id") == ["tea"]


def test_ragged_rows_are_set_aside_as_they_stand_with_their_line(shop: Shop) -> None:
    report = shop.load_lines("o2,ann,tea", GOOD, f"{GOOD},more,and more")
    check_counts(report)
    assert (report.tables[0].read, report.tables[0].added) == (3, 1)
    assert shop.quarantine() == [
        ("unreadable_line", "line 2: o2,ann,tea"),
        ("unreadable_line", f"line 4: {GOOD},more,and more"),
    ]


def test_every_ragged_row_is_counted_however_many(shop: Shop) -> None:
    report = shop.load_lines(GOOD, *["o2,ann"] * 101_000)
    assert report.tables[0].quarantined == {"unreadable_line": 101_000}


def test_quote_that_is_never_closed_is_set_aside_with_what_it_swallows(shop: Shop) -> None:
    report = shop.load_lines(GOOD, 'o2,ann,"tea,2024-01-02 10:00:00,2,5.00', GOOD.replace("o1", "o3"))
    check_counts(report)
    assert shop.rows(columns="order_id") == [("o1",)]
    [(reason, row)] = shop.quarantine()
    assert reason == "unreadable_line"
    assert row.startswith('line 3: o2,ann,"tea')
    assert any("quote" in warning and "line 3" in warning for warning in report.warnings)


def test_line_end_in_a_value_without_quotes_is_named(shop: Shop) -> None:
    shop.orders(GOOD, GOOD.replace("tea", "tea\rgreen"))
    with pytest.raises(DataError, match=r"a value that is not in quotes holds a line end .*Export it with all text in"):
        shop.load()


@pytest.mark.parametrize("name", ["it's.csv", "orders (1).csv", "größe.csv", "a*b?.csv", 'q".csv'])
def test_names_of_files_are_taken_as_they_are(shop: Shop, name: str) -> None:
    shop.write(name, f"{HEADER}\n{GOOD}\n")
    shop.write("shop.toml", MAPPING.replace('"orders.csv"', f"'''{name}'''"))
    shop.load()
    assert shop.rows(columns=COLUMNS) == [ROW]


def test_home_with_signs_of_sql_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "ann's [1] shop"
    folder.mkdir()
    shop = Shop(folder)
    shop.load_lines(GOOD)
    shop.load_lines(GOOD.replace("o1", "o2"))
    assert shop.load().changed is False


def test_link_to_a_file_is_followed(shop: Shop) -> None:
    shop.orders(GOOD)
    (shop.folder / "orders.csv").rename(shop.folder / "january.csv")
    (shop.folder / "orders.csv").symlink_to("january.csv")
    shop.load()
    assert shop.rows(columns=COLUMNS) == [ROW]


def test_path_that_is_no_file_is_refused_with_what_it_is(shop: Shop) -> None:
    shop.write("shop.toml", MAPPING)
    with pytest.raises(ConfigError, match=r"file .*orders.csv does not exist. Correct 'path'"):
        shop.load()
    (shop.folder / "orders.csv").symlink_to("gone.csv")
    with pytest.raises(ConfigError, match=r"is a link to gone.csv, which does not exist"):
        shop.load()
    (shop.folder / "orders.csv").unlink()
    (shop.folder / "orders.csv").mkdir()
    with pytest.raises(ConfigError, match="is a folder; name one CSV or Parquet file"):
        shop.load()
    shop.write("shop.toml", MAPPING.replace("orders.csv", "orders-*.csv"))
    with pytest.raises(ConfigError, match="is a pattern; name one file, and load several one after the other"):
        shop.load()


def test_file_that_changes_while_it_is_read_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from features import source_files, staging

    shop.orders(GOOD)

    def then_appended(con: object, lines_before: int) -> None:
        source_files.take_rejects(con, lines_before)  # type: ignore[arg-type]
        with (shop.folder / "orders.csv").open("a") as file:
            file.write(GOOD + "\n")

    monkeypatch.setattr(staging, "take_rejects", then_appended)
    with pytest.raises(DataError, match=r"changed while it was read. Nothing was loaded. Wait until the export"):
        shop.load()
    assert not (shop.home.lake / "CURRENT").exists()


def write_parquet(shop: Shop, mapping: str = "", **columns: pa.Array) -> None:
    given = {
        "order": pa.array(["o1"]),
        "customer": pa.array(["ann"]),
        "product": pa.array(["tea"]),
        "at": pa.array([AT]),
        "pieces": pa.array([2]),
        "paid": pa.array([5.0]),
    }
    pq.write_table(pa.table(given | columns), shop.folder / "orders.parquet")
    shop.write("shop.toml", MAPPING.replace("orders.csv", "orders.parquet") + mapping)


@pytest.mark.parametrize(
    "at",
    [
        pa.array([AT], pa.timestamp("ns")),
        pa.array([AT], pa.timestamp("ms")),
        pa.array([AT], pa.timestamp("s")),
        pa.array([AT.replace(tzinfo=dt.UTC)], pa.timestamp("us", tz="UTC")),
        pa.array([AT.replace(tzinfo=dt.UTC)], pa.timestamp("us", tz="America/New_York")),
        pa.array(["2024-01-02T10:00:00Z"]),
        pa.array(["2024-01-02T12:00:00+02:00"]),
        pa.array(["2024-01-02 10:00"]).dictionary_encode(),
    ],
    ids=lambda at: str(at.type),
)
def test_parquet_times_of_all_kinds(shop: Shop, at: pa.Array) -> None:
    write_parquet(shop, at=at)
    shop.load()
    assert shop.rows(columns=COLUMNS) == [ROW]


def test_parquet_dates_are_midnights(shop: Shop) -> None:
    write_parquet(shop, at=pa.array([dt.date(2024, 1, 2)]))
    shop.load()
    assert shop.values("ordered_at") == [dt.datetime(2024, 1, 2)]


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (pa.array([17850], pa.int64()), "17850"),
        (pa.array([2**63 + 5], pa.uint64()), str(2**63 + 5)),
        (pa.array([17850.0], pa.float64()), "17850"),
        (pa.array([17850.0], pa.float32()), "17850"),
        (pa.array([17850.5], pa.float64()), "17850.5"),
        (pa.array([-3.0], pa.float64()), "-3"),
        (pa.array([Decimal("17850.00")], pa.decimal128(12, 2)), "17850"),
        (pa.array(["0017850"]), "0017850"),
        (pa.array(["17850.0"]), "17850.0"),
        (pa.array([b"tea \xc3\xa9"], pa.binary()), "tea é"),
        (pa.array(["tea"]).dictionary_encode(), "tea"),
        (pa.array([True]), "true"),
    ],
    ids=lambda given: str(getattr(given, "type", given)),
)
def test_parquet_ids_of_all_kinds(shop: Shop, ids: pa.Array, kept: str) -> None:
    write_parquet(shop, product=ids)
    shop.load()
    assert shop.values("product_id") == [kept]


def test_ids_kept_as_floats_with_gaps_are_the_ids_or_missing(shop: Shop) -> None:
    columns = {name: pa.array([value] * 3) for name, value in zip(HEADER.split(","), ROW, strict=True)}
    columns["customer"] = pa.array([17850.0, float("nan"), None], pa.float64())
    write_parquet(shop, **columns)
    report = shop.load()
    assert shop.values("customer_id") == ["17850"]
    assert report.tables[0].quarantined == {"missing_customer_id": 2}


def test_parquet_numbers_that_are_none(shop: Shop) -> None:
    n = 4
    columns = {name: pa.array([value] * n) for name, value in zip(HEADER.split(","), ROW, strict=True)}
    columns["order"] = pa.array(["a", "b", "c", "d"])
    columns["paid"] = pa.array([float("inf"), float("nan"), float("-inf"), 1.23456])
    write_parquet(shop, **columns)
    report = shop.load()
    assert report.tables[0].quarantined == {"bad_amount": 2}
    # NaN is how frames write "not given"; amounts are kept to four decimals.
    assert shop.rows(columns="order_id, amount") == [("b", None), ("d", Decimal("1.2346"))]


def test_decimal_sign_does_not_touch_numbers_of_parquet(shop: Shop) -> None:
    write_parquet(shop, 'decimal = ","\n', paid=pa.array([1234.5]))
    shop.load()
    assert shop.values("amount") == [Decimal("1234.5")]


def test_whole_numbers_given_as_times_say_how_to_map_them(shop: Shop) -> None:
    write_parquet(shop, at=pa.array([1704189600]))
    with pytest.raises(ConfigError, match=r"'ordered_at' is BIGINT, which is not a time. Give .*to_timestamp"):
        shop.load()
    mapped = MAPPING.replace("orders.csv", "orders.parquet")
    shop.write("shop.toml", mapped.replace('"at"', '{ expression = "to_timestamp(at)" }'))
    shop.load()
    assert shop.values("ordered_at") == [AT]
    write_parquet(shop, at=pa.array([20240102]))
    shop.write("shop.toml", mapped.replace('"at"', '{ column = "at", format = "%Y%m%d" }'))
    shop.load(replace=True)
    assert shop.values("ordered_at") == [dt.datetime(2024, 1, 2)]


def test_format_of_a_time_that_has_none_is_refused(shop: Shop) -> None:
    write_parquet(shop)
    mapped = MAPPING.replace("orders.csv", "orders.parquet")
    shop.write("shop.toml", mapped.replace('"at"', '{ column = "at", format = "%Y" }'))
    with pytest.raises(ConfigError, match=r"is a TIMESTAMP already, so it has no format. Remove 'format'"):
        shop.load()


def test_unreadable_file_is_refused(shop: Shop) -> None:
    shop.orders(GOOD)
    (shop.folder / "orders.csv").chmod(0)
    if os.access(shop.folder / "orders.csv", os.R_OK):  # root may read everything
        assert shop.load().changed
    else:
        with pytest.raises(ConfigError, match="may not be read by this user"):
            shop.load()
