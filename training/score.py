"""A scoring: every customer's scores and ranked products by the champions, in one directory the server reads."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from features.engine import SPARK
from features.errors import DataError
from features.home import forget_old, new_directory, remove_directory, sweep, write_text
from features.own import own_code
from features.terminal import step
from training.bundle import is_whole, read_manifest, seal
from training.champions import Champions, default_champions
from training.contact_results import campaign_results
from training.customer_scores import Predictions, Scored, score_table
from training.fingerprint import code_hash
from training.grades import grades
from training.next_orders import curve_days
from training.profiles import last_moment, profiles
from training.protocols import ACCEPTED, MODELS, RESPONSE, UPLIFT, Context
from training.ranked_lists import RankedLists, save_ranked_lists
from training.said import keep_said
from training.tracking import open_registry
from training.versions import ModelVersion, backtest

LOCK = "score"
KIND = "scores"
CURRENT = "CURRENT"
CUSTOMERS = "customers.parquet"
RANKING = "ranking"
RECOMMENDER = "recommender"
#: Of these there is a champion only in shops that contact their customers and say so.
OF_CONTACTS = (UPLIFT, RESPONSE)
#: Scorings kept, the current one included.
KEPT = 3


@dataclass(frozen=True)
class ScoreReport:
    """What a scoring did. `scored` is false where nothing had changed since the current one."""

    version: str
    path: Path
    scored: bool
    as_of: datetime
    customers: int
    models: Mapping[str, int | None]
    notes: tuple[str, ...]
    seconds: float


def score(context: Context, *, at: datetime, champions: Champions | None = None) -> ScoreReport:
    """Score everybody who ever bought, as of midnight after the last order. `at` is the moment written beside it.

    Works with any of the champions missing: what they would have said is empty. Readers see the last whole scoring.
    """
    started = time.perf_counter()
    parts = default_champions() if champions is None else champions
    with context.home.lock(LOCK):
        sweep(context.home.scores)
        registry = open_registry(context.home)
        resolved = {model: registry.resolve(model) for model in MODELS}
        found = {model: version for model, version in resolved.items() if version is not None}
        horizon_days = _horizon(found) or parts.horizon(context)
        notes = []
        for model in OF_CONTACTS:
            champion = registry.resolve(model)
            # An uplift that says too little is no champion that lists go by.
            if champion is None or champion.metrics.get(ACCEPTED, 1.0) != 1.0:
                continue
            if champion.horizon_days == horizon_days:
                found[model] = champion
            else:
                notes.append(
                    f"{model} version {champion.version} looks {champion.horizon_days} days ahead and this scoring "
                    f"{horizon_days}, so lists do not go by it. Learn it anew:  regulars {model}"
                )
        as_of = last_moment(context)
        version = _version(context, found, as_of, horizon_days)
        target = context.home.scores / "versions" / version
        scored = not is_whole(target, kind=KIND)
        if scored:
            if target.exists():
                remove_directory(target)
            bundles = {model: registry.fetch(v) for model, v in found.items()}
            with new_directory(target) as directory:
                _fill(directory, _Asked(context, parts, found, bundles, as_of, horizon_days), at=at)
        write_text(context.home.scores / CURRENT, version)
        forget_old(context.home.scores / "versions", current=version, keep=KEPT)
        about = read_manifest(target, kind=KIND, verify=False)
        keep_said(context.home, target)
    return ScoreReport(
        version=version,
        path=target,
        scored=scored,
        as_of=as_of,
        customers=about["customers"],
        models=about["models"],
        notes=(*notes, *about["notes"]),
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Asked:
    """What a scoring is made of: the champions found and their bundles, by model."""

    context: Context
    parts: Champions
    found: Mapping[str, ModelVersion]
    bundles: Mapping[str, Path]
    as_of: datetime
    horizon_days: int

    @property
    def of_customers(self) -> Mapping[str, ModelVersion]:
        """The champions that score customers one by one: all but the recommender."""
        return {model: version for model, version in self.found.items() if model != RECOMMENDER}


def _fill(directory: Path, asked: _Asked, *, at: datetime) -> None:
    context, found, horizon_days = asked.context, asked.found, asked.horizon_days
    notes: list[str] = []
    used: dict[str, int | None] = dict.fromkeys(MODELS)
    write = _write_on_spark if context.settings.engine == SPARK else _write_scores
    scored = write(directory / CUSTOMERS, asked)
    for model, version in found.items():
        error = _ranked(asked, directory / RANKING) if model == RECOMMENDER else scored.failed.get(model)
        # One champion this code cannot use must not take the others' answers away; the report says so.
        if error is None:
            used[model] = version.version
        else:
            notes.append(f"{model} version {version.version} could not score: {error}")
    predictions = scored.sample
    about = {
        "created_at": at.isoformat(),
        "as_of": asked.as_of.isoformat(),
        "lake_version": context.lake.version,
        "horizon_days": horizon_days,
        "curve_days": curve_days(horizon_days),
        **({} if predictions.lifetime is None else predictions.lifetime.about()),
        **({} if predictions.categories is None else {"categories": predictions.categories}),
        "currency": context.settings.currency,
        "customers": scored.customers,
        "models": used,
        "grades": grades({model: version.metrics for model, version in found.items() if used[model] is not None}),
        "backtests": {model: backtest(version) for model, version in found.items() if used[model] is not None},
        "notes": notes,
        "uplift": None if used.get(UPLIFT) is None else _told(asked.bundles[UPLIFT], UPLIFT, "measured_by"),
        # How customers would be contacted, in the shop's own word.
        "response_channel": (
            None if used.get(RESPONSE) is None else _told(asked.bundles[RESPONSE], RESPONSE, "channel")
        ),
        "campaigns": [one.as_json() for one in campaign_results(context, horizon_days=horizon_days)],
    }
    seal(directory, kind=KIND, about=about)


def _write_scores(target: Path, asked: _Asked) -> Scored:
    """Everybody's scores, computed in this process."""
    with step("Describing customers"):
        who = profiles(asked.context, asked.as_of, horizon_days=asked.horizon_days)
    frames: dict[int, pd.DataFrame] = {}
    columns: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for model, version in asked.of_customers.items():
        days = version.horizon_days
        try:
            with step(_scoring(model, version)):
                if days not in frames:
                    frames[days] = _aligned(asked.parts.frame(asked.context, asked.as_of, days), who)
                columns |= asked.parts.predict[model](asked.bundles[model], frames[days])
        except DataError as error:
            failed[model] = str(error)
    predictions = Predictions(**columns)
    pq.write_table(score_table(who, predictions, horizon_days=asked.horizon_days), target, compression="zstd")
    return Scored(predictions, failed, len(who))


