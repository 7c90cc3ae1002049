"""Features of every customer as of a moment: the definitions as one Ibis expression, grouped by what they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis

from features.customers import CUSTOMER_FEATURES, department_features
from features.definitions import Feature, available
from features.schema import PRODUCTS, C
from features.snapshot import Relation, Snapshot

#: So many departments (those with the most products in the catalogue) have a share of the category mix each.
DEPARTMENTS = 8
#: Customer attributes are text; their columns are the attribute's name behind this.
ATTRIBUTE = "attribute_"


def features_of(snapshot: Snapshot) -> list[Feature]:
    """Every customer feature that the shop's data allow, those computed from others last."""
    features = [*CUSTOMER_FEATURES, *department_features(departments_of(snapshot))]
    return available(features, snapshot)


def departments_of(snapshot: Snapshot) -> list[str]:
    """The departments with the most products, from the catalogue alone: no order takes part, so none can leak."""
    if not snapshot.has(f"{PRODUCTS.name}.{C.DEPARTMENT}"):
        return []
    products = snapshot.table(PRODUCTS.name)
    named = products.filter(products[C.DEPARTMENT].notnull())
    counted = named.group_by(C.DEPARTMENT).aggregate(n=named.count())
    chosen = counted.order_by([counted.n.desc(), counted[C.DEPARTMENT]]).limit(DEPARTMENTS)
    names: list[str] = chosen[C.DEPARTMENT].to_pyarrow().to_pylist()
    return names


def customer_features(snapshot: Snapshot, features: Sequence[Feature]) -> Any:
    """One row per customer with a purchase before `as_of`: customer_id, features (float64), attributes (text).

    An Ibis table, not yet computed. Customers whose only lines are returns are absent.
    """
    table = snapshot.customers
    for relation in Relation:
        ours = [feature for feature in features if feature.relation is relation]
        if not ours or relation is Relation.FEATURES:
            continue
        rows = snapshot.relation(relation)
        values = {feature.name: feature.expression(rows, snapshot).cast("float64") for feature in ours}
        made = rows.group_by(C.CUSTOMER_ID).aggregate(**values)
        table = table.left_join(made, C.CUSTOMER_ID).drop(f"{C.CUSTOMER_ID}_right")
    defaults = {f.name: f.default for f in features if f.default is not None and f.relation is not Relation.FEATURES}
    table = table.mutate(**{name: table[name].fill_null(default) for name, default in defaults.items()})
    derived = [feature for feature in features if feature.relation is Relation.FEATURES]
    table = table.mutate(**{f.name: f.expression(table, snapshot).cast("float64") for f in derived})
    attributes = snapshot.attributes()
    if attributes is not None:
        named = {f"{ATTRIBUTE}{slugged}": name for name, slugged in attribute_names(attributes).items()}
        described = attributes.rename(named)
        table = table.left_join(described, C.CUSTOMER_ID).drop(f"{C.CUSTOMER_ID}_right")
    return table


def attribute_names(attributes: Any) -> dict[str, str]:
    """The attributes' names as the customers table has them, and as feature columns do."""
    from features.customers import slug

    return {name: slug(name) for name in attributes.columns if name != C.CUSTOMER_ID}


def row_of(table: Any, as_of: Any) -> Any:
    """The table with the moment it is as of, first column after customer_id."""
    return table.mutate(**{C.AS_OF: ibis.literal(as_of)}).relocate(C.AS_OF, after=C.CUSTOMER_ID)
