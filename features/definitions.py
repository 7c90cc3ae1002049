"""What a feature is: a named Ibis expression over one relation of a snapshot, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from features.snapshot import Relation, Snapshot

#: From a relation of the snapshot (or, for Relation.FEATURES, the table of the features made so far) and the snapshot
#: itself to one Ibis value: an aggregate over the entity's rows, or a column over FEATURES.
Expression = Callable[[Any, Snapshot], Any]

CUSTOMER = "customer"
OWNER = "regulars"


@dataclass(frozen=True)
class Feature:
    """One feature: where it is computed, how, and what it means.

    `default` stands where the entity has no rows in the relation; None leaves it unknown (null). `needs` names columns
    of the lake without any value of which the feature is left out altogether.
    """

    name: str
    relation: Relation
    expression: Expression
    description: str
    unit: str  # orders, days, share, currency …
    default: float | None = None
    needs: tuple[str, ...] = ()
    window_days: int | None = None  # None: over life, or not of a window
    entity: str = CUSTOMER
    owner: str = OWNER

    @property
    def nulls(self) -> str:
        """What stands where the feature cannot be computed, in words."""
        return "unknown (null)" if self.default is None else f"{self.default:g} where there is nothing to count"


def available(features: Sequence[Feature], snapshot: Snapshot) -> list[Feature]:
    """The features that the shop's data allow, in order."""
    return [feature for feature in features if snapshot.has(*feature.needs)]
