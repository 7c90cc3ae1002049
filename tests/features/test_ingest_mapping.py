"""The mapping file: columns, formats, expressions and constants; and what is said about each mistake in it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from features.engine import connect
from features.errors import ConfigError, DataError
from features.ingest import ingest
from features.lake import read_lake
from features.matrix import read_purchases
from tests.features.loading import GOOD, HEADER, MAPPING, NOW, Shop

RETAIL = """
[order_lines]
path = "orders.csv"
order_id = "InvoiceNo"
customer_id = "Customer ID"
product_id = "StockCode"
ordered_at = { column = "InvoiceDate", format = "%d/%m/%Y %H:%M" }
quantity = "Quantity"
amount = { expression = "Quantity * Price" }
channel = { value = "web" }
"""
RETAIL_HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
ORDER = '536365,85123A,"LANTERN, WHITE",6,01/12/2010 08:26,2.55,17850,United Kingdom'


def test_columns_format_expression_and_constant(shop: Shop) -> None:
    shop.load_lines(ORDER, header=RETAIL_HEADER, mapping=RETAIL)
    columns = "order_id, customer_id, product_id, ordered_at, quantity, amount, channel, store_id"
    moment = datetime(2010, 12, 1, 8, 26)
    assert shop.rows(columns=columns) == [("536365", "17850", "85123A", moment, 6.0, Decimal("15.3"), "web", None)]


def test_order_lines_without_quantity_or_amount(shop: Shop) -> None:
    mapping = MAPPING.replace('quantity = "pieces"\n', "").replace('amount = "paid"\n', "")
    report = shop.load_lines(GOOD, mapping=mapping)
    assert shop.rows(columns="quantity, amount") == [(1.0, None)]
    assert any(warning.startswith("No amounts: ") and "order_lines.amount" in warning for warning in report.warnings)


def test_sparse_and_dirty_shop_loads_what_can_be_used(shop: Shop) -> None:
    """Nothing but who, what, which order and when; most buyers anonymous; ids of all kinds."""
    mapping = "".join(line for line in MAPPING.splitlines(keepends=True) if not line.startswith(("quantity", "amount")))
    anonymous = [f"o{n},,p{n % 7},2024-01-02" for n in range(80)]
    known = [f'o{n},"c/{n % 3} #é",p{n % 7},2024-01-0{1 + n % 9}' for n in range(20)]
    report = shop.load_lines(*anonymous, "rubbish", *known, header="order,customer,product,at", mapping=mapping)
    [table] = report.tables
    assert (table.read, table.added) == (101, 20)
    assert table.quarantined == {"missing_customer_id": 80, "unreadable_line": 1}
    assert set(shop.values("customer_id")) == {f"c/{n} #é" for n in range(3)}
    purchases = read_purchases(read_lake(shop.home), connect(shop.settings))
    assert (purchases.n_customers, purchases.n_products, purchases.n_orders) == (3, 7, 20)


def expression(shop: Shop, column: str, sql: str, *lines: str, decimal: str = ".") -> list[object]:
    """What `column` is, mapped as that expression."""
    names = ("order_id", "customer_id", "product_id", "ordered_at", "quantity", "amount")
    given = dict(zip(names, HEADER.split(","), strict=True))
    mapping = MAPPING.replace(f'{column} = "{given[column]}"', f"{column} = {{ expression = '''{sql}''' }}")
    shop.load_lines(*(lines or (GOOD,)), mapping=mapping + f'decimal = "{decimal}"\n')
    return shop.values(column)


@pytest.mark.parametrize(
    ("column", "sql", "value"),
    [
        ("amount", "pieces * paid", Decimal("10")),
        ("amount", "PIECES * Paid", Decimal("10")),
        ("amount", '"pieces" * "paid" - 1', Decimal("9")),
        ("amount", "-(paid)", Decimal("-5")),
        ("amount", "coalesce(paid, 0)", Decimal("5")),
        ("amount", "coalesce(paid, 0) + 1", Decimal("6")),
        ("amount", "greatest(pieces, 10)", Decimal("10")),
        ("amount", "CASE WHEN pieces > 1 THEN paid ELSE 0 END", Decimal("5")),
        ("amount", "CASE WHEN product = 'tea' THEN paid / 2 ELSE paid END", Decimal("2.5")),
        ("amount", "CASE product WHEN 'tea' THEN paid ELSE pieces END", Decimal("5")),
        ("amount", "replace(paid, '.', '')", Decimal("500")),
        ("amount", "CAST(paid AS DOUBLE) * 2", Decimal("10")),
        ("amount", "round(paid / 3, 2)", Decimal("1.67")),
        ("amount", "7", Decimal("7")),
        ("product_id", "product || '.0'", "tea.0"),
        ("product_id", "upper(product)", "TEA"),
        ("product_id", "customer || '-' || product", "ann-tea"),
        ("product_id", "pieces * 3", "6"),
        ("ordered_at", "at || 'Z'", datetime(2024, 1, 2, 10)),
        ("ordered_at", "CAST(at AS TIMESTAMP) + INTERVAL 1 DAY", datetime(2024, 1, 3, 10)),
        ("ordered_at", "epoch_ms(CAST(pieces AS BIGINT) * 1000)", datetime(1970, 1, 1, 0, 0, 2)),
    ],
)
def test_expression(shop: Shop, column: str, sql: str, value: object) -> None:
    if value == Decimal("-5"):
        lines = [GOOD.replace(",2,", ",-2,")]
        assert expression(shop, column, sql, *lines) == [value]
    else:
        assert expression(shop, column, sql) == [value]


def test_expression_over_names_with_spaces_quotes_and_signs(shop: Shop) -> None:
    header = HEADER.replace("paid", '"unit price (""net"")"')
    mapping = MAPPING.replace('"paid"', """{ expression = 'pieces * "unit price (""net"")"' }""")
    shop.load_lines(GOOD, header=header, mapping=mapping)
    assert shop.values("amount") == [Decimal("10")]


def test_expression_reads_numbers_with_the_decimal_sign_of_the_file(shop: Shop) -> None:
    assert expression(shop, "amount", "pieces * paid", GOOD.replace("5.00", '"1.000,50"'), decimal=",") == [
        Decimal("2001")
    ]


def test_expression_of_text_that_is_no_number_is_set_aside_and_not_taken_for_empty(shop: Shop) -> None:
    lines = [GOOD, GOOD.replace("o1", "o2").replace("5.00", "5 GBP"), GOOD.replace("o1", "o3").replace("5.00", "")]
    assert expression(shop, "amount", "pieces * paid", *lines) == [Decimal("10"), None]
    [(reason, row)] = shop.quarantine()
    assert reason == "bad_amount"
    assert '"paid":"5 GBP"' in row


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("pieces * price", r"uses 'price', which the file does not have \(found: order, customer"),
        ("pieces * orders.paid", "uses 'orders.paid', which the file does not have"),
        ("pieces *", "cannot be read"),
        ("SELECT 1", "must be one value of the row: no SELECT"),
        ("(SELECT max(paid) FROM raw)", "must be one value of the row"),
        ("sum(paid)", "must be one value of the row"),
        ("first(paid)", "must be one value of the row"),
        ("arg_max(paid, at)", "must be one value of the row|not a DuckDB function of one row"),
        ("row_number() OVER ()", "must be one value of the row"),
        ("unnest([1, 2])", "must be one value of the row"),
        ("paid; DROP TABLE raw", "must be one value of the row, found 2 statements"),
        ("paid AS price", "must be one value of the row"),
        ("DROP TABLE raw", "must be one value of the row"),
        ("*", "must be one value of the row"),
        ("random()", "gives another value each time"),
        ("CAST(uuid() AS VARCHAR)", "gives another value each time"),
        ("epoch(current_timestamp)", "gives another value each time"),
        ("now()", r"uses now\(\), which is not a DuckDB function of one row, or changes with time"),
        ("net(paid)", r"uses net\(\), which is not a DuckDB function"),
        ("nextval('s')", "not a DuckDB function of one row"),
        ("read_text('/etc/passwd')", "not a DuckDB function of one row"),
        ("$1", "gives another value each time"),
        ("", "found 0 statements|cannot be read|found 1 statements"),
        ("substr(paid, 'x')", "an expression cannot be computed"),
        ("CAST(product AS INTEGER)", "an expression cannot be computed: Conversion Error"),
    ],
)
def test_expression_that_is_no_value_of_the_row_is_refused(shop: Shop, sql: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        expression(shop, "amount", sql)
    assert "shop.toml: [order_lines]" in str(refused.value)


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [("quantity", "3", 3.0), ("amount", "2.5", Decimal("2.5")), ("product_id", "7", "7"), ("channel", '"web"', "web")],
)
def test_constant(shop: Shop, column: str, value: str, kept: object) -> None:
    others = "".join(row for row in MAPPING.splitlines(keepends=True) if not row.startswith(f"{column} "))
    constant = f'{column} = {{ value = {value} }}\ndecimal = ","\n'
    shop.load_lines(GOOD.replace("5.00", '"5,00"'), mapping=others + constant)
    assert shop.values(column) == [kept]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "quantity",
            "quantety",
            r"unknown key 'quantety'. Columns of order_lines: order_id, .*options: path",
        ),
        (
            'customer_id = "customer"\n',
            "",
            r"required column 'customer_id' is not mapped \(mapped: order_id",
        ),
        ('path = "orders.csv"\n', "", "'path' is missing. Name the CSV or Parquet file"),
        ('"orders.csv"', "3", "'path' must be text in quotes, found 3"),
        (
            '"pieces"',
            "5",
            r"'quantity' is 5, a int. Give a column name \(quantity = \"Column\"\)",
        ),
        ('"pieces"', "true", "'quantity' is True, a bool"),
        ('"pieces"', '["pieces"]', "'quantity' is .*, a list"),
        ('"pieces"', '{ colum = "pieces" }', "'quantity' has an unknown key 'colum'. Known keys: column, format"),
        ('"pieces"', "{}", r"'quantity' needs exactly one of column, expression, value \(found: \[\]\)"),
        ('"pieces"', '{ column = "a", value = 1 }', "'quantity' needs exactly one of"),
        ('"pieces"', "{ column = 5 }", "'quantity.column' must be text in quotes, found 5"),
        ('"pieces"', '{ column = "pieces", format = "%d" }', "'quantity.format' is only for times; quantity is number"),
        ('"pieces"', "{ value = [1] }", "'quantity.value' must be one text, number, date or true/false"),
        ('"pieces"', '{ value = "many" }', "'quantity': value 'many' is not a number"),
        ('"at"', '{ value = "soon" }', "'ordered_at' is one constant for all rows"),
        (
            '"customer"',
            '{ value = "all" }',
            "'customer_id' is one constant for all rows. Name the column",
        ),
        ('"order"', "{ value = 1 }", "'order_id' is one constant for all rows"),
        ("[order_lines]", "[orders]", "unknown table 'orders'. Known tables: order_lines, products, customers"),
        ("[order_lines]", "order_lines = 3\n[products]", r"\[order_lines\] must be a table of settings, found 3"),
        ('"paid"', '"paid', "not a TOML file: .*line 9"),
        ('"paid"', '"paid"\namount = "price"', "not a TOML file: "),
        ('"paid"', '"paid"\ndelimiter = ";;"', "delimiter is ';;'. Give one character"),
        ('"paid"', '"paid"\ndelimiter = 1', "'delimiter' must be text in quotes"),
        ('"paid"', '"paid"\ndecimal = ";"', "decimal is ';'. Use one of: . ,"),
        ('"paid"', '"paid"\nduplicates = "maybe"', "duplicates is 'maybe'. Use one of: drop, keep"),
        ('"paid"', '"paid"\ntimezone = "Mars/Olympus"', "timezone 'Mars/Olympus' is not known. Use a name like Europe"),
    ],
)
def test_mistake_in_the_mapping_is_refused_with_what_is_allowed(shop: Shop, old: str, new: str, said: str) -> None:
    assert old in MAPPING
    shop.orders(GOOD, mapping=MAPPING.replace(old, new))
    with pytest.raises(ConfigError, match=said) as refused:
        shop.load()
    assert "shop.toml" in str(refused.value)
    assert not (shop.home.lake / "CURRENT").exists()


def test_mapping_that_is_not_there_or_empty(shop: Shop) -> None:
    with pytest.raises(ConfigError, match=r"Mapping file .*shop.toml does not exist \(looked in .*docs/ingest.md"):
        shop.load()
    shop.write("shop.toml", "# nothing yet\n")
    with pytest.raises(ConfigError, match=r"maps no table. Add at least \[order_lines\]"):
        shop.load()
    shop.write("shop.toml", b"\xff\xfe")
    with pytest.raises(ConfigError, match="not a TOML file"):
        shop.load()


def test_mapping_written_by_a_windows_editor(shop: Shop) -> None:
    shop.orders(GOOD)
    shop.write("shop.toml", MAPPING.replace("\n", "\r\n").encode("utf-8-sig"))
    assert shop.load().tables[0].added == 1


def test_sources(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="Source 'files' needs a mapping:  regulars ingest"):
        ingest("files", shop.settings, now=NOW)
    with pytest.raises(ConfigError, match=r"Unknown source 'kaggle'. Sources: complete-journey, cdnow, files, sql"):
        ingest("kaggle", shop.settings, now=NOW)


PEOPLE = """
[customers]
path = "people.csv"
customer_id = "id"
joined_at = "since"
age_band = "Age group"
reason = "Why they came"
given_name = { expression = "upper(first)" }
"""


def test_customers_keep_attributes_of_any_name(shop: Shop) -> None:
    shop.write("people.csv", 'id,since,Age group,Why they came,first\nann,2020-01-01,30-39,"a, b",Ann\nbob,,,,\n')
    shop.load_lines(GOOD, mapping=MAPPING + PEOPLE)
    columns = "customer_id, joined_at, age_band, reason, given_name"
    assert shop.rows("customers", columns) == [
        ("ann", datetime(2020, 1, 1), "30-39", "a, b", "ANN"),
        ("bob", None, None, None, None),
    ]


@pytest.mark.parametrize("name", ["Age", "age-band", '"age band"', '"_x"', '"a;b"', "AGE"])
def test_names_of_attributes_are_plain(shop: Shop, name: str) -> None:
    shop.orders(GOOD, mapping=MAPPING + PEOPLE.replace("age_band", name))
    with pytest.raises(ConfigError, match="must be lower-case letters, digits and _, for instance age_band"):
        shop.load()


def test_first_load_needs_order_lines(shop: Shop) -> None:
    shop.write("people.csv", "id,since,Age group,Why they came,first\nann,,,,\n")
    shop.write("shop.toml", PEOPLE)
    with pytest.raises(ConfigError, match=r"The first load needs \[order_lines\]"):
        shop.load()


def test_all_tables_of_the_contract(shop: Shop) -> None:
    mapping = (
        MAPPING
        + """
