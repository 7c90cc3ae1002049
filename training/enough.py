"""Whether a shop has enough customers, outcomes and history for a model, and what too few of them limit.

The floors, below which nothing is trained, are of training.outcome_backtest. The rest is what a reader should know: how
closely a back-test of that size can know its own AUC (Hanley and McNeil 1982, "The meaning and use of the area under a
receiver operating characteristic (ROC) curve"), whether there are outcomes enough to learn from (Peduzzi et al. 1996:
ten for each variable of a regression), and whether the history shows a season twice. docs/trust.md has the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from features.engine import connect
from features.errors import DataError
from features.labels import ACTIVE, customer_labels, until_known
from features.schema import C
from training.moments import MOST
from training.outcome_backtest import LEAST_TO_LEARN, LEAST_TO_TEST, QUESTIONS, Question, Setting, read_setting
from training.protocols import Context

ENOUGH, LIMITED, TOO_FEW = "enough", "limited", "too few"
#: The AUC a useful model is taken to have where the width of its interval is foretold.
USEFUL_AUC = 0.75
#: Half the width of a 95% interval of that AUC up to which a back-test is no limit.
NARROW = 0.05
#: Outcomes to learn from for each variable: those of the smallest model worth having, recency, frequency and money
#: (training.peers), by the rule of ten.
VARIABLES, FOR_EACH = 5, 10
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Side:
    """Customers with the outcome, and those without it, as of one moment or several."""

    happened: int
    not_happened: int

    @property
    def rarer(self) -> int:
        """Customers on the rarer side."""
        return min(self.happened, self.not_happened)


@dataclass(frozen=True)
class Enough:
    """What a shop has for one model: `level` is one of ENOUGH, LIMITED and TOO_FEW, and `limits` says why."""

    model: str
    level: str
    learn: Side
    test: Side
    moments: int
    horizon_days: int
    history_days: int
    limits: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def notes(self) -> list[str]:
        """What a training says of its data: the counts, then each limit."""
        return [f"Data: {self.told()}", *self.limits]

    def told(self) -> str:
        """The level and the counts in one line."""
        return (
            f"{self.level}: {self.learn.happened:,} with and {self.learn.not_happened:,} without to learn from at "
            f"{self.moments} moments, {self.test.happened:,} and {self.test.not_happened:,} to test on, "
            f"{self.history_days:,} days of history for {self.horizon_days} ahead"
        )


def auc_margin(happened: int, not_happened: int, *, auc: float = USEFUL_AUC) -> float:
    """Half the width of the 95% interval of an AUC measured on so many of each; 0.5 where one side is empty."""
    if min(happened, not_happened) < 1:
        return 0.5
    one, other = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (happened - 1) * (one - auc**2) + (not_happened - 1) * (other - auc**2)
    return min(1.96 * math.sqrt(spread / (happened * not_happened)), 0.5)


def judge(question: Question, learn: Side, test: Side, *, moments: int, horizon_days: int, history_days: int) -> Enough:
    """The level and the limits of these counts. `learn` counts customers over all moments learned from, once each."""
    event = question.event.format(days=horizon_days)
    floors, limits = [], []
    for purpose, side, least in (("learn from", learn, LEAST_TO_LEARN), ("test on", test, LEAST_TO_TEST)):
        # Everybody may spend: only an amount that nobody spends cannot be learned.
        found = side.happened if question.is_amount else side.rarer
        if found < least:
            floors.append(f"{found} customers to {purpose} on the rarer side of '{event}', at least {least} are needed")
    wanted = VARIABLES * FOR_EACH
    if not question.is_amount and learn.rarer < wanted:
        limits.append(
            f"{learn.rarer} customers on the rarer side to learn from, fewer than the {wanted} that even "
            f"{VARIABLES} variables want: expect no more than a simple rule gives"
        )
    margin = auc_margin(test.happened, test.not_happened)
    if not question.is_amount and margin > NARROW:
        limits.append(
            f"the back-test has {test.rarer} customers on the rarer side, so its AUC is known to about ±{margin:.2f} "
            "only: small gains, and small losses, cannot be told from chance"
        )
    if moments < MOST // 2:
        limits.append(f"{moments} moments to learn from (up to {MOST} are used): habits of few weeks stand for all")
    if history_days < YEAR.days + horizon_days:
        limits.append(f"{history_days:,} days of history: no season was seen twice, so what it brings is not known")
    level = TOO_FEW if floors else LIMITED if limits else ENOUGH
    return Enough(question.model, level, learn, test, moments, horizon_days, history_days, (*floors, *limits))


def enough_to_train(context: Context, setting: Setting, learned: Any, test: Any) -> Enough:
    """Of the rows a training learned from and was tested on (frames of training.dataset.examples)."""
    moments = setting.moments
    return judge(
        setting.question,
        _side_of(setting.question, learned[learned[C.AS_OF].isin(moments.refit)]),
        _side_of(setting.question, test),
        moments=len(moments.refit),
        horizon_days=setting.horizon_days,
        history_days=_history_days(context, setting),
    )


def enough_in_lake(context: Context, model: str) -> Enough:
    """What the lake has for a model, from labels alone: nothing is built or trained.

    Learning is counted at the latest moment learned from, since most customers of one are those of all: a little too
    few. Raises DataError where the history is too short for any back-test, or there are no amounts for value.
    """
    setting = read_setting(context, model)
    latest = setting.moments.refit[0]
    return judge(
        setting.question,
        _count(context, setting, latest),
        _count(context, setting, setting.moments.test),
        moments=len(setting.moments.refit),
        horizon_days=setting.horizon_days,
        history_days=_history_days(context, setting),
    )


def all_in_lake(context: Context) -> Sequence[Enough | tuple[str, str]]:
    """Of churn, propensity and value what the lake has, or the model and why it cannot be asked for at all."""
    found: list[Enough | tuple[str, str]] = []
    for model in QUESTIONS:
        try:
            found.append(enough_in_lake(context, model))
        except DataError as error:
            found.append((model, str(error)))
    return found


def _history_days(context: Context, setting: Setting) -> int:
    first = datetime.fromisoformat(context.lake.manifest["first_order_at"])
    return (setting.moments.test - first).days + setting.horizon_days


def _count(context: Context, setting: Setting, moment: datetime) -> Side:
    until_known(context.lake, moment, setting.horizon_days)
    labels = customer_labels(context.lake.tables(connect(context.settings)), moment, horizon_days=setting.horizon_days)
    if setting.question.active_only:
        labels = labels.filter(labels[ACTIVE])
    label = labels[setting.question.label]
    happened = (label > 0) if setting.question.is_amount else label
    counts = labels.aggregate(rows=labels.count(), happened=happened.sum().fill_null(0)).to_pyarrow().to_pylist()[0]
    return Side(int(counts["happened"]), int(counts["rows"] - counts["happened"]))


def _side_of(question: Question, frame: Any) -> Side:
    happened = frame[question.label] > 0
    ids = frame[C.CUSTOMER_ID]
    return Side(int(ids[happened].nunique()), int(ids[~happened].nunique()))
