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
from training.insight.best import BestRule, best_customers, best_summary, usual_rule
from training.insight.cohorts import cohort_retention
from training.insight.cube import make_cube
from training.insight.customer_grades import (
    GRADES,
    GradeRule,
    customer_grades,
    customer_value,
    usual_grade_rule,
)
from training.insight.customers import customer_facts, spend_by_period
from training.insight.deciles import customer_deciles, decile_of, gini, sales_decile_of, sales_deciles
from training.insight.dimensions import (
    attribute_dimensions,
    customer_dimension,
    make_behaviour_table,
    make_product_tables,
)
from training.insight.faces import Cube, Dimension
from training.insight.files import CUSTOMER_FIELDS
from training.insight.lifetime import historic_value, predicted_value, spread
from training.insight.over_time import movement, states_over_time
from training.insight.rfm import SEGMENTS, rfm, rfm_grid, segment_table
from training.insight.shop import PERIOD_DAYS, WINDOW_DAYS, Shop, earlier, shop_before
from training.insight.tags import customer_tags, spend_trend
from training.protocols import Context

#: Columns of scores by name, aligned with the customers' ids.
Scores = Callable[[pa.Array], Mapping[str, NDArray[np.float64]]]
#: Customers move between groups over so many periods.
MOVED_PERIODS = 3
#: What each step of a picture is called, in order.
STEPS = (
    *("customers", "segments", "behaviour", "over_time", "movement"),
    "cube",
)


@dataclass(frozen=True)
class Rules:
    """What a shop may set of its picture; None is taken from the shop itself."""

    best: BestRule | None = None
    grade: GradeRule | None = None
    #: Margin of what is sold, as a share, where costs are not known; only for the profit of campaigns.
    margin: float | None = None
    cost_per_contact: float | None = None


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
    _segments(sketch, rules, spend, {} if scores is None else scores(shop.customer_ids))
    done("segments")
    behaviour = _behaviour(sketch, np.random.default_rng(context.settings.seed))
    done("behaviour")
    sketch.tables["states"] = states_over_time(shop)
    sketch.tables["cohorts"] = cohort_retention(shop)
    done("over_time")
    sketch.tables["movement"] = _movement(sketch, rules)
    done("movement")
    cube = make_cube(shop, _dimensions(sketch))
    done("cube")
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


def _segments(
    sketch: _Sketch, rules: Rules, spend: NDArray[np.float32], scores: Mapping[str, NDArray[np.float64]]
) -> None:
    facts, tables, columns, shop = sketch.facts, sketch.tables, sketch.columns, sketch.shop
    scored = rfm(facts)
    columns |= {name: scored[name] for name in ("segment", "r", "f", "m")}
    tables["segments"] = segment_table(facts, scored["segment"], SEGMENTS)
    tables["rfm_grid"] = rfm_grid(scored)
    tables["stages"] = segment_table(facts, facts["stage"], STAGES)
    grade_rule = rules.grade or usual_grade_rule(facts)
    columns["grade"] = customer_grades(facts, grade_rule)
    tables["grades"] = {"rule": grade_rule.as_json(), "groups": segment_table(facts, columns["grade"], GRADES)}
    value = customer_value(facts)
    columns |= {"decile": decile_of(value), "sales_decile": sales_decile_of(value)}
    tables["deciles"] = _deciles(facts)
    best_rule = rules.best or usual_rule(facts)
    columns["best"] = best_customers(facts, best_rule)
    tables["best"] = best_summary(facts, best_rule)
    historic, found = historic_value(facts), predicted_value(scores)
    columns |= {
        "historic_value": historic,
        "predicted_value": np.full(len(facts), np.nan) if found is None else found[1],
    }
    tables["lifetime"] = {
        "historic": spread(historic),
        "predicted": None if found is None else {"measure": found[0], **spread(found[1])},
    }
    columns["top_category"], top_share = _top_category(shop)
    more = facts.assign(
        best=columns["best"],
        order_spend=facts["spend"] / facts["orders"].clip(lower=1),
        top_share=top_share,
        responses=_responses(shop),
        trend=spend_trend(spend),
    )
    able = {name for name, known in _able(shop, facts).items() if known}
    has, tables["tags"] = customer_tags(more, as_of=f"{shop.as_of:%Y-%m-%d}", able=frozenset(able))
    columns["tags"] = _tag_lists(has, len(facts))


