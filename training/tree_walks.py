"""Tables of trees asked again and again about the same rows while a few of their features move, as age does.

What the features that stay answer is worked out once for all steps, and a feature that is the same for all rows of a
step answers once for all of them: a step costs little more than a look-up in each tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.tree_tables import TreeTables

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


class TreeWalk:
    """Rows of `tables`, given as columns (features, rows); those of the places in `moving` are given at each step."""

    def __init__(self, tables: TreeTables, columns: Floats, moving: Sequence[int]) -> None:
        self._tables = tables
        rows = columns.shape[1]
        moves = frozenset(moving)
        self._asked = [place for place, one in enumerate(tables.questions) if one.feature in moves]
        stays = {
            place: one.answers(columns[one.feature]).view(np.uint8)
            for place, one in enumerate(tables.questions)
            if one.feature not in moves
        }
        self._base: list[Codes] = []
        self._open: list[list[tuple[int, int]]] = []  # of each tree, bits and questions of what moves
        shifted = np.empty(rows, dtype=np.uint8)
        for tree in tables.trees:
            code = np.zeros(rows, dtype=np.uint8)
            for bit, place in enumerate(tree.questions):
                if place in stays:
                    np.bitwise_or(code, np.left_shift(stays[place], bit, out=shifted), out=code)
            self._base.append(code)
            self._open.append([(bit, place) for bit, place in enumerate(tree.questions) if place not in stays])
        self._room = (np.empty(rows, dtype=np.uint8), shifted, np.empty(rows, dtype=np.intp), np.empty(rows))

    def predict(self, moved: Mapping[int, Floats | float]) -> Floats:
        """(rows,) predictions with these values of the moving features; a number is of all rows alike."""
        code, shifted, index, room = self._room
        scores = np.full(len(code), self._tables.constant)
        answers: dict[int, Codes] = {}
        alike: dict[int, int] = {}
        for place in self._asked:
            question = self._tables.questions[place]
            values = moved[question.feature]
            if isinstance(values, np.ndarray):
                answers[place] = question.answers(values).view(np.uint8)
            else:
                alike[place] = int(question.answers(np.array([values]))[0])
        for tree, base, asked in zip(self._tables.trees, self._base, self._open, strict=True):
            same = sum(alike[place] << bit for bit, place in asked if place in alike)
            np.bitwise_or(base, np.uint8(same), out=code)
            for bit, place in asked:
                if place in answers:
                    np.bitwise_or(code, np.left_shift(answers[place], bit, out=shifted), out=code)
            index[:] = code
            np.take(tree.leaf, index, out=room, mode="clip")
            scores += room
        return np.asarray(self._tables.link(scores), dtype=float)
