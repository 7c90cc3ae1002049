"""What the commands under `regulars features` share: their options, and the features they are about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.settings import current_settings

if TYPE_CHECKING:
    from features.definitions import Entity, Feature
    from features.lake import Lake
    from features.snapshot import Snapshot

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=FORMATS, help="The moment (UTC); midnight after the last order when not given."),
]


class EntityName(StrEnum):
    """The entities a command may name; those of definitions.ENTITIES."""

    CUSTOMER = "customer"
    PRODUCT = "product"
    CUSTOMER_PRODUCT = "customer_product"
    CUSTOMER_CATEGORY = "customer_category"


Of = Annotated[EntityName, typer.Option("--entity", help="What the features are of.")]


def taken(
    of: EntityName, as_of: datetime | None = None, *, middle: bool = False
) -> tuple[Lake, Snapshot, Entity, list[Feature]]:
    """The lake, its snapshot as of a moment (not given: after the last order, or the middle), entity and features."""
    from features.build import features_of
    from features.definitions import ENTITIES
    from features.engine import connect
    from features.lake import read_lake
    from features.own import own_features
    from features.snapshot import take_snapshot

    settings = current_settings()
    lake = read_lake(settings.data_home)
    moment = as_of
    if moment is None:
        first, last = (datetime.fromisoformat(lake.manifest[name]) for name in ("first_order_at", "last_order_at"))
        moment = first + (last - first) / 2 if middle else after_last_order(lake)
    snapshot = take_snapshot(lake, connect(settings), moment)
    entity = ENTITIES[of.value]
    return lake, snapshot, entity, features_of(snapshot, entity, own=own_features(settings))


def after_last_order(lake: Lake) -> datetime:
    """The first midnight by which every order of the lake is known."""
    from features.horizon import midnight_after

    return midnight_after(datetime.fromisoformat(lake.manifest["last_order_at"]))


def shown(value: Any) -> str:
    """A value for a table."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
