"""A booster of small trees as tables: its scores, and exactly what each feature adds to them, at the price of sums.

A tree of few leaves asks few questions, so all its possible answers can be listed. For each list of answers the leaf,
and the Shapley values of the tree's features (path-dependent TreeSHAP: Lundberg et al. 2020, "From local explanations
to global understanding"), are computed once; a row then costs a look-up in each tree. Precomputing whatever depends on
the answers alone is the idea of FastTreeSHAP v2 (Yang 2021), taken to the end for small trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

#: Questions that a tree may ask at most: its table has two to their power entries.
MOST_QUESTIONS = 8
#: Rows taken through all trees at a time: so many answers stay in the processor's cache.
ROWS = 8_192

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Node = Mapping[str, Any]

#: What makes a prediction of a score, by LightGBM's name of the objective.
LINKS: Mapping[str, Callable[[Floats], Floats]] = {
    "binary sigmoid:1": expit,
    "tweedie": np.exp,
    "poisson": np.exp,
    "gamma": np.exp,
    "regression": np.asarray,
}


@dataclass(frozen=True)
class Question:
    """One split: whether a row goes left. Equal splits of several trees are one question."""

    feature: int
    threshold: float  # left where the value is not above it
    categories: tuple[int, ...] | None  # left where the value is one of them; None: it is a number
    missing_left: bool

    def answers(self, values: Floats) -> Bools:
        """(rows,) whether each value goes left."""
        if self.categories is not None:
            return np.isin(values, self.categories)  # a missing value equals nothing
        # Nothing compares with NaN, so which way it goes is chosen by the comparison.
        return ~(values > self.threshold) if self.missing_left else values <= self.threshold


@dataclass(frozen=True)
class TreeTable:
    """One tree: its questions, and what follows from their answers. Bit i of a code: a row goes left at question i."""

    questions: tuple[int, ...]  # places in TreeTables.questions
    leaf: Floats  # (codes,) the tree's score
    features: tuple[int, ...]
    root: Node

    @cached_property
    def shapley(self) -> tuple[Floats, float]:
        """(features, codes) what each of the tree's features adds, and the mean they add it to."""
        return _shapley(self.root, self.features)


@dataclass(frozen=True)
class TreeTables:
    """The tables of all trees of a booster; `link` makes its predictions of the sum of their scores."""

    n_features: int
    questions: tuple[Question, ...]
    trees: tuple[TreeTable, ...]
    constant: float  # of trees without a question
    link: Callable[[Floats], Floats]

    @cached_property
    def base(self) -> float:
        """The score of the average training row."""
        return self.constant + sum(tree.shapley[1] for tree in self.trees)

    def predict(self, values: Floats, *, threads: int = 1) -> Floats:
        """(rows,) predictions, those of the booster but for the rounding of the link."""
        scores = np.full(len(values), self.constant)

        def add(part: slice) -> None:
            added = scores[part]
            for tree, code, room in self._codes(values[part]):
                np.take(tree.leaf, code, out=room, mode="clip")
                added += room

        in_parts(add, len(values), threads)
        return np.asarray(self.link(scores), dtype=float)

    def contributions(self, values: Floats, *, threads: int = 1) -> Floats:
        """(rows, features) what each feature adds to the score: a row and `base` sum to its score before the link."""
        found = np.zeros((self.n_features, len(values)))
        tables = [[np.ascontiguousarray(row) for row in tree.shapley[0]] for tree in self.trees]
        of_tree = {id(tree): table for tree, table in zip(self.trees, tables, strict=True)}

        def add(part: slice) -> None:
            added = found[:, part]
            for tree, code, room in self._codes(values[part]):
                for feature, adds in zip(tree.features, of_tree[id(tree)], strict=True):
                    # No code lies outside its table; "clip" only spares a check and a copy.
                    np.take(adds, code, out=room, mode="clip")
                    added[feature] += room

        in_parts(add, len(values), threads)
        return found.T

    def _codes(self, values: Floats) -> Iterator[tuple[TreeTable, NDArray[np.intp], Floats]]:
        """Each tree with the (rows,) codes of its answers, and room for as many numbers; both are used again."""
        columns = np.ascontiguousarray(values.T)
        rows = columns.shape[1]
        answers = np.empty((len(self.questions), rows), dtype=np.uint8)
        for place, question in enumerate(self.questions):
            answers[place] = question.answers(columns[question.feature])
        code, shifted = np.empty(rows, dtype=np.uint8), np.empty(rows, dtype=np.uint8)
        index, room = np.empty(rows, dtype=np.intp), np.empty(rows)
        for tree in self.trees:
            code[:] = answers[tree.questions[0]]
            for bit, asked in enumerate(tree.questions[1:], start=1):
                np.left_shift(answers[asked], bit, out=shifted)
                np.bitwise_or(code, shifted, out=code)
            index[:] = code
            yield tree, index, room


