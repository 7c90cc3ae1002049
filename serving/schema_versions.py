"""The version of the database's tables: what it is, whether this release knows it, and bringing it up to date.

Each change of the tables is a migration of Alembic below migrations/versions/, numbered in order. A database of an
earlier release is brought up to date by whoever first opens it; one of a later release is refused.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from features.errors import RegularsError
from features.release import release

#: Where the tables stand at each release, the oldest first; the last is what this one works with.
VERSIONS = ("0001", "0002")
HEAD = VERSIONS[-1]
#: Alembic's own table, which holds the version.
TABLE = "alembic_version"
MIGRATIONS = Path(__file__).with_name("migrations")
#: A number that those who bring the tables up to date lock on PostgreSQL.
_UPGRADERS = 7_325_662
#: Alembic keeps the connection it works on in its module, where a second one of this process would take its place: the
#: tables of one shop would be made in the database of another.
_ONE_AT_A_TIME = threading.Lock()


class NewerSchemaError(RegularsError):
    """The tables were made by a later release, which this one must not write into."""


def version_in(connection: sa.Connection) -> str | None:
    """The version of the tables; None where there are none, or they are of before versions were kept."""
    if not sa.inspect(connection).has_table(TABLE):
        return None
    found: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {TABLE}"))
    return found


def version_in_file(path: Path) -> str | None:
    """The same of an SQLite file, with nothing but Python's own library: for a process that is to stay small."""
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            row = connection.execute(f"SELECT version_num FROM {TABLE}").fetchone()
    except sqlite3.Error:  # of before versions, or no database: who opens it will say so
        return None
    return None if row is None else str(row[0])


def refuse_newer(found: str | None, where: str) -> None:
    """Raise NewerSchemaError for a version that this release does not know."""
    if found is not None and found not in VERSIONS:
        raise NewerSchemaError(
            f"{where}: its tables are of version {found}; this is Regulars {release()}, which knows them up to {HEAD}. "
            "A later Regulars brought them up to date: install that one, or bring back a backup of the database from "
            "before, and try again."
        )


def bring_up_to_date(engine: sa.Engine, where: str) -> None:
    """Make the tables those of version HEAD: all of it in one transaction, or nothing. Raises NewerSchemaError."""
    with engine.connect().execution_options(regulars_writes=False) as connection, connection.begin():
        found = version_in(connection)
    refuse_newer(found, where)
    if found == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    with engine.connect() as connection, connection.begin():
        if connection.dialect.name != "sqlite":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_UPGRADERS})"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        with _ONE_AT_A_TIME:
            command.upgrade(config, "head")
