"""The shop's own features: a Python file that lists them, named in the settings."""

from __future__ import annotations

import runpy
from pathlib import Path

from features.definitions import Feature
from features.errors import ConfigError
from features.settings import Settings

LIST = "FEATURES"


def own_features(settings: Settings) -> tuple[Feature, ...]:
    """The features of the settings' features_file; none when there is no such setting.

    The file is the shop's own code and is run. Raises ConfigError when it is not there, cannot be run, or lists
    anything but features.
    """
    path = settings.features_file
    if path is None:
        return ()
    if not path.is_file():
        raise ConfigError(f"features_file {path.resolve()} does not exist. Correct the setting, or write the file.")
    try:
        found = runpy.run_path(str(path)).get(LIST)
    except Exception as error:
        raise ConfigError(f"{path}: cannot be run: {type(error).__name__}: {error}. Correct the file.") from error
    if not isinstance(found, list | tuple) or not all(isinstance(feature, Feature) for feature in found):
        raise ConfigError(f"{path}: {LIST} must be a list of features.definitions.Feature. See docs/features.md.")
    _refuse_taken(path, found)
    return tuple(found)


def _refuse_taken(path: Path, found: list[Feature] | tuple[Feature, ...]) -> None:
    from features.build import BUILT_IN

    taken = {(feature.entity.name, feature.name) for feature in BUILT_IN}
    for feature in found:
        if not feature.name.isidentifier():
            raise ConfigError(f"{path}: feature name '{feature.name}' must be letters, digits and underscores.")
        if (feature.entity.name, feature.name) in taken:
            raise ConfigError(f"{path}: a feature '{feature.name}' of {feature.entity.name} exists. Take another name.")
        taken.add((feature.entity.name, feature.name))


def own_code(settings: Settings) -> bytes:
    """The bytes of the features_file, for whatever must change when it does."""
    path = settings.features_file
    return path.read_bytes() if path is not None and path.is_file() else b""