def in_parts(add: Callable[[slice], None], rows: int, threads: int) -> None:
    """Call `add` with slices of ROWS rows that together are all of them, on so many threads."""
    parts = [slice(start, start + ROWS) for start in range(0, rows, ROWS)]
    if threads == 1 or len(parts) < 2:
        for part in parts:
            add(part)
        return
    with ThreadPoolExecutor(threads) as pool:  # NumPy lets other threads run while it computes
        list(pool.map(add, parts))


_of_boosters: WeakKeyDictionary[Any, TreeTables | None] = WeakKeyDictionary()


def tree_tables(booster: Any) -> TreeTables | None:
    """The tables of a LightGBM booster, made once for each.

    None where they would not be small or not be right: a tree asks more than MOST_QUESTIONS, zero is taken for
    missing, leaves are linear, or the objective is not of LINKS.
    """
    if booster not in _of_boosters:
        _of_boosters[booster] = _tables(booster)
    return _of_boosters[booster]


def _tables(booster: Any) -> TreeTables | None:
    dumped = booster.dump_model()
    objective = str(dumped.get("objective", ""))
    link = LINKS.get(objective) or LINKS.get(objective.split(" ")[0])
    if link is None or dumped["num_tree_per_iteration"] != 1 or dumped.get("average_output"):
        return None
    known: dict[Question, int] = {}
    trees, constant = [], 0.0
    for tree in dumped["tree_info"]:
        root = tree["tree_structure"]
        nodes = _nodes(root)
        if len(nodes) > MOST_QUESTIONS or any(node["missing_type"] == "Zero" or "leaf_coeff" in node for node in nodes):
            return None
        if not nodes:
            constant += float(root["leaf_value"])
            continue
        asked = [question_of(node) for node in nodes]
        places = tuple(known.setdefault(question, len(known)) for question in asked)
        features = tuple(sorted({question.feature for question in asked}))
        trees.append(TreeTable(places, _worths(root, features)[-1], features, root))
    return TreeTables(len(dumped["feature_names"]), tuple(known), tuple(trees), constant, link)


def _nodes(node: Node) -> list[Node]:
    """The splits of a tree, each before those below it."""
    if "split_feature" not in node:
        return []
    return [node, *_nodes(node["left_child"]), *_nodes(node["right_child"])]


def question_of(node: Node) -> Question:
    """What a split asks."""
    feature = int(node["split_feature"])
    if node["decision_type"] == "==":
        values = tuple(int(value) for value in str(node["threshold"]).split("||"))
        return Question(feature, 0.0, values, missing_left=False)
    threshold = float(node["threshold"])
    # Where the tree saw no missing value in training, LightGBM reads one as 0.
    missing_left = bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0
    return Question(feature, threshold, None, missing_left)


def _worths(root: Node, features: Sequence[int]) -> Floats:
    """(sets of features, codes) mean of the leaves, given the answers to the questions about the features of a set.

    Bit i of a set's number: it holds features[i], so the last is all of them. A split of a feature that is not in the
    set weighs its sides by the training rows that went there.
    """
    nodes = _nodes(root)
    place = {id(node): bit for bit, node in enumerate(nodes)}
    codes, sets = np.arange(2 ** len(nodes)), np.arange(2 ** len(features))

    def worth(node: Node) -> Floats:
        if "split_feature" not in node:
            return np.full((1, 1), float(node["leaf_value"]))
        left, right = worth(node["left_child"]), worth(node["right_child"])
        n_left, n_right = _rows(node["left_child"]), _rows(node["right_child"])
        unknown = (n_left * left + n_right * right) / (n_left + n_right)
        goes_left = (codes >> place[id(node)]) & 1 == 1
        is_known = (sets >> features.index(int(node["split_feature"]))) & 1 == 1
        found: Floats = np.where(is_known[:, None], np.where(goes_left, left, right), unknown)
        return found

    return worth(root)


def _shapley(root: Node, features: Sequence[int]) -> tuple[Floats, float]:
    worths = _worths(root, features)
    n = len(features)
    sets = np.arange(2**n)
    size = np.array([bin(number).count("1") for number in sets])
    weights = np.zeros((n, len(sets)))
    for place in range(n):
        held = (sets >> place) & 1 == 1
        before = size - held  # of the set without the feature
        weight = np.array([factorial(k) * factorial(n - k - 1) / factorial(n) for k in before])
        weights[place] = np.where(held, weight, -weight)
    return weights @ worths, float(worths[0, 0])


def _rows(node: Node) -> int:
    return int(node["internal_count"] if "split_feature" in node else node["leaf_count"])
