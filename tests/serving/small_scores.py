"""Scores made from orders by hand, with the evidence that training gathers; lists are what was bought most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from serving.catalogue import make_catalogue
from serving.customer_columns import make_columns
from serving.insights import make_insights
from serving.state import EPOCH, State
from tests.training.recommender.tiny import Orders, purchases
from training.customer_scores import SCHEMA
from training.gather_evidence import gather
from training.newcomers import Newcomers
from training.ranked_lists import NO_PRODUCT, RankedLists
from training.together import bought_together

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
#: The moment of the scores, in days since 1970; orders are given in days before it.
TODAY = (AS_OF.replace(tzinfo=None) - EPOCH).days


def small_state(
    orders: Mapping[str, Sequence[tuple[float, Sequence[str]]]],
    products: Sequence[Mapping[str, object]],
    *,
    against: Sequence[tuple[str, str]] = (),
    newcomers: Mapping[str, Sequence[str]] | None = None,
    depth: int = 10,
) -> State:
    """A state of customers' orders, each (days before AS_OF, products), and of products given as rows."""
    dated: Orders = {
        who: [(TODAY - ago, basket) for ago, basket in sorted(theirs, key=lambda order: -order[0])]
        for who, theirs in orders.items()
    }
    bought = purchases(dated)
    table = _products(products, bought.product_ids.to_pylist())
    place_of = {product: code for code, product in enumerate(table["product_id"].to_pylist())}
    place = np.array([place_of[product] for product in bought.product_ids.to_pylist()], dtype=np.int32)
    beside = bought_together(bought)
    shape = (table.num_rows, beside.neighbours.shape[1])
    neighbours, lift = np.full(shape, NO_PRODUCT, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    support = np.zeros(shape, dtype=np.int32)
    confidence, strength = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    neighbours[place] = np.where(beside.neighbours >= 0, place[beside.neighbours], NO_PRODUCT)
    lift[place], support[place], confidence[place] = beside.lift, beside.support, beside.confidence
    strength[place] = beside.strength
    customers = bought.customer_ids.to_pylist()
    pairs = [customers.index(who) * table.num_rows + place_of[product] for who, product in against]
    evidence = gather(
        bought,
        place,
        n_products=table.num_rows,
        as_of_day=float(TODAY),
        against=np.array(pairs, dtype=np.int64),
        support=support,
        confidence=confidence,
        strength=strength,
    )
    sold = evidence.sold_orders
    popular = np.argsort(-sold, kind="stable")[: int((sold > 0).sum())].astype(np.int32)
    lists = np.full((len(customers), depth), NO_PRODUCT, dtype=np.int32)
    own = np.zeros(lists.shape, dtype=np.uint16)
    for row in range(len(customers)):
        at = evidence.own(row)
        best = np.argsort(-evidence.own_orders[at].astype(int), kind="stable")[:depth]
        lists[row, : len(best)] = evidence.own_products[at][best]
        own[row, : len(best)] = evidence.own_orders[at][best]
    ranking = RankedLists(
        customers=pa.table({"customer_id": bought.customer_ids}),
        products=table,
        lists=lists,
        scores=np.tile(np.arange(depth, 0, -1, dtype=np.float32), (len(customers), 1)),
        sources=np.zeros(lists.shape, dtype=np.uint8),
        own_orders=own,
        popular=popular,
        neighbours=neighbours,
        neighbour_lift=lift,
        about={},
        evidence=evidence,
        newcomers=_newcomers(newcomers, place_of),
    )
    scored = pa.Table.from_pylist([_scores(who, evidence, row) for row, who in enumerate(customers)], schema=SCHEMA)
    rows = {who: row for row, who in enumerate(customers)}
    catalogue = make_catalogue(table, popular)
    return State(
        version="small",
        about={"as_of": AS_OF.isoformat(), "horizon_days": 28, "models": {"recommender": 1, "propensity": 1}},
        customers=scored,
        rows=rows,
        ranking=ranking,
        ranked_rows=rows,
        catalogue=catalogue,
        columns=make_columns(scored),
        insights=make_insights(catalogue, evidence),
        newcomer_rows={} if ranking.newcomers is None else {who: row for row, who in enumerate(newcomers or ())},
    )


def _products(given: Sequence[Mapping[str, object]], bought: Sequence[str]) -> pa.Table:
    rows = {str(row["product_id"]): dict(row) for row in given}
    for product in bought:
        rows.setdefault(product, {"product_id": product})
    texts = ("product_id", "name", "department", "category", "brand")
    schema = pa.schema(
        [(name, pa.string()) for name in texts]
        + [("price", pa.float64()), ("in_stock", pa.bool_()), ("hidden", pa.bool_())]
        + [(name, pa.timestamp("us")) for name in ("listed_at", "expires_at")]
    )
    return pa.Table.from_pylist([rows[product] for product in sorted(rows)], schema=schema)


def _newcomers(liked: Mapping[str, Sequence[str]] | None, place_of: Mapping[str, int]) -> Newcomers | None:
    if not liked:
        return None
    depth = max(len(products) for products in liked.values())
    lists = np.full((len(liked), depth), NO_PRODUCT, dtype=np.int32)
    for row, products in enumerate(liked.values()):
        lists[row, : len(products)] = [place_of[product] for product in products]
    return Newcomers(pa.table({"customer_id": list(liked), "profile": np.arange(len(liked), dtype=np.int32)}), lists)


def _scores(who: str, evidence: object, row: int) -> dict[str, object]:
    return {
        "customer_id": who,
        "last_order_at": AS_OF,
        "orders": int(evidence.customer_orders[row]),
        "spend": 1.0,
        "days_since_last_order": 1,
        "active": True,
        "churn_probability": 0.1,
        "purchase_probability": 0.5,
        "expected_spend": 1.0,
        "value_at_risk": 0.1,
        "stage": "regular",
        "reasons": [],
    }
