"""The shop's rules: one TOML file, checked when it is read.

hide = ["916122"]                    # never shown, whatever is asked
if_nothing = "popular"               # when filters leave nothing: popular products without them; or "empty"
diversity = 0.2                      # and novelty, explore: where a request says nothing
[no_repeats]                         # bought once, never suggested again
category = ["FURNITURE"]
[[pin]]
product = "1029743"
position = 1
placements = ["home"]                # none named: everywhere; so for every rule
from = 2024-06-01                    # and until; neither: always
[[boost]]
factor = 1.5
brand = ["OWN BRAND"]                # or product, category, department
[[bury]]
factor = 3
category = ["CANDY"]
[[cap]]
per = "category"                     # or brand, department
most = 2
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from features.errors import ConfigError
from serving.schemas import Dial, Id, IfNothing, Name, Text

Grouping = Literal["category", "brand", "department"]
Factor = Annotated[float, Meta(gt=0, le=1000)]


class Matching(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Products by id, category, brand or department; any of those named."""

    product: list[Id] = []
    category: list[Text] = []
    brand: list[Text] = []
    department: list[Text] = []


class When(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, rename={"since": "from"}):
    """Where and when a rule holds: everywhere and always, unless told. Days are of UTC; `until` is not among them."""

    placements: list[Name] = []
    since: date | None = None
    until: date | None = None


class Pin(When, frozen=True, kw_only=True):
    """A product at a place."""

    product: Id
    position: Annotated[int, Meta(ge=1, le=100)]


class Weight(When, frozen=True, kw_only=True):
    """Products to be moved up or down by a factor of their relevance."""

    factor: Factor
    product: list[Id] = []
    category: list[Text] = []
    brand: list[Text] = []
    department: list[Text] = []


class Cap(When, frozen=True, kw_only=True):
    """At most so many products of one category, brand or department in an answer."""

    per: Grouping
    most: Annotated[int, Meta(ge=1, le=100)]


class Rules(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    hide: list[Id] = []
    if_nothing: IfNothing = "empty"
    diversity: Dial = 0.0
    novelty: Dial = 0.0
    explore: Dial = 0.0
    no_repeats: Matching = msgspec.field(default_factory=Matching)
    pin: list[Pin] = []
    boost: list[Weight] = []
    bury: list[Weight] = []
    cap: list[Cap] = []


NO_RULES = Rules()


def read_rules(path: Path) -> Rules:
    """The rules of a file. Raises ConfigError naming what is wrong."""
    try:
        rules = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Rules)
    except FileNotFoundError:
        raise ConfigError(f"Rules file {path} does not exist. Correct the setting rules_file.") from None
    except OSError as error:
        raise ConfigError(
            f"Rules file {path} cannot be read: {error.strerror}. Correct the setting rules_file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}. See docs/rules.md for an example.") from None
    for kind, weights in (("boost", rules.boost), ("bury", rules.bury)):
        for number, weight in enumerate(weights, start=1):
            if not (weight.product or weight.category or weight.brand or weight.department):
                raise ConfigError(
                    f"{path}: [[{kind}]] number {number} names no products. "
                    "Name them by product, category, brand or department."
                )
    places: dict[tuple[int, str], str] = {}
    for kind, rule in dated(rules):
        if rule.since is not None and rule.until is not None and rule.until <= rule.since:
            raise ConfigError(f"{path}: a [[{kind}]] ends on {rule.until}, which is not after its from, {rule.since}.")
    for pin in rules.pin:
        if pin.since is None and pin.until is None:
            for where in pin.placements or ["everywhere"]:
                other = places.setdefault((pin.position, where), pin.product)
                if other != pin.product:
                    raise ConfigError(
                        f"{path}: '{other}' and '{pin.product}' are both pinned to position {pin.position} ({where}). "
                        "Give one of them another position."
                    )
    return rules


def dated(rules: Rules) -> Iterable[tuple[str, When]]:
    """Every rule that may be bound to placements and days, with the name of its kind."""
    for kind in ("pin", "boost", "bury", "cap"):
        for rule in getattr(rules, kind):
            yield kind, rule
