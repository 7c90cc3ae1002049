from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from features.errors import ConfigError, DataError
from features.home import Home
from features.ingest import ingest
from features.lake import Lake, read_lake
from features.load_report import IngestReport
from features.settings import Settings
from tests.postgres import Server

NOW = datetime(2024, 6, 1)


def lake_of(settings: Settings) -> Lake:
    return read_lake(Home(settings.home))


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory: pytest.TempPathFactory) -> tuple[IngestReport, Lake]:
    settings = Settings(home=tmp_path_factory.mktemp("cdnow") / "home", threads=2)
    report = ingest("cdnow", settings, now=NOW)
    return report, lake_of(settings)


def test_cdnow_has_the_customers_and_purchases_its_authors_report(cdnow: tuple[IngestReport, Lake]) -> None:
    _, lake = cdnow
    lines = pd.read_parquet(lake.file("order_lines"))
    calibration = lines[lines["ordered_at"] < "1997-10-01"]
    # Fader, Hardie and Lee 2005: 2,357 customers, all of whom first bought in the first quarter of 1997.
    assert lines["customer_id"].nunique() == 2357
    assert lines.groupby("customer_id")["ordered_at"].min().max() < pd.Timestamp("1997-04-01")
    first = lines.groupby("customer_id")["ordered_at"].transform("min")
    repeats = lines[lines["ordered_at"] > first].drop_duplicates(["customer_id", "ordered_at"])
    assert (repeats["ordered_at"] >= "1997-10-01").sum() == 1882
    assert len(lines) == 6919
    assert len(calibration) < len(lines)


def test_cdnow_is_taken_whole_and_loading_it_again_changes_nothing(cdnow: tuple[IngestReport, Lake]) -> None:
    report, lake = cdnow
    [table] = report.tables
    assert (table.read, table.added, table.quarantined) == (6919, 6919, {})
    again = ingest("cdnow", Settings(home=lake.path.parents[2], threads=2), now=NOW)
    assert not again.changed


MAPPING = """
[order_lines]
table = "shop.lines"
watermark = "written_at"
order_id = "order_no"
customer_id = "customer"
product_id = "sku"
ordered_at = "placed"
quantity = "pieces"
amount = "paid"

[products]
query = "SELECT sku, title FROM shop.articles WHERE NOT hidden"
product_id = "sku"
name = "title"
"""


class Database:
    """The shop's own database, and the lake that is loaded from it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.mapping = folder / "shop.toml"
        self.mapping.write_text(MAPPING)
        self.settings = Settings(home=folder / "home", threads=2, source_url=SecretStr(server.url()))

    def write(self, *rows: str) -> None:
        self.server.sql(f"INSERT INTO shop.lines VALUES {', '.join(rows)}")

    def load(self) -> IngestReport:
        return ingest("sql", self.settings, mapping=self.mapping, now=NOW)


@pytest.fixture
def database(postgres: Server, tmp_path: Path) -> Database:
    postgres.sql(
        "DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop; "
        "CREATE TABLE shop.lines (order_no bigint, customer text, sku text, placed timestamptz, pieces int, "
        "paid numeric(9, 2), written_at timestamptz); "
        "CREATE TABLE shop.articles (sku text, title text, hidden boolean); "
        "INSERT INTO shop.articles VALUES ('tea', 'Tea', false), ('x', 'Secret', true);"
    )
    made = Database(postgres, tmp_path)
    made.write(
        "(1, 'ann', 'tea', '2024-01-02 10:00+02', 2, 5.00, '2024-01-02 10:01+00')",
        "(2, 'bob', 'tea', '2024-01-03 10:00+00', 1, 2.50, '2024-01-03 10:01+00')",
    )
    return made


@pytest.mark.needs("postgresql")
def test_orders_of_a_database_are_loaded_as_they_are(database: Database) -> None:
    report = database.load()
    lines = pd.read_parquet(lake_of(database.settings).file("order_lines"))
    assert [(t.table, t.added) for t in report.tables] == [("order_lines", 2), ("products", 1)]
    assert lines["order_id"].tolist() == ["1", "2"]
    assert lines["ordered_at"].tolist() == [pd.Timestamp("2024-01-02 08:00"), pd.Timestamp("2024-01-03 10:00")]
    assert [str(amount) for amount in lines["amount"]] == ["5.0000", "2.5000"]


@pytest.mark.needs("postgresql")
def test_next_load_goes_on_from_the_watermark(database: Database) -> None:
    database.load()
    # Written at the very watermark, and after it; and one that a later pull must not look at again.
    database.write(
        "(3, 'ann', 'tea', '2024-01-04 10:00+00', 1, 2.50, '2024-01-03 10:01+00')",
        "(4, 'ann', 'tea', '2024-01-05 10:00+00', 1, 2.50, '2024-01-05 10:01+00')",
        "(5, 'eve', 'tea', '2024-01-05 10:00+00', 1, 2.50, '2023-12-31 00:00+00')",
    )
    report = database.load()
    lines = report.tables[0]
    assert (lines.read, lines.added, lines.already) == (3, 2, 1)
    assert lake_of(database.settings).rows["order_lines"] == 4
    assert not database.load().changed


@pytest.mark.needs("postgresql")
def test_what_the_database_refuses_is_said_and_loses_nothing(database: Database) -> None:
    before = database.load().version
    database.mapping.write_text(MAPPING.replace("shop.lines", "shop.nowhere"))
    with pytest.raises(DataError, match=r"\[order_lines\]: the database refuses it: .*nowhere"):
        database.load()
    database.mapping.write_text(MAPPING.replace('"written_at"', '"changed"'))
    with pytest.raises(DataError, match="watermark column 'changed' is missing"):
        database.load()
    assert lake_of(database.settings).version == before


@pytest.mark.needs("postgresql")
def test_database_away_is_said_without_its_password(database: Database, postgres: Server) -> None:
    url = postgres.url().replace("postgres@", "reader:hunter2@").replace(str(postgres.port), "1")
    away = database.settings.model_copy(update={"source_url": SecretStr(url)})
    with pytest.raises(DataError, match="cannot be reached") as raised:
        ingest("sql", away, mapping=database.mapping, now=NOW)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(away)


def test_address_and_mapping_are_asked_for(tmp_path: Path) -> None:
    mapping = tmp_path / "shop.toml"
    mapping.write_text(MAPPING)
    with pytest.raises(ConfigError, match="REGULARS_SOURCE_URL"):
        ingest("sql", Settings(home=tmp_path / "home"), mapping=mapping, now=NOW)
    with pytest.raises(ConfigError, match="needs a mapping"):
        ingest("sql", Settings(home=tmp_path / "home"), now=NOW)
