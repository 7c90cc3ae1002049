"""Whether a model treats groups of a shop's customers alike: who stands on the list, who is missed, who is misjudged.

Selection rate against the group selected most (the four-fifths rule of the Uniform Guidelines on Employee Selection
Procedures, 1978), the share reached of those to whom it happens (equal opportunity: Hardt, Price and Srebro 2016), and
calibration within groups (Kleinberg, Mullainathan and Raghavan 2017, who show that not all can hold where base rates
differ: each is told, none is enforced).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from features.build import ATTRIBUTE
from training.segments import LEAST_ROWS, Group

#: A group selected less than this share as often as the one selected most is told of.
FOUR_FIFTHS = 0.8
#: A difference in the share reached from which it is told of.
UNEQUAL = 0.2


@dataclass(frozen=True)
class Parity:
    """One attribute: the groups that differ most, of those with enough customers to judge; None where there is one."""

    attribute: str
    least_selected: str
    most_selected: str
    selection_ratio: float | None
    reached_gap: float | None
    misjudged: tuple[str, ...]
    told: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def parities(groups: Sequence[Group]) -> list[Parity]:
    """By attribute of the customers, in the order of the groups. Attributes with one group to judge are left out."""
    attributes = [group for group in groups if group.kind.startswith(ATTRIBUTE)]
    found = []
    for kind, of_kind in groupby(attributes, key=lambda group: group.kind):
        judged = [group for group in of_kind if group.customers >= LEAST_ROWS]
        if len(judged) > 1:
            found.append(_parity(kind, judged))
    return found


def _parity(attribute: str, groups: Sequence[Group]) -> Parity:
    most = max(groups, key=lambda group: group.selected)
    least = min(groups, key=lambda group: group.selected)
    ratio = least.selected / most.selected if most.selected > 0 else None
    reached = [group.reached for group in groups if group.reached is not None]
    gap = max(reached) - min(reached) if len(reached) > 1 else None
    misjudged = tuple(f"{group.group}: {group.weak}" for group in groups if group.weak)
    told = []
    if ratio is not None and ratio < FOUR_FIFTHS:
        by_rate = least.happened / most.happened if most.happened > 0 else None
        beside = "" if by_rate is None else f"; it happens to them {by_rate:.2f} times as often"
        told.append(f"{least.group} is selected {ratio:.2f} times as often as {most.group}{beside}")
    if gap is not None and gap > UNEQUAL:
        told.append(f"of those to whom it happens, the share reached differs by {gap:.2f} between groups")
    return Parity(attribute, least.group, most.group, ratio, gap, misjudged, (*told, *misjudged))


def fairness(groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `regulars fairness` prints, from the groups kept with a model: each attribute's groups and its parity."""
    known = [Group(**group) for group in groups]
    return {
        "groups": [group.as_json() for group in known if group.kind.startswith(ATTRIBUTE)],
        "attributes": [parity.as_json() for parity in parities(known)],
    }
