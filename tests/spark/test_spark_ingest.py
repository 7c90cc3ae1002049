"""Loading with engine = "spark" on a real cluster gives the lake that DuckDB gives, a lost worker included."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from features import file_parts, spark_load
from features.engine import connect
from features.erased import record
from features.errors import RegularsError
from features.home import ASIDE, Home
from features.ingest import ingest
from features.lake import Lake, read_lake
from features.load_report import IngestReport
from features.quarantine import quarantine_file
from features.settings import PrivacySettings, Settings
from features.spark import stop_spark
from tests.spark.cluster import CONF, Cluster, left_over, running_cluster

pytestmark = [
    pytest.mark.needs("openjdk-17-jre-headless"),
    # PySpark leaves the sockets by which it fetches rows to be closed when they are forgotten.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),
]

NOW = datetime(2024, 6, 1, 12)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Everything of it, and of Spark in this process, is gone afterwards."""
    stop_spark()  # another file's, which may have lost a worker
    with running_cluster(tmp_path_factory.mktemp("cluster")) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield started
        stop_spark()
    assert left_over(started) == []


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files come in several parts."""
    monkeypatch.setattr(file_parts, "PART_BYTES", 1500)
    monkeypatch.setattr(file_parts, "PART_ROWS", 10)
    monkeypatch.setattr(spark_load, "MERGED_ROWS", 60)


@dataclass(frozen=True)
class Shop:
    """Files in a folder, loaded by both engines into a home each."""

    folder: Path
    master: str

    def write(self, name: str, content: str, *, encoding: str = "utf-8") -> None:
        (self.folder / name).write_bytes(content.encode(encoding))

    def settings(self, engine: str, **more: Any) -> Settings:
        home = self.folder / engine
        return Settings(home=home, threads=1, engine=engine, spark_master=self.master, spark_conf=CONF, **more)

    def lake(self, engine: str) -> Lake:
        return read_lake(Home(self.folder / engine))

    def load(self, engine: str, *, now: datetime = NOW, replace: bool = False, **more: Any) -> IngestReport:
        settings = self.settings(engine, **more)
        return ingest("files", settings, mapping=self.folder / "shop.toml", replace=replace, now=now)

    def load_both(self, **more: Any) -> IngestReport:
        """The report of both, once it is sure that they and their lakes are equal."""
        expected, found = (self.load(engine, **more) for engine in ("duckdb", "spark"))
        assert found == expected
        self.check_equal()
        return found

    def check_equal(self) -> None:
        """Rows, their order and types, what was set aside, and all that the manifest says."""
        theirs, ours = self.lake("duckdb"), self.lake("spark")
        assert ours.manifest == theirs.manifest
        for name in theirs.rows:
            assert pq.read_table(ours.file(name)).equals(pq.read_table(theirs.file(name))), name
            assert _described(ours.file(name)) == _described(theirs.file(name))
            there = quarantine_file(theirs.path, name)
            here = quarantine_file(ours.path, name)
            assert here.is_file() == there.is_file()
            if there.is_file():
                assert pq.read_table(here).equals(pq.read_table(there)), name
        assert not list((self.folder / "spark").rglob(f"{ASIDE}*"))
        assert not list((self.folder / "spark").rglob("*.parts"))


def _described(file: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as con:
        return con.execute(f"DESCRIBE FROM read_parquet('{file}')").fetchall()


MAPPING = """
[order_lines]
path = "bestellungen.csv"
delimiter = ";"
encoding = "cp1252"
decimal = ","
timezone = "Europe/Berlin"
order_id = "Nr"
customer_id = "Kundin"
product_id = { expression = "upper(Artikel)" }
ordered_at = { column = "Zeit", format = "%d.%m.%Y %H:%M:%S" }
quantity = "Menge"
amount = { expression = "round(Menge * Preis, 2)" }
coupon = "Gutschein"
channel = "Weg"

[products]
path = "goods.parquet"
product_id = "sku"
name = "title"
price = "price"
in_stock = "there"
listed_at = "since"

[customers]
path = "people.csv"
customer_id = "who"
joined_at = "joined"
order = "order of things"
town = "town"