def _write_on_spark(target: Path, asked: _Asked) -> Scored:
    """Everybody's scores, computed where Spark runs."""
    from training.spark_scores import Champion, score_on_spark

    champions = {
        model: Champion(asked.bundles[model], asked.parts.predict[model], version.horizon_days)
        for model, version in asked.of_customers.items()
    }
    with step("Scoring everybody on Spark"):
        return score_on_spark(asked.context, champions, target, as_of=asked.as_of, horizon_days=asked.horizon_days)


def _scoring(model: str, version: ModelVersion) -> str:
    return f"Scoring with {model} version {version.version}"


def _ranked(asked: _Asked, directory: Path) -> str | None:
    """Write the ranked lists; why there are none, or None."""
    try:
        with step(_scoring(RECOMMENDER, asked.found[RECOMMENDER])), _lists(asked) as ranked:
            directory.mkdir()
            save_ranked_lists(ranked, directory)
    except DataError as error:
        return str(error)
    return None


@contextmanager
def _lists(asked: _Asked) -> Iterator[RankedLists]:
    """The ranked lists of everybody; those that Spark made lie on disk until the block ends."""
    bundle = asked.bundles[RECOMMENDER]
    if asked.context.settings.engine == SPARK:
        from training.spark_lists import lists_on_spark

        with lists_on_spark(asked.context, bundle) as ranked:
            yield ranked
    else:
        yield asked.parts.rank(asked.context, bundle)


def _told(bundle: Path, model: str, name: str) -> str | None:
    """What a bundle says beside its model."""
    told: str | None = read_manifest(bundle, kind=model, verify=False)[name]
    return told


def _horizon(found: Mapping[str, ModelVersion]) -> int | None:
    """The days all of a scoring speaks of: those of churn, whose definition of active it shares."""
    days = [found[model].horizon_days for model in ("churn", "propensity", "value", "recommender") if model in found]
    return days[0] if days else None


def _aligned(frame: pd.DataFrame, who: pd.DataFrame) -> pd.DataFrame:
    """The features of the customers profiled, in their order. Raises DataError when some have none."""
    indexed = frame.set_index("customer_id", drop=False)
    missing = who["customer_id"][~who["customer_id"].isin(indexed.index)]
    if len(missing):
        raise DataError(
            f"{len(missing)} customers have orders but no features, for instance {missing.iloc[0]!r}. "
            "Build them anew:  regulars features"
        )
    return indexed.loc[who["customer_id"]].reset_index(drop=True)


def _version(context: Context, found: Mapping[str, ModelVersion], as_of: datetime, horizon_days: int) -> str:
    """16 hex digits that differ whenever anything a scoring depends on does."""
    inputs = {
        "lake": context.lake.version,
        "models": {model: [version.version, version.bundle_hash] for model, version in found.items()},
        "as_of": as_of.isoformat(),
        "horizon_days": horizon_days,
        "currency": context.settings.currency,
        "code": code_hash(),
        "engine": context.settings.engine,  # the last bits of features differ
        "spark_als": context.settings.spark_als,
        "own_features": hashlib.sha256(own_code(context.settings)).hexdigest(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
