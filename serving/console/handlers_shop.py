"""The shop's own picture: who its customers are, how they come and go, and the cube of what was sold to whom when."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from starlette.responses import Response

from serving.console.forms import asked_of
from serving.console.picture import GROUPS, choices, name_of, pictures_of
from serving.console.visit import Visit
from serving.problems import BadRequestError
from training.insight.best import MEASURES as BEST_MEASURES
from training.insight.best import BestRule, summary_of
from training.insight.faces import ALL, MEASURES, OTHER, PRODUCT
from training.insight.files import Insight
from training.insight.words import word

MOVING = ("segment", "grade", "stage")
STATES = ("new", "active", "returned", "cooling", "lost")
#: Rows or columns of a face shown at most; of longer dimensions, those with most.
MOST_VALUES = 24


class Rule(Struct, frozen=True):
    """Thresholds of the best-customer rule; left empty, those of the picture."""

    spend: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    categories: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    visits: Annotated[int, Meta(ge=0, le=366)] | None = None
    moved: str = "segment"


class Face(Struct, frozen=True):
    """Which face of the cube."""

    rows: Annotated[str, Meta(max_length=100)] = "segment"
    columns: Annotated[str, Meta(max_length=100)] | None = None
    measure: Annotated[str, Meta(max_length=40)] | None = None


async def insight_of(visit: Visit) -> Insight | None:
    """The current picture."""
    return await asyncio.to_thread(pictures_of(visit.runtime.holder.home).current)


async def overview(visit: Visit) -> Response:
    """GET /console/overview."""
    asked = asked_of(visit.request, Rule)
    insight = await insight_of(visit)
    if insight is None:
        return visit.page("overview.html", insight=None, name=None)
    tables, lang = insight.tables, visit.lang
    moved = asked.moved if asked.moved in MOVING else MOVING[0]
    best = best_of(insight, asked)
    if visit.is_part:
        return visit.page("best_part.html", best=best, insight=insight, moved=moved)
    return visit.page(
        "overview.html",
        insight=insight,
        tables=tables,
        best=best,
        moved=moved,
        moving=MOVING,
        states=_stacked(tables["states"], lang),
        name=lambda value, group="": name_of(insight, group, value, lang),
        behaviours=tables.get("behaviour"),
    )


def best_of(insight: Insight, asked: Rule) -> dict[str, Any]:
    """Who the best customers are by the thresholds asked for, else by those of the picture."""
    usual = insight.tables["best"]["rule"]
    chosen = {name: usual[name] if getattr(asked, name) is None else getattr(asked, name) for name in BEST_MEASURES}
    measures = {
        name: insight.customers[f"{name}_lately"].to_numpy(zero_copy_only=False).astype(float) for name in BEST_MEASURES
    }
    return summary_of(measures, BestRule(**chosen))


def _stacked(rows: list[dict[str, Any]], lang: str) -> dict[str, Any]:
    """What the page's script stacks: customers in each state at each moment."""
    series = [{"name": word(state, lang), "y": [row[state] for row in rows]} for state in STATES]
    return {"x": list(range(len(rows))), "labels": [row["moment"] for row in rows], "stack": series}


async def cube(visit: Visit) -> Response:
    """GET /console/cube: two dimensions and a measure as a heat map; each place leads to its customers."""
    asked = asked_of(visit.request, Face)
    insight = await insight_of(visit)
    if insight is None:
        return visit.page("cube.html", insight=None)
    dimensions = {one.name: one for one in insight.cube.dimensions}
    measures = [one for one in MEASURES if _is_known(insight, one)]
    columns = asked.columns or next(
        (one.name for one in insight.cube.dimensions if one.kind == PRODUCT), insight.cube.dimensions[-1].name
    )
    measure = asked.measure or ("spend" if "spend" in measures else "orders")
    for field, value, known in (
        ("rows", asked.rows, [*dimensions]),
        ("columns", columns, [*dimensions, ALL]),
        ("measure", measure, measures),
    ):
        if value not in known:
            raise BadRequestError(f"there is no '{value}'; there are: {', '.join(known)}", field=field, status=422)
    if asked.rows == columns:
        columns = ALL
    face, customers = await asyncio.gather(
        *(asyncio.to_thread(insight.cube.face, asked.rows, columns, name) for name in (measure, "customers"))
    )
    down = _largest(dimensions[asked.rows].values, face, axis=1)
    across = [0] if columns == ALL else _largest(dimensions[columns].values, face, axis=0)
    lang = visit.lang
    template = "cube_part.html" if visit.is_part else "cube.html"
    return visit.page(
        template,
        insight=insight,
        asked=asked,
        columns=columns,
        measure=measure,
        dimensions=[(one, word(one, lang)) for one in dimensions],
        measures=[(one, word(one, lang)) for one in measures],
        all=ALL,
        down=[_value(insight, asked.rows, dimensions[asked.rows].values[at], lang) for at in down],
        across=[("", "")]
        if columns == ALL
        else [_value(insight, columns, dimensions[columns].values[at], lang) for at in across],
        most=_most(face, dimensions[asked.rows].values, ("",) if columns == ALL else dimensions[columns].values),
        cells=[[_plain(face[row, column]) for column in across] for row in down],
        counted=[[bool(customers[row, column] > 0) for column in across] for row in down],
        shown=(len(down), len(dimensions[asked.rows].values)),
    )


def _is_known(insight: Insight, measure: str) -> bool:
    about = insight.about
    if "margin" in measure:
        return bool(about.get("has_margin"))
    return bool(about.get("has_spend")) if "spend" in measure else True


def _largest(values: tuple[str, ...], face: np.ndarray, *, axis: int) -> list[int]:
    """Which values of a dimension are shown, in its order: all, or those with most."""
    if len(values) <= MOST_VALUES:
        return list(range(len(values)))
    return sorted(np.argsort(-np.nansum(face, axis=axis), kind="stable")[:MOST_VALUES].tolist())


def _most(face: np.ndarray, rows: tuple[str, ...], columns: tuple[str, ...]) -> float:
    """The largest number of a face, leaving out what is not told apart: many together would dwarf each."""
    own = face[np.ix_([one != OTHER for one in rows], [one != OTHER for one in columns])]
    return float(np.nanmax(own, initial=0.0)) if np.isfinite(own).any() else float(np.nanmax(face, initial=0.0))


def _value(insight: Insight, group: str, value: str, lang: str) -> tuple[str, str]:
    return value, name_of(insight, group, value, lang)


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def group_choices(insight: Insight | None, lang: str) -> dict[str, list[tuple[str, str]]]:
    """What customers may be filtered by, with the values there are; nothing without a picture."""
    if insight is None:
        return {}
    return {group: choices(insight, group, lang) for group in (*GROUPS, "tag")}
