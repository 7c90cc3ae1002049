"""The steps of the nightly run, in their order."""

from __future__ import annotations

from serving.nightly import check, models, pull, retention, scoring, telling
from serving.nightly.night import Step

STEPS: tuple[Step, ...] = (
    Step(
        pull.NAME,
        "what is new in the sources, live events too, comes into the lake",
        pull.inputs,
        pull.pull,
        carried=False,
        repair="regulars ingest",
    ),
    Step(
        check.NAME,
        "the data against the floors: set aside, orders of the week, age",
        check.inputs,
        check.check,
        holds=True,
        repair="regulars doctor",
    ),
    Step(
        scoring.FEATURES,
        "features of the moment that is scored",
        scoring.features_inputs,
        scoring.features,
        needs=(check.NAME,),
        repair="regulars features build",
    ),
    Step(
        scoring.SCORE,
        "every customer, with the champions there are",
        scoring.score_inputs,
        scoring.score,
        needs=(scoring.FEATURES,),
        repair="regulars score",
    ),
    Step(
        models.DRIFT,
        "how far customers and scores have moved since each training",
        models.drift_inputs,
        models.drift,
        needs=(scoring.FEATURES,),
        repair="regulars drift",
    ),
    Step(
        models.LOOKBACK,
        "what past scorings said against what came since",
        models.lookback_inputs,
        models.lookback,
        # Where a part of the data did not come, customers look as if they had stopped.
        needs=(pull.NAME, check.NAME),
        repair="regulars lookback",
    ),
    Step(
        models.TRAIN,
        "models that are due or drifted, with a back-test beside the champion",
        models.train_inputs,
        models.train,
        # On data of which a part did not come, nothing is learned.
        needs=(pull.NAME, scoring.FEATURES),
        repair="regulars train",
    ),
    Step(
        models.GATE,
        "promotes what is not worse, holds the rest, with the reason",
        models.gate_inputs,
        models.gate,
        needs=(check.NAME,),
        repair="regulars models",
        changes=("champions",),
    ),
    Step(
        scoring.RESCORE,
        "scores anew where a champion is new",
        scoring.score_inputs,
        scoring.rescore,
        needs=(scoring.FEATURES,),
        repair="regulars score",
    ),
    Step(
        retention.NAME,
        "removes old versions and runs from the registry, where the settings say so",
        retention.inputs,
        retention.prune,
        repair="regulars models prune --dry-run",
    ),
    Step(
        telling.NAME,
        "tells by webhook and e-mail, where they are set",
        telling.inputs,
        telling.notify,
        carried=False,
        repair="regulars nightly --status",
    ),
)
