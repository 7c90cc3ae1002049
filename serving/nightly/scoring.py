"""The steps that compute features and scores: features, score, and rescore with a new champion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import RegularsError
from features.lake import read_lake
from features.terminal import step
from serving.nightly.night import Done, Findings, Night, told, without_quotes
from serving.nightly.record import Status

FEATURES, SCORE, RESCORE = "features", "score", "rescore"


def features_inputs(night: Night) -> Mapping[str, Any]:
    """The folder of the snapshots, which is named for the data and the code behind them."""
    from features.store.snapshots import snapshots_of

    return {"snapshots": snapshots_of(night.settings, read_lake(night.home)).path.name}


def features(night: Night) -> Done:
    """The features of the moment that is scored, registered with the feature store, and online where they are used."""
    from features.cli_taken import after_last_order
    from features.definitions import CUSTOMER
    from features.engine import connect
    from features.horizon import shop_horizon
    from features.snapshot_quality_files import keep_snapshot_quality
    from features.store.feast_store import open_store, register
    from features.store.materialize import materialize
    from features.store.snapshots import LOCK, WAIT_SECONDS, build_snapshots

    settings, home = night.settings, night.home
    lake = read_lake(home)
    moment = after_last_order(lake)
    found = Findings()
    online = None
    with home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        with step(f"Features of customers as of {moment:%Y-%m-%d}"):
            snapshots, made = build_snapshots(settings, lake, [moment])
            horizon = shop_horizon(lake, connect(settings), settings)
            report, page = keep_snapshot_quality(settings, lake, snapshots, CUSTOMER, moment, horizon_days=horizon.days)
        with step("Registering with the feature store"):
            store = open_store(home, settings)
            register(store, snapshots)
        if settings.online_store is not None or home.materialized.is_file():
            try:
                with step("Writing online features"):
                    online = materialize(home, store, snapshots).rows
            except RegularsError as error:  # scores do without
                found.add(Status.WARNED, f"Online features: {told(error)}", "regulars features materialize")
    return found.done(
        as_of=moment.isoformat(),
        made=made,
        rows=report.rows,
        findings=report.findings,
        drift={name: one.drift for name, one in report.features.items() if one.drift is not None},
        page=str(page),
        online=online,
    )


def champions(night: Night) -> dict[str, Any]:
    """Number and hash of each champion; none where nothing was ever trained."""
    from training.protocols import REGISTERED
    from training.tracking import open_registry

    if not night.home.has_registry:
        return {}
    registry = open_registry(night.home)
    found = {model: registry.resolve(model) for model in REGISTERED}
    return {model: [one.version, one.bundle_hash] for model, one in found.items() if one is not None}


def score_inputs(night: Night) -> Mapping[str, Any]:
    """The data, the champions and the code that a scoring is made of."""
    from training.fingerprint import code_hash

    return {
        "lake": read_lake(night.home).version,
        "champions": champions(night),
        "horizon_days": night.settings.horizon_days,
        "currency": night.settings.currency,
        "code": code_hash(),
    }


def score(night: Night) -> Done:
    """Everybody scored with the champions there are, and the picture of the shop that goes with it."""
    from training.cli_insight import picturing
    from training.insight.keep import keep_insight
    from training.score import score as score_everybody

    found = Findings()
    used = champions(night)
    if not used:
        return Done(said=("No model has a champion yet, so nothing is scored.",), found={"champions": {}})
    context, now = night.context(), night.clock()
    report = score_everybody(context, at=now)
    for note in report.notes:
        found.add(Status.WARNED, without_quotes(note), "regulars models")
    with picturing() as done:
        picture = keep_insight(context, at=now, done=done)
    return found.done(
        champions=used,
        version=report.version,
        as_of=report.as_of.isoformat(),
        models=dict(report.models),
        insight=picture.version,
        summary=summary_of(report.path),
    )


def rescore(night: Night) -> Done:
    """Scored anew where a champion came after the scoring of tonight; else that one stands."""
    before = night.found(SCORE)
    if before.get("version") and before["champions"] == champions(night):
        return Done(said=("The champions are those of the scoring before.",), found={**before, "again": False})
    done = score(night)
    return Done(done.status, done.said, done.do, {**done.found, "again": True})


def summary_of(scoring: Path) -> dict[str, float]:
    """Totals of a scoring, in which nobody can be told."""
    from training.score import CUSTOMERS

    names = ["active", "churn_probability", "purchase_probability", "expected_spend", "value_at_risk", "stage"]
    table = pq.read_table(scoring / CUSTOMERS, columns=names)
    found: dict[str, float] = {"customers": table.num_rows, "active customers": pc.sum(table["active"]).as_py() or 0}
    for name, measure in (
        ("churn_probability", pc.mean),
        ("purchase_probability", pc.mean),
        ("expected_spend", pc.sum),
        ("value_at_risk", pc.sum),
    ):
        known = pc.drop_null(table[name])
        known = known.filter(pc.is_finite(known)) if len(known) else known
        if len(known):
            what = "mean" if measure is pc.mean else "total"
            found[f"{what} {name.replace('_', ' ')}"] = float(measure(known).as_py())
    stages = table["stage"].value_counts().to_pylist()
    return found | {f"stage {one['values']}": one["counts"] for one in sorted(stages, key=lambda one: -one["counts"])}