[products]
path = "products.csv"
product_id = "id"
name = "title"
price = "price"
listed_at = "since"

[contacts]
path = "contacts.csv"
campaign_id = { value = "spring" }
customer_id = "who"
contacted_at = { value = 2024-03-01 }
treated = "sent"

[responses]
path = "responses.csv"
campaign_id = { value = "spring" }
customer_id = "who"
responded_at = "at"

[interactions]
path = "clicks.csv"
event_id = "id"
product_id = "product"
kind = { value = "view" }
occurred_at = "at"
"""
    )
    shop.write("products.csv", "id,title,price,since\ntea,Green tea,2.50,2020-05-05\n")
    shop.write("contacts.csv", "who,sent\nann,yes\nbob,no\n")
    shop.write("responses.csv", "who,at\nann,2024-03-02\n")
    shop.write("clicks.csv", "id,product,at\ne1,tea,2024-03-02 10:00\n")
    report = shop.load_lines(GOOD, mapping=mapping)
    assert [(table.table, table.held) for table in report.tables] == [
        ("order_lines", 1),
        ("products", 1),
        ("contacts", 2),
        ("responses", 1),
        ("interactions", 1),
    ]
    march = datetime(2024, 3, 1)
    assert shop.rows("products", "product_id, name, price, in_stock") == [("tea", "Green tea", Decimal("2.5"), None)]
    assert shop.rows("contacts", "customer_id, contacted_at, treated") == [("ann", march, True), ("bob", march, False)]
    assert shop.rows("responses", "campaign_id, responded_at") == [("spring", datetime(2024, 3, 2))]
    assert shop.rows("interactions", "event_id, kind") == [("e1", "view")]


def test_products_that_orders_name_and_products_do_not_are_kept_with_a_note(shop: Shop) -> None:
    shop.write("products.csv", "id\njam\n")
    report = shop.load_lines(GOOD, mapping=MAPPING + '[products]\npath = "products.csv"\nproduct_id = "id"\n')
    assert shop.values("product_id") == ["tea"]
    assert any("1 product in order_lines unknown to products: kept" in warning for warning in report.warnings)


def test_nothing_is_loaded_when_a_later_table_cannot_be(shop: Shop) -> None:
    shop.load_lines(GOOD)
    before = shop.state()
    shop.write("products.csv", "title\njam\n")
    shop.orders(GOOD, GOOD.replace("o1", "o2"))
    shop.write("shop.toml", MAPPING + '[products]\npath = "products.csv"\nproduct_id = "id"\n')
    with pytest.raises(DataError, match="column 'id' named for product_id is missing"):
        shop.load()
    assert shop.state() == before
