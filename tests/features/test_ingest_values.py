"""Values as shops write them: which become which in the lake, and which rows are set aside, with what reason."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from features.errors import ConfigError, DataError
from tests.features.loading import GOOD, HEADER, MAPPING, NOW, Shop, check_counts


def line(**changed: str) -> str:
    values = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | changed
    return ",".join(f'"{value}"' if "," in value else value for value in values.values())


def load_beside_good(shop: Shop, *lines: str, mapping: str = MAPPING) -> dict[str, int]:
    """Reasons for which lines were set aside, when loaded beside one that is good."""
    good = line(order="good", at="02/01/2024" if "format" in mapping else "2024-01-02", paid="5")
    report = shop.load_lines(good, *lines, mapping=mapping)
    check_counts(report)
    assert report.tables[0].quarantined == shop.reasons()
    return report.tables[0].quarantined


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"customer": ""}, "missing_customer_id"),
        ({"customer": "  "}, "missing_customer_id"),
        ({"order": '""'}, "missing_order_id"),
        ({"product": "\u00a0"}, "missing_product_id"),
        ({"at": ""}, "missing_ordered_at"),
        ({"at": "2024-02-30"}, "bad_ordered_at"),
        ({"at": "31/12/2023"}, "bad_ordered_at"),
        ({"at": "yesterday"}, "bad_ordered_at"),
        ({"at": "infinity"}, "bad_ordered_at"),
        ({"at": "1969-12-31 23:59:59"}, "implausible_ordered_at"),
        ({"at": "0001-01-01"}, "implausible_ordered_at"),
        ({"at": "2262-01-01"}, "implausible_ordered_at"),
        ({"at": "2024-06-02 12:00:01"}, "implausible_ordered_at"),
        ({"pieces": "two"}, "bad_quantity"),
        ({"pieces": "nan"}, "bad_quantity"),
        ({"pieces": "inf"}, "bad_quantity"),
        ({"pieces": "1e400"}, "bad_quantity"),
        ({"pieces": "1e12"}, "implausible_quantity"),
        ({"paid": "free"}, "bad_amount"),
        ({"paid": "$5"}, "bad_amount"),
        ({"paid": "1,50"}, "bad_amount"),
        ({"paid": "NaN"}, "bad_amount"),
        ({"paid": "-inf"}, "bad_amount"),
        ({"paid": "1e30"}, "bad_amount"),
        ({"paid": "-0.01"}, "negative_amount"),
    ],
    ids=str,
)
def test_row_that_breaks_the_contract_is_set_aside_with_its_reason(
    shop: Shop, changed: dict[str, str], reason: str
) -> None:
    assert load_beside_good(shop, line(**changed)) == {reason: 1}
    assert shop.values("order_id") == ["good"]
    [row] = shop.quarantined_rows()
    assert set(row) == set(HEADER.split(","))
    [(name, value)] = changed.items()
    assert (row[name] or "").strip('"') == value.strip('"')


@pytest.mark.parametrize(
    ("changed", "column", "value"),
    [
        ({"paid": ""}, "amount", None),
        ({"paid": "0"}, "amount", Decimal("0")),
        ({"paid": "1e3"}, "amount", Decimal("1000")),
        ({"paid": "+7.5"}, "amount", Decimal("7.5")),
        ({"paid": "99999999999999.9999"}, "amount", Decimal("99999999999999.9999")),
        ({"pieces": "0.25"}, "quantity", 0.25),
        ({"at": "1970-01-01"}, "ordered_at", datetime(1970, 1, 1)),
        ({"at": "2024-06-02 12:00:00"}, "ordered_at", datetime(2024, 6, 2, 12)),
        ({"at": "2024-01-02T10:00:00.123456789Z"}, "ordered_at", datetime(2024, 1, 2, 10, 0, 0, 123456)),
        ({"at": "2024-01-02 10:00+02:00"}, "ordered_at", datetime(2024, 1, 2, 8)),
        ({"at": "2024-01-02 10:00:00 +0230"}, "ordered_at", datetime(2024, 1, 2, 7, 30)),
        ({"at": "2024-01-02T10:00:00-05"}, "ordered_at", datetime(2024, 1, 2, 15)),
        ({"product": "00042"}, "product_id", "00042"),
        ({"product": "42.0"}, "product_id", "42.0"),
        ({"product": "1e5"}, "product_id", "1e5"),
        ({"product": "blue  tea"}, "product_id", "blue  tea"),
        ({"product": "'; DROP TABLE raw; --"}, "product_id", "'; DROP TABLE raw; --"),
        ({"product": '"say ""tea"""'}, "product_id", 'say "tea"'),
        ({"product": "茶🍵é"}, "product_id", "茶🍵é"),
        ({"product": "NULL"}, "product_id", "NULL"),
        ({"product": "x" * 10_000}, "product_id", "x" * 10_000),
    ],
    ids=str,
)
def test_value_in_the_lake(shop: Shop, changed: dict[str, str], column: str, value: object) -> None:
    report = shop.load_lines(line(**changed))
    assert report.tables[0].quarantined == {}
    assert shop.values(column) == [value]


