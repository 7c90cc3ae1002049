"""What the picture says of each customer: segment, grade, tenths, tags, values; and the tables counted from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from training.customer_scores import STAGES
from training.insight.best import BestRule, best_customers, best_summary, usual_rule
from training.insight.customer_grades import GRADES, GradeRule, customer_grades, customer_value, usual_grade_rule
from training.insight.deciles import customer_deciles, decile_of, gini, sales_decile_of, sales_deciles
from training.insight.lifetime import historic_value, predicted_value, spread
from training.insight.places import usual_stores
from training.insight.rfm import SEGMENTS, rfm, rfm_grid, segment_table
from training.insight.shop import PERIOD_DAYS, Shop
from training.insight.tags import TREND_PERIODS, customer_tags, spend_trend


@dataclass(frozen=True)
class Rules:
    """What a shop may set of its picture; None is taken from the shop itself."""

    #: Thresholds of the best-customer rule by name; those left out are the shop's own.
    best: Mapping[str, float] = field(default_factory=dict)
    grade: GradeRule | None = None
    #: Margin of what is sold, as a share, where costs are not known; only for the profit of campaigns.
    margin: float | None = None
    cost_per_contact: float | None = None


def portray(
    shop: Shop,
    facts: pd.DataFrame,
    spend: NDArray[np.float32],
    *,
    rules: Rules,
    scores: Mapping[str, NDArray[np.float64]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns by name, one value per customer; and the tables made of them, by name.

    `spend` is that of `spend_by_period`; `scores` are columns of a scoring, aligned with `facts`.
    """
    tables: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    scored = rfm(facts)
    columns |= {name: scored[name] for name in ("segment", "r", "f", "m")}
    tables["segments"] = segment_table(facts, scored["segment"], SEGMENTS)
    tables["rfm_grid"] = rfm_grid(scored)
    tables["stages"] = segment_table(facts, facts["stage"], STAGES)
    grade_rule = rules.grade or usual_grade_rule(facts)
    columns["grade"] = customer_grades(facts, grade_rule)
    tables["grades"] = {"rule": grade_rule.as_json(), "groups": segment_table(facts, columns["grade"], GRADES)}
    # Of spend, as the table of that name; where amounts are not known, of orders.
    brought = customer_value(facts, measure="spend_lately" if shop.has_spend else "orders_lately")
    columns |= {"decile": decile_of(brought), "sales_decile": sales_decile_of(brought)}
    tables["deciles"] = _deciles(facts)
    best_rule = BestRule(**{**usual_rule(facts).as_json(), **rules.best})
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
    columns["usual_store"] = usual_stores(shop)
    more = facts.assign(
        best=columns["best"],
        order_spend=facts["spend"] / facts["orders"].clip(lower=1),
        top_share=top_share,
        responses=_responses(shop),
        trend=spend_trend(spend, facts["days_since_first_order"].to_numpy(float)),
    )
    able = {name for name, known in _able(shop, facts).items() if known}
    has, tables["tags"] = customer_tags(more, as_of=f"{shop.as_of:%Y-%m-%d}", able=frozenset(able))
    columns["tags"] = _tag_lists(has, len(facts))
    return columns, tables


def _able(shop: Shop, facts: pd.DataFrame) -> dict[str, bool]:
    return {
        "spend": shop.has_spend,
        "categories": shop.grouping is not None,
        "discounts": bool((facts["discount_share"] > 0).any()),
        "top_share": shop.grouping is not None and shop.has_spend,
        "responses": shop.has("responses.responded_at"),
        "trend": shop.has_spend and bool((facts["days_since_first_order"] >= 2 * TREND_PERIODS * PERIOD_DAYS).any()),
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
                     FROM lines JOIN goods USING (product)
                     WHERE {shop.grouping} IS NOT NULL AND spend IS NOT NULL GROUP BY 1, 2)
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
