"""Tables that workers share: the same answers as from tables of their own, made once, and checked."""

import random
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.home import Home
from serving import mapped as module
from serving.id_index import EMPTY, IdIndex, make_slots
from serving.mapped import FOLDER, mapped
from serving.reload import Holder
from serving.state import read_state
from training.newcomers import Newcomers

IDS = st.lists(st.text(max_size=8), unique=True, max_size=60)


@given(IDS, IDS)
def test_an_index_finds_what_a_dictionary_would(ids: list[str], others: list[str]) -> None:
    array = pa.array(ids, type=pa.string())
    index = IdIndex(array, make_slots(array))
    expected = {one: row for row, one in enumerate(ids)}
    assert dict(index) == expected
    assert len(index) == len(ids)
    for one in [*ids, *others, "\ud800", 7]:
        assert index.get(one) == expected.get(one)
        assert (one in index) == (one in expected)
    with pytest.raises(KeyError):
        index["\ud800"]


def test_half_of_the_slots_are_empty_and_none_is_far_from_its_hash() -> None:
    chance = random.Random(1)
    ids = sorted({"".join(chance.choices(string.ascii_letters, k=6)) for _ in range(50_000)})
    slots = make_slots(pa.array(ids))
    assert (slots != EMPTY).sum() == len(ids)
    assert len(slots) >= 2 * len(ids)
    full = np.flatnonzero(np.diff(np.flatnonzero(slots == EMPTY)) > 200)
    assert len(full) == 0  # the longest search ends within so many


def test_an_index_gives_the_value_of_a_row_where_it_has_values() -> None:
    array = pa.array(["a", "b", "c"])
    index = IdIndex(array, make_slots(array), np.array([7, 7, 9], dtype=np.int32))
    assert dict(index) == {"a": 7, "b": 7, "c": 9}
    assert index["c"] == index.get("c") == 9
    assert index.get("d", 5) == 5


@pytest.mark.parametrize("apart", [True, False])
def test_mapped_tables_are_those_of_the_scoring(home: Home, write_scores, ranked_lists, monkeypatch, apart) -> None:
    # In a process of its own as for many customers, and in this one; the lists name fewer customers than the scores.
    monkeypatch.setattr(module, "MANY", 0 if apart else 1_000)
    new = Newcomers(
        pa.table({"customer_id": ["zoe", "yan"], "profile": pa.array([1, 0], pa.int32())}),
        np.array([[1, 2], [0, 1]], dtype=np.int32),
    )
    directory = write_scores(home, ranking=replace(ranked_lists, newcomers=new))
    own = read_state(directory, version="v1")
    shared = read_state(directory, version="v1", mapped_in=home)
    assert shared.customers.equals(own.customers)
    assert shared.ranking.products.equals(own.ranking.products)
    assert dict(shared.rows) == own.rows
    assert dict(shared.ranked_rows) == own.ranked_rows == {"ann": 0, "bob": 1}
    assert dict(shared.newcomer_rows) == own.newcomer_rows == {"zoe": 1, "yan": 0}
    assert shared.columns.stages == own.columns.stages
    assert shared.columns.known == own.columns.known
    assert shared.columns.numbers.keys() == own.columns.numbers.keys()
    assert shared.columns.orders.keys() == own.columns.orders.keys()
    for name, values in own.columns.numbers.items():
        np.testing.assert_array_equal(shared.columns.numbers[name], values)
    for name, rows in own.columns.orders.items():
        np.testing.assert_array_equal(shared.columns.orders[name], rows)
    assert not shared.columns.active.flags.writeable  # a map of the file, and no copy of it


def test_they_are_made_once_and_the_oldest_go(scored_home: Home, write_scores, ranked_lists, monkeypatch) -> None:
    made = []
    monkeypatch.setattr(module, "make", lambda *given, make=module.make: (made.append(given), make(*given)))
    for version in ("v2", "v3", "v4", "v5"):
        write_scores(scored_home, version, ranking=ranked_lists)
        for _ in range(3):  # three workers
            assert Holder(scored_home).refresh()
    assert len(made) == 4
    assert len(list((scored_home.live / FOLDER).iterdir())) == 3


def test_files_that_changed_are_made_anew(scored_home: Home) -> None:
    scoring = scored_home.scores / "versions" / "v1"
    slots = mapped(scored_home, scoring).folder / "customers.parquet.slots.npy"
    good = slots.read_bytes()
    slots.write_bytes(good[:-4] + b"\1\0\0\0")
    assert Holder(scored_home).refresh()
    assert slots.read_bytes() == good


def test_scores_of_the_same_name_made_anew_are_not_taken_for_those_before(scored_home: Home, write_scores) -> None:
    import shutil

    first = mapped(scored_home, scored_home.scores / "versions" / "v1").folder
    shutil.rmtree(scored_home.scores / "versions" / "v1")
    write_scores(scored_home, "v1")  # without lists
    assert mapped(scored_home, scored_home.scores / "versions" / "v1").folder != first


def test_files_made_by_other_code_are_not_taken_for_ours(scored_home: Home, monkeypatch) -> None:
    scoring = scored_home.scores / "versions" / "v1"
    first = mapped(scored_home, scoring).folder
    assert mapped(scored_home, scoring).folder == first
    monkeypatch.setattr(module, "_CODE", ("mapped",))
    assert mapped(scored_home, scoring).folder != first


def test_where_they_cannot_be_written_each_worker_answers_from_its_own(scored_home: Home, monkeypatch, caplog) -> None:
    def full(scoring: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "make", full)
    holder = Holder(scored_home)
    assert holder.refresh()
    assert holder.problem is None
    assert holder.state.rows["ann"] == 1
    assert "are not shared between workers: [Errno 28]" in caplog.text
