"""A load killed with SIGKILL at any moment leaves the last whole lake, and the next load completes and cleans up."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from features.home import ASIDE, Home
from features.lake import MANIFEST, Lake, read_lake
from features.lake_writer import version_of
from features.merging import Content, content_of
from features.quarantine import quarantine_file
from tests.features.loading import GOOD, MAPPING, Shop, load_again
from tests.training.registry.killed import run_killed

GOODS = '[products]\npath = "goods.csv"\nproduct_id = "id"\nname = "title"\n'


def check_whole(lake: Lake) -> None:
    """The files of a version hold exactly the rows that its name is the hash of."""
    contents = {}
    with duckdb.connect() as con:
        for name, rows in lake.rows.items():
            contents[name] = content_of(con, f"read_parquet('{lake.file(name)}')")
            assert contents[name].rows == rows
            assert contents[name] == Content.parse(lake.manifest["content"][name])
        for name, reasons in lake.manifest["quarantined"].items():
            file = quarantine_file(lake.path, name)
            [(count,)] = con.execute(f"SELECT count(*) FROM read_parquet('{file}')").fetchall()
            assert count == sum(reasons.values())
    assert version_of(contents) == lake.version


def check_nothing_half_written(home: Home) -> None:
    assert not list(home.root.rglob(f"{ASIDE}*"))
    for path in (home.lake / "versions").iterdir():
        assert (path / MANIFEST).is_file()
    check_whole(read_lake(home))


def first_load(shop: Shop) -> None:
    shop.orders(GOOD, "o2,ann,tea,never,1,1")


def another_load(shop: Shop) -> None:
    """One more line, a new table and rows set aside, beside so many versions that the oldest goes."""
    for number in range(3):
        shop.load_lines(GOOD.replace("o1", f"x{number}"))
    shop.write("goods.csv", "id,title\ntea,Tea\n,none\n")
    shop.orders(GOOD, "o2,ann,tea,never,1,1")
    shop.write("shop.toml", MAPPING + GOODS)


def load_that_only_sets_aside(shop: Shop) -> None:
    """The rows are there already, so the version stays; what was set aside and the manifest change."""
    shop.load_lines(GOOD, "o2,ann,tea,never,1,1")
    shop.orders(GOOD, "o3,ann,tea,never,1,1")


@pytest.mark.parametrize("prepare", [first_load, another_load, load_that_only_sets_aside])
def test_killed_between_any_two_effects_on_disk_then_run_again(tmp_path: Path, prepare: Callable[[Shop], None]) -> None:
    before = Shop(tmp_path / "before")
    before.folder.mkdir()
    prepare(before)
    whole = Shop(shutil.copytree(before.folder, tmp_path / "whole"))
    moments = run_killed(whole.home.root, load_again, str(whole.folder), moment=0)
    assert moments is not None
    assert len(moments) > 10
    expected, aside = whole.current(), whole.reasons()
    old = before.current() if (before.home.lake / "CURRENT").exists() else None
    for moment in range(1, len(moments) + 1):
        shop = Shop(shutil.copytree(before.folder, tmp_path / f"killed-{moment}"))
        assert run_killed(shop.home.root, load_again, str(shop.folder), moment=moment) is None, moments[moment - 1]
        if (shop.home.lake / "CURRENT").exists():
            assert shop.current() in {old, expected}
            if prepare is not load_that_only_sets_aside:
                check_whole(read_lake(shop.home))
        else:
            assert old is None
        shop.load()
        assert shop.current() == expected, moments[moment - 1]
        assert shop.reasons() == aside, moments[moment - 1]
        check_nothing_half_written(shop.home)


@contextmanager
def reader(home: Home) -> Iterator[list[str]]:
    """Reads the lake all the time; the versions it saw, each of them whole."""
    seen: list[str] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            lake = read_lake(home)
            try:
                if lake.version not in seen:
                    check_whole(lake)
                    seen.append(lake.version)
            except BaseException as error:
                failures.append(error)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert failures == []


def test_command_killed_after_any_time_while_a_reader_reads(shop: Shop) -> None:
    rng = random.Random(3)
    shop.load_lines(GOOD)
    first = shop.current()
    shop.orders(GOOD, *[f"o{n},c{n % 997},p{n % 89},2024-01-02 10:00:00,1,{n}" for n in range(150_000)])
    environment = os.environ | {"REGULARS_HOME": str(shop.home.root), "REGULARS_THREADS": "1"}
    command = [Path(sys.executable).with_name("regulars"), "ingest", "--mapping", str(shop.folder / "shop.toml")]

    def run(seconds: float | None) -> int:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            if seconds is not None:
                began = time.monotonic()
                # Counted from where it begins to write, for starting takes longer than loading.
                while process.poll() is None and not list(shop.home.lake.glob(f"{ASIDE}*")):
                    assert time.monotonic() - began < 60
                    time.sleep(0.005)
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
            return process.wait(120)

    killed = 0
    with reader(shop.home) as seen:
        for _ in range(5):
            killed += run(rng.uniform(0, 1.2)) == -signal.SIGKILL
            assert read_lake(shop.home).rows["order_lines"] in {1, 150_001}
        assert run(None) == 0
        last = shop.current()
        time.sleep(0.5)
    assert killed >= 1
    assert seen == [first, last]
    assert read_lake(shop.home).rows == {"order_lines": 150_001}
    check_nothing_half_written(shop.home)