def _able(shop: Shop, facts: pd.DataFrame) -> dict[str, bool]:
    return {
        "spend": shop.has_spend,
        "discounts": bool((facts["discount_share"] > 0).any()),
        "top_share": shop.grouping is not None and shop.has_spend,
        "responses": shop.has("responses.responded_at"),
        "trend": shop.has_spend and bool((facts["days_since_first_order"] >= 2 * 3 * PERIOD_DAYS).any()),
    }


def _deciles(facts: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for measure in ("spend", "margin"):
        amounts = facts[f"{measure}_lately"].to_numpy(float)
        found[measure] = (
            None
            if np.isnan(amounts).any()
            else {
                "customers": [one.as_json() for one in customer_deciles(amounts)],
                "sales": [one.as_json() for one in sales_deciles(amounts)],
                "nothing": int((amounts <= 0).sum()),
                "gini": gini(amounts),
            }
        )
    return found


def _top_category(shop: Shop) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Of each customer, the category with most of their spend, and its share of it."""
    names, share = np.full(shop.customers, None, dtype=object), np.zeros(shop.customers)
    if shop.grouping is None or not shop.has_spend:
        return names, share
    found = shop.frame(
        f"""
        WITH own AS (SELECT customer, {shop.grouping} AS category, sum(spend) AS spend
                     FROM lines JOIN goods USING (product) WHERE {shop.grouping} IS NOT NULL GROUP BY 1, 2)
        SELECT customer, arg_max(category, (spend, category)) AS category,
               max(spend) / nullif(sum(spend) FILTER (spend > 0), 0) AS share
        FROM own GROUP BY customer
        """
    )
    names[found["customer"]], share[found["customer"]] = found["category"], found["share"].fillna(0.0)
    return names, share


def _responses(shop: Shop) -> NDArray[np.float64]:
    if not shop.has("responses.responded_at"):
        return np.zeros(shop.customers)
    sql = "SELECT customer, count(*) AS n FROM responses JOIN who USING (customer_id) GROUP BY 1"
    return shop.per_customer(sql)["n"]


def _tag_lists(has: Mapping[str, NDArray[np.bool_]], customers: int) -> pa.Array:
    names = np.array(list(has), dtype=object)
    held = np.column_stack([*has.values()]) if has else np.zeros((customers, 0), dtype=bool)
    who, which = np.nonzero(held)
    starts = np.concatenate(([0], np.cumsum(np.bincount(who, minlength=customers)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(names[which], type=pa.string()))


def _behaviour(sketch: _Sketch, rng: np.random.Generator) -> Behaviour | None:
    found = behaviour_segments(sketch.facts, rng=rng)
    sketch.tables["behaviour"] = None if found is None else found.as_json()
    sketch.columns["behaviour"] = None if found is None else found.labels
    return found


def _movement(sketch: _Sketch, rules: Rules) -> dict[str, Any] | None:
    """From MOVED_PERIODS periods ago until now, between segments, grades and stages; None where nobody had bought."""
    since = sketch.shop.as_of - timedelta(days=MOVED_PERIODS * PERIOD_DAYS)
    try:
        before = customer_facts(earlier(sketch.shop, since))
    except DataError:
        return None
    # The rule of now, so that who moved did so by what they did, not because the threshold moved.
    grade_rule = rules.grade or usual_grade_rule(sketch.facts)
    ids = before["customer_id"], sketch.facts["customer_id"]
    was: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
        "segment": (rfm(before)["segment"], sketch.columns["segment"], SEGMENTS),
        "grade": (customer_grades(before, grade_rule), sketch.columns["grade"], GRADES),
        "stage": (before["stage"], sketch.facts["stage"], STAGES),
    }
    moved = {
        name: movement(ids[0], np.asarray(then), ids[1], np.asarray(now), groups=groups)
        for name, (then, now, groups) in was.items()
    }
    return {"since": f"{since:%Y-%m-%d}", **moved}


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
