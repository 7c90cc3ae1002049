"""How stable reasons are when a model is trained again: what two trainings tell of the same customers, compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from training.protocols import Metric
from training.reasons import Explained, explain


def stability(before: pa.Array, after: pa.Array) -> dict[str, float]:
    """Of customers with reasons by both trainings: `same_first`, `overlap` and `turned`.

    Both are arrays of reasons.REASONS, in one order of customers. `same_first` is the share whose first reason is the
    same message with the same sign; `overlap` the mean part of the reasons of either training that both tell (Jaccard);
    `turned` the share with a reason whose sign the two see differently. NaN where nobody has reasons by both.
    """
    both = [(one, other) for one, other in zip(before.to_pylist(), after.to_pylist(), strict=True) if one and other]
    if not both:
        return dict.fromkeys(("same_first", "overlap", "turned"), float("nan"))
    first = [_key(one[0]) == _key(other[0]) for one, other in both]
    overlap = []
    turned = []
    for one, other in both:
        ours, theirs = {_key(reason) for reason in one}, {_key(reason) for reason in other}
        overlap.append(len(ours & theirs) / len(ours | theirs))
        opposite = {(about, not lowers) for about, lowers in ours}
        turned.append(bool(opposite & theirs))
    return {
        "same_first": float(np.mean(first)),
        "overlap": float(np.mean(overlap)),
        "turned": float(np.mean(turned)),
    }


def stability_of(one: Explained, other: Explained, frame: pd.DataFrame) -> Sequence[Metric]:
    """The same of two models asked about one frame, as metrics; none where nobody has reasons by both."""
    found = stability(explain(one, frame), explain(other, frame))
    return [Metric(f"reasons.{name}", value) for name, value in found.items() if np.isfinite(value)]


def _key(reason: dict[str, object]) -> tuple[tuple[object, object], bool]:
    """What a reason is about (its message and, of a category, which) and its sign; numbers are the customer's own."""
    return (reason["message"], reason["detail"]), bool(reason["lowers"])