def test_row_with_many_faults_is_set_aside_once(shop: Shop) -> None:
    assert load_beside_good(shop, line(customer="", at="never", pieces="x", paid="-1")) == {"missing_customer_id": 1}


def test_returns_are_kept_and_netted(shop: Shop) -> None:
    report = shop.load_lines(
        line(pieces="3", paid="6"), line(order="o2", pieces="-1", paid="-2"), line(order="o3", pieces="-1", paid="0")
    )
    assert report.tables[0].quarantined == {}
    assert sum(shop.values("quantity")) == 1
    assert sum(shop.values("amount")) == 4


def test_returns_with_a_positive_amount_are_kept_with_a_note_how_to_map_them(shop: Shop) -> None:
    report = shop.load_lines(line(pieces="-1", paid="2"))
    assert shop.rows(columns="quantity, amount") == [(-1.0, Decimal("2"))]
    [note] = [warning for warning in report.warnings if "negative quantity" in warning]
    assert "map amount with a minus" in note


def test_quantity_of_nothing_is_kept_with_a_note(shop: Shop) -> None:
    report = shop.load_lines(line(pieces="0"))
    assert shop.values("quantity") == [0]
    assert any("1 order line has quantity 0: kept" in warning for warning in report.warnings)


def test_whole_numbers_written_with_point_zero_are_kept_with_a_note_how_to_map_them(shop: Shop) -> None:
    report = shop.load_lines(line(customer="17850.0"))
    assert shop.values("customer_id") == ["17850.0"]
    assert any("1 value of customer_id with .0 at the end" in warning for warning in report.warnings)
    mapping = MAPPING.replace('"customer"', """{ expression = "regexp_replace(customer, '[.]0$', '')" }""")
    shop.load_lines(line(customer="17850.0"), mapping=mapping, replace=True)
    assert shop.values("customer_id") == ["17850"]


def test_no_row_that_can_be_used_stops_the_load_with_the_reason_and_an_example(shop: Shop) -> None:
    shop.orders(line(at="31/12/2023"), line(at="30/12/2023"))
    with pytest.raises(DataError) as refused:
        shop.load()
    said = str(refused.value)
    assert "none of 2 rows could be used (2 bad_ordered_at" in said
    assert "30/12/2023" in said
    assert "name its format" in said
    assert "shop.toml: [order_lines]" in said
    assert not (shop.home.lake / "CURRENT").exists()


def test_copies_are_set_aside_unless_the_mapping_keeps_them(shop: Shop) -> None:
    lines = (GOOD, GOOD, GOOD, line(product="jam"))
    report = shop.load_lines(*lines)
    check_counts(report)
    assert report.tables[0].quarantined == {"duplicate_line": 2}
    assert any('set duplicates = "keep" in [order_lines]' in warning for warning in report.warnings)
    report = shop.load_lines(*lines, mapping=MAPPING + 'duplicates = "keep"\n', replace=True)
    check_counts(report)
    assert (report.tables[0].added, report.tables[0].quarantined) == (4, {})
    assert shop.values("product_id") == ["jam", "tea", "tea", "tea"]


def test_lines_that_differ_only_in_writing_are_copies(shop: Shop) -> None:
    report = shop.load_lines(GOOD, line(paid="5.000", pieces="2.0", at="2024-01-02T10:00"))
    assert report.tables[0].quarantined == {"duplicate_line": 1}


def test_order_ids_may_be_shared_between_customers(shop: Shop) -> None:
    shop.load_lines(line(customer="ann"), line(customer="bob"))
    assert shop.rows(columns="customer_id, order_id") == [("ann", "o1"), ("bob", "o1")]


MIXED = MAPPING.replace('"at"', '{ column = "at", format = "%d/%m/%Y" }')


def test_time_with_a_format(shop: Shop) -> None:
    assert load_beside_good(shop, line(at="31/12/2023"), line(at="12/31/2023"), mapping=MIXED) == {"bad_ordered_at": 1}
    assert shop.values("ordered_at") == [datetime(2023, 12, 31), datetime(2024, 1, 2)]


def test_time_with_a_format_that_names_the_zone(shop: Shop) -> None:
    mapping = MAPPING.replace('"at"', '{ column = "at", format = "%d.%m.%Y %H:%M %z" }') + 'timezone = "Asia/Tokyo"\n'
    shop.load_lines(line(at="02.01.2024 10:00 +0200"), mapping=mapping)
    assert shop.values("ordered_at") == [datetime(2024, 1, 2, 8)]


