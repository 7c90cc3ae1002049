"""How one model of a past scoring stood: what its back-test promised, what came, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.protocols import Metric


@dataclass(frozen=True)
class Tenth:
    """Customers of like predictions: how many, what was predicted in the mean, and what came."""

    customers: int
    predicted: float
    came: float


@dataclass(frozen=True)
class Group:
    """Customers who were contacted within the horizon, or held out of contacts: how many, predicted, and came."""

    customers: int
    predicted: float
    came: float


@dataclass(frozen=True)
class Judged:
    """One model of one scoring. `promised` and `came` by metric; ends of intervals end in _low and _high."""

    model: str
    version: int
    customers: int
    metric: str
    promised: Mapping[str, float]
    came: Mapping[str, float]
    verdict: str
    why: str
    ratio: float | None = None  # of what came to what was predicted, with its ends
    ratio_low: float | None = None
    ratio_high: float | None = None
    tenths: Sequence[Tenth] = ()
    contacted: Group | None = None


def with_ends(metrics: Sequence[Metric]) -> dict[str, float]:
    """Every metric that is finite by its name; ends of its interval end in _low and _high."""
    found: dict[str, float] = {}
    for one in metrics:
        named = {one.name: one.value, f"{one.name}_low": one.low, f"{one.name}_high": one.high}
        found |= {name: float(value) for name, value in named.items() if value is not None and np.isfinite(value)}
    return found


def promised_of(about: Mapping[str, Any], model: str, came: Mapping[str, float]) -> dict[str, float]:
    """What the back-test of the version found, of the metrics there are now."""
    metrics: Mapping[str, float] = ((about["backtests"] or {}).get(model) or {}).get("metrics", {})
    return {name: metrics[name] for name in came if metrics.get(name) is not None}
