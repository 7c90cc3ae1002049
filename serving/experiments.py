"""Experiments: one TOML file, checked when loaded; who sees which variant is a hash of the customer, kept nowhere.

[home-order]
placements = ["home"]              # none named: everywhere
metric = "click"                   # or "purchase"
[home-order.variants.control]
share = 0.5
[home-order.variants.own-first]
share = 0.5
own_list_first = true              # parameters: own_list_first, rebuy_hours, scores, diversity, novelty, explore
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from features.errors import ConfigError
from serving.schemas import Dial, Name

_WHOLE = 1e-6


class Variant(Struct, forbid_unknown_fields=True, frozen=True):
    """What one group of customers sees. A parameter left out is as without an experiment."""

    share: Annotated[float, Meta(gt=0, le=1)]
    own_list_first: bool = False  # the customer's own list leads, then cart and visit
    rebuy_hours: Annotated[float, Meta(ge=0)] | None = None
    scores: Name | None = None  # the version of a scoring: other models
    diversity: Dial | None = None
    novelty: Dial | None = None
    explore: Dial | None = None


class Experiment(Struct, forbid_unknown_fields=True, frozen=True):
    """One question, asked of customers at random."""

    variants: Annotated[dict[Name, Variant], Meta(min_length=2)]
    placements: list[Name] = []
    metric: Literal["click", "purchase"] = "click"


class Assignment(Struct, frozen=True):
    """The experiment and the variant of one request."""

    experiment: str
    variant: str
    parameters: Variant


Experiments = dict[str, Experiment]


def read_experiments(path: Path) -> Experiments:
    """The experiments of a file. Raises ConfigError naming what is wrong."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), dict[Name, Experiment])
    except FileNotFoundError:
        raise ConfigError(f"Experiments file {path} does not exist. Correct the setting experiments_file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}. See docs/experiments.md for an example.") from None
    for name, experiment in found.items():
        total = sum(variant.share for variant in experiment.variants.values())
        if abs(total - 1) > _WHOLE:
            raise ConfigError(f"{path}: the shares of [{name}] add up to {total:g}; they must add up to 1.")
    names = list(found)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if _meet(found[name].placements, found[other].placements):
                raise ConfigError(
                    f"{path}: [{name}] and [{other}] run in the same placement, so neither could be read. "
                    "Give them different placements, or run one after the other."
                )
    return found


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    return not one or not other or bool(set(one) & set(other))


def assign(experiments: Experiments, *, unit: str | None, placement: str | None) -> Assignment | None:
    """What the customer (or visit) `unit` sees there: always the same. None outside every experiment."""
    if unit is None:
        return None
    for name, experiment in experiments.items():
        if experiment.placements and placement not in experiment.placements:
            continue
        point = _point(name, unit)
        upto = 0.0
        *others, last = experiment.variants
        for chosen in others:
            upto += experiment.variants[chosen].share
            if point < upto:
                return Assignment(name, chosen, experiment.variants[chosen])
        return Assignment(name, last, experiment.variants[last])
    return None


def _point(experiment: str, unit: str) -> float:
    """A number in [0, 1) that the experiment's name and the unit fix; of two experiments, independent."""
    digest = hashlib.blake2b(f"{experiment}\n{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
