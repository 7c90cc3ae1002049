"""The whole picture of a shop at a moment: every insight, from one look at the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.errors import DataError
from training.customer_scores import STAGES
from training.insight.behaviour import Behaviour, behaviour_segments
from training.insight.campaigns import campaign_report
from training.insight.cohorts import cohort_retention
from training.insight.cube import make_cube
from training.insight.customer_grades import GRADES, customer_grades, usual_grade_rule, value_measure
from training.insight.customers import customer_facts, spend_by_period
from training.insight.dimensions import (
    attribute_dimensions,
    customer_dimension,
    make_behaviour_table,
    make_product_tables,
)
from training.insight.faces import Cube, Dimension
from training.insight.files import CUSTOMER_FIELDS
from training.insight.over_time import movement, states_over_time
from training.insight.portrait import Rules, portray
from training.insight.rfm import SEGMENTS, rfm
from training.insight.shop import PERIOD_DAYS, WINDOW_DAYS, Shop, earlier, shop_before
from training.insight.sold import sold_tables
from training.protocols import Context

#: Columns of scores by name, aligned with the customers' ids.
Scores = Callable[[pa.Array], Mapping[str, NDArray[np.float64]]]
#: Customers move between groups over so many periods.
MOVED_PERIODS = 3
#: What each step of a picture is called, in order.
STEPS = (
    *("customers", "segments", "behaviour", "over_time", "movement"),
    *("cube", "products", "campaigns"),
)


@dataclass(frozen=True)
class Picture:
    """`tables` by name as in docs/insights.md; `customers` (CUSTOMER_FIELDS); the cube; spend by period; traits."""

    about: Mapping[str, Any]
    tables: Mapping[str, Any]
    customers: pa.Table
    cube: Cube
    spend: NDArray[np.float32]
    traits: NDArray[np.float32]


@dataclass
class _Sketch:
    """What is known so far."""

    shop: Shop
    facts: pd.DataFrame
    tables: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)


def take_picture(
    context: Context,
    as_of: datetime,
    *,
    horizon_days: int,
    rules: Rules | None = None,
    scores: Scores | None = None,
    done: Callable[[str], None] | None = None,
) -> Picture:
    """Every insight as of `as_of`; `scores` gives columns of a scoring of that moment, aligned with ids.

    `done` is told each of STEPS when it is. Raises DataError where nobody had bought before.
    """
    rules, done = rules or Rules(), done or _unheard
    shop = shop_before(context, as_of, horizon_days=horizon_days)
    sketch = _Sketch(shop, customer_facts(shop))
    periods, spend = spend_by_period(shop)
    sketch.tables["periods"] = periods
    done("customers")
    scored = {} if scores is None else scores(shop.customer_ids)
    columns, tables = portray(shop, sketch.facts, spend, rules=rules, scores=scored)
    sketch.columns |= columns
    sketch.tables |= tables
    done("segments")
    behaviour = _behaviour(sketch, np.random.default_rng(context.settings.seed))
    done("behaviour")
    sketch.tables["states"] = states_over_time(shop)
    sketch.tables["cohorts"] = cohort_retention(shop)
    done("over_time")
    sketch.tables["movement"] = moved_lately(shop, sketch.facts, sketch.columns, rules=rules)
    done("movement")
    cube = make_cube(shop, _dimensions(sketch))
    done("cube")
    sketch.tables |= sold_tables(shop, cube)
    done("products")
    sketch.tables["campaigns"] = campaign_report(shop, margin=rules.margin, cost_per_contact=rules.cost_per_contact)
    done("campaigns")
    about = {
        "as_of": shop.as_of.replace(tzinfo=UTC).isoformat(),
        "horizon_days": horizon_days,
        "window_days": WINDOW_DAYS,
        "period_days": PERIOD_DAYS,
        "currency": shop.currency,
        "customers": shop.customers,
        "has_spend": shop.has_spend,
        "has_margin": shop.has_margin,
        "lake_version": context.lake.version,
    }
    return Picture(
        about=about,
        tables=sketch.tables,
        customers=_customers(sketch),
        cube=cube,
        spend=spend,
        traits=np.empty((shop.customers, 0), np.float32) if behaviour is None else behaviour.traits.astype(np.float32),
    )


def _unheard(step: str) -> None:
    """Nobody asked."""


def _behaviour(sketch: _Sketch, rng: np.random.Generator) -> Behaviour | None:
    found = behaviour_segments(sketch.facts, rng=rng)
    sketch.tables["behaviour"] = None if found is None else found.as_json()
    sketch.columns["behaviour"] = None if found is None else found.labels
    return found


def moved_lately(shop: Shop, facts: pd.DataFrame, columns: Mapping[str, Any], *, rules: Rules) -> dict[str, Any] | None:
    """From MOVED_PERIODS periods ago until now, between segments, grades and stages; None where nobody had bought.

    `columns` are those of `portray`.
    """
    since = shop.as_of - timedelta(days=MOVED_PERIODS * PERIOD_DAYS)
    try:
        before = customer_facts(earlier(shop, since))
    except DataError:
        return None
    # The rule and the measure of now, so that who moved did so by what they did: a cost not known now may not have been
    # missed then, and margin is not held against a threshold in spend.
    grade_rule, measure = rules.grade or usual_grade_rule(facts), value_measure(facts)
    ids = before["customer_id"], facts["customer_id"]
    was: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
        "segment": (rfm(before)["segment"], columns["segment"], SEGMENTS),
        "grade": (customer_grades(before, grade_rule, measure=measure), columns["grade"], GRADES),
        "stage": (before["stage"], facts["stage"], STAGES),
    }
    moved = {
        name: movement(ids[0], np.asarray(then), ids[1], np.asarray(now), groups=groups)
        for name, (then, now, groups) in was.items()
    }
    # Of a lake that begins later, the year before was not whole: who seems to rise may have had less time then.
    begun = pd.Timestamp(facts["first_order_at"].min())
    return {"since": f"{since:%Y-%m-%d}", "whole": begun <= since - timedelta(days=WINDOW_DAYS), **moved}


def _dimensions(sketch: _Sketch) -> list[Dimension]:
    columns, facts = sketch.columns, sketch.facts
    found = [
        customer_dimension("segment", columns["segment"], SEGMENTS),
        customer_dimension("grade", columns["grade"], GRADES),
        customer_dimension("stage", facts["stage"], STAGES),
        customer_dimension("decile", columns["decile"].astype(str), [str(n) for n in range(1, 11)]),
    ]
    if columns["behaviour"] is not None:
        numbers = [str(one["number"]) for one in sketch.tables["behaviour"]["segments"]]
        found.append(customer_dimension("behaviour", columns["behaviour"].astype(str), numbers))
    found += attribute_dimensions(sketch.shop)
    # Orders first: the tables of products are made of them.
    behaviour = make_behaviour_table(sketch.shop)
    return [*found, *make_product_tables(sketch.shop), *behaviour]


def _customers(sketch: _Sketch) -> pa.Table:
    facts = sketch.facts
    given = {name: facts[name] for name in CUSTOMER_FIELDS.names if name in facts} | sketch.columns
    arrays = []
    for one in CUSTOMER_FIELDS:
        values = given[one.name]
        if isinstance(values, pa.Array):
            arrays.append(values)
        elif values is None:
            arrays.append(pa.nulls(len(facts), one.type))
        elif pa.types.is_dictionary(one.type):
            arrays.append(pa.array(np.asarray(values, dtype=object), pa.string()).dictionary_encode().cast(one.type))
        else:
            arrays.append(pa.array(values, type=one.type, from_pandas=True))
    return pa.Table.from_arrays(arrays, schema=CUSTOMER_FIELDS)
