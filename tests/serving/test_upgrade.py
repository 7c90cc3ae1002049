"""What an earlier release wrote is read or brought up to date; a later one's is refused, with both versions named."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from features.errors import DataError, RegularsError
from features.formats import NewerFormatError
from features.home import Home
from features.lake import read_lake
from features.release import release
from features.settings import Settings, load_settings
from serving import starting
from serving.database import Database, StoreAwayError, desk_notes, events, metadata, outcomes
from serving.event_log import EventLog, rows_of
from serving.event_types import Event
from serving.reload import Holder
from serving.schema_versions import HEAD, MIGRATIONS, TABLE, VERSIONS, NewerSchemaError
from serving.upgrade import Todo, upgrade
from tests.features.loading import GOOD, Shop
from tests.postgres import Server
from training.bundle import FORMAT, read_manifest, seal

OLDER = Path(__file__).with_name("older")
AT = datetime(2024, 6, 1, tzinfo=UTC)
FUTURE = "0099"


def made_before_versions(home: Home) -> Path:
    """The database as a release made it that kept no versions, with rows of all kinds."""
    home.live.mkdir(parents=True)
    file = home.live / "live.db"
    with closing(sqlite3.connect(file)) as con:
        con.executescript((OLDER / "live.sql").read_text())
    return file


def database(url: str, home: Home) -> Database:
    return Database(url, home)


def of(home: Home) -> Database:
    return Database(f"sqlite:///{home.live / 'live.db'}", home)


def everything(file: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(file)) as con:
        there = {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            table: con.execute(f"SELECT * FROM {table}").fetchall() for table in sorted(there & set(metadata.tables))
        }


def stamp(home: Home, version: str) -> None:
    """Make it a database of another version."""
    with of(home).write() as connection:
        connection.execute(sa.text(f"UPDATE {TABLE} SET version_num = '{version}'"))


def test_every_version_is_a_migration_and_the_last_is_the_tables_of_now(home: Home) -> None:
    found = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    assert tuple(reversed(found)) == VERSIONS
    with of(home).read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_of_before_versions_is_brought_up_to_date_with_all_its_rows(home: Home) -> None:
    file = made_before_versions(home)
    before = everything(file)
    assert len(before["events"]) == 3
    assert before["api_keys"]
    opened = of(home)
    EventLog(opened).append([rows_of([Event("new", "p1", "view", AT, customer_id="ann")])], at=AT.replace(tzinfo=None))
    assert opened.version() == HEAD
    after = everything(file)
    assert [row[1] for row in after.pop("events")] == [*(row[1] for row in before.pop("events")), "new"]
    assert {table: rows for table, rows in after.items() if table in before} == before
    assert after.keys() - before.keys() == {"stock"}  # came later
    assert after["stock"] == []
    with opened.read() as connection:
        assert connection.scalar(sa.select(sa.func.max(events.c.seq))) == 4
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_table_or_column_that_came_later_is_added(home: Home) -> None:
    file = made_before_versions(home)
    with closing(sqlite3.connect(file)) as con:
        con.executescript("ALTER TABLE events DROP COLUMN propensity; DROP TABLE saved_views;")
    with of(home).read() as connection:
        assert list(connection.scalars(sa.select(events.c.propensity))) == [None] * 3
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_databases_made_at_once_in_one_process_are_each_made_by_themselves(tmp_path: Path) -> None:
    """As the shops of one server are opened."""
    databases = [Database(f"sqlite:///{tmp_path / str(n)}.db", Home(tmp_path / str(n))) for n in range(16)]
    together = threading.Barrier(len(databases))

    def make(number: int) -> str | None:
        together.wait()
        with databases[number].write() as connection:
            connection.execute(sa.text(f"CREATE TABLE only_{number} (x)"))
        return databases[number].version()

    with ThreadPoolExecutor(len(databases)) as pool:
        assert list(pool.map(make, range(len(databases)))) == [HEAD] * len(databases)
    for number, database in enumerate(databases):
        with database.read() as connection:
            assert set(sa.inspect(connection).get_table_names()) == {*metadata.tables, TABLE, f"only_{number}"}
        database.close()


def test_a_database_of_a_later_release_is_refused_and_left_alone(home: Home, regulars) -> None:
    made_before_versions(home)
    settings = load_settings(home=home.root)
    upgrade(settings)
    stamp(home, FUTURE)
    before = everything(home.live / "live.db")
    told = (
        f"tables are of version {FUTURE}; this is Regulars {release()}, which knows them up to {HEAD}.*install that one"
    )
    with pytest.raises(NewerSchemaError, match=told):
        starting.check(settings)
    with pytest.raises(StoreAwayError, match=told), of(home).write():
        pass
    refused = regulars("upgrade")
    assert refused.exit_code == 1
    assert "of a later release" in refused.output
    assert everything(home.live / "live.db") == before


@pytest.mark.needs("postgresql")
def test_in_postgresql_too(postgres: Server, tmp_path: Path) -> None:
    postgres.sql("DROP DATABASE IF EXISTS upgrading")
    postgres.sql("CREATE DATABASE upgrading")
    home = Home(tmp_path / "home")
    settings = load_settings(home=home.root, database_url=postgres.url("upgrading"))
    engine = sa.create_engine(postgres.url("upgrading").replace("postgresql:", "postgresql+psycopg:"))
    at = AT.replace(tzinfo=None)
    with engine.begin() as connection:  # as a release did that kept no versions
        metadata.create_all(connection, tables=[table for table in metadata.sorted_tables if table.name != "stock"])
        row = {"outcome_id": "o1", "customer_id": "ann", "outcome": "saved", "occurred_at": at, "received_at": at}
        connection.execute(sa.insert(outcomes), [row])
        connection.execute(
            sa.insert(desk_notes), [{"customer_id": "ann", "kind": "snoozed", "who": "x", "written_at": at}]
        )
        connection.execute(sa.text("ALTER TABLE events DROP COLUMN propensity"))
    assert [part.todo for part in upgrade(settings, dry_run=True)] == [Todo.UPGRADE]
    assert not sa.inspect(engine).has_table(TABLE)
    assert [part.todo for part in upgrade(settings)] == [Todo.UPGRADED]
    assert [part.todo for part in upgrade(settings)] == [Todo.CURRENT]
    with engine.begin() as connection:
        assert list(connection.scalars(sa.select(outcomes.c.outcome_id))) == ["o1"]
        assert list(connection.scalars(sa.select(desk_notes.c.customer_id))) == ["ann"]
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        connection.execute(sa.text(f"UPDATE {TABLE} SET version_num = '{FUTURE}'"))
    engine.dispose()
    with pytest.raises(NewerSchemaError, match=f"{FUTURE}.*{HEAD}") as refused:
        starting.check(settings)
    assert "127.0.0.1" in str(refused.value)


def test_a_bundle_of_the_format_before_is_read(tmp_path: Path) -> None:
    folder = shutil.copytree(OLDER / "bundle", tmp_path / "bundle")
    assert json.loads((folder / "manifest.json").read_text())["format"] == FORMAT - 1
    assert read_manifest(folder, kind="scores")["customers"] == 3
    (folder / "numbers.json").write_text("{}")
    with pytest.raises(DataError, match=r"numbers.json: missing or changed"):
        read_manifest(folder, kind="scores")


def of_a_later_release(manifest: Path, *, beyond: int) -> None:
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"format": beyond + 1, "written_by": "9.1"}))


def test_a_bundle_one_format_newer_is_refused(tmp_path: Path) -> None:
    seal(tmp_path, kind="scores", about={})
    assert json.loads((tmp_path / "manifest.json").read_text())["written_by"] == release()
    of_a_later_release(tmp_path / "manifest.json", beyond=FORMAT)
    told = f"format {FORMAT + 1} by Regulars 9.1; this is Regulars {release()}, which reads formats up to {FORMAT}"
    with pytest.raises(NewerFormatError, match=told) as refused:
        read_manifest(tmp_path, kind="scores")
    assert "Install Regulars 9.1 or later" in str(refused.value)


def test_a_server_does_not_start_on_newer_scores_and_a_running_one_keeps_those_before(
    scored_home: Home, write_scores
) -> None:
    settings = load_settings(home=scored_home.root)
    starting.check(settings)
    holder = Holder(scored_home)
    assert holder.refresh()
    directory = write_scores(scored_home, "v2")
    of_a_later_release(directory / "manifest.json", beyond=FORMAT)
    with pytest.raises(NewerFormatError, match=r"v2: written in format .* by Regulars 9.1"):
        starting.check(settings)
    assert not holder.refresh()
    assert holder.state.version == "v1"
    assert "by Regulars 9.1" in str(holder.problem)


def test_a_lake_of_before_is_read_and_a_later_one_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.load_lines(GOOD)
    manifest = read_lake(shop.home).path / "manifest.json"
    told = json.loads(manifest.read_text())
    assert told["written_by"] == release()
    manifest.write_text(
        json.dumps({name: value for name, value in told.items() if name not in ("format", "written_by")})
    )
    assert read_lake(shop.home).rows == {"order_lines": 1}
    assert shop.load_lines(GOOD, GOOD.replace("o1", "o2")).changed
    of_a_later_release(read_lake(shop.home).path / "manifest.json", beyond=told["format"])
    for refuses in (lambda: read_lake(shop.home), lambda: shop.load_lines(GOOD), lambda: starting.check(shop.settings)):
        with pytest.raises(NewerFormatError, match=r"written in format .* by Regulars 9.1; this is Regulars"):
            refuses()


def test_the_command_says_what_is_of_which_version(scored_home: Home, regulars) -> None:
    made_before_versions(scored_home)
    shutil.copytree(OLDER / "bundle", scored_home.scores / "versions" / "older")
    told = {part["name"]: part for part in json.loads(regulars("upgrade", "--dry-run", "--json").stdout)}
    live = next(part for name, part in told.items() if name.startswith("database"))
    assert (live["found"], live["knows"], live["todo"]) == ("not numbered", HEAD, "to be brought up to date")
    found = {(part["name"], part["found"], part["todo"]) for part in told.values()}
    assert len(found) == len(told)
    assert of(scored_home).version() is None
    done = regulars("upgrade", "--json")
    assert done.exit_code == 0, done.output
    said = {part["todo"] for part in json.loads(done.stdout)}
    assert {"brought up to date", "read as it is"} <= said
    assert of(scored_home).version() == HEAD


def test_where_a_later_release_wrote_one_part_nothing_is_changed(scored_home: Home, regulars) -> None:
    made_before_versions(scored_home)
    of_a_later_release(scored_home.scores / "versions" / "v1" / "manifest.json", beyond=FORMAT)
    assert regulars("upgrade").exit_code == 1
    assert of(scored_home).version() is None


def test_a_settings_database_that_is_away_is_no_reason_not_to_start(tmp_path: Path) -> None:
    away = Settings(home=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    starting.check(away)
    with pytest.raises(RegularsError, match="away"):
        upgrade(away)
