"""What else to sell, to whom and where: cross-sell and up-sell, channels and stores, and what campaigns brought."""

from __future__ import annotations

import math
from typing import Any, Literal

from msgspec import Struct
from starlette.responses import Response

from serving.console.forms import asked_of
from serving.console.handlers_shop import insight_of
from serving.console.picture import name_of
from serving.console.visit import Visit
from training.insight.faces import OTHER
from training.insight.files import Insight
from training.insight.words import word

#: Offers shown; of those who buy a category, few customers say little of the others they buy.
MOST_OFFERS, LEAST_BUYERS = 15, 20
#: Of campaigns, what is measured: the lift where customers were held out, else the share that responded.
LIFT, RESPONSE = "lift", "response_rate"


class Asked(Struct, frozen=True):
    """Which of the numbers of the cross-sell matrix is shown."""

    show: Literal["values", "lift", "open"] = "values"


async def the_page(visit: Visit) -> Response:
    """GET /console/selling."""
    asked = asked_of(visit.request, Asked)
    insight = await insight_of(visit)
    if insight is None:
        return visit.page("selling.html", insight=None)
    tables, lang = insight.tables, visit.lang
    return visit.page(
        "cross_part.html" if visit.is_part else "selling.html",
        insight=insight,
        asked=asked,
        cross=tables.get("cross_sell"),
        offers=offers_of(tables.get("cross_sell")),
        grouping=grouping_of(insight),
        up=tables.get("up_sell"),
        places=[_place(insight, name, found, lang) for name, found in (tables.get("places") or {}).items()],
        campaigns=tables.get("campaigns") or [],
        campaign_chart=chart_of_campaigns(tables.get("campaigns") or []),
        name=lambda value, group="": name_of(insight, group, value, lang),
    )


def grouping_of(insight: Insight) -> str:
    """The dimension by which the picture groups products: the first of these that the shop has."""
    names = [one.name for one in insight.cube.dimensions]
    return "category" if "category" in names else "department"


def offers_of(cross: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The pairs of categories of most lift that somebody does not buy both of yet, strongest first."""
    if cross is None:
        return []
    names, found = cross["rows"], []
    for at, name in enumerate(names):
        for to, other in enumerate(names):
            lift, waiting = cross["lift"][at][to], cross["open"][at][to]
            if at != to and lift is not None and waiting and cross["customers"][at] >= LEAST_BUYERS:
                share = cross["values"][at][to]
                found.append({"category": name, "other": other, "share": share, "lift": lift, "open": waiting})
    return sorted(found, key=lambda one: -one["lift"])[:MOST_OFFERS]


def chart_of_places(found: dict[str, Any], lang: str) -> dict[str, Any]:
    """What the page's script draws: spend by place, or orders where amounts are not known.

    Without the places that are not told apart: a bar of many would dwarf the others.
    """
    places = [row for row in found["places"] if row["place"] != OTHER]
    measure = "spend" if any(row["spend"] is not None for row in places) else "orders"
    return {
        "labels": [word(row["place"], lang) for row in places],
        "bars": [_rounded(row[measure]) for row in places],
        "name": word(measure, lang),
    }


def chart_of_campaigns(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the page's script draws: of each campaign measured, the oldest first, what came of it with its interval."""
    for measure, low, high in ((LIFT, "lift_low", "lift_high"), (RESPONSE, "response_low", "response_high")):
        known = [row for row in reversed(rows) if row[measure] is not None]
        if known:
            return {
                "labels": [row["campaign_id"] for row in known],
                "bars": [_rounded(row[measure]) for row in known],
                "low": [_rounded(row[low]) for row in known],
                "high": [_rounded(row[high]) for row in known],
                "measure": measure,
            }
    return None


def _place(insight: Insight, name: str, found: dict[str, Any], lang: str) -> dict[str, Any]:
    """Channels or stores with what a page needs of them: the chart, names, and the largest share spent in one place."""
    told_apart = [at for at, place in enumerate(found["columns"]) if place != OTHER]
    shares = [row[at] for row in found["values"] for at in told_apart if row[at] is not None]
    titles = {
        "rows": [name_of(insight, "segment", one, lang) for one in found["rows"]],
        "columns": [name_of(insight, name, one, lang) for one in found["columns"]],
    }
    chart = chart_of_places(found, lang)
    return {**found, "name": name, "chart": chart, "titles": titles, "most": max(shares, default=0.0)}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
