"""What the server wrote down while it answered: live events, and contacts with customers; each into the lake once.

A recorded contact plan comes as one contact for each customer on its list (when it was recorded, whatever became of
the call) and one with treated = false for each held out: the two arms, by the same clock. An outcome of a customer on
such a list is that contact and no further one; one of a customer held out is a contact of no campaign, so that the arms
stay as they were drawn; any other outcome is a contact of its own. A customer saved responded.

The log numbers its rows; a load takes those after the number it stopped at before, which the lake's manifest holds, so
that data and number change together. A visit later known to be a customer's brings its earlier events again: an
event's id is its key, so the newer row takes the place of the older.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from features.errors import DataError
from features.mapping import Field, TableSource
from features.schema import CONTACTS, INTERACTIONS, RESPONSES, Columns, Kind, TableContract
from features.settings import Settings

if TYPE_CHECKING:
    from features.sources.database import Pulled

NAME = "events"
#: Kind of the rows that say whose a visit is; they are no event of the contract.
IDENTIFY = "identify"
#: Contacts that no campaign was named for.
NO_CAMPAIGN = "retention"
_C = Columns
_EVENTS = sa.table(
    "events",
    sa.column("seq", sa.BigInteger),
    *(
        sa.column(column.name, {Kind.TIME: sa.DateTime, Kind.NUMBER: sa.Float}.get(column.kind, sa.String))
        for column in INTERACTIONS.columns
    ),
)
_OUTCOMES = sa.table(
    "outcomes",
    sa.column("seq", sa.BigInteger),
    *(sa.column(name, sa.String) for name in (_C.CAMPAIGN_ID, _C.CUSTOMER_ID, _C.CHANNEL, "outcome")),
    sa.column(_C.OCCURRED_AT, sa.DateTime),
)
_MEMBERS = sa.table(
    "contact_plan_members",
    sa.column("seq", sa.BigInteger),
    *(sa.column(name, sa.String) for name in (_C.CAMPAIGN_ID, _C.CUSTOMER_ID)),
    sa.column(_C.TREATED, sa.Boolean),
    sa.column("planned_at", sa.DateTime),
)
#: The outcome that counts as a response.
SAVED = "saved"
Rows = list[dict[str, Any]]


def database_url(settings: Settings) -> str:
    """Where the server writes: the database that the settings name, else an SQLite file in the data home."""
    named = settings.database_url
    if named is None:
        return f"sqlite:///{(settings.data_home.live / 'live.db').resolve()}"
    # SQLAlchemy would take an older driver than the one that comes with our extra.
    return named.replace("postgresql://", "postgresql+psycopg://", 1) if named.startswith("postgresql://") else named


def database_place(settings: Settings) -> tuple[object, ...]:
    """Which database that is, whoever logs in to it by whichever driver: a file, or host, port, name and options."""
    try:
        url = sa.make_url(database_url(settings))
    except sa.exc.ArgumentError:  # who opens it says so
        return (settings.database_url,)
    if url.get_backend_name() == "sqlite":
        return ("sqlite", str(Path(url.database or "").resolve()))
    return (url.get_backend_name(), url.host, url.port or 5432, url.database, tuple(sorted(url.query.items())))


def pull(settings: Settings, scratch: Path, *, since: Mapping[str, str], say: Callable[[str], None]) -> Pulled:
    """Write what is new since `since` (a row number per table of the log) as Parquet files into `scratch`.

    Raises DataError when there is no log or it cannot be read.
    """
    # The server imports this module for the log's place, and has no use for what reaches every other database.
    from features.sources.database import Pulled

    url = sa.make_url(database_url(settings))
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DataError(
            f"There are no live events: {url.database} does not exist. The server writes it when it takes the first:  "
            "regulars serve"
        )
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            say("interactions: reading the event log")
            events, last_event = _events(connection, int(since.get("events", "0")))
            contacts, responses, last_outcome = _outcomes(connection, int(since.get("outcomes", "0")))
            planned, last_member = _planned(connection, int(since.get("plans", "0")))
    except sa.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DataError(f"The event log cannot be read: {said}. Nothing was loaded. Check database_url.") from None
    finally:
        engine.dispose()
    marks = {**since, "events": str(last_event), "outcomes": str(last_outcome), "plans": str(last_member)}
    written = ((INTERACTIONS, events), (CONTACTS, contacts + planned), (RESPONSES, responses))
    return Pulled([_written(contract, rows, scratch) for contract, rows in written if rows], marks)


def _events(connection: sa.Connection, after: int) -> tuple[Rows, int]:
    last = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(_EVENTS.c.seq), 0))) or 0
    owners = _owners(connection, upto=last)
    known_since = {session for session, (_, seq) in owners.items() if seq > after}
    held = {column["name"] for column in sa.inspect(connection).get_columns(_EVENTS.name)}
    # A log that no server of this release has opened yet lacks the columns that came since.
    columns = [column if column.name in held else sa.null().label(column.name) for column in _EVENTS.c]
    wanted = sa.select(*columns).where(_EVENTS.c.seq <= last, _EVENTS.c.kind != IDENTIFY).order_by(_EVENTS.c.seq)
    rows = []
    for row in connection.execution_options(yield_per=10_000).execute(wanted).mappings():
        if row["seq"] > after or (row[_C.CUSTOMER_ID] is None and row[_C.SESSION_ID] in known_since):
            event = {column.name: row[column.name] for column in INTERACTIONS.columns}
            if event[_C.CUSTOMER_ID] is None and event[_C.SESSION_ID] in owners:
                event[_C.CUSTOMER_ID] = owners[event[_C.SESSION_ID]][0]
            rows.append(event)
    return rows, last


def _owners(connection: sa.Connection, *, upto: int) -> dict[str, tuple[str, int]]:
    """Session -> (customer, number of the row that said so); the last that said so holds."""
    wanted = (
        sa.select(_EVENTS.c.session_id, _EVENTS.c.customer_id, sa.func.max(_EVENTS.c.seq))
        .where(_EVENTS.c.session_id.is_not(None), _EVENTS.c.customer_id.is_not(None), _EVENTS.c.seq <= upto)
        .group_by(_EVENTS.c.session_id, _EVENTS.c.customer_id)
    )
    owners: dict[str, tuple[str, int]] = {}
    for session, customer, seq in connection.execute(wanted):
        if session not in owners or seq > owners[session][1]:
            owners[session] = (customer, seq)
    return owners


def _outcomes(connection: sa.Connection, after: int) -> tuple[Rows, Rows, int]:
    """Contacts and responses that outcomes tell of, and the number of the last."""
    on_list: sa.ColumnElement[Any] = sa.null()
    if sa.inspect(connection).has_table(_MEMBERS.name):
        same = (_MEMBERS.c[name] == _OUTCOMES.c[name] for name in (_C.CAMPAIGN_ID, _C.CUSTOMER_ID))
        on_list = sa.select(_MEMBERS.c[_C.TREATED]).where(*same).scalar_subquery()
    wanted = sa.select(_OUTCOMES, on_list.label("on_list"))
    wanted = wanted.where(_OUTCOMES.c.seq > after).order_by(_OUTCOMES.c.seq)
    contacts, responses, last = [], [], after
    for row in connection.execute(wanted).mappings():
        last = row["seq"]
        # Held out and called all the same: a contact, but not of the campaign, whose arms stay as they were drawn.
        held_out = row["on_list"] is not None and not row["on_list"]
        campaign = NO_CAMPAIGN if held_out else row[_C.CAMPAIGN_ID] or NO_CAMPAIGN
        who = {_C.CAMPAIGN_ID: campaign, _C.CUSTOMER_ID: row[_C.CUSTOMER_ID]}
        if not row["on_list"]:
            at = {_C.CONTACTED_AT: row[_C.OCCURRED_AT], _C.CHANNEL: row[_C.CHANNEL]}
            contacts.append(who | at | {_C.TREATED: True})
        if row["outcome"] == SAVED:
            responses.append(who | {_C.RESPONDED_AT: row[_C.OCCURRED_AT], _C.PRODUCT_ID: None, _C.AMOUNT: None})
    return contacts, responses, last


def _planned(connection: sa.Connection, after: int) -> tuple[Rows, int]:
    """Contacts of recorded plans, those held out too, and the number of the last."""
    if not sa.inspect(connection).has_table(_MEMBERS.name):
        return [], after  # no server of this release has opened the log yet
    wanted = sa.select(_MEMBERS).where(_MEMBERS.c.seq > after).order_by(_MEMBERS.c.seq)
    rows, last = [], after
    for row in connection.execute(wanted).mappings():
        last = row["seq"]
        who = {name: row[name] for name in (_C.CAMPAIGN_ID, _C.CUSTOMER_ID, _C.TREATED)}
        rows.append(who | {_C.CONTACTED_AT: row["planned_at"], _C.CHANNEL: None})
    return rows, last


def _written(contract: TableContract, rows: Sequence[dict[str, Any]], scratch: Path) -> TableSource:
    types = {Kind.TIME: pa.timestamp("us"), Kind.FLAG: pa.bool_(), Kind.NUMBER: pa.float64()}
    schema = pa.schema([(column.name, types.get(column.kind, pa.string())) for column in contract.columns])
    target = scratch / f"{contract.name}.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), target)
    fields = {column.name: Field(column=column.name) for column in contract.columns}
    return TableSource(contract.name, target, fields, where=f"{NAME} [{contract.name}]")
