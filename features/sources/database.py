"""Any SQL database that Ibis reaches: each table of the mapping is a table or a query there, pulled as Parquet.

With a `watermark` column, a pull takes the rows from the newest watermark of the pull before on. Rows at that very
watermark come again, for others may have been written at it since; loading them twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import ConfigError, DataError
from features.mapping import TableSource, read_sections, table_source
from features.settings import Settings

NAME = "sql"
OPTIONS = ("table", "query", "watermark")
BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Pulled:
    """The tables pulled, and the newest watermark of each, as text; tables without new rows are left out."""

    sources: list[TableSource]
    watermarks: dict[str, str]


def pull(
    mapping: Path, settings: Settings, scratch: Path, *, since: Mapping[str, str], say: Callable[[str], None]
) -> Pulled:
    """Pull what the mapping names into Parquet files in `scratch`; `since` holds the watermarks of the pull before.

    Raises ConfigError for a wrong mapping or address, DataError for what the database refuses.
    """
    sections = read_sections(mapping)
    sources, watermarks = [], dict(since)
    connection = _connect(settings)
    try:
        for table, given in sections.items():
            section = dict(given)
            where = f"{mapping}: [{table}]"
            asked = {name: section.pop(name) for name in OPTIONS if name in section}
            target = scratch / f"{table}.parquet"
            source = table_source(mapping, table, {**section, "path": str(target)})
            say(f"{table}: pulling from the database")
            rows, newest = _pull_table(connection, where, asked, target, since.get(table))
            if rows:
                sources.append(source)
            if newest is not None:
                watermarks[table] = newest
    finally:
        connection.disconnect()
    return Pulled(sources, watermarks)


def _connect(settings: Settings) -> Any:
    if settings.source_url is None:
        raise ConfigError(
            "Source 'sql' needs the database's address in REGULARS_SOURCE_URL (or source_url in regulars.toml), for "
            "instance postgresql://reader@host/shop. Keep passwords out of files: use the variable, or PGPASSFILE."
        )
    url = settings.source_url.get_secret_value()
    where = urlsplit(url)
    shown = f"{where.scheme}://{where.hostname or ''}{where.path}"
    try:
        return ibis.connect(url)
    except ImportError as error:
        raise ConfigError(
            f"{shown}: its driver is not installed ({error}). For PostgreSQL:  pip install 'regulars[postgres]'"
        ) from None
    except Exception as error:
        # What fails here is the driver's own, of many kinds; its message may hold the address, and so a password.
        said = str(error).splitlines()[0].replace(url, shown) if str(error) else type(error).__name__
        raise DataError(f"{shown}: cannot be reached: {said}. Nothing was loaded. Check REGULARS_SOURCE_URL.") from None


def _relation(connection: Any, where: str, asked: Mapping[str, Any]) -> Any:
    if ("table" in asked) == ("query" in asked):
        raise ConfigError(f'{where}: give either table = "orders" or query = "SELECT …".')
    for name, value in asked.items():
        if not isinstance(value, str):
            raise ConfigError(f"{where}: '{name}' must be text in quotes, found {value!r}.")
    try:
        if "query" in asked:
            return connection.sql(asked["query"])
        *schema, name = asked["table"].split(".")
        return connection.table(name, database=schema[0] if schema else None)
    except Exception as error:
        raise DataError(
            f"{where}: the database refuses it: {str(error).splitlines()[0]}. Nothing was loaded."
        ) from None


def _pull_table(
    connection: Any, where: str, asked: Mapping[str, Any], target: Path, since: str | None
) -> tuple[int, str | None]:
    """Rows pulled into `target`, and the newest watermark among them."""
    relation = _relation(connection, where, asked)
    mark = asked.get("watermark")
    if mark is not None and mark not in relation.columns:
        raise DataError(
            f"{where}: watermark column '{mark}' is missing (found: {', '.join(relation.columns)}). Correct it."
        )
    if mark is not None and since is not None:
        relation = relation.filter(relation[mark] >= ibis.literal(since).cast(relation[mark].type()))
    newest: Any = None
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for batch in relation.to_pyarrow_batches(chunk_size=BATCH_ROWS):
            if writer is None:
                writer = pq.ParquetWriter(target, batch.schema)
            writer.write_batch(batch)
            rows += batch.num_rows
            if mark is not None and batch.num_rows:
                top = pc.max(batch.column(mark))
                if top.is_valid:
                    newest = top if newest is None else pc.max(pa.array([newest.as_py(), top.as_py()], top.type))
    except Exception as error:
        raise DataError(f"{where}: the database broke off: {str(error).splitlines()[0]}. Nothing was loaded.") from None
    finally:
        if writer is not None:
            writer.close()
    if newest is None:
        return rows, since
    return rows, str(newest.cast(pa.string()).as_py())
