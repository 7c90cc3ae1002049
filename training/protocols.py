"""What the parts of training agree on: a metric, what a training leaves behind, what it is given."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from features.home import Home
from features.lake import Lake
from features.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

#: Rows at most of a table that `Context.once` keeps.
KEPT_ROWS = 20_000

MODELS = ("recommender", "churn", "propensity", "value")
#: Learned where a shop holds customers out by lot, and only then: what a contact changes. Its metric of the second name
#: is 1 where lists may go by it, else 0.
UPLIFT, ACCEPTED = "uplift", "accepted"
#: Learned where a shop tells who responded to its contacts: the probability that a customer does.
RESPONSE = "response"
#: All that the registry may hold a champion of.
REGISTERED = (*MODELS, UPLIFT, RESPONSE)


@dataclass(frozen=True)
class Metric:
    """One number of a back-test, with the ends of its confidence interval where one was computed."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Gate:
    """The metric a promotion compares, and which way is better."""

    metric: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Context:
    """What every training and evaluation is given.

    `read` holds small tables that several models ask for alike, by what they are (see `once`); `made` what is
    made once and shared (see `shared`).
    """

    settings: Settings
    home: Home
    lake: Lake
    read: dict[tuple[Hashable, ...], pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)
    made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def shared(self, what: str, make: Callable[[], T]) -> T:
        """What `make` gives, asked the first time only: the same object for all, so that nobody may change it."""
        if what not in self.made:
            self.made[what] = make()
        found: T = self.made[what]
        return found

    def once(self, what: tuple[Hashable, ...], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A copy of the table that `make` gives, which is asked for the first time only.

        Tables above KEPT_ROWS are made each time: their memory is worth more than the time.
        """
        found = self.read.get(what)
        if found is None:
            found = make()
            if len(found) <= KEPT_ROWS:
                self.read[what] = found
        return found.copy()


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind: a sealed bundle on disk, and what there is to log of it."""

    model: str  # one of MODELS
    bundle: Path  # directory sealed by training.bundle
    params: Mapping[str, str | float | int | bool]
    metrics: Sequence[Metric]  # of ours, on the test cut-off
    peers: Mapping[str, Sequence[Metric]]  # of each baseline, on the same test
    gate: Gate
    pictures: Sequence[Path]  # PNG files
    input_example: pd.DataFrame
    output_example: pd.DataFrame
    test_as_of: datetime
    horizon_days: int
    #: Scores another bundle of the same model on this very back-test, so that champion and challenger compare.
    rescore: Callable[[Path], Sequence[Metric]]
    #: How far ours is ahead of another bundle in the gate's metric, customer by customer, with its interval.
    ahead_of: Callable[[Path], Metric] | None = None
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # rows by name, logged as tables
    notes: Sequence[str] = field(default=())  # what the user should know, for instance a baseline that was not beaten


@dataclass(frozen=True)
class Evaluation:
    """The answer of `regulars evaluate`: ours and every baseline on one split."""

    model: str
    split: str
    data: Mapping[str, Any]  # customers, products, orders, hash, and what the split fixes (as_of, horizon_days …)
    results: Mapping[str, Mapping[str, float]]  # "regulars" and each baseline -> metric -> value
    seconds: float
    notes: Sequence[str] = ()
    #: Ours less each baseline on the same customers: baseline -> metric -> value, low and high of the 95 % interval.
    ahead: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    groups: Sequence[Mapping[str, Any]] = ()  # the same by band of customers and products
