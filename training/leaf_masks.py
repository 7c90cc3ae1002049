"""A booster of trees of up to sixteen leaves asked about many rows at once, a question at a time for all of them.

Every answer "right" rules out the leaves on the left of its question; the leaf that a row ends in is the first one that
no answer ruled out, whatever the order of the questions. This is QuickScorer (Lucchese et al. 2015), its loop over rows
turned inside out, so that NumPy compares and combines whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.tree_tables import Node, question_of

#: Leaves of half a tree: a byte holds which of them are ruled out.
HALF = 8
#: Rows asked at a time: their columns and answers stay in the processor's cache.
ROWS = 16_384

#: Objectives, as LightGBM names them, whose predictions are the sums of the trees.
RAW = frozenset({"lambdarank", "rank_xendcg", "regression"})

Floats = NDArray[np.float64]
#: The first of eight leaves that is not ruled out, by the byte of those that are; all of them: none.
_FIRST = np.array([next((leaf for leaf in range(HALF) if not ruled_out >> leaf & 1), HALF) for ruled_out in range(256)])


@dataclass(frozen=True)
class Split:
    """A question: whether a row goes right, and the leaves that this rules out, as a byte for each half of the tree."""

    feature: int
    threshold: np.float32  # right where the value is above it
    missing_left: bool
    rules_out: tuple[int, ...]


@dataclass(frozen=True)
class MaskedTree:
    """A tree by its questions; `leaves` (halves, 256) its score by the byte of leaves ruled out of each half.

    A half without a leaf left has score 0; where the first half has one, the second does not count.
    """

    splits: tuple[Split, ...]
    leaves: Floats


@dataclass(frozen=True)
class LeafMasks:
    """All trees of a booster that can be asked so; `constant` is the sum of those without a question."""

    trees: tuple[MaskedTree, ...]
    constant: float

    def predict(self, values: NDArray[np.float32]) -> Floats:
        """(rows,) raw scores of (rows, features), those of LightGBM to the last bit.

        Fastest where each feature's values lie together in memory.
        """
        scores = np.full(len(values), self.constant)
        for start in range(0, len(values), ROWS):
            columns = values[start : start + ROWS].T
            if columns.strides[1] != columns.itemsize:
                columns = np.ascontiguousarray(columns)
            self._add(columns, scores[start : start + ROWS])
        return scores

    def _add(self, columns: NDArray[np.float32], scores: Floats) -> None:
        rows = len(scores)
        answer = np.empty(rows, dtype=bool)
        right = np.empty(rows, dtype=np.uint8)
        ruled = np.empty(rows, dtype=np.uint8)
        out = [np.empty(rows, dtype=np.uint8) for _ in range(2)]
        index, room = np.empty(rows, dtype=np.intp), np.empty(rows)
        for tree in self.trees:
            halves = out[: len(tree.leaves)]
            for half in halves:
                half.fill(0)
            for split in tree.splits:
                # Nothing compares with NaN, so which way it goes is chosen by the comparison. Right is a byte of ones.
                if split.missing_left:
                    np.greater(columns[split.feature], split.threshold, out=answer)
                    np.negative(answer.view(np.uint8), out=right)
                else:
                    np.less_equal(columns[split.feature], split.threshold, out=answer)
                    np.subtract(answer.view(np.uint8), 1, out=right)
                for half, mask in zip(halves, split.rules_out, strict=True):
                    if mask:
                        np.bitwise_or(half, np.bitwise_and(right, np.uint8(mask), out=ruled), out=half)
            if len(halves) > 1:
                # Only where no leaf of the first half is left does the second count.
                np.not_equal(halves[0], 255, out=answer)
                np.bitwise_or(halves[1], np.negative(answer.view(np.uint8), out=right), out=halves[1])
            for half, leaves in zip(halves, tree.leaves, strict=True):
                index[:] = half
                scores += np.take(leaves, index, out=room, mode="clip")


def leaf_masks(booster: Any, rounds: int) -> LeafMasks | None:
    """Those of the first trees of a LightGBM booster whose predictions are raw scores, as a ranker's are.

    None of another booster, or where a tree has more leaves, asks for categories or takes 0 for missing.
    """
    dumped = booster.dump_model(num_iteration=rounds)
    if str(dumped.get("objective")).split(" ")[0] not in RAW:
        return None
    if dumped["num_tree_per_iteration"] != 1 or dumped.get("average_output"):
        return None
    trees, constant = [], 0.0
    for tree in dumped["tree_info"]:
        root = tree["tree_structure"]
        if "split_feature" not in root:
            constant += float(root["leaf_value"])
            continue
        leaves: list[float] = []
        splits: list[tuple[Node, range]] = []
        _walk(root, leaves, splits)
        n_halves = -(-len(leaves) // HALF)
        if n_halves > 2 or not all(_is_plain(node) for node, _ in splits):
            return None
        scores = np.zeros((n_halves, 256))
        for half in range(n_halves):
            held = np.array([*leaves[half * HALF : (half + 1) * HALF], *[0.0] * HALF])
            scores[half] = np.where(_FIRST < HALF, held[_FIRST], 0.0)
        trees.append(MaskedTree(tuple(_split(node, ruled, n_halves) for node, ruled in splits), scores))
    return LeafMasks(tuple(trees), constant)


def _walk(node: Node, leaves: list[float], splits: list[tuple[Node, range]]) -> None:
    """Collect the leaves from left to right, and each question with the numbers of those on its left."""
    if "split_feature" not in node:
        leaves.append(float(node["leaf_value"]))
        return
    first = len(leaves)
    _walk(node["left_child"], leaves, splits)
    splits.append((node, range(first, len(leaves))))
    _walk(node["right_child"], leaves, splits)


def _is_plain(node: Node) -> bool:
    return node["decision_type"] == "<=" and node["missing_type"] in ("None", "NaN")


def _split(node: Node, ruled_out: Sequence[int], n_halves: int) -> Split:
    question = question_of(node)
    # The same question of 32-bit values: whether they are above the greatest of them that is not above the threshold.
    with np.errstate(over="ignore"):  # beyond 32 bits, infinity
        nearest = np.float32(question.threshold)
    if float(nearest) > question.threshold:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    masks = tuple(sum(1 << leaf % HALF for leaf in ruled_out if leaf // HALF == half) for half in range(n_halves))
    return Split(question.feature, nearest, question.missing_left, masks)
