"""Training of an uplift: three ways of learning it, measured on customers they did not learn from, and the one served.

Customers are parted into folds, and each is given an uplift by models that learned without them; so the curves are of
customers whose outcome nobody had seen. Which way is served was decided on data of known truth (benchmarks/uplift.py),
not here, so nothing is chosen by the figures that are reported.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.home import write_text
from training.boosting import BOOSTER, BoostingConfig, predict
from training.bundle import read_json, read_manifest, seal
from training.contact_effect import Arms as Counts
from training.contact_effect import difference
from training.dataset import horizon_of
from training.examples import made_up
from training.plots_uplift import curves, fifths_picture
from training.protocols import ACCEPTED, UPLIFT, Context, Gate, Metric, Trained
from training.uplift_arms import folds_of, learn_arms, on
from training.uplift_data import Randomised, randomised_contacts
from training.uplift_learners import LEARNERS, XLearner, load_learner
from training.uplift_metrics import Contacts, Order, ahead, uplift_metrics

#: The learner that is served.
SERVED = XLearner.kind
#: The order a list has without any uplift.
RISK = "most at risk first"
#: Folds of the customers.
FOLDS = 5
#: Draws of the bootstrap; fewer where customers are many.
RESAMPLES, FEW_RESAMPLES, MANY = 500, 100, 50_000
#: Groups of the customers by uplift in which what was foretold is set beside what came.
GROUPS = 5
REPORT = "report.json"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Every row's uplift by each learner, and by risk, from models that learned without its customer."""

    said: Mapping[str, Floats]
    metrics: Mapping[str, Sequence[Metric]]
    ahead: Metric  # of the order of risk, by Qini

    def value(self, name: str, metric: str = "qini") -> Metric:
        """One metric of one learner."""
        return next(one for one in self.metrics[name] if one.name == metric)


def train_uplift(context: Context, into: Path) -> Trained:
    """A sealed bundle in `into`/bundle with its report. Raises DataError where nothing was drawn by lot, or too few."""
    settings = context.settings
    own = settings.models.get(UPLIFT)
    config = on(settings.threads, settings.seed, () if own is None else own.exclude)
    horizon = horizon_of(context)
    found = randomised_contacts(context, horizon_days=horizon, rng=np.random.default_rng(settings.seed))
    measured = measure(found, config)
    refused = why_refused(measured)
    served = LEARNERS[SERVED](config).fit(
        found.frame,
        found.contacts.treated,
        found.contacts.kept,
        probability=found.contacts.probability,
        groups=found.contacts.customer,
    )
    served.level_by(measured.said[SERVED], found.contacts, measured.said[RISK])
    bundle = into / "bundle"
    served.save(bundle)
    told = _report(found, measured, refused, horizon)
    write_text(bundle / REPORT, json.dumps(told, indent=2))
    newest = max(one.first_contact_at for one in found.used)
    about = {
        "horizon_days": horizon,
        "accepted": refused is None,
        "refused": refused,
        "measured_by": _measured_by(found),
    }
    seal(bundle, kind=UPLIFT, about=about)
    example = made_up(served.features_.encode(found.frame))
    drawn = {name: Order(said, found.contacts).curves() for name, said in measured.said.items()}
    return Trained(
        model=UPLIFT,
        bundle=bundle,
        params=_params(config, found, served.slope_, horizon),
        metrics=[
            *measured.metrics[SERVED],
            measured.ahead,
            Metric(ACCEPTED, float(refused is None)),
            Metric("slope", served.slope_),
        ],
        peers={_plain(name): metrics for name, metrics in measured.metrics.items() if name != SERVED},
        gate=Gate("qini"),
        pictures=[curves(into / "uplift.png", drawn), fifths_picture(into / "fifths.png", told["groups"])],
        input_example=example,
        output_example=pd.DataFrame({"prediction": predict(served.boosters_[BOOSTER], example, threads=1)}),
        test_as_of=newest.replace(tzinfo=UTC),
        horizon_days=horizon,
        rescore=lambda other: _rescore(measured, other, horizon),
        tables={"campaigns": told["campaigns"], "groups": told["groups"]},
        notes=() if refused is None else [f"lists do not go by it: {refused}"],
    )


