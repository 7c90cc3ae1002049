"""Settings that `regulars tune` found better than the defaults for this shop: kept as JSON in the data home."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import DataError
from features.home import Home, write_text
from training.boosting import BoostingConfig
from training.ranking import RankerConfig


@dataclass(frozen=True)
class Tuned:
    """What was kept for one model, and what it rests on."""

    model: str
    settings: Mapping[str, float | int | str]
    metric: str  # on validation
    default: float  # of the defaults
    best: float  # of these settings
    lake: str  # version of the lake searched on
    judged_until: str  # the moment up to which what customers did was known to the search
    trials: int


def tuned_path(home: Home, model: str) -> Path:
    """The file of a model's kept settings; it is there only where a search found better ones."""
    return home.root / "tuned" / f"{model}.json"


def keep(home: Home, tuned: Tuned) -> None:
    """Replace what is kept for the model."""
    write_text(tuned_path(home, tuned.model), json.dumps(asdict(tuned), indent=2))


def forget(home: Home, model: str) -> bool:
    """Whether there was something kept; there is nothing after."""
    path = tuned_path(home, model)
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def kept(home: Home, model: str) -> Tuned | None:
    """What is kept for the model, if anything. Raises DataError for a file that is not one of these."""
    path = tuned_path(home, model)
    try:
        return Tuned(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). {_again(model)}") from None


def tuned_ranker(home: Home, defaults: RankerConfig, *, as_of: datetime) -> RankerConfig:
    """The ranker's settings for this shop; the defaults for a test at a moment the search has seen the answers of."""
    return replace(defaults, **_settings(home, "recommender", as_of, type(defaults)))


def tuned_boosting(home: Home, model: str, defaults: BoostingConfig, *, as_of: datetime) -> BoostingConfig:
    """The booster's settings of churn, propensity or value for this shop, likewise."""
    return replace(defaults, **_settings(home, model, as_of, type(defaults)))


def _settings(home: Home, model: str, as_of: datetime, config: type[RankerConfig | BoostingConfig]) -> dict[str, Any]:
    found = kept(home, model)
    if found is None or as_of < datetime.fromisoformat(found.judged_until):
        return {}
    unknown = sorted(set(found.settings) - {field.name for field in fields(config)})
    if unknown:
        raise DataError(
            f"{tuned_path(home, model)}: {', '.join(unknown)} is no setting of this release. {_again(model)}"
        )
    return dict(found.settings)


def _again(model: str) -> str:
    return f"Search again, or go back to the defaults:  regulars tune {model} --forget"
