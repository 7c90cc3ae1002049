"""Who is in groups of the shop's picture and in places of its cube: what a number on a page leads to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.home import Home
from features.settings import Settings
from serving.console.picture import GROUPS, members
from training.insight.cube_customers import buyers_in, with_attribute
from training.insight.faces import ATTRIBUTE, CUSTOMER, PRODUCT
from training.insight.files import Insight

Mask = NDArray[np.bool_]
#: A second value of a dimension of products: who bought that too, or has not.
AND, WITHOUT = "and_", "without_"
#: Places remembered: an agent turns pages of one, and goes back to the one before.
MOST_REMEMBERED = 16
_remembered: OrderedDict[tuple[object, ...], Mask] = OrderedDict()


def known_of(insight: Insight, given: Mapping[str, str]) -> dict[str, str]:
    """What of an address names groups of the picture or dimensions of its cube."""
    names = {*GROUPS, "tag", *(one.name for one in insight.cube.dimensions)}
    names |= {f"{more}{one.name}" for one in insight.cube.dimensions if one.kind == PRODUCT for more in (AND, WITHOUT)}
    return {name: value for name, value in given.items() if name in names}


def who(insight: Insight, home: Home, settings: Settings, wanted: Mapping[str, str], *, lately: bool) -> Mask | None:
    """(customers of the picture,) who is in all that is `wanted`; `lately`: and ordered in the cube's window.

    None where that takes the orders and they are not on this machine. Whoever is in a place of products or of orders
    bought there in the window.
    """
    dimensions = {one.name: one for one in insight.cube.dimensions}
    groups = {name: value for name, value in wanted.items() if name in (*GROUPS, "tag")}
    found = members(insight, groups)
    if lately:
        found &= insight.customers["visits_lately"].to_numpy(zero_copy_only=False) > 0
    lake = home.lake / "versions" / str(insight.about["lake_version"])
    try:
        for name in wanted:
            if name.startswith(ATTRIBUTE):
                found = found & _with_attribute(insight, lake, settings, name, wanted[name])
        place = {name: wanted[name] for name in wanted if name in dimensions and dimensions[name].kind != CUSTOMER}
        if place:
            found = found & _buyers(insight, lake, settings, place)
        for name, value in wanted.items():
            for more in (AND, WITHOUT):
                if name.startswith(more):
                    bought = _buyers(insight, lake, settings, {name.removeprefix(more): value})
                    found = found & (bought if more == AND else ~bought)
    except OSError:
        return None
    return found


def _with_attribute(insight: Insight, lake: Path, settings: Settings, name: str, value: str) -> Mask:
    dimension = next(one for one in insight.cube.dimensions if one.name == name)
    ids, have = with_attribute(lake, dimension, value, threads=settings.threads, memory=settings.memory_limit)
    among = _among(insight, ids)
    return among if have else ~among


def _buyers(insight: Insight, lake: Path, settings: Settings, place: Mapping[str, str]) -> Mask:
    key = (insight.version, str(lake), *sorted(place.items()))
    found = _remembered.get(key)
    if found is None:
        ids = buyers_in(
            lake,
            insight.cube,
            place,
            as_of=datetime.fromisoformat(insight.about["as_of"]),
            window_days=insight.about["window_days"],
            threads=settings.threads,
            memory=settings.memory_limit,
        )
        found = _remembered[key] = _among(insight, ids)
        # Two threads may both take one away; either leaves few enough.
        while len(_remembered) > MOST_REMEMBERED:
            _remembered.popitem(last=False)
    return found


def _among(insight: Insight, ids: pa.Array) -> Mask:
    found = pc.is_in(insight.customers["customer_id"], value_set=ids)
    return np.asarray(found.to_numpy(), dtype=bool)
