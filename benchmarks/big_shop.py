"""A shop of any size for measuring: Complete Journey's households over and over, with new ids and jittered times.

    .venv/bin/python -m benchmarks.big_shop --lines 15000000 --home /tmp/big

Copy k of a household has its id and its orders' ids with `-k` behind them, and each of its orders moves by up to three
days either way, so no two copies order at the same times. Copies are written one after another as row groups of one
file: memory stays that of one copy. The result is a lake that every command reads. Synthetic: it serves measurements of
time and memory, and says nothing about accuracy.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from features.home import Home, new_directory, write_text
from features.ingest import ingest
from features.lake import CURRENT, MANIFEST, Lake, read_lake
from features.settings import Settings

JITTER_SECONDS = 3 * 86_400
BATCH_ROWS = 500_000


def big_shop(home: Home, lines: int, *, threads: int = 2) -> Lake:
    """A lake of at least so many order lines in `home`; one there already with as many is left as it is."""
    version = f"copies-{lines}"
    target = home.lake / "versions" / version
    if not target.exists():
        small = Home(home.root / "small")
        ingest(
            "complete-journey", Settings(home=small.root, threads=threads), now=datetime.now(UTC).replace(tzinfo=None)
        )
        source = read_lake(small)
        copies = -(-lines // source.rows["order_lines"])
        with new_directory(target) as aside:
            written = _copy_lines(source, aside / "order_lines.parquet", copies, threads)
            (aside / "products.parquet").write_bytes(source.file("products").read_bytes())
            rows = {"order_lines": written, "products": source.rows["products"]}
            manifest = {**source.manifest, "version": version, "rows": rows, "grown": None, "content": {}}
            (aside / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    write_text(home.lake / CURRENT, version)
    return read_lake(home)


def _copy_lines(source: Lake, target: Path, copies: int, threads: int) -> int:
    written = 0
    writer: pq.ParquetWriter | None = None
    with duckdb.connect() as con:
        con.execute(f"SET threads={threads}")
        for copy in range(copies):
            # The hash moves all lines of an order together; the year's bounds hold them in.
            moved = f"(hash(customer_id, order_id, {copy}) % {2 * JITTER_SECONDS})::BIGINT - {JITTER_SECONDS}"
            found = con.execute(
                f"""
                SELECT * REPLACE (customer_id || '-{copy}' AS customer_id, order_id || '-{copy}' AS order_id,
                                  ordered_at + to_seconds({moved}) AS ordered_at)
                FROM read_parquet('{source.file("order_lines")}') ORDER BY customer_id, ordered_at, order_id, product_id
                """
            )
            for batch in found.to_arrow_reader(BATCH_ROWS):
                if writer is None:
                    writer = pq.ParquetWriter(target, batch.schema, compression="zstd")
                writer.write_batch(batch)
                written += batch.num_rows
    if writer is not None:
        writer.close()
    return written


def main() -> None:
    """Make one shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=15_000_000)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    lake = big_shop(Home(arguments.home), arguments.lines)
    size = lake.file("order_lines").stat().st_size / 1e6
    print(
        f"{lake.rows['order_lines']:,} lines, {size:,.0f} MB, {time.perf_counter() - started:.0f} s: {arguments.home}"
    )


if __name__ == "__main__":
    main()
