"""How well a model does by group of customers: stage of life, tenure, one order or more, and the shop's own attributes.

For each group of a back-test: what was predicted, what came true, how well they are told apart, and how many of them
stand at the top of the list. Pure functions of a frame of features and arrays aligned with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from features.build import ATTRIBUTE
from training.customer_scores import stages
from training.enough import auc_margin
from training.intervals import wilson

#: Share of the customers asked about that counts as selected: the top of the list.
SELECTED = 0.10
#: Groups of an attribute told apart; the rest are one group.
MOST_GROUPS = 8
#: With fewer customers, or fewer on the rarer side, a group's figures are not judged.
LEAST_ROWS, LEAST_RARER = 30, 10
NOT_KNOWN, OTHER = "not known", "other"
STAGE, TENURE, ORDERS = "stage", "tenure", "orders"

Floats = NDArray[np.float64]
Labels = NDArray[np.object_]


@dataclass(frozen=True)
class Group:
    """One group of customers in a back-test. Rates and means are of its own customers; None where it has too few.

    `ratio` is what came true over what was predicted (1 is right), with its 95% interval. `selected` is the share of
    the group among the SELECTED of all customers scored highest, `reached` the share of those to whom it happened that
    is selected, and `right` the share of the selected to whom it happened.
    """

    kind: str
    group: str
    customers: int
    happened: float
    predicted: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    selected: float
    reached: float | None
    right: float | None
    weak: str | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def groupings(frame: pd.DataFrame, *, horizon_days: int) -> Mapping[str, Labels]:
    """By kind of group, (rows,) the group of each customer: STAGE, TENURE and ORDERS, then each attribute."""
    found: dict[str, Labels] = {}
    silent, tenure = (frame.get(name) for name in ("days_since_last_order", "days_since_first_order"))
    orders = frame.get("orders_life")
    if silent is not None and tenure is not None and orders is not None:
        facts = {"days_since_last_order": silent, "days_since_first_order": tenure, "orders": orders.fillna(0)}
        found[STAGE] = stages(pd.DataFrame(facts), horizon_days=horizon_days)
    if tenure is not None:
        names = np.array(["up to 90 days", "91 to 365 days", "over a year"], dtype=object)
        found[TENURE] = names[np.digitize(tenure.fillna(0).to_numpy(float), (90, 365), right=True)]
    if orders is not None:
        found[ORDERS] = np.where(orders.fillna(0).to_numpy(float) > 1, "several orders", "one order").astype(object)
    return found | attribute_groups(frame)


def read_by_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that `groupings` reads."""
    read = {"days_since_last_order", "days_since_first_order", "orders_life"}
    return frame[[name for name in frame.columns if name in read or str(name).startswith(ATTRIBUTE)]]


def attribute_groups(frame: pd.DataFrame) -> dict[str, Labels]:
    """By attribute of the shop's customers, (rows,) the group of each: its values, or quarters of its numbers."""
    found = {}
    for name in frame.columns:
        if str(name).startswith(ATTRIBUTE):
            found[str(name)] = _groups_of(frame[name])
    return found


def by_group(
    kind: str, labels: Labels, actual: NDArray[Any], predicted: Floats, *, is_amount: bool = False
) -> list[Group]:
    """Each group of one kind, largest first. `actual` is (rows,) bool, or with `is_amount` an amount."""
    cut = selection(predicted)
    over = auc_of(actual, predicted) if not is_amount else None
    names, counts = np.unique(labels.astype(str), return_counts=True)
    order = np.lexsort((names, -counts))
    return [
        _group(kind, names[place], labels.astype(str) == names[place], actual, predicted, cut, over, is_amount)
        for place in order
    ]


def all_groups(
    frame: pd.DataFrame, actual: NDArray[Any], predicted: Floats, *, horizon_days: int, is_amount: bool
) -> list[Group]:
    """Every group of every kind."""
    kinds = groupings(frame, horizon_days=horizon_days)
    return [
        group
        for kind, labels in kinds.items()
        for group in by_group(kind, labels, actual, predicted, is_amount=is_amount)
    ]


