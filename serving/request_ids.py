"""Request ids that say what an answer was, so that a click can be told from another without keeping every answer.

The parts are joined by "~": a random one, strategy, model version, experiment, variant, placement; a part that there
is none of is empty. No two answers share an id. Whoever holds a key may make one up: what is counted by them is as
true as the events themselves.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

_JOINT = "~"
#: Ids need to differ, not to be secret; asking the system for chance costs more than most of an answer.
_chance = random.Random(os.urandom(32))  # noqa: S311
# A forked worker goes on from the same state, and would give the ids that the others give.
os.register_at_fork(after_in_child=lambda: _chance.seed(os.urandom(32)))
_PARTS = 6


@dataclass(frozen=True)
class Origin:
    """What a request id says of its answer."""

    strategy: str | None = None
    model_version: str | None = None
    experiment: str | None = None
    variant: str | None = None
    placement: str | None = None


NOTHING = Origin()


def new_id() -> str:
    """The random part, 32 hex digits; `with_origin` completes it."""
    return f"{_chance.getrandbits(128):032x}"


def with_origin(
    random: str,
    *,
    strategy: str,
    model_version: int | None,
    experiment: str | None = None,
    variant: str | None = None,
    placement: str | None = None,
) -> str:
    """The id of one answer. The names must hold no "~"; their types see to that."""
    version = "" if model_version is None else model_version
    return f"{random}~{strategy}~{version}~{experiment or ''}~{variant or ''}~{placement or ''}"


def origin(request_id: str | None) -> Origin:
    """What the id says; an id that is not ours says nothing."""
    parts = (request_id or "").split(_JOINT)
    if len(parts) != _PARTS:
        return NOTHING
    return Origin(*(part or None for part in parts[1:]))