def test_format_that_is_none_is_refused(shop: Shop) -> None:
    shop.orders(GOOD, mapping=MAPPING.replace('"at"', '{ column = "at", format = "%Q" }'))
    with pytest.raises(ConfigError, match=r"'ordered_at' has format '%Q', which is not a time format.*An example: %d"):
        shop.load()


@pytest.mark.parametrize("style", ["iso", "format"])
@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2023-01-15 12:00:00", datetime(2023, 1, 15, 11)),
        ("2023-07-15 12:00:00", datetime(2023, 7, 15, 10)),
        # Clocks go from 02:00 to 03:00: the hour between is read as if they had not moved yet.
        ("2023-03-26 01:59:59", datetime(2023, 3, 26, 0, 59, 59)),
        ("2023-03-26 02:30:00", datetime(2023, 3, 26, 1, 30)),
        ("2023-03-26 03:00:00", datetime(2023, 3, 26, 1)),
        # Clocks go from 03:00 back to 02:00: of the hour that comes twice, the second.
        ("2023-10-29 01:59:59", datetime(2023, 10, 28, 23, 59, 59)),
        ("2023-10-29 02:30:00", datetime(2023, 10, 29, 1, 30)),
        ("2023-10-29 03:00:00", datetime(2023, 10, 29, 2)),
    ],
)
def test_local_times_in_a_zone_are_kept_in_utc(shop: Shop, style: str, local: str, utc: datetime) -> None:
    mapping = MAPPING + 'timezone = "Europe/Berlin"\n'
    if style == "format":
        mapping = mapping.replace('"at"', '{ column = "at", format = "%Y-%m-%d %H:%M:%S" }')
    shop.load_lines(line(at=local), mapping=mapping)
    assert shop.values("ordered_at") == [utc]


def test_times_that_say_their_offset_are_not_moved_by_the_zone(shop: Shop) -> None:
    lines = [line(order=str(n), at=at) for n, at in enumerate(("2023-07-15T12:00:00Z", "2023-07-15 12:00+01:00"))]
    shop.load_lines(*lines, mapping=MAPPING + 'timezone = "Europe/Berlin"\n')
    assert shop.rows(columns="order_id, ordered_at") == [
        ("0", datetime(2023, 7, 15, 12)),
        ("1", datetime(2023, 7, 15, 11)),
    ]


def test_zone_of_one_table_is_not_that_of_the_next(shop: Shop) -> None:
    shop.write("people.csv", "id,joined\nann,2023-07-15 12:00:00\n")
    people = '[customers]\npath = "people.csv"\ncustomer_id = "id"\njoined_at = "joined"\n'
    shop.load_lines(line(at="2023-07-15 12:00:00"), mapping=MAPPING + 'timezone = "Asia/Tokyo"\n' + people)
    assert shop.values("ordered_at") == [datetime(2023, 7, 15, 3)]
    assert shop.values("joined_at", "customers") == [datetime(2023, 7, 15, 12)]


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("12,50", "12.5"),
        ("-", None),
        ("1.234,56", "1234.56"),
        ("1.234", "1234"),
        ("1.234.567", "1234567"),
        ("12.5", None),  # neither thousands nor a decimal comma: a mistake, not 12.5 and not 125
        ("0,00001", "0"),
        ("7", "7"),
    ],
)
def test_decimal_comma(shop: Shop, written: str, amount: str | None) -> None:
    mapping = MAPPING + 'decimal = ","\n'
    reasons = load_beside_good(shop, line(paid=written), mapping=mapping)
    good = [value for order, value in shop.rows(columns="order_id, amount") if order == "o1"]
    assert reasons == ({"bad_amount": 1} if amount is None else {})
    assert good == ([] if amount is None else [Decimal(amount)])


def test_flags_as_shops_write_them(shop: Shop) -> None:
    said = ["true", "F", "Yes", "n", "1", "0", "", "maybe"]
    shop.write("goods.csv", "id,stock\n" + "".join(f"p{n},{flag}\n" for n, flag in enumerate(said)))
    goods = '[products]\npath = "goods.csv"\nproduct_id = "id"\nin_stock = "stock"\n'
    shop.load_lines(GOOD, mapping=MAPPING + goods)
    assert shop.rows("products", "product_id, in_stock") == [
        *[(f"p{n}", n % 2 == 0) for n in range(6)],
        ("p6", None),
    ]
    assert shop.reasons("products") == {"bad_in_stock": 1}


def test_future_order_is_loaded_once_its_day_has_come(shop: Shop) -> None:
    ahead = line(order="pre", at="2024-06-10 00:00:00")
    shop.orders(GOOD, ahead)
    first = shop.load()
    assert first.tables[0].quarantined == {"implausible_ordered_at": 1}
    assert shop.load(now=NOW.replace(hour=20)).tables[0].read == 0
    later = shop.load(now=datetime(2024, 6, 11))
    assert (later.tables[0].added, later.tables[0].already) == (1, 1)
    assert shop.quarantine() == []