def selection(scores: Floats, share: float = SELECTED) -> Floats:
    """(rows,) how much of each customer is selected: 1 at the top, 0 below, and tied at the edge an equal part."""
    size = max(round(share * len(scores)), 1)
    edge = np.partition(scores, len(scores) - size)[len(scores) - size]
    above, tied = scores > edge, scores == edge
    return np.where(above, 1.0, np.where(tied, (size - above.sum()) / tied.sum(), 0.0))


def auc_of(happened: NDArray[np.bool_], scores: Floats) -> float | None:
    """The AUC; None where there are fewer than LEAST_RARER of one side."""
    rarer = min(int(happened.sum()), int((~happened).sum()))
    return float(roc_auc_score(happened, scores)) if rarer >= LEAST_RARER else None


def _groups_of(column: pd.Series) -> Labels:
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > MOST_GROUPS:
        quarters = pd.qcut(column, 4, duplicates="drop").astype(str)
        return np.where(column.isna(), NOT_KNOWN, quarters).astype(object)
    texts = column.astype(object).where(column.notna(), NOT_KNOWN).astype(str)
    kept = texts.value_counts().index[:MOST_GROUPS]
    return np.where(texts.isin(kept) | (texts == NOT_KNOWN), texts, OTHER).astype(object)


def _group(
    kind: str,
    name: str,
    here: NDArray[np.bool_],
    actual: NDArray[Any],
    predicted: Floats,
    selected: Floats,
    over: float | None,
    is_amount: bool,
) -> Group:
    came, foretold, chosen = actual[here].astype(float), predicted[here], selected[here]
    happened = came > 0
    n = len(came)
    ratio, low, high = _ratio(came, foretold, is_amount) if n >= LEAST_ROWS else (None, None, None)
    auc = None if is_amount or n < LEAST_ROWS else auc_of(happened, foretold)
    margin = auc_margin(int(happened.sum()), int((~happened).sum()), auc=auc) if auc is not None else 0.0
    ends = (None, None) if auc is None else (max(auc - margin, 0.0), min(auc + margin, 1.0))
    return Group(
        kind=kind,
        group=name,
        customers=n,
        happened=float(came.mean()),
        predicted=float(foretold.mean()),
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        auc=auc,
        auc_low=ends[0],
        auc_high=ends[1],
        selected=float(chosen.mean()),
        reached=float(chosen[happened].mean()) if happened.sum() >= LEAST_RARER else None,
        right=float((chosen * happened).sum() / chosen.sum()) if chosen.sum() >= LEAST_RARER else None,
        weak=_weak(ratio, low, high, ends[1], over),
    )


def _ratio(came: Floats, foretold: Floats, is_amount: bool) -> tuple[float | None, float | None, float | None]:
    """What came true over what was foretold, and the 95% ends of what came true: Wilson's, or normal for amounts."""
    mean, seen = float(foretold.mean()), float(came.mean())
    if mean <= 0:
        return None, None, None
    half = 1.96 * float(came.std()) / np.sqrt(len(came))
    low, high = (max(seen - half, 0.0), seen + half) if is_amount else wilson(int(came.sum()), len(came))
    return seen / mean, low / mean, high / mean


def _weak(
    ratio: float | None, low: float | None, high: float | None, auc_high: float | None, over: float | None
) -> str | None:
    """What is surely worse here than it should be, beyond chance; None where nothing is."""
    if auc_high is not None and over is not None and auc_high < over:
        return "told apart worse than all customers are"
    if low is not None and high is not None and not low <= 1.0 <= high and ratio is not None:
        return "happens more often than predicted" if ratio > 1 else "happens less often than predicted"
    return None


def weak_groups(groups: Sequence[Group]) -> list[str]:
    """The groups that are surely worse, in sentences."""
    return [f"{one.kind} {one.group} ({one.customers:,} customers): {one.weak}" for one in groups if one.weak]
