"""Features of an entity as of a moment: the definitions as one Ibis expression, grouped by what they read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis

from features.customer_breadth import mix_features
from features.customers import CUSTOMER_FEATURES
from features.definitions import CUSTOMER, PRODUCT, Entity, Feature, available
from features.mixes import MIXES, mix_values, slugs
from features.products import CUSTOMER_CATEGORY_FEATURES, CUSTOMER_PRODUCT_FEATURES, PRODUCT_FEATURES
from features.schema import C
from features.snapshot import GRAIN, Relation, Snapshot

#: What the shop says of a customer or product is text; its column is the attribute's name behind this.
ATTRIBUTE = "attribute_"
BUILT_IN = (*CUSTOMER_FEATURES, *PRODUCT_FEATURES, *CUSTOMER_PRODUCT_FEATURES, *CUSTOMER_CATEGORY_FEATURES)


def features_of(snapshot: Snapshot, entity: Entity = CUSTOMER, *, own: Sequence[Feature] = ()) -> list[Feature]:
    """Every feature of the entity that the shop's data allow; `own` are those of the shop's own file."""
    mixes = [feature for mix in MIXES for feature in mix_features(mix, mix_values(snapshot.tables, mix))]
    features = [feature for feature in (*BUILT_IN, *mixes, *own) if feature.entity is entity]
    return available(features, snapshot)


def entity_features(snapshot: Snapshot, entity: Entity, features: Sequence[Feature]) -> Any:
    """One row per entity known before `as_of`: its keys, features (float64), attributes (text). Not yet computed.

    Customers whose only lines are returns are absent. A relation that holds only some of the keys (the customer of a
    customer and product) is joined by those.
    """
    base = snapshot.relation(entity.of)
    table = base.select(*entity.keys, **_values(_over(entity.of, features), base, snapshot))
    for relation in Relation:
        ours = _over(relation, features)
        if not ours or relation in (Relation.FEATURES, entity.of):
            continue
        rows = snapshot.relation(relation)
        keys = [key for key in entity.keys if key in rows.columns]
        values = _values(ours, rows, snapshot)
        one_each = set(GRAIN.get(relation, rows.columns)) <= set(keys)
        made = rows.select(*keys, **values) if one_each else rows.group_by(keys).aggregate(**values)
        table = _joined(table, made, keys)
    defaults = {f.name: f.default for f in features if f.default is not None and f.relation is not Relation.FEATURES}
    if defaults:
        table = table.mutate(**{name: table[name].fill_null(default) for name, default in defaults.items()})
    table = _with_attributes(table, snapshot, entity)
    derived = [feature for feature in features if feature.relation is Relation.FEATURES]
    return table.mutate(**_values(derived, table, snapshot)) if derived else table


def _over(relation: Relation, features: Sequence[Feature]) -> list[Feature]:
    return [feature for feature in features if feature.relation is relation]


def _values(features: Sequence[Feature], rows: Any, snapshot: Snapshot) -> dict[str, Any]:
    return {feature.name: feature.expression(rows, snapshot).cast("float64") for feature in features}


def _joined(table: Any, other: Any, keys: Sequence[str]) -> Any:
    return table.left_join(other, list(keys)).drop(*(f"{key}_right" for key in keys))


def _with_attributes(table: Any, snapshot: Snapshot, entity: Entity) -> Any:
    described = {CUSTOMER: snapshot.attributes, PRODUCT: snapshot.descriptions}.get(entity)
    attributes = described() if described is not None else None
    if attributes is None:
        return table
    named = {f"{ATTRIBUTE}{short}": name for name, short in attribute_names(attributes, entity).items()}
    return _joined(table, attributes.rename(named), entity.keys)


def attribute_names(attributes: Any, entity: Entity) -> dict[str, str]:
    """The attributes' names as their table has them, and as feature columns do."""
    return slugs([name for name in attributes.columns if name not in entity.keys])


def row_of(table: Any, entity: Entity, as_of: Any) -> Any:
    """The table with the moment it is as of (a time, or an Ibis value), after the keys."""
    moment = ibis.literal(as_of) if isinstance(as_of, datetime) else as_of
    return table.mutate(**{C.AS_OF: moment}).relocate(C.AS_OF, after=entity.keys[-1])
