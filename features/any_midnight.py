"""The features of an entity as of any midnight as one text of SQL, of which the moment alone changes.

To make the expression of all features and translate it takes Ibis a second, DuckDB a quarter of one to answer it. So
it is made once in a process for a lake: the text reads the moment from variables of DuckDB, which it takes for
constants, and from views, which are laid anew over the files that hold at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa

from features.build import entity_features, row_of
from features.definitions import Entity, Feature
from features.lake import Lake
from features.ledger_files import StoredLedger
from features.ledger_store import lake_ledger
from features.snapshot import Snapshot, columns_given, naive_utc

_AS_OF, _TOLD_AT = "as_of", "told_at"
#: The midnight that a text is made at: any will do, and it shows nowhere.
_MADE_AT = datetime(2020, 1, 1)
#: Texts kept; a process seldom reads more than one lake.
_MOST = 8


@dataclass(frozen=True)
class MidnightSql:
    """The text, the types of what it gives, and the tables of the ledger it reads, by days before the moment."""

    sql: str
    schema: pa.Schema
    read: tuple[tuple[str, int], ...]

    def table(self, lake: Lake, backend: Any, moment: datetime, told_at: datetime) -> pa.Table:
        """Keys, as_of, features and `told_at` as of a midnight (naive UTC), computed on a DuckDB backend."""
        ledger = _stored(lake, backend)
        laid = {_lake_view(name): [str(lake.file(name))] for name in lake.rows}
        laid |= {_view(table, days): ledger.files(table, moment - timedelta(days=days)) for table, days in self.read}
        for name, files in laid.items():
            # Ibis would read the columns' types of each, which the text has no need of.
            listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            backend.raw_sql(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM read_parquet([{listed}])")
        for name, value in ((_AS_OF, moment), (_TOLD_AT, told_at)):
            backend.raw_sql(f"SET VARIABLE {name} = TIMESTAMP '{value.isoformat(sep=' ')}'")
        found: pa.Table = backend.con.sql(self.sql).to_arrow_table()
        return found.cast(self.schema)


def is_midnight(moment: datetime) -> bool:
    """Whether a text can be made for it: a moment within a day reads what was sold since its midnight besides."""
    return naive_utc(moment).replace(hour=0, minute=0, second=0, microsecond=0) == naive_utc(moment)


_made: dict[tuple[str, str, str], MidnightSql] = {}


def midnight_sql(
    lake: Lake, backend: Any, entity: Entity, choose: Callable[[Snapshot], Iterable[Feature]], created_at: str
) -> MidnightSql:
    """The text of a lake and an entity; made by the first that asks. `created_at` names the column of `told_at`.

    `choose` gives the features, which must know the moment by the snapshot's Ibis values alone.
    """
    key = (str(lake.path), lake.version, entity.name)
    if key not in _made:
        while len(_made) >= _MOST:
            del _made[next(iter(_made))]
        _made[key] = _make(lake, backend, entity, choose, created_at)
    return _made[key]


def _make(
    lake: Lake, backend: Any, entity: Entity, choose: Callable[[Snapshot], Iterable[Feature]], created_at: str
) -> MidnightSql:
    ledger = _AnyMidnight(_stored(lake, backend))
    snapshot = Snapshot(_lake_tables(lake, backend), _MADE_AT, columns_given(lake), ledger, now=_variable(_AS_OF))
    table = entity_features(snapshot, entity, list(choose(snapshot))).order_by(list(entity.keys))
    rows = row_of(table, entity, _variable(_AS_OF)).mutate(**{created_at: _variable(_TOLD_AT)})
    sql = str(ibis.to_sql(rows, dialect="duckdb"))
    return MidnightSql(sql, rows.schema().to_pyarrow(), tuple(sorted(ledger.read)))


@dataclass(frozen=True)
class _AnyMidnight:
    """The ledger as it stands so many days before a moment not yet named; `read` gathers what is asked for."""

    stored: StoredLedger
    read: set[tuple[str, int]] = field(default_factory=set)

    def rows(self, table: str, moment: datetime) -> Any:
        days = (_MADE_AT - moment).days
        self.read.add((table, days))
        return self.stored.backend.read_parquet(self.stored.files(table, moment), table_name=_view(table, days))


def _view(table: str, days: int) -> str:
    return f"ledger_{table}_{days}"


def _lake_view(table: str) -> str:
    return f"lake_{table}"


def _lake_tables(lake: Lake, backend: Any) -> dict[str, Any]:
    return {name: backend.read_parquet(str(lake.file(name)), table_name=_lake_view(name)) for name in lake.rows}


def _stored(lake: Lake, backend: Any) -> StoredLedger:
    return cast(StoredLedger, lake_ledger(lake, backend))  # as DuckDB's always is


@ibis.udf.scalar.builtin(name="getvariable", signature=((dt.string,), dt.Timestamp(scale=6)))
def _variable(variable: str) -> Any:
    """What a variable of the connection holds."""
