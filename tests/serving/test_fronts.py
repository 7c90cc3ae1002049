"""The beginnings of ranked lists: what is read from them is what the lists hold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from serving.candidates import personal
from serving.fronts import LENGTH, Fronts, write_fronts
from tests.serving.conftest import ranked_lists
from training.ranked_lists import NO_PRODUCT, RankedLists


def lists_of(depth: int, *, because: bool) -> RankedLists:
    chance = np.random.default_rng(depth)
    shape = (3, depth)
    of = {
        "lists": chance.integers(NO_PRODUCT, 6, shape, dtype=np.int32),
        "scores": chance.normal(size=shape).astype(np.float32),
        "sources": chance.integers(0, 6, shape, dtype=np.uint8),
        "own_orders": chance.integers(0, 65_536, shape).astype(np.uint16),
        "because": chance.integers(NO_PRODUCT, 6, shape, dtype=np.int32) if because else None,
    }
    return replace(ranked_lists(), customers=pa.table({"customer_id": ["a", "b", "c"]}), **of)


@given(st.integers(1, LENGTH + 9), st.booleans(), st.integers(0, 2))
def test_a_list_is_the_same_with_its_beginning_kept_together(
    tmp_path_factory, depth: int, because: bool, row: int
) -> None:
    ranking = lists_of(depth, because=because)
    path: Path = tmp_path_factory.mktemp("fronts") / "fronts.npy"
    write_fronts(ranking, path)
    fronts = Fronts(np.load(path, mmap_mode="r").view(np.ndarray))
    expected = list(personal(ranking, row))
    assert list(personal(ranking, row, fronts=fronts)) == expected
    assert len(expected) == (ranking.lists[row] != NO_PRODUCT).sum()
