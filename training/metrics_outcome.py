"""Metrics of predicted outcomes, one customer a row: pure functions of arrays. Definitions: docs/metrics.md.

Throughout, `happened` is (customers,) bool, `scores` (customers,) where higher means likelier, and `probability`
(customers,) in [0, 1]. What cannot be measured (one class only, a constant) is NaN, never a number made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from training.protocols import Metric

SHARES = (0.01, 0.05, 0.10, 0.20)
#: Bins of the expected calibration error.
BINS = 10
#: Nearest a probability comes to 0 or 1 where its logarithm or log-odds is taken.
EDGE = 1e-6
#: Share of bootstrap draws in which a metric may be undefined.
UNDEFINED = 0.05

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class _Cuts(NamedTuple):
    """How many lie at or above each distinct score, highest first, after a 0: all, and of those it happened to."""

    all: Floats
    events: Floats


def _cuts(happened: Bools, scores: Floats) -> _Cuts:
    # A bootstrap asks for them hundreds of times: scikit-learn's checks of its input take several times what they do.
    order = np.argsort(-scores)
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0)[: len(ordered)])
    counted = np.cumsum(happened[order], dtype=float)[last]
    return _Cuts(np.append(0.0, last + 1.0), np.append(0.0, counted))


def _auc(cuts: _Cuts) -> float:
    """The trapezoids below the ROC curve; NaN where one class is missing."""
    others = cuts.all - cuts.events
    if not 0 < cuts.events[-1] < cuts.all[-1]:
        return np.nan
    return float(np.trapezoid(cuts.events, others) / (cuts.events[-1] * others[-1]))


def _average_precision(cuts: _Cuts) -> float:
    """The sum of precision over steps of recall; NaN where it happened to nobody."""
    if not cuts.events[-1]:
        return np.nan
    return float((np.diff(cuts.events) * cuts.events[1:] / cuts.all[1:]).sum() / cuts.events[-1])


def _top(cuts: _Cuts, size: int) -> float:
    # Between two cuts lie customers of one score.
    return float(np.interp(size, cuts.all, cuts.events) / size)


def top_share(happened: Bools, scores: Floats, share: float) -> float:
    """How often it happened among the `share` of customers scored highest: at least one, rounded to the nearest.

    Customers tied at the edge count in equal parts, so the order of the rows does not matter.
    """
    return _top(_cuts(happened, scores), max(round(share * len(scores)), 1))


def ranking_of(happened: Bools, scores: Floats) -> dict[str, float]:
    """How well scores order customers: auc, average_precision, and precision, lift and capture at each of SHARES.

    `precision@10%` is how often it happened in the top tenth; `lift@10%` is that over how often it happened at all;
    `capture@10%` is the part of all that happened which lies there. Raises ValueError for a score that is no number.
    """
    if np.isnan(scores).any():
        raise ValueError("A score is not a number, so it has no place among the others.")
    n, events = len(happened), int(happened.sum())
    cuts = _cuts(happened, scores)
    found = {"auc": _auc(cuts), "average_precision": _average_precision(cuts)}
    for share in SHARES:
        size = max(round(share * n), 1)
        rate = _top(cuts, size)
        found[f"precision@{share:.0%}"] = rate
        found[f"lift@{share:.0%}"] = rate / (events / n) if events else np.nan
        found[f"capture@{share:.0%}"] = rate * size / events if events else np.nan
    return found


def calibration_error(happened: Bools, probability: Floats, *, equal_counts: bool = False, bins: int = BINS) -> float:
    """Expected calibration error: the mean of |share that happened - mean probability| over bins, by customers.

    Bins are of equal width over [0, 1] (Naeini, Cooper and Hauskrecht 2015), each closed on the right; with
    `equal_counts` they hold equal numbers of customers, equal probabilities always together.
    """
    if equal_counts:
        edges = np.unique(np.quantile(probability, np.arange(1, bins) / bins))
    else:
        edges = np.arange(1, bins) / bins
    place = np.searchsorted(edges, probability, side="left")
    size = len(edges) + 1
    gap = np.bincount(place, happened, size) - np.bincount(place, probability, size)
    return float(np.abs(gap).sum() / len(probability))


def calibration_slope(happened: Bools, probability: Floats) -> float:
    """Slope of the log-odds of what happened on the predicted log-odds (Cox 1958); 1 is right, below 1 overconfident.

    NaN where the probabilities are constant, one class is missing, or they separate the classes (no finite slope).
    """
    odds = _log_odds(probability)
    if not 0 < happened.sum() < len(happened) or np.ptp(odds) == 0:
        return np.nan
    if odds[happened].min() >= odds[~happened].max() or odds[happened].max() <= odds[~happened].min():
        return np.nan
    outcome = happened.astype(float)

    def expected(at: Floats) -> Floats:
        found: Floats = expit(at[0] + at[1] * odds)
        return found

    def loss(at: Floats) -> float:
        score = at[0] + at[1] * odds
        return float((np.logaddexp(0.0, score) - outcome * score).mean())

    def gradient(at: Floats) -> Floats:
        off = expected(at) - outcome
        return np.array([off.mean(), (off * odds).mean()])

    def curvature(at: Floats) -> Floats:
        said = expected(at)
        weight = said * (1.0 - said)
        cross = (weight * odds).mean()
        return np.array([[weight.mean(), cross], [cross, (weight * odds**2).mean()]])

    start = np.array([logit(outcome.mean()), 0.0])
    fitted = minimize(loss, start, jac=gradient, hess=curvature, method="trust-exact", options={"gtol": 1e-8})
    return float(fitted.x[1])


def calibration_intercept(happened: Bools, probability: Floats) -> float:
    """Log-odds to add to every prediction so that their mean is what happened (calibration in the large); 0 is right.

    Above 0, it happened more often than predicted. NaN where one class is missing.
    """
    odds, share = _log_odds(probability), float(happened.mean())
    if not 0 < share < 1:
        return np.nan
    widest = 60.0
    return float(brentq(lambda shift: float(expit(odds + shift).mean()) - share, -widest, widest))


def probability_metrics(happened: Bools, probability: Floats) -> dict[str, float]:
    """Everything of `ranking_of`, and how far the probabilities can be taken at their word."""
    within = np.clip(probability, EDGE, 1 - EDGE)
    return {
        **ranking_of(happened, probability),
        "brier": float(((probability - happened) ** 2).mean()),
        "log_loss": float(-np.log(np.where(happened, within, 1.0 - within)).mean()),
        "ece": calibration_error(happened, probability),
        "ece_equal_counts": calibration_error(happened, probability, equal_counts=True),
        "calibration_slope": calibration_slope(happened, probability),
        "calibration_intercept": calibration_intercept(happened, probability),
        "mean_probability": float(probability.mean()),
    }


def amount_metrics(actual: Floats, predicted: Floats) -> dict[str, float]:
    """How near predicted amounts come: mae, rmse, bias (mean predicted - mean actual), bias_share, correlation.

    Amounts in the shop's currency; `bias_share` is the bias over the mean actual, `correlation` Pearson's. Either is
    NaN where it is not defined.
    """
    bias, mean = float(predicted.mean() - actual.mean()), float(actual.mean())
    moves = len(actual) > 1 and np.ptp(actual) > 0 and np.ptp(predicted) > 0
    with np.errstate(invalid="ignore", divide="ignore"):  # numbers too small to square have no correlation
        correlation = float(np.corrcoef(actual, predicted)[0, 1]) if moves else np.nan
    return {
        "mae": float(np.abs(actual - predicted).mean()),
        "rmse": float(np.sqrt(((actual - predicted) ** 2).mean())),
        "bias": bias,
        "bias_share": bias / mean if mean else np.nan,
        "correlation": correlation,
    }


Measure = Callable[[NDArray, NDArray], Mapping[str, float]]


def resampled(
    measure: Measure,
    actual: NDArray,
    predicted: NDArray,
    *,
    rng: np.random.Generator,
    resamples: int,
    customers: NDArray | None = None,
) -> dict[str, Floats]:
    """Each metric of `measure` on `resamples` draws of customers with replacement (Efron 1979).

    `customers` (rows,) are ids, where one may have several rows: all of them are drawn together.
    """
    rows_of = None if customers is None else _rows_of(customers)
    draws = []
    for _ in range(resamples):
        rows = rng.integers(0, len(actual), len(actual)) if rows_of is None else _draw(rows_of, rng)
        draws.append(measure(actual[rows], predicted[rows]))
    return {name: np.array([draw[name] for draw in draws]) for name in draws[0]}


def with_intervals(
    measure: Measure,
    actual: NDArray,
    predicted: NDArray,
    *,
    rng: np.random.Generator,
    resamples: int = 200,
    customers: NDArray | None = None,
) -> list[Metric]:
    """Each metric with the ends of its 95% percentile bootstrap interval; `customers` as in `resampled`.

    Draws in which it is not defined (nobody of one class was drawn) do not count; where they are more than
    UNDEFINED of all, there are no ends.
    """
    point = measure(actual, predicted)
    draws = resampled(measure, actual, predicted, rng=rng, resamples=resamples, customers=customers)
    found = []
    for name, value in point.items():
        defined = draws[name][np.isfinite(draws[name])]
        if len(defined) >= (1 - UNDEFINED) * resamples:
            low, high = np.quantile(defined, (0.025, 0.975))
            found.append(Metric(name, float(value), float(low), float(high)))
        else:
            found.append(Metric(name, float(value)))
    return found


def _rows_of(customers: NDArray) -> list[NDArray[np.int64]] | None:
    """The rows of each customer; None where each has one."""
    _, codes, counts = np.unique(customers, return_inverse=True, return_counts=True)
    if (counts == 1).all():
        return None
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])


def _draw(rows_of: Sequence[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.concatenate([rows_of[one] for one in rng.integers(0, len(rows_of), len(rows_of))])


def auc_or_nan(happened: Bools, scores: Floats) -> float:
    """The area under the ROC curve; NaN where one class is missing."""
    return _auc(_cuts(happened, scores))


def average_precision_or_nan(happened: Bools, scores: Floats) -> float:
    """The average precision; NaN where it happened to nobody."""
    return _average_precision(_cuts(happened, scores))


def paired_difference(
    metric: Callable[[NDArray, NDArray], float],
    customers: Sequence[NDArray],
    actual: Sequence[NDArray],
    ours: Sequence[NDArray],
    theirs: Sequence[NDArray],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> Metric:
    """Mean over back-tests of metric(ours) - metric(theirs), with its 95% interval; a list entry is a back-test.

    `customers` are ids. Both are measured on the same draws, so what is hard for both cancels; a customer is drawn with
    all of their back-tests (a cluster bootstrap: Field and Welsh 2007), for one who is easy in May is easy in June.
    Draws in which a back-test is not defined do not count; where they are more than UNDEFINED, there are no ends.
    """
    everybody, codes = np.unique(np.concatenate(customers), return_inverse=True)
    starts = np.cumsum([len(asked) for asked in customers])[:-1]
    of_each = np.split(codes, starts)
    n = len(everybody)

    def mean_of(times: NDArray[np.int64]) -> float:
        found = []
        for code, a, o, t in zip(of_each, actual, ours, theirs, strict=True):
            rows = np.repeat(np.arange(len(a)), times[code])
            found.append(metric(a[rows], o[rows]) - metric(a[rows], t[rows]) if len(rows) else np.nan)
        return float(np.mean(found))

    point = mean_of(np.ones(n, dtype=np.int64))
    draws = np.array([mean_of(np.bincount(rng.integers(n, size=n), minlength=n)) for _ in range(resamples)])
    defined = draws[np.isfinite(draws)]
    if len(defined) < (1 - UNDEFINED) * resamples:
        return Metric("difference", point)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Metric("difference", point, float(low), float(high))


def _log_odds(probability: Floats) -> Floats:
    clipped: Floats = logit(np.clip(probability, EDGE, 1 - EDGE))
    return clipped
