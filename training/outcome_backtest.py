"""Back-tests of churn, propensity and value: a model learned from before a cut-off, asked about what came after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.engine import connect
from features.errors import DataError
from features.horizon import shop_rhythm
from features.labels import ACTIVE, BOUGHT, SPEND, STOPPED
from features.schema import ORDER_LINES, C
from features.snapshot import naive_utc
from training.boosting import BoostingConfig
from training.churn import ChurnModel
from training.conformal import LEAST_ROWS, fit_intervals
from training.dataset import examples
from training.lifetime_backtest import learn_lifetime, with_followed
from training.moments import Moments, plan_moments
from training.outcome_model import is_excluded
from training.peers import fit_rfm_logistic, order_history, spend_guesses, stopping_scores
from training.propensity import PropensityModel
from training.protocols import Context
from training.return_backtest import known_waits, with_waits
from training.return_time import NEEDED
from training.tuned import tuned_boosting
from training.value import ValueModel

#: Rows learned from at most: a shop with more customers is learned from a sample of them, the same at every moment.
MOST_ROWS = 600_000
#: Fewest customers on each side (stopped and stayed, bought and not) to learn from, and to be tested on.
LEAST_TO_LEARN, LEAST_TO_TEST = 10, 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What one model is asked: of whom, and which column of the data set is the answer."""

    model: str
    estimator: Any  # the class
    label: str
    active_only: bool
    event: str  # in words, with {days}
    config: BoostingConfig
    asked: str = "customers"  # what a row is

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows the question is asked of."""
        return frame[frame[ACTIVE]].reset_index(drop=True) if self.active_only else frame.reset_index(drop=True)

    @property
    def is_amount(self) -> bool:
        """Whether the answer is an amount; else it is yes or no."""
        return self.label == SPEND

    @property
    def is_of_order(self) -> bool:
        """Whether the answer is yes or no by whether an order came."""
        return self.label in (STOPPED, BOUGHT)


QUESTIONS: Mapping[str, Question] = {
    "churn": Question("churn", ChurnModel, STOPPED, True, "no order in {days} days", BoostingConfig()),
    "propensity": Question("propensity", PropensityModel, BOUGHT, False, "an order in {days} days", BoostingConfig()),
    "value": Question("value", ValueModel, SPEND, False, "spend in {days} days", BoostingConfig(num_leaves=8)),
}


@dataclass(frozen=True)
class Setting:
    """What fixes a back-test: the question, the days it looks ahead, and the moments."""

    question: Question
    horizon_days: int
    moments: Moments
    config: BoostingConfig

    @property
    def event(self) -> str:
        """What is predicted, in words."""
        return self.question.event.format(days=self.horizon_days)


@dataclass(frozen=True)
class BackTest:
    """A model that learned up to a horizon before the cut-off, and the customers it is tested on.

    `test` holds the features and labels as of the cut-off, `actual` the label, `predicted` ours, `peers` theirs, all in
    the same order of customers.
    """

    setting: Setting
    model: Any
    examples: pd.DataFrame  # of every moment, to learn from (sampled in a large shop)
    test: pd.DataFrame
    actual: NDArray[Any]
    predicted: Floats
    peers: Mapping[str, Floats]


def read_setting(context: Context, model: str, *, as_of: datetime | None = None, seed: int | None = None) -> Setting:
    """The setting of the lake: its own horizon and test cut-off, or `as_of`, and what was tuned for the shop.

    Raises DataError for short history.
    """
    question = QUESTIONS[model]
    if question.is_amount and not context.lake.has_amounts:
        raise DataError(
            "The shop's order lines have no amounts, so there is no spend to predict. Map the column of what was paid: "
            "amount, under [order_lines] in the mapping file, and ingest again. Churn and propensity work without."
        )
    settings = context.settings
    horizon, cutoffs = shop_rhythm(context.lake, connect(settings), settings)
    test = cutoffs.test if as_of is None else naive_utc(as_of)
    moments = plan_moments(cutoffs.data_start, test, horizon.days)
    own = settings.models.get(model)
    config = replace(
        tuned_boosting(context.home, model, question.config, as_of=test),
        threads=settings.threads,
        seed=settings.seed if seed is None else seed,
        exclude=() if own is None else own.exclude,
    )
    return Setting(question, horizon.days, moments, config)


def run_backtest(context: Context, setting: Setting, *, with_serving: bool = False) -> BackTest:
    """Learn up to a horizon before the test cut-off, then predict what followed it.

    `with_serving` adds the examples of the moments after that to `examples`. Raises DataError, with counts, where there
    are too few customers to learn from or to test on.
    """
    question, moments = setting.question, setting.moments
    needed = moments.all if with_serving else (*moments.validation, *moments.fit, *moments.refit)
    # The test first: where its horizon has not passed, nothing else needs be read.
    test = question.rows(examples(context, [moments.test], setting.horizon_days))
    learned_from = read_past(context, setting, sorted(set(needed)))
    if not question.is_amount:
        test = with_waits(context, test, setting.horizon_days)
    check_floors(setting, learned_from, test)
    model = learn(setting, learned_from)
    if question.is_amount:
        test = with_followed(context, test, moments.test + timedelta(days=setting.horizon_days))
        model.lifetime_ = learn_lifetime(
            context, learned_from, moments.refit, until=moments.test, now=test, config=setting.config
        )
    actual = answers(question, test)
    return BackTest(
        setting=setting,
        model=model,
        examples=learned_from,
        test=test,
        actual=actual,
        predicted=predict_with(question, model, test),
        peers=_peers(context, setting, learned_from, test),
    )


def learn(setting: Setting, learned_from: pd.DataFrame) -> Any:
    """The model that is tested: rounds and calibration chosen on the validation moments, then learned up to them.

    The validation moments lie a horizon after those the choosing model learned from, and a horizon before the test.
    """
    chooser, checks = choose(setting, learned_from)
    calibrator = _calibration(setting.question, chooser, checks)
    return refit(setting, learned_from, setting.moments.refit, chooser.rounds_, calibrator)


def choose(setting: Setting, learned_from: pd.DataFrame) -> tuple[Any, pd.DataFrame]:
    """The model of as many rounds as are best on the validation moments, and the rows of those."""
    question, moments = setting.question, setting.moments
    fit, checks = at(learned_from, moments.fit), at(learned_from, moments.validation)
    label = question.label
    chooser = question.estimator(setting.config).fit(
        fit, fit[label], held_out=(checks, checks[label]), **_beside(setting, fit, min(moments.validation))
    )
    return chooser, checks


def refit(
    setting: Setting, learned_from: pd.DataFrame, moments: Sequence[datetime], rounds: int, calibrator: Any
) -> Any:
    """A model of so many rounds learned from these moments, with a calibration that was chosen before."""
    rows = at(learned_from, moments)
    until = max(moments) + timedelta(days=setting.horizon_days)
    model = setting.question.estimator(setting.config, rounds).fit(
        rows, rows[setting.question.label], **_beside(setting, rows, until)
    )
    if calibrator is not None:
        model.keep_calibration(calibrator)
    return model


def _beside(setting: Setting, rows: pd.DataFrame, until: datetime) -> dict[str, Any]:
    """What a model of an order besides learns from: the waits for it that were known by `until`."""
    if not setting.question.is_of_order or any(is_excluded(name, setting.config.exclude) for name in NEEDED):
        return {}
    waits = known_waits(rows, until=until, horizon_days=setting.horizon_days)
    return {"waits": waits, "horizon_days": setting.horizon_days}


def _calibration(question: Question, chooser: Any, checks: pd.DataFrame) -> Any:
    if question.is_amount:
        return fit_intervals(chooser.predict(checks), answers(question, checks)) if len(checks) >= LEAST_ROWS else None
    # The refitted model learns from these very moments, so it knows their level: correcting that too would do it twice.
    return chooser.calibrate(checks, checks[question.label], checks[C.CUSTOMER_ID], keep_level=True).calibrator_


def at(frame: pd.DataFrame, moments: Sequence[datetime]) -> pd.DataFrame:
    """The rows as of these moments."""
    return frame[frame[C.AS_OF].isin(moments)].reset_index(drop=True)


def answers(question: Question, frame: pd.DataFrame) -> NDArray[Any]:
    """(rows,) what came true: bool, or spend of 0 or more."""
    column = frame[question.label]
    return column.to_numpy(float).clip(min=0) if question.is_amount else column.to_numpy(bool)


def predict_with(question: Question, model: Any, frame: pd.DataFrame) -> Floats:
    """(rows,) probability of the event, or expected spend."""
    found: Floats = model.predict(frame) if question.is_amount else model.predict_proba(frame)[:, 1]
    return found


def check_floors(setting: Setting, learned_from: pd.DataFrame, test: pd.DataFrame) -> None:
    """Raises DataError, with counts, where customers are too few to learn from or to test on."""
    question = setting.question
    parts = {
        "learn from": (at(learned_from, setting.moments.fit), LEAST_TO_LEARN),
        "choose on": (at(learned_from, setting.moments.validation), LEAST_TO_TEST),
        "test on": (test, LEAST_TO_TEST),
    }
    for purpose, (frame, least) in parts.items():
        happened = answers(question, frame) > 0
        counts = [frame.loc[side, C.CUSTOMER_ID].nunique() for side in (happened, ~happened)]
        # Everybody may spend: only an amount that nobody spends cannot be learned.
        if min(counts[:1] if question.is_amount else counts) < least:
            raise DataError(
                f"Too few customers to {purpose} for {question.model}: {counts[0]} with {setting.event} and "
                f"{counts[1]} without{', among active customers' if question.active_only else ''}; at least {least} "
                f"{'with it' if question.is_amount else 'of each'} are needed. Load more customers or more history, or "
                "set another horizon_days."
            )


def read_past(context: Context, setting: Setting, moments: Sequence[datetime]) -> pd.DataFrame:
    """Examples of the moments, of every customer or, where they are too many, of a sample of customers.

    Where the question is of an order, with the waits for it.
    """
    found = _read(context, setting, moments)
    return found if setting.question.is_amount else with_waits(context, found, setting.horizon_days)


def _read(context: Context, setting: Setting, moments: Sequence[datetime]) -> pd.DataFrame:
    lines = context.lake.tables(connect(context.settings))[ORDER_LINES.name]
    share = MOST_ROWS / max(int(lines[C.CUSTOMER_ID].nunique().execute()) * len(moments), 1)
    if share >= 1:
        return setting.question.rows(examples(context, moments, setting.horizon_days))
    parts = []
    for moment in moments:
        frame = examples(context, [moment], setting.horizon_days)
        parts.append(setting.question.rows(frame[sampled(frame[C.CUSTOMER_ID], share)]))
    return pd.concat(parts, ignore_index=True)


def sampled(customers: pd.Series, share: float) -> NDArray[np.bool_]:
    """Whether each customer is in the sample: by a hash of the id, so that it is the same one at every moment."""
    hashed = pd.util.hash_pandas_object(customers, index=False).to_numpy(np.uint64)
    return np.asarray(hashed < np.uint64(share * float(np.iinfo(np.uint64).max)))


def _peers(context: Context, setting: Setting, learned_from: pd.DataFrame, test: pd.DataFrame) -> Mapping[str, Floats]:
    days = setting.horizon_days

    def history(moment: datetime, rows: pd.DataFrame) -> pd.DataFrame:
        found = context.once(("order history", moment, days), lambda: order_history(context, moment, days))
        return found.set_index(C.CUSTOMER_ID).loc[rows[C.CUSTOMER_ID]].reset_index()

    now = history(setting.moments.test, test)
    if setting.question.is_amount:
        return spend_guesses(now, horizon_days=days)
    past, stopped = [], []
    for moment in setting.moments.refit:
        rows = at(learned_from, [moment])
        if len(rows):
            past.append(history(moment, rows))
            stopped.append(rows[STOPPED].to_numpy(bool))
    scores = stopping_scores(now, fit_rfm_logistic(past, stopped), horizon_days=days)
    if setting.question.label == STOPPED:
        return scores
    # The chance of an order is one minus that of none; a rank turned round is a rank.
    return {name: 1.0 - score if name in PROBABILITIES else -score for name, score in scores.items()}


#: Peers whose scores are probabilities, so that they can be taken at their word or not.
PROBABILITIES = frozenset({"rfm_logistic"})
