"""The data home: what is written is there whole or not at all, and one writer holds each lock."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from features.errors import RegularsError
from features.home import ASIDE, Home, new_directory, new_file, remove_directory, sweep, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_directory_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "made" / "v1"
    with new_directory(target) as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "file").write_text("all")
        assert not target.exists()
        assert aside.name.startswith(ASIDE)
        assert aside.parent == target.parent
    assert (target / "deep" / "file").read_text() == "all"
    assert names(target.parent) == ["v1"]


def test_directory_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_directory(tmp_path / "v1") as aside:
            (aside / "file").write_text("part")
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == []


def test_directory_of_the_same_name_is_kept(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with new_directory(tmp_path / "v1") as aside:
            (aside / "file").write_text(content)
    assert (tmp_path / "v1" / "file").read_text() == "first"
    assert names(tmp_path) == ["v1"]


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    pointer = tmp_path / "deep" / "CURRENT"
    write_text(pointer, "v1")
    write_text(pointer, "vé2")
    assert pointer.read_text(encoding="utf-8") == "vé2"
    assert names(pointer.parent) == ["CURRENT"]


def test_readers_see_the_old_text_or_the_new(tmp_path: Path) -> None:
    pointer = tmp_path / "CURRENT"
    texts = [letter * 50_000 for letter in "abc"]
    write_text(pointer, texts[0])
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(pointer.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        write_text(pointer, texts[turn % 3])
    done.set()
    reader.join()
    assert seen <= set(texts)


def test_file_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "table"
    write_text(target, "old")

    def fail() -> None:
        with new_file(target) as aside:
            aside.write_text("part")
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["table"]


def test_removed_directory_leaves_its_name_at_once(tmp_path: Path) -> None:
    (tmp_path / "v1" / "deep").mkdir(parents=True)
    remove_directory(tmp_path / "v1")
    assert names(tmp_path) == []


def test_sweep_removes_leftovers_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert sweep(home.lake) == 0
    write_text(home.lake / "versions" / "v1" / "table", "kept")
    (home.lake / f"{ASIDE}1").write_text("half")
    (home.lake / "versions" / f"{ASIDE}2" / "deep").mkdir(parents=True)
    (home.lake / "versions" / f"{ASIDE}2" / "deep" / "half").write_text("half")
    (home.lake / "versions" / "v1" / f"{ASIDE}3").write_text("half")
    assert sweep(home.lake) == 3
    assert [path.name for path in home.lake.rglob("*") if path.is_file()] == ["table"]


def test_paths_lie_below_the_root(tmp_path: Path) -> None:
    home = Home(tmp_path)
    places = [home.lake, home.features, home.feast, home.mlflow, home.models, home.scores]
    assert names_of(places) == ["feast", "features", "lake", "mlflow", "models", "scores"]
    assert {place.parent for place in places} == {tmp_path}


def names_of(places: list[Path]) -> list[str]:
    return sorted(place.name for place in places)


def test_lock_is_for_one_and_names_are_apart(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.lock("ingest"):
        with pytest.raises(RegularsError) as refused, home.lock("ingest"):
            pytest.fail("two hold one lock")
        assert str(refused.value) == (
            f"Another 'ingest' is running on {home.root}. Wait for it to end, or stop it, then try again."
        )
        with home.lock("train"):
            pass
    with home.lock("ingest"):
        pass


def test_lock_is_freed_when_the_block_fails(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(KeyError), home.lock("ingest"):
        raise KeyError("stopped")
    with home.lock("ingest"):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from features.home import Home\n"
        "with Home(Path(sys.argv[1])).lock('ingest'):\n    print('held', flush=True); time.sleep(60)"
    )
    home = Home(tmp_path)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RegularsError, match="Another 'ingest' is running"), home.lock("ingest"):
            pytest.fail("two hold one lock")
        holder.kill()
        holder.wait()
        with home.lock("ingest"):
            pass


def test_lock_waits_as_long_as_it_may(tmp_path: Path) -> None:
    home = Home(tmp_path)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with home.lock("ingest"):
            held.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    threading.Timer(0.2, release.set).start()
    with home.lock("ingest", wait_seconds=30):
        holder.join()
