"""What fixes a model: the data, the settings that matter, and the code and libraries that make it."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import features
import training
from features.own import own_code
from training.protocols import Context
from training.tuned import kept

#: Libraries whose release may change what is learned from the same data.
LIBRARIES = ("lightgbm", "implicit", "scikit-learn", "numpy", "scipy", "ibis-framework", "duckdb", "feast")
#: Files that cannot change what is learned: they load data, keep, serve or print what was learned.
#: What a load keeps is in the lake's version already.
NEUTRAL = frozenset(
    {
        *(
            "cli",
            "cli_evaluate",
            "terminal",
            "home",
            "settings",
            "nightly_settings",
            "errors",
            "ingest",
            "mapping",
            "staging",
            "quarantine",
            "merging",
            "casting",
            "expressions",
            "source_files",
            "lake_writer",
            "load_report",
        ),
        *("tracking", "recommender_model", "promotions", "versions", "gates", "fingerprint", "run", "score", "stages"),
        *(
            "complete_journey",
            "files",
            "ranked_lists",
            "plots",
            "plots_ranking",
            "plots_explain",
            "plots_rolling",
            "plots_uplift",
            "plots_drift",
            "cli_uplift",
            "cli_response",
            "cli_learned",
            "cli_backtest",
            "cli_drift",
            "backtest",
            "report_runs",
            "reason_stability",
            "cli_trust",
            "cli_arguments",
            "cli_tune",
            "tune",
            "searches",
            "search_log",
            "grades",
            "enough",
            "rolling",
            "model_drift",
            "reports",
        ),
    }
)

#: A folder of files that describe the shop, of which no model learns.
APART = "insight"


@lru_cache(maxsize=1)
def code_hash() -> str:
    """SHA-256 over the sources of features/ and training/ that take part in learning, and their libraries."""
    digest = hashlib.sha256()
    for package in (features, training):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            if path.stem not in NEUTRAL and APART not in path.relative_to(root).parts:
                digest.update(f"{package.__name__}/{path.relative_to(root)}\0".encode())
                digest.update(path.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name} {version(name)}\0".encode())
    return digest.hexdigest()


def fingerprint(context: Context, model: str) -> str:
    """16 hex digits; a version with the same fingerprint is the same model, so it need not be trained again."""
    settings = context.settings
    parts = {
        "model": model,
        "lake": context.lake.version,
        "horizon_days": settings.horizon_days,
        "seed": settings.seed,
        "engine": settings.engine,
        "excluded": list(settings.models[model].exclude) if model in settings.models else [],
        "tuned": None if (tuned := kept(context.home, model)) is None else dict(tuned.settings),
        "lifetime": [settings.lifetime_days, settings.yearly_discount] if model == "value" else [],
        "own_features": hashlib.sha256(own_code(settings)).hexdigest(),
        "code": code_hash(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