def measure(found: Randomised, config: BoostingConfig) -> Measured:
    """Each learner, and the order of risk, on customers they did not learn from."""
    contacts, frame = found.contacts, found.frame
    said = {name: np.full(len(contacts), np.nan) for name in (*LEARNERS, RISK)}
    fold = folds_of(contacts.customer, FOLDS, config.seed + 2)
    for one in range(FOLDS):
        learned, asked = fold != one, frame[fold == one]
        part = frame[learned].reset_index(drop=True)
        treated, kept, customer = contacts.treated[learned], contacts.kept[learned], contacts.customer[learned]
        table, arms = learn_arms(part, treated, kept, groups=customer, config=config)
        for kind, learner in LEARNERS.items():
            model = learner(config).fit(
                part, treated, kept, probability=contacts.probability[learned], groups=customer, arms=arms
            )
            said[kind][fold == one] = model.predict(asked)
        said[RISK][fold == one] = 1 - predict(arms.alone, table.encode(asked), threads=config.threads)
    resamples = RESAMPLES if len(contacts) <= MANY else FEW_RESAMPLES
    metrics = {
        name: uplift_metrics(values, contacts, rng=np.random.default_rng(config.seed), resamples=resamples)
        for name, values in said.items()
    }
    lead = ahead(said[SERVED], said[RISK], contacts, rng=np.random.default_rng(config.seed), resamples=resamples)
    return Measured(said, metrics, lead)


def why_refused(measured: Measured) -> str | None:
    """Why lists should not go by the uplift, in a sentence; None where they should."""
    ours, lead = measured.value(SERVED), measured.ahead
    if ours.low is None or not ours.low > 0:
        return (
            f"its order of the customers cannot be told from chance (Qini {ours.value:.4f}, 95% interval "
            f"{ours.low:.4f} to {ours.high:.4f}). More customers held out will tell; until then the save rate is surer"
        )
    if lead.high is not None and lead.high < 0:
        return (
            f"those most at risk first do surely better (Qini {-lead.value:.4f} higher), so the save rate is a better "
            "guide"
        )
    return None


def groups_of(uplift: Floats, contacts: Contacts) -> list[dict[str, Any]]:
    """GROUPS of equal size, of greatest uplift first: the mean foretold, and the arms' difference with its interval."""
    found = []
    for place, rows in enumerate(np.array_split(np.argsort(-uplift, kind="stable"), GROUPS), start=1):
        treated, kept = contacts.treated[rows], contacts.kept[rows]
        counts = Counts(int(treated.sum()), int(kept[treated].sum()), int((~treated).sum()), int(kept[~treated].sum()))
        row: dict[str, Any] = {"group": place, "customers": len(rows), "foretold": float(uplift[rows].mean())}
        if counts.contacted and counts.held_out:
            seen = difference(counts)
            row |= {"seen": seen.value, "low": seen.low, "high": seen.high}
        else:
            row |= {"seen": None, "low": None, "high": None}
        found.append(row)
    return found


def kept_report(bundle: Path) -> dict[str, Any]:
    """What a training found, as plain values. Raises DataError where the bundle has no report."""
    return read_json(bundle / REPORT)


def _report(found: Randomised, measured: Measured, refused: str | None, horizon: int) -> dict[str, Any]:
    return {
        "horizon_days": horizon,
        "served": SERVED,
        "accepted": refused is None,
        "refused": refused,
        "customers": len(found.contacts),
        "contacted": int(found.contacts.treated.sum()),
        "held_out": int((~found.contacts.treated).sum()),
        "campaigns": [one.as_json() for one in found.campaigns],
        "learners": {
            name: {one.name: {"value": one.value, "low": one.low, "high": one.high} for one in metrics}
            for name, metrics in measured.metrics.items()
        },
        "ahead_of_risk": {"value": measured.ahead.value, "low": measured.ahead.low, "high": measured.ahead.high},
        "groups": groups_of(measured.said[SERVED], found.contacts),
        "curve": Order(measured.said[SERVED], found.contacts).curves().drawn(),
    }


def _measured_by(found: Randomised) -> str:
    used = len(found.used)
    contacted, alone = (int(side.sum()) for side in (found.contacts.treated, ~found.contacts.treated))
    what = "1 campaign" if used == 1 else f"{used} campaigns"
    return f"{what} ({contacted:,} contacted, {alone:,} held out)"


def _params(
    config: BoostingConfig, found: Randomised, slope: float, horizon: int
) -> dict[str, str | float | int | bool]:
    return {
        "learner": SERVED,
        "horizon_days": horizon,
        **{name: value for name, value in vars(config).items() if name not in ("threads", "exclude")},
        "excluded": ", ".join(config.exclude) or "none",
        "campaigns": len(found.used),
        "contacted": int(found.contacts.treated.sum()),
        "held_out": int((~found.contacts.treated).sum()),
        "slope": slope,
    }


def _rescore(measured: Measured, bundle: Path, horizon: int) -> Sequence[Metric]:
    """What the other version's way of learning scores in the same folds: its own trees have seen these customers.

    A version of another horizon has no number here: scorings no longer go by it, so it is replaced.
    """
    if read_manifest(bundle, kind=UPLIFT)["horizon_days"] != horizon:
        return [Metric("qini", math.nan)]
    return measured.metrics[load_learner(bundle, threads=1).kind]


def _plain(name: str) -> str:
    return name.replace(" ", "_")
