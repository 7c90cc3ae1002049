"""What a CSV or Parquet file holds is what the lake holds, whatever the text."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.features.loading import HEADER, MAPPING, Shop, check_counts

BLANKS = " \t\r\n\u00a0\ufeff"
#: Text of any kind but halves of letters and zero bytes, with more than its share of what CSV gives a meaning.
TEXT = st.text(
    st.one_of(st.sampled_from(list("\",;\t'|\r\n\\ é茶")), st.characters(exclude_categories=("Cs",), min_codepoint=1)),
    max_size=12,
)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2024, 6, 1))
AMOUNTS = st.decimals(0, 10**9, places=4)
ROWS = st.lists(st.tuples(TEXT, MOMENTS, st.integers(1, 10**6), AMOUNTS), min_size=1, max_size=8)


def kept(value: str) -> str:
    """Blanks around a value are no part of it, and a line end in it is one."""
    return value.replace("\r\n", "\n").strip(BLANKS)


def expected(rows: list[tuple[str, datetime, int, Decimal]]) -> set[tuple[str, str, datetime, float, Decimal]]:
    return {
        (f"o{number}", kept(product), moment, float(pieces), amount)
        for number, (product, moment, pieces, amount) in enumerate(rows)
        if kept(product)
    } | {("good", "tea", datetime(2024, 1, 2), 1.0, Decimal("1"))}


COLUMNS = "order_id, product_id, ordered_at, quantity, amount"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, delimiter=st.sampled_from(",;\t|"), ends=st.sampled_from(["\n", "\r\n"]), quote=st.booleans())
def test_csv(rows: list[tuple[str, datetime, int, Decimal]], delimiter: str, ends: str, quote: bool) -> None:
    # Python's writer leaves a carriage return without quotes, which makes it a line end to any reader.
    quote = quote or any("\r" in product for product, *_ in rows)
    written = io.StringIO(newline="")
    writer = csv.writer(
        written,
        delimiter=delimiter,
        lineterminator=ends,
        quoting=csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL,
    )
    writer.writerow(HEADER.split(","))
    for number, (product, moment, pieces, amount) in enumerate(rows):
        writer.writerow([f"o{number}", "ann", product, moment.isoformat(), pieces, amount])
    writer.writerow(["good", "ann", "tea", "2024-01-02", 1, 1])
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        shop.write("orders.csv", written.getvalue())
        shop.write("shop.toml", MAPPING)
        report = shop.load()
        check_counts(report)
        assert report.tables[0].read == len(rows) + 1
        assert set(shop.rows(columns=COLUMNS)) == expected(rows)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_parquet(rows: list[tuple[str, datetime, int, Decimal]]) -> None:
    every = [*rows, ("tea", datetime(2024, 1, 2), 1, Decimal("1"))]
    names = [*(f"o{number}" for number in range(len(rows))), "good"]
    columns = {
        "order": names,
        "customer": ["ann"] * len(every),
        "product": [row[0] for row in every],
        "at": [row[1] for row in every],
        "pieces": [row[2] for row in every],
        "paid": pa.array([row[3] for row in every], pa.decimal128(18, 4)),
    }
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        pq.write_table(pa.table(columns), shop.folder / "orders.parquet")
        shop.write("shop.toml", MAPPING.replace("orders.csv", "orders.parquet"))
        report = shop.load()
        check_counts(report)
        found = {(order, product.replace("\r\n", "\n"), *rest) for order, product, *rest in shop.rows(columns=COLUMNS)}
        assert found == expected(rows)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
    moments=st.lists(MOMENTS.map(lambda moment: moment + timedelta(days=1)), min_size=1, max_size=20, unique=True),
)
def test_times_in_a_zone_agree_with_python(zone: str, moments: list[datetime]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        lines = [f"o{number},ann,tea,{moment.isoformat()},1,1" for number, moment in enumerate(moments)]
        shop.load_lines(*lines, mapping=MAPPING + f'timezone = "{zone}"\n')
        found = dict(shop.rows(columns="order_id, ordered_at"))
    for number, moment in enumerate(moments):
        # Of an hour that comes twice the second; for one that is skipped, the offset from before.
        readings = [moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
        utc = [reading.astimezone(UTC).replace(tzinfo=None) for reading in readings]
        assert found[f"o{number}"] == max(utc)
