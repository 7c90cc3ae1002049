"""Point-in-time joins in DuckDB, straight over Parquet files: for each row asked, the newest row of its key by then.

The join is an ASOF JOIN of keys, times and places in the files alone, so what is sorted is narrow; the features are
then read once, of the files and columns that are needed, and fetched by their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.sql import quote, text

_ROW = "_regulars_row"
_TIME = "_regulars_time"


@dataclass(frozen=True)
class Source:
    """Parquet files that hold features by key and time. `keys` maps the files' key columns to those asked by."""

    files: str  # a path or a glob
    keys: Mapping[str, str]
    time: str
    created: str | None = None
    ttl: timedelta = timedelta(0)  # zero: never too old


def engine(*, threads: int | None, memory_limit: str | None, spill: str | None) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that compares times in UTC."""
    given = {"threads": threads, "memory_limit": memory_limit, "temp_directory": spill}
    con = duckdb.connect(config={name: value for name, value in given.items() if value is not None})
    con.execute("SET TimeZone = 'UTC'")
    # Of a registered Arrow table DuckDB guesses few rows, and would then compare each of them with every other.
    con.execute("SET asof_loop_join_threshold = 0")
    return con


def joined(
    con: duckdb.DuckDBPyConnection,
    asked: pa.Table,
    times: pa.ChunkedArray,
    source: Source,
    features: Sequence[str],
    *,
    known_then: bool,
) -> pa.Table:
    """The `features` known at each asked row's time, one row per asked row and in the same order; null where none were.

    With `known_then`, a row of the source counts from its created time on, if that is later than its time.
    """
    rows = asked.num_rows
    columns = {name: asked[name] for name in source.keys.values()}
    con.register("asked", pa.table({**columns, _TIME: naive(times), _ROW: pa.array(np.arange(rows, dtype=np.int64))}))
    keys = " AND ".join(f"asked.{quote(theirs)} = f.{quote(ours)}" for ours, theirs in source.keys.items())
    alive = ""
    if source.ttl:
        micros = source.ttl // timedelta(microseconds=1)
        alive = f"WHERE f.event + to_microseconds({micros}) >= asked.{_TIME}"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE matched AS SELECT asked.{_ROW} AS row, f.filename, f.place FROM asked "
        f"ASOF JOIN ({_places(con, source, times, known_then=known_then)}) f "
        f"ON {keys} AND asked.{_TIME} >= f.visible {alive}"
    )
    con.unregister("asked")
    files = [file for (file,) in con.execute("SELECT DISTINCT filename FROM matched").fetchall()]
    wanted = "".join(f", f.{quote(name)}" for name in features)
    # Where nothing was found, one file still tells the features' types.
    named = ", ".join(text(file) for file in files or _files(con, source)[:1])
    read = f"read_parquet([{named}], filename = true, file_row_number = true)"
    found = con.execute(
        f"SELECT row{wanted} FROM matched JOIN {read} f "
        "ON f.filename = matched.filename AND f.file_row_number = matched.place"
    ).to_arrow_table()
    order = np.full(rows, -1, dtype=np.int64)
    order[found["row"].to_numpy()] = np.arange(found.num_rows)
    return found.drop_columns("row").combine_chunks().take(pa.array(order, mask=order < 0))


def naive(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as DuckDB's TIMESTAMP: microseconds, UTC without saying so. Nanoseconds are cut off."""
    return times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.timestamp("us"))


def _files(con: duckdb.DuckDBPyConnection, source: Source) -> list[str]:
    return [file for (file,) in con.execute(f"SELECT file FROM glob({text(source.files)})").fetchall()]


def _places(con: duckdb.DuckDBPyConnection, source: Source, times: pa.ChunkedArray, *, known_then: bool) -> str:
    """SQL for the files' keys, event time, the time from which a row is seen (`visible`), and its place."""
    keys = ", ".join(quote(key) for key in source.keys)
    read = f"read_parquet({text(source.files)}, filename = true, file_row_number = true)"
    created = f", CAST({quote(source.created)} AS TIMESTAMP) AS created" if source.created else ""
    every = (
        f"SELECT {keys}, CAST({quote(source.time)} AS TIMESTAMP) AS event{created}, filename, file_row_number AS place "
        f"FROM {read}"
    )
    last = _latest(times)
    every = f"SELECT * FROM ({every}) WHERE event <= {last}"
    if source.created is None or not _told_later(con, every):
        return f"SELECT *, event AS visible FROM ({every})"
    version = "{'event': event, 'created': created}"
    if not known_then:
        return (
            f"SELECT *, event AS visible FROM ({every}) "
            f"QUALIFY row_number() OVER (PARTITION BY {keys}, event ORDER BY created DESC) = 1"
        )
    # A row told of late is of no use once a later event is known: what is left grows with `visible`, as ASOF needs.
    return (
        f"SELECT * FROM (SELECT *, greatest(event, created) AS visible FROM ({every})) "
        f"QUALIFY {version} = max({version}) OVER (PARTITION BY {keys} ORDER BY visible)"
    )


def _latest(times: pa.ChunkedArray) -> str:
    last: Any = pc.max(naive(times)).as_py()
    return "'-infinity'::TIMESTAMP" if last is None else f"TIMESTAMP {text(last.isoformat(sep=' '))}"


def _told_later(con: duckdb.DuckDBPyConnection, every: str) -> bool:
    """Whether any row was created at another time than its own."""
    found = con.execute(f"SELECT 1 FROM ({every}) WHERE created IS DISTINCT FROM event LIMIT 1").fetchone()
    return found is not None
