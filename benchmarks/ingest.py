"""How long loading a CSV takes, and how much memory, as it grows.

    .venv/bin/python -m benchmarks.ingest --lines 1500000 5000000

Writes Complete Journey's order lines over and over with new ids into one CSV of each size, loads it with
`regulars ingest` in a process of its own, and prints seconds, CPU seconds, megabytes a second and peak memory; then
loads a file of three lines onto it, as a shop does every day.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings, load_settings

OUT = Path(__file__).parent / "out" / "ingest.json"
MAPPING = """[order_lines]
path = "{file}"
order_id = "order_id"
customer_id = "customer_id"
product_id = "product_id"
ordered_at = "ordered_at"
quantity = "quantity"
amount = "amount"
"""


def write_csv(lake_file: Path, target: Path, lines: int, *, first_copy: int = 0) -> None:
    """So many order lines: copy after copy, each with the number of the copy behind its ids."""
    with duckdb.connect() as con:
        con.execute(
            f"""
            COPY (SELECT order_id || '-' || copy AS order_id, customer_id || '-' || copy AS customer_id, product_id,
                         ordered_at, quantity, amount
                  FROM read_parquet('{lake_file}'), range({first_copy}, {first_copy + 1000}) AS copies(copy)
                  LIMIT {lines})
            TO '{target}' (HEADER)
            """
        )


def load(folder: Path, home: Path, file: str) -> dict[str, float]:
    """Seconds, CPU seconds and peak megabytes of one `regulars ingest`."""
    mapping = folder / f"{file}.toml"
    mapping.write_text(MAPPING.format(file=file))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    command = [sys.executable, "-m", "serving", "ingest", "--mapping", str(mapping)]
    subprocess.run(command, env=os.environ | {"REGULARS_HOME": str(home)}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The most of any child so far: sizes are loaded from small to large.
    return {"seconds": time.perf_counter() - started, "cpu": cpu, "megabytes": after.ru_maxrss / 1024}


def copy_seconds(source: Path, target: Path) -> float:
    """Seconds DuckDB takes to write the CSV as Parquet as it stands: the least that anybody could do."""
    threads = load_settings().threads
    started = time.perf_counter()
    duckdb.connect(config={"threads": threads}).execute(f"COPY (FROM read_csv('{source}')) TO '{target}'")
    return time.perf_counter() - started


def main() -> None:
    """Load each size, print and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[1_500_000, 5_000_000])
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="regulars-ingest-") as name:
        folder = Path(name)
        settings = Settings(home=folder / "small")
        ingest("complete-journey", settings, now=datetime.now(UTC).replace(tzinfo=None))
        source = read_lake(Home(settings.home)).file("order_lines")
        for lines in sorted(arguments.lines):
            write_csv(source, folder / "orders.csv", lines)
            size = (folder / "orders.csv").stat().st_size / 1e6
            whole = load(folder, folder / str(lines), "orders.csv")
            write_csv(source, folder / "day.csv", 3, first_copy=1_000_000)
            day = load(folder, folder / str(lines), "day.csv")
            copied = copy_seconds(folder / "orders.csv", folder / "copied.parquet")
            results.append(
                {
                    "lines": lines,
                    "megabytes_of_csv": size,
                    "load": whole,
                    "three_lines_more": day,
                    "duckdb_copy_seconds": copied,
                }
            )
            print(
                f"{lines:>12,} lines, {size:7,.0f} MB: {whole['seconds']:6.1f} s, {whole['cpu']:6.1f} s of CPU, "
                f"{size / whole['seconds']:5.1f} MB/s, peak {whole['megabytes']:6,.0f} MB; three lines more "
                f"{day['seconds']:5.1f} s; {whole['seconds'] / copied:5.1f} times DuckDB's copy to Parquet"
            )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
