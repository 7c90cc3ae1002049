"""Loading on executors: the steps that one machine takes, each on a part of the file, or on the rows of some keys.

Rows leave an executor in one wide form: `_what` they are (good, set aside, new in the lake, or told of the part), the
columns of the contract, and those of rows set aside. What is not of their kind is null.
"""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.casting import define_macros
from features.errors import DataError
from features.file_parts import Part, open_part
from features.home import Home
from features.left_out import LeaveOut, leave_out
from features.merging import Content, content_of, merge
from features.schema import SQL, Kind
from features.scratch import scratch_database
from features.sql import quote, text
from features.staging import Plan, counts, keep_once, read_typed, set_apart

WHAT, PART, PLACE, TOLD = "_what", "_part", "_place", "_told"
GOOD, ASIDE, NEW, OLD = "good", "aside", "new", "old"
#: Columns of rows set aside, by their name in `set_aside_<table>`.
OF_ASIDE = {name: f"_aside_{name}" for name in ("reason", "source", "row", "customer_id")}
_BATCH_ROWS = 50_000
_ARROW = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    SQL[Kind.TIME]: pa.timestamp("us"),
    SQL[Kind.NUMBER]: pa.float64(),
    SQL[Kind.MONEY]: pa.decimal128(18, 4),
    SQL[Kind.FLAG]: pa.bool_(),
}


@dataclass(frozen=True)
class Wide:
    """The form in which rows of one table leave an executor. `kinds`: SQL type of each column of the contract."""

    kinds: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan) -> Wide:
        """That of a table; attributes are text."""
        contract = {column.name: SQL[column.kind] for column in plan.source.contract.columns}
        return cls({name: contract.get(name, SQL[Kind.TEXT]) for name in plan.names})

    @property
    def _types(self) -> dict[str, str]:
        ours = {WHAT: "VARCHAR", PART: "INTEGER", PLACE: "BIGINT"}
        return {**ours, **self.kinds, **dict.fromkeys(OF_ASIDE.values(), "VARCHAR"), TOLD: "VARCHAR"}

    @property
    def schema(self) -> pa.Schema:
        """The columns as Arrow has them."""
        return pa.schema([pa.field(name, _ARROW[kind]) for name, kind in self._types.items()])

    def rows(
        self, con: duckdb.DuckDBPyConnection, what: str, relation: str, given: Mapping[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a relation in this form; `given`: SQL of the columns that they have."""
        given = {**given, WHAT: text(what)}
        columns = (f"CAST({given.get(name, 'NULL')} AS {kind}) AS {quote(name)}" for name, kind in self._types.items())
        found = con.execute(f"SELECT {', '.join(columns)} FROM {relation}").to_arrow_reader(_BATCH_ROWS)
        for batch in found:
            yield batch.cast(self.schema)

    def of_contract(self) -> dict[str, str]:
        """SQL of the contract's columns."""
        return {name: quote(name) for name in self.kinds}

    def set_aside(self, con: duckdb.DuckDBPyConnection, table: str) -> Iterator[pa.RecordBatch]:
        """What the table `set_aside_<table>` holds."""
        return self.rows(con, ASIDE, f"set_aside_{table}", {ours: quote(name) for name, ours in OF_ASIDE.items()})

    def told(self, con: duckdb.DuckDBPyConnection, facts: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        """One row that tells something of a part."""
        return self.rows(con, TOLD, "(SELECT 1)", {TOLD: text(json.dumps(facts))})


@dataclass(frozen=True)
class Workplace:
    """Where an executor may spill, and what it may take of its machine."""

    home: Home
    memory_limit: str
    threads: int = 1


@dataclass(frozen=True)
class StageParts:
    """Stages the parts whose numbers it is given."""

    plan: Plan
    parts: Sequence[Part]
    without: LeaveOut
    place: Workplace

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Good rows, rows set aside, and how many there were."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                with tempfile.TemporaryDirectory() as folder:
                    yield from self._stage(self.parts[number], Path(folder))

    def _stage(self, part: Part, folder: Path) -> Iterator[pa.RecordBatch]:
        plan, wide = self.plan, Wide.of(self.plan)
        if not plan.found.path.is_file():
            raise DataError(
                f"{plan.found.path}: the machine {socket.gethostname()}, where a part of it is to be read, has no such "
                "file. Put it into a folder that all machines of the cluster see under the same path."
            )
        with scratch_database(self.place.home, folder, self.place) as con:
            define_macros(con, plan.source)
            lines_before = open_part(con, plan.found, part, folder)
            read_typed(con, plan, lines_before)
            left_out = leave_out(con, plan.source.table, self.without)
            read, good = counts(con)
            set_apart(con, plan)
            place = {PART: str(part.number), PLACE: "rowid"}
            yield from wide.rows(con, GOOD, "typed WHERE _reason IS NULL", {**wide.of_contract(), **place})
            yield from wide.set_aside(con, plan.source.table)
            yield from wide.told(con, {"read": read, "good": good, "left_out": left_out})


@dataclass(frozen=True)
class MergeRows:
    """Merges good rows with the lake's: all those of some keys, so that whatever may be equal is together.

    `old`: the columns of the lake's rows; None where it has none.
    """

    plan: Plan
    old: Sequence[str] | None
    place: Workplace

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows that are new in the lake, copies set aside, and what merging did."""
        given = [batch for batch in batches if batch.num_rows]
        if not given:
            return
        with (
            tempfile.TemporaryDirectory() as folder,
            scratch_database(self.place.home, Path(folder), self.place) as con,
        ):
            yield from self._merge(con, pa.Table.from_batches(given))

    def _merge(self, con: duckdb.DuckDBPyConnection, given: pa.Table) -> Iterator[pa.RecordBatch]:
        plan, wide = self.plan, Wide.of(self.plan)
        table = plan.source.table
        con.register("given", given)
        columns = ", ".join(map(quote, plan.names))
        con.execute(
            f"CREATE TEMP TABLE typed AS SELECT {columns}, NULL::VARCHAR AS _reason FROM given "
            f"WHERE {WHAT} = '{GOOD}' ORDER BY {PART}, {PLACE}"
        )
        names = ", ".join(f"{name} VARCHAR" for name in OF_ASIDE)
        con.execute(f"CREATE TEMP TABLE set_aside_{table} ({names})")
        if self.old is not None:
            con.execute(
                f"CREATE TEMP TABLE touched AS SELECT {', '.join(map(quote, self.old))} FROM given "
                f"WHERE {WHAT} = '{OLD}'"
            )
        con.unregister("given")
        keep_once(con, plan.source, plan.names)
        # What is merged here is a part of the lake: its contents add up.
        merged = merge(con, table, None if self.old is None else "touched", Content(0, 0))
        replaced = Content(0, 0)
        if self.old is not None and plan.source.contract.key:
            replaced = content_of(con, "touched")
        yield from wide.rows(con, NEW, f"added_{table}", wide.of_contract())
        yield from wide.set_aside(con, table)
        yield from wide.told(
            con,
            {
                "added": merged.added,
                "updated": merged.updated,
                "content": [merged.content.rows - replaced.rows, merged.content.total - replaced.total],
                "since": merged.since and merged.since.isoformat(),
            },
        )
