"""The database of what happens while serving: live events, outcomes, contact plans, the agents' desk, stock, API keys.

SQLite in WAL mode in the data home unless `database_url` names another, for instance PostgreSQL.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from features.errors import ConfigError, RegularsError
from features.home import Home
from features.settings import Settings
from features.sources.live_events import database_url
from serving.schema_versions import NewerSchemaError, bring_up_to_date, refuse_newer, version_in, version_in_file

LOCK = "live"
_BUSY_SECONDS = 5
_CONNECT_SECONDS = 3
#: A number that all writers on PostgreSQL lock, so that rows become visible in the order of their numbers.
_WRITERS = 7_325_661
_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

metadata = sa.MetaData()
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", _COUNTER, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("product_id", sa.String),
    sa.Column("occurred_at", sa.DateTime, nullable=False),  # UTC
    sa.Column("customer_id", sa.String),
    sa.Column("session_id", sa.String),
    sa.Column("placement", sa.String),
    sa.Column("request_id", sa.String),
    sa.Column("experiment", sa.String),
    sa.Column("variant", sa.String),
    sa.Column("strategy", sa.String),  # said by the request_id
    sa.Column("model_version", sa.String),  # likewise
    sa.Column("propensity", sa.Float),
    sa.Column("received_at", sa.DateTime, nullable=False),  # UTC
    sqlite_autoincrement=True,  # a number is never given twice, so readers may go on from the last one they saw
)
outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("seq", _COUNTER, primary_key=True, autoincrement=True),
    sa.Column("outcome_id", sa.String, nullable=False, unique=True),
    sa.Column("customer_id", sa.String, nullable=False, index=True),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.Column("campaign_id", sa.String),
    sa.Column("channel", sa.String),
    sa.Column("who", sa.String),
    sa.Column("note", sa.String),
    sa.Column("received_at", sa.DateTime, nullable=False),
    sqlite_autoincrement=True,
)
contact_plans = sa.Table(
    "contact_plans",
    metadata,
    sa.Column("campaign_id", sa.String, primary_key=True),
    sa.Column("planned_at", sa.DateTime, nullable=False),  # UTC
    sa.Column("asked", sa.LargeBinary, nullable=False),  # the request, as JSON
    sa.Column("answer", sa.LargeBinary, nullable=False),  # the answer given, as JSON packed by zlib
)
contact_plan_members = sa.Table(
    "contact_plan_members",
    metadata,
    sa.Column("seq", _COUNTER, primary_key=True, autoincrement=True),
    sa.Column("campaign_id", sa.String, nullable=False, index=True),
    sa.Column("customer_id", sa.String, nullable=False, index=True),
    sa.Column("treated", sa.Boolean, nullable=False),  # false: held out
    sa.Column("planned_at", sa.DateTime, nullable=False),  # UTC
    sa.Column("until", sa.DateTime, nullable=False),  # UTC; when what the customer did is known
    sa.UniqueConstraint("campaign_id", "customer_id"),
    sqlite_autoincrement=True,
)
desk_notes = sa.Table(
    "desk_notes",
    metadata,
    sa.Column("seq", _COUNTER, primary_key=True, autoincrement=True),
    sa.Column("customer_id", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # assigned, snoozed
    sa.Column("assigned_to", sa.String),  # null: to nobody any more
    sa.Column("snoozed_until", sa.DateTime),  # UTC; null: no longer
    sa.Column("who", sa.String, nullable=False),
    sa.Column("written_at", sa.DateTime, nullable=False),  # UTC
    sqlite_autoincrement=True,
)
saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("view_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("query", sa.String, nullable=False),  # as it stands in the address of the list
    sa.Column("who", sa.String, nullable=False),
    sa.Column("saved_at", sa.DateTime, nullable=False),  # UTC
)
sessions = sa.Table(
    "console_sessions",
    metadata,
    sa.Column("token_hash", sa.String, primary_key=True),  # SHA-256; the token is kept in the browser alone
    sa.Column("key_id", sa.String),  # of the key it was opened with; null while the shop has none
    sa.Column("name", sa.String, nullable=False),
    sa.Column("csrf", sa.String, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False),  # UTC
)
stock = sa.Table(
    "stock",
    metadata,
    sa.Column("seq", _COUNTER, primary_key=True, autoincrement=True),  # another with each word
    sa.Column("product_id", sa.String, nullable=False, unique=True),
    sa.Column("in_stock", sa.Boolean),  # null: as the product file says
    sa.Column("told_at", sa.DateTime, nullable=False),  # UTC
    sqlite_autoincrement=True,  # a number is never given twice, so readers may go on from the last one they saw
)
keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", sa.String, primary_key=True),
    sa.Column("scope", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),  # SHA-256 of the secret; the secret is kept nowhere
    sa.Column("per_minute", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("revoked_at", sa.DateTime),
)


class StoreAwayError(RegularsError):
    """The database cannot be read or written now: it is away, or its disk is full. The message is fit to be shown."""


class Database:
    """One database; tables are made, or brought up to date, at its first answer. Every failure is a StoreAwayError."""

    def __init__(self, url: str, home: Home) -> None:
        try:
            self.url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ConfigError("Setting 'database_url' is not a database URL. For instance: sqlite:///live.db") from None
        self.home = home
        self.folder = home.live
        self._made = False
        self._making = threading.Lock()
        try:
            self.engine = _engine(self.url)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"Setting 'database_url' needs the Python package '{error.name}', which is not installed. "
                "For PostgreSQL:  pip install 'regulars[postgres]'"
            ) from None

    @property
    def is_sqlite(self) -> bool:
        """Whether this is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """What to call it in a message, without a password."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    def version(self) -> str | None:
        """The version of its tables; None where they are of before versions were kept. Raises StoreAwayError."""
        try:
            with self.engine.connect().execution_options(regulars_writes=False) as connection, connection.begin():
                return version_in(connection)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise StoreAwayError(_reason(error)) from error

    def check_version(self) -> None:
        """Raise NewerSchemaError where a later release made the tables; nothing when it is away, or not there yet."""
        if self.is_sqlite:
            refuse_newer(version_in_file(Path(self.url.database or "")), self.name)
            return
        with suppress(StoreAwayError):
            refuse_newer(self.version(), self.name)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that only reads."""
        with self._connected(writes=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction, committed to disk when the block ends well. One writer at a time."""
        with self._connected(writes=True) as connection:
            if not self.is_sqlite:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_WRITERS})"))
            yield connection

    @contextmanager
    def _connected(self, *, writes: bool) -> Iterator[sa.Connection]:
        try:
            self._make()
            with self.engine.connect().execution_options(regulars_writes=writes) as connection, connection.begin():
                yield connection
        except NewerSchemaError as error:
            raise StoreAwayError(str(error)) from error
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise StoreAwayError(_reason(error)) from error
        except OSError as error:
            raise StoreAwayError(f"the event store cannot be opened ({error.strerror})") from error

    def _make(self) -> None:
        if self._made:
            return
        with self._making:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.home.lock(LOCK, wait_seconds=30):
                bring_up_to_date(self.engine, self.name)
            self._made = True

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def open_database(settings: Settings) -> Database:
    """The database that the settings name. Raises ConfigError for a URL that none can be."""
    return Database(database_url(settings), settings.data_home)


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(
            url, pool_pre_ping=True, pool_timeout=_CONNECT_SECONDS, connect_args={"connect_timeout": _CONNECT_SECONDS}
        )
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by itself, and later than we want them.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # durable when the power fails, not only when we are killed

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("regulars_writes", True)
        # Immediate: a transaction that reads first and writes later could not wait for another writer.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _reason(error: sa.exc.SQLAlchemyError) -> str:
    """What to tell a client: neither SQL nor values nor addresses."""
    text = str(getattr(error, "orig", error)).lower()
    if "full" in text or "no space" in text:
        return "the disk of the event store is full"
    if "locked" in text or "busy" in text:
        return "the event store is busy"
    return "the event store is away"
