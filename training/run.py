"""A training run: each model trained on the lake as it is, logged, compared with its champion, promoted or not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from features.errors import DataError, GateError
from features.home import ASIDE, sweep
from features.terminal import step
from training.fingerprint import fingerprint
from training.gates import compare
from training.promotions import is_decided, promote, recover
from training.protocols import MODELS, Context, Trained
from training.tracking import Registry, open_registry
from training.version_listing import Listed, keep_listing
from training.versions import ModelVersion

LOCK = "train"
TRAINED = "trained"
UNCHANGED = "unchanged"
NOT_TRAINED = "not trained"

Trainer = Callable[[Context, Path], Trained]


@dataclass(frozen=True)
class Outcome:
    """What came of one model: `status` is trained, unchanged (nothing it depends on moved) or not trained."""

    model: str
    status: str
    version: ModelVersion | None
    why: str  # of the promotion or refusal, or of not training
    seconds: float


def default_trainers() -> Mapping[str, Trainer]:
    """The trainer of each model, imported when a training is asked for."""
    from training.churn import train_churn
    from training.propensity import train_propensity
    from training.recommender import train_recommender
    from training.response import train_response
    from training.uplift_training import train_uplift
    from training.value import train_value

    return {
        "recommender": train_recommender,
        "churn": train_churn,
        "propensity": train_propensity,
        "value": train_value,
        "uplift": train_uplift,
        "response": train_response,
    }


def train(
    context: Context,
    models: Sequence[str] = MODELS,
    *,
    at: datetime,
    trainers: Mapping[str, Trainer] | None = None,
    deciding: bool = True,
) -> list[Outcome]:
    """One outcome per model, in the order asked for. `at` is now: what is decided is dated by the time since.

    Unless `deciding`, a new version is measured against its champion and left as challenger, for `promote` to decide.

    A model whose data, settings and code are those of a finished version is not trained again. A model the data do not
    allow is reported as not trained, and the others go on. Killed at any moment and run again, it completes.
    """
    began = time.perf_counter()

    def clock() -> datetime:
        return at + timedelta(seconds=_since(began))

    known = default_trainers() if trainers is None else trainers
    with context.home.lock(LOCK):
        workspace = context.home.root / "tmp"
        workspace.mkdir(parents=True, exist_ok=True)
        sweep(workspace)
        registry = open_registry(context.home)
        recover(registry)
        outcomes = [
            _train_one(context, registry, model, known[model], clock=clock, deciding=deciding) for model in models
        ]
        listing(registry)
        return outcomes


def listing(registry: Registry) -> Listed:
    """Every finished version of every model, newest first of each; kept for the server to show."""
    return keep_listing(registry.home, lambda: [found for model in MODELS for found in registry.versions(model)])


def _train_one(
    context: Context, registry: Registry, model: str, trainer: Trainer, *, clock: Callable[[], datetime], deciding: bool
) -> Outcome:
    started = time.perf_counter()
    mark = fingerprint(context, model)
    version = registry.find(model, mark)
    if version is not None and is_decided(context.home, version):
        return Outcome(model, UNCHANGED, version, "data, settings and code are the same", _since(started))
    status = UNCHANGED
    if version is None:
        try:
            version = _train_and_log(context, registry, model, trainer, mark)
        except DataError as error:
            return Outcome(model, NOT_TRAINED, None, str(error), _since(started))
        status = TRAINED
    if not deciding:
        return Outcome(model, status, version, "not decided yet", _since(started))
    try:
        why = promote(registry, model, version.version, who=context.settings.who, at=clock()).why
    except GateError as error:
        why = str(error)
    return Outcome(model, status, registry.get(model, version.version), why, _since(started))


def _train_and_log(context: Context, registry: Registry, model: str, trainer: Trainer, mark: str) -> ModelVersion:
    with tempfile.TemporaryDirectory(prefix=f"{ASIDE}{model}-", dir=context.home.root / "tmp") as directory:
        with step(f"Training {model}"):
            trained = trainer(context, Path(directory))
        with step(f"Comparing and logging {model}"):
            champion = registry.resolve(model)
            # Scored now, while the back-test is at hand, and kept with the version: a promotion cut short needs it.
            comparison = compare(trained, champion, registry.fetch(champion) if champion is not None else None)
            return registry.log(trained, fingerprint=mark, data_hash=context.lake.version, comparison=comparison)


def _since(started: float) -> float:
    return time.perf_counter() - started
