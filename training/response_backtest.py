"""The back-test of responses: learned from earlier contacts and asked about later ones, a horizon apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.errors import DataError
from features.labels import RESPONDED
from features.schema import C
from training.boosting import BoostingConfig
from training.dataset import horizon_of
from training.moments import Moments
from training.outcome_backtest import BackTest, Question, Setting, answers, at, check_floors, learn, predict_with
from training.protocols import RESPONSE, Context
from training.response import CHANNEL, ResponseModel
from training.response_data import WHAT_TO_LOG, days_apart, read_contacts, usual_channel, with_features

QUESTION = Question(
    RESPONSE,
    ResponseModel,
    RESPONDED,
    False,
    "a response within {days} days of a contact",
    BoostingConfig(),
    "contacts",
)
#: Share of the contacts, the newest, that is tested on at least, and of those before that rounds are chosen on.
TEST_SHARE, CHECK_SHARE = 0.25, 0.25
#: What a response is ranked by without a model, beside the channel; logarithms of them.
RFM = ("days_since_last_order", "days_since_first_order", "orders_90d", "spend_90d", "contacts_90d", "responses_365d")
PAST_RESPONSES = "responses_365d"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Responses:
    """A back-test, and what it is of: `channel` is the usual one, by which customers are scored."""

    backtest: BackTest
    channel: str | None
    contacts: int
    responded: int
    campaigns: int
    tested_campaigns: int

    def about(self) -> dict[str, Any]:
        """Plain values, for the bundle."""
        names = ("channel", "contacts", "responded", "campaigns", "tested_campaigns")
        return {name: getattr(self, name) for name in names}


def run_response_backtest(context: Context) -> Responses:
    """Learn from contacts of before, then predict who responded to the newest ones.

    Raises DataError where contacts or responses are missing, too few, or too near in time to test on later ones.
    """
    horizon = horizon_of(context)
    contacts = read_contacts(context, horizon)
    moments = plan(contacts, horizon)
    setting = _setting(context, horizon, moments)
    rows = with_features(context, contacts, horizon)
    test = rows[rows[C.AS_OF] >= pd.Timestamp(moments.test)].reset_index(drop=True)
    check_floors(setting, rows, test)
    model = learn(setting, rows)
    backtest = BackTest(
        setting=setting,
        model=model,
        examples=rows,
        test=test,
        actual=answers(QUESTION, test),
        predicted=predict_with(QUESTION, model, test),
        peers=peers(at(rows, moments.refit), test),
    )
    return Responses(
        backtest,
        usual_channel(contacts),
        len(contacts),
        int(contacts[RESPONDED].sum()),
        int(contacts[C.CAMPAIGN_ID].nunique()),
        int(test[C.CAMPAIGN_ID].nunique()),
    )


def plan(contacts: pd.DataFrame, horizon_days: int) -> Moments:
    """The moments of the contacts by use: what followed any of one use is known before the first of the next.

    Raises DataError where the contacts lie too near to one another for that.
    """
    moments = contacts[C.AS_OF]
    clear = timedelta(days=horizon_days) + days_apart(contacts)
    test = _newest(moments, TEST_SHARE)
    refit = _before(moments, test - clear)
    checks = _newest(moments[moments.isin(refit)], CHECK_SHARE) if refit else test
    fit = _before(moments, checks - clear)
    if not fit:
        first, last = moments.min(), moments.max()
        raise DataError(
            f"The contacts lie too near to one another: the first is of {first:%Y-%m-%d}, the last whose "
            f"{horizon_days} days have passed of {last:%Y-%m-%d}. Contacts to learn from, to choose on and to test on, "
            f"each {horizon_days} days after those before, are needed. {WHAT_TO_LOG}"
        )
    validation = tuple(moment for moment in refit if moment >= checks)
    return Moments(test, validation, fit, refit, _before(moments, moments.max()))


def peers(learned: pd.DataFrame, test: pd.DataFrame) -> Mapping[str, Floats]:
    """What a shop would go by without a model, on the same contacts: (rows,) scores, probabilities of two of them.

    channel_rate: how many responded by that channel before. rfm_logistic: logistic regression on recency, frequency,
    money, contacts and responses so far and the channel. past_responses: of the last year; equals by recent orders.
    """
    happened = learned[RESPONDED].to_numpy(bool)
    rates = learned.groupby(learned[CHANNEL].fillna(""))[RESPONDED].mean()
    of_channel = test[CHANNEL].fillna("").map(rates).fillna(happened.mean())
    found = {"channel_rate": of_channel.to_numpy(float)}
    channels = sorted(set(learned[CHANNEL].dropna().astype(str)))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    model.fit(_known(learned, channels), happened)
    found["rfm_logistic"] = model.predict_proba(_known(test, channels))[:, 1]
    if PAST_RESPONSES in test:
        orders = test["orders_90d"].fillna(0).to_numpy(float)
        found["past_responses"] = test[PAST_RESPONSES].fillna(0).to_numpy(float) + orders / (1 + orders.max())
    return found


def _setting(context: Context, horizon_days: int, moments: Moments) -> Setting:
    settings = context.settings
    own = settings.models.get(RESPONSE)
    config = replace(
        QUESTION.config, threads=settings.threads, seed=settings.seed, exclude=() if own is None else own.exclude
    )
    return Setting(QUESTION, horizon_days, moments, config)


def _newest(moments: pd.Series[Any], share: float) -> datetime:
    """The latest moment from which on at least that share of the contacts lies."""
    counts = moments.value_counts().sort_index(ascending=False)
    reached = counts.cumsum() >= share * len(moments)
    newest: datetime = counts.index[int(np.argmax(reached.to_numpy()))].to_pydatetime()
    return newest


def _before(moments: pd.Series[Any], end: datetime) -> tuple[datetime, ...]:
    """The moments up to `end`, newest first."""
    there = sorted({moment.to_pydatetime() for moment in moments.unique()} if len(moments) else (), reverse=True)
    return tuple(moment for moment in there if moment <= end)


def _known(frame: pd.DataFrame, channels: Sequence[str]) -> Floats:
    """(rows, columns) of RFM as far as the shop has them, and one for each channel."""
    amounts = [np.log1p(frame[name].astype(float).fillna(0).clip(lower=0)) for name in RFM if name in frame]
    return np.column_stack([*amounts, *(frame[CHANNEL].eq(name).fillna(False) for name in channels)]).astype(float)