[contacts]
path = "letters.csv"
duplicates = "keep"
campaign_id = "letter"
customer_id = "who"
contacted_at = "at"
treated = "sent"
"""
HEADER = "Nr;Kundin;Artikel;Zeit;Menge;Preis;Gutschein;Weg\r\n"
PEOPLE = ["Müller", "O'Neill", 'Ann "the cat"', "Zoë\nof two lines", "b;d", "Straße 7", "x"]


def orders(rows: range, *, wrong: bool) -> str:
    """Lines of a German shop's export, in which much is wrong."""
    lines = []
    for row in rows:
        at = datetime(2023, 10, 28, 23, 59) + timedelta(minutes=37 * row)  # over the end of summer time
        who = PEOPLE[row % len(PEOPLE)].replace('"', '""')
        way = ("web", "", '"laden\r\nnord"', "  app ", '24" groß')[row % 5]
        back = row % 11 == 5
        money = f"{row * 1.0:,.2f}".translate({44: 46, 46: 44})
        line = f'{row};"{who}";a{row % 9};{at:%d.%m.%Y %H:%M:%S};{-2 if back else 1 + row % 3};{money};0,25;{way}'
        if wrong:
            line = {
                13: line.replace(f"{at:%d.%m.%Y}", "31.02.2024"),
                14: f"{row};;a1;{at:%d.%m.%Y %H:%M:%S};1;1;0;web",
                15: line.replace(f"{at:%Y}", "1923"),
                16: f"{row};x;a1;{at:%d.%m.%Y %H:%M:%S};viele;1;;web",
                17: f"{row};x;a1",
                18: f"{line};more;and more",
                19: f'{row};"x"y;a1;{at:%d.%m.%Y %H:%M:%S};1;1;;web',
                20: f"{line}\r\n{line}\r\n{line}",
                21: f"{row};x;a1;{at:%d.%m.%Y %H:%M:%S};1;-7,5;;web",
                22: f"{row};x;a1;{at:%d.%m.%Y %H:%M:%S};0;3;1.0;web",
                23: "\r\n" + line,
                24: f"{row}.0;x;a1;{at:%d.%m.%Y %H:%M:%S};1;1;;web",
            }.get(row % 40, line)
        lines.append(line)
    return HEADER + "\r\n".join(lines) + "\r\n"


def goods(shop: Shop, price: str) -> None:
    """Products in row groups of a few rows, the last of each key counting."""
    rows = "'A' || (range % 12) AS sku, 'Größe ' || range AS title, range % 3 = 0 AS there"
    since = "TIMESTAMPTZ '2023-01-01 00:00:00+02' + to_minutes(range::INTEGER) AS since"
    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT {rows}, {price} AS price, {since} FROM range(30)) TO '{shop.folder}/goods.parquet' "
            "(FORMAT parquet, ROW_GROUP_SIZE 7)"
        )


@pytest.fixture(scope="module")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(tmp_path_factory.mktemp("shop"), cluster.url)
    made.write("shop.toml", MAPPING)
    made.write(
        "bestellungen.csv", orders(range(130), wrong=True) + '999;"never closed;a1;\r\n1;2\r\n', encoding="cp1252"
    )
    goods(made, "range / 8 - 1")
    lines = ["who,joined,order of things,town"]
    lines += [f'c{n % 9},2023-0{1 + n % 9}-{20 + n}T10:00:00+05:30,{n},"Köln, ""{n}"""' for n in range(12)]
    made.write("people.csv", "\n".join(lines))
    letters = [f"k{n % 2},c{n % 3},2023-12-0{1 + n % 2} 08:00,{('yes', 'no', 'perhaps', '')[n % 4]}" for n in range(24)]
    made.write("letters.csv", "\n".join(["letter,who,at,sent", *letters]))
    return made


def test_a_dirty_export_makes_the_same_lake_and_once_more_changes_nothing(shop: Shop) -> None:
    report = shop.load_both()
    reasons = {
        *("bad_ordered_at", "missing_customer_id", "implausible_ordered_at", "bad_quantity", "unreadable_line"),
        *("duplicate_line", "negative_amount", "bad_coupon"),
    }
    lines, products, customers, contacts = report.tables
    assert set(lines.quarantined) == reasons
    assert products.quarantined == {"repeated_key": 18}
    assert customers.quarantined == {"bad_joined_at": 1, "repeated_key": 2}
    assert contacts.quarantined == {"bad_treated": 6}
    assert contacts.added == 18
    assert lines.added > 90
    assert not shop.load_both().changed


def test_what_only_sets_rows_aside_leaves_the_version_and_is_kept_alike(shop: Shop) -> None:
    shop.write("shop.toml", MAPPING[: MAPPING.index("[products]")])
    shop.write("bestellungen.csv", orders(range(130), wrong=True) + "130;x;a1;gestern;1;1;;web\r\n", encoding="cp1252")
    report = shop.load_both()
    assert not report.changed
    assert report.tables[0].quarantined["bad_ordered_at"] == 4
    kept = pq.read_table(quarantine_file(shop.lake("spark").path, "order_lines"))
    assert len(set(kept["file"].to_pylist())) == 2


def test_more_is_merged_alike(shop: Shop) -> None:
    """Lines again and anew, some of them late; goods with other prices; people with another attribute."""
    mapping = MAPPING.replace('town = "town"', 'size = "size"')
    shop.write("shop.toml", mapping[: mapping.index("[contacts]")])
    late = orders(range(-20, 0), wrong=False).removeprefix(HEADER)
    shop.write("bestellungen.csv", orders(range(100, 150), wrong=False) + late, encoding="cp1252")
    goods(shop, "range // 12 * 100")
    shop.write("people.csv", "who,joined,order of things,size\nc1,,7,XL\nnew,2024-01-01,,S\n")
    report = shop.load_both()
    lines, products, customers = report.tables
    assert lines.added > 0 < lines.already
    assert any("are late" in said for said in report.warnings)
    assert (products.added, products.updated + products.already) == (0, 12)
    assert (customers.added, customers.updated, customers.held) == (1, 1, 10)


