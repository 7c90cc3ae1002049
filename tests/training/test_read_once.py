"""Tables that several models ask for alike are read once, and nobody changes another's."""

import dataclasses

import pandas as pd

from training.protocols import KEPT_ROWS, Context


def test_a_table_is_made_once_and_each_asker_has_a_copy() -> None:
    context = _context()
    made: list[int] = []

    def make() -> pd.DataFrame:
        made.append(1)
        return pd.DataFrame({"n": [1, 2]})

    first = context.once(("labels", 28), make)
    first.loc[0, "n"] = 99
    assert context.once(("labels", 28), make)["n"].tolist() == [1, 2]
    assert len(made) == 1
    assert context.once(("labels", 7), make)["n"].tolist() == [1, 2]
    assert len(made) == 2


def test_a_context_of_another_lake_keeps_nothing_of_this_one() -> None:
    context = _context()
    context.once(("labels",), lambda: pd.DataFrame({"n": [1]}))
    other = dataclasses.replace(context, lake=None)  # type: ignore[arg-type]
    assert other.once(("labels",), lambda: pd.DataFrame({"n": [2]}))["n"].tolist() == [2]


def test_a_large_table_is_not_kept() -> None:
    context = _context()
    context.once(("labels",), lambda: pd.DataFrame({"n": range(KEPT_ROWS + 1)}))
    assert not context.read


def _context() -> Context:
    return Context(settings=None, home=None, lake=None)  # type: ignore[arg-type]
