"""What the commands about contacts share: learn a model, or show the champion, and say where that version stands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import DataError
from features.settings import current_settings
from training.cli_arguments import current_context

if TYPE_CHECKING:
    from training.versions import ModelVersion


def learned_or_champion(model: str, *, show: bool) -> tuple[ModelVersion, Path, dict[str, Any]]:
    """The version learned now from the lake as it is, or with `show` the champion; its bundle, and where it stands.

    That is `version`, `champion` (a number, or None) and `decision`, why it was promoted or not. Raises DataError where
    it cannot be learned, or where there is nothing to show.
    """
    from training.promotions import history
    from training.tracking import open_registry

    home = current_settings().data_home
    learned = None if show else _train(model)
    registry = open_registry(home)
    champion = registry.resolve(model)
    version = learned or champion
    if version is None:
        raise DataError(f"No {model} was learned yet. Learn one:  regulars {model}")
    decided = [row.why for row in history(home, model) if row.to_version == version.version]
    stands = {
        "version": version.version,
        "champion": None if champion is None else champion.version,
        "decision": decided[-1] if decided else None,
    }
    return version, Path(registry.fetch(version)), stands


def _train(model: str) -> ModelVersion | None:
    """The version of the lake as it is, promoted or not."""
    from training.run import NOT_TRAINED, train

    (outcome,) = train(current_context(), [model], at=datetime.now(UTC))
    if outcome.status == NOT_TRAINED:
        raise DataError(outcome.why)
    return outcome.version