PRIVACY = PrivacySettings(pseudonyms=True, keep_orders_days=216)


def test_erased_customers_old_rows_and_names_stay_out_alike(shop: Shop) -> None:
    """A lake begun anew under pseudonyms."""
    shop.write("shop.toml", MAPPING[: MAPPING.index("[products]")])
    record(Home(shop.folder / "duckdb"), ["Müller"], at=NOW, may_return=False)
    shop.load("duckdb", replace=True, privacy=PRIVACY)
    shutil.copytree(shop.folder / "duckdb" / "privacy", shop.folder / "spark" / "privacy", dirs_exist_ok=True)
    report = shop.load("spark", replace=True, privacy=PRIVACY)
    shop.check_equal()
    assert any("were left out" in said for said in report.warnings)
    lines = pq.read_table(shop.lake("spark").file("order_lines"))
    assert lines.num_rows > 40
    assert all(name.startswith("anon-") for name in lines["customer_id"].to_pylist())


@pytest.mark.parametrize(
    ("mapping", "file", "said"),
    [
        (
            ('"Weg"', '"Wog"'),
            HEADER + "1;x;a;01.01.2024 10:00:00;1;1;;\r\n",
            "column 'Wog' named for channel is missing",
        ),
        (
            (),
            HEADER + "1;x;a;31.02.2024 10:00:00;1;1;;\r\n",
            r"none of 1 rows could be used \(1 bad_ordered_at; for inst",
        ),
        ((), HEADER, "holds no rows"),
        (('"upper(Artikel)"', '"CAST(Artikel AS INT)::VARCHAR"'), orders(range(9), wrong=False), "cannot be computed"),
    ],
    ids=["column", "usable", "rows", "expression"],
)
def test_what_stops_a_load_is_said_alike_and_leaves_the_lake(
    shop: Shop, mapping: tuple[str, ...], file: str, said: str
) -> None:
    before = {engine: shop.lake(engine).manifest for engine in ("duckdb", "spark")}
    only = MAPPING[: MAPPING.index("[products]")]
    shop.write("shop.toml", only.replace(*mapping) if mapping else only)
    shop.write("bestellungen.csv", file, encoding="cp1252")
    told = []
    for engine in before:
        with pytest.raises(RegularsError, match=said) as stopped:
            shop.load(engine, privacy=PRIVACY)
        told.append((type(stopped.value), str(stopped.value)))
        assert shop.lake(engine).manifest == before[engine]
    assert told[0] == told[1]


def load_on_one_core(folder: str) -> None:
    """Load the shop by a Spark of this process's own; for processes of their own."""
    settings = Shop(Path(folder), "local[1]").settings("spark")
    ingest("files", settings, mapping=Path(folder) / "shop.toml", replace=True, now=NOW)


def test_a_load_killed_while_the_lake_is_written_leaves_the_last_good_one(shop: Shop) -> None:
    shop.write("shop.toml", MAPPING[: MAPPING.index("[products]")])
    shop.write("bestellungen.csv", orders(range(20), wrong=False), encoding="cp1252")
    before = shop.lake("spark")
    code = f"from tests.spark.test_spark_ingest import load_on_one_core; load_on_one_core({str(shop.folder)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while time.monotonic() < until and not list(shop.folder.glob("spark/lake/versions/*/order_lines.parquet.parts")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert shop.lake("spark") == before
    assert pq.read_table(before.file("order_lines")).num_rows == before.rows["order_lines"]
    shop.load_both(replace=True)


def test_a_worker_lost_while_files_are_read_changes_nothing(shop: Shop, cluster: Cluster) -> None:
    shop.write("shop.toml", MAPPING[: MAPPING.index("[products]")])
    shop.write("bestellungen.csv", orders(range(400), wrong=True), encoding="cp1252")
    executors = connect(shop.settings("spark")).session.sparkContext._jsc.sc().getExecutorMemoryStatus
    assert executors().size() == 3  # the driver's too
    reports: list[IngestReport] = []
    work = threading.Thread(target=lambda: reports.append(shop.load("spark", replace=True)))
    work.start()
    until = time.monotonic() + 120
    while time.monotonic() < until and not list(shop.folder.glob("spark/lake/*/staged_*/_temporary/0/task_*")):
        time.sleep(0.02)
    assert work.is_alive()
    cluster.kill(cluster.workers[0])
    work.join(200)
    assert reports == [shop.load("duckdb", replace=True)]
    shop.check_equal()
    assert executors().size() == 2
