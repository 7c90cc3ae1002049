"""What a feature is: a named Ibis expression over one relation of a snapshot, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from features.schema import C
from features.snapshot import Relation, Snapshot

#: From a relation of the snapshot and the snapshot itself to one Ibis value: a column where the relation has one row
#: for each of the entity (as FEATURES, the features made so far, has), an aggregate over the entity's rows elsewhere.
Expression = Callable[[Any, Snapshot], Any]

OWNER = "regulars"


@dataclass(frozen=True)
class Entity:
    """What features are of: one row per value of `keys` in the relation `of`."""

    name: str
    keys: tuple[str, ...]
    of: Relation
    description: str


CUSTOMER = Entity("customer", (C.CUSTOMER_ID,), Relation.CUSTOMERS, "Somebody who has bought.")
PRODUCT = Entity("product", (C.PRODUCT_ID,), Relation.SALES, "Something that was bought.")
CUSTOMER_PRODUCT = Entity(
    "customer_product", (C.CUSTOMER_ID, C.PRODUCT_ID), Relation.PRODUCTS, "A product that a customer has bought."
)
CUSTOMER_CATEGORY = Entity(
    "customer_category", (C.CUSTOMER_ID, C.CATEGORY), Relation.CATEGORIES, "A category that a customer has bought."
)
ENTITIES = {entity.name: entity for entity in (CUSTOMER, PRODUCT, CUSTOMER_PRODUCT, CUSTOMER_CATEGORY)}


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
    entity: Entity = CUSTOMER
    owner: str = OWNER

    @property
    def nulls(self) -> str:
        """What stands where the feature cannot be computed, in words."""
        return "unknown (null)" if self.default is None else f"{self.default:g} where there is nothing to count"


def available(features: Sequence[Feature], snapshot: Snapshot) -> list[Feature]:
    """The features that the shop's data allow, in order."""
    return [feature for feature in features if snapshot.has(*feature.needs)]
