"""Who buys of a category in the next 28 days: the audience's probability beside how often, and how lately, they bought.

Run `regulars ingest --source complete-journey` first. Everything from 28 days before the end is hidden; 20
categories, from the most sold downwards. Orders ahead are those of the past, without a model. The mean over
categories is printed and written to benchmarks/out/audiences.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from sklearn.metrics import average_precision_score, roc_auc_score

from features.engine import connect
from features.matrix import read_purchases
from training.cli_arguments import current_context
from training.everyone import catalogue
from training.gather_evidence import gather
from training.own_share import likelihood

OUT = Path(__file__).parent / "out"
DAYS, CATEGORIES, LEAST_BUYERS, FIRST = 28, 20, 20, 100


def main() -> None:
    """Measure and print."""
    context = current_context()
    purchases = read_purchases(context.lake, connect(context.settings))
    products = catalogue(context)
    position = pc.index_in(purchases.product_ids, value_set=products["product_id"].combine_chunks()).to_numpy()
    category = np.array([name or "" for name in products["category"].to_pylist()])[position]
    cutoff = float(np.floor(purchases.order_day.max())) + 1 - DAYS
    history, future = purchases.before(cutoff), purchases.keep_orders(purchases.order_day >= cutoff)
    none = np.zeros((purchases.n_products, 1), dtype=np.float32)
    evidence = gather(
        history,
        np.arange(purchases.n_products, dtype=np.int32),
        n_products=purchases.n_products,
        as_of_day=cutoff,
        against=np.zeros(0, dtype=np.int64),
        support=none.astype(np.int32),
        confidence=none,
        strength=none,
    )
    active = history.orders_per_customer > 0
    ahead = evidence.customer_orders / evidence.days * DAYS
    buyer = future.line_customer
    sold = {name: int(evidence.sold_orders[category == name].sum()) for name in np.unique(category) if name}
    measured: list[dict[str, dict[str, float]]] = []
    for name in sorted(sold, key=lambda name: -sold[name])[5 :: max(1, 200 // CATEGORIES)][:CATEGORIES]:
        wanted = category == name
        bought = np.bincount(buyer[wanted[future.products]], minlength=purchases.n_customers)[active] > 0
        if bought.sum() >= LEAST_BUYERS:
            found = likelihood(evidence, wanted, ahead)
            scores = {"probability (ours)": found.probability, "times bought": found.times, "bought lately": found.last}
            measured.append({rule: quality(bought, values[active]) for rule, values in scores.items()})
            measured[-1]["calibration"] = {
                "mean": float(found.probability[active].mean()),
                "rate": float(bought.mean()),
            }
    report = {
        "data": f"{int(active.sum())} customers, {len(measured)} categories, {DAYS} days",
        "mean over categories": {
            rule: {metric: round(float(np.mean([one[rule][metric] for one in measured])), 4) for metric in of}
            for rule, of in measured[0].items()
        },
    }
    OUT.mkdir(exist_ok=True)
    (OUT / "audiences.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(json.dumps(report, indent=2))


def quality(bought: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Area under the curve, average precision, and the share of buyers among the first FIRST."""
    score = np.where(np.isfinite(score), score, -1e9)
    first = np.argsort(-score, kind="stable")[:FIRST]
    return {
        "auc": float(roc_auc_score(bought, score)),
        "ap": float(average_precision_score(bought, score)),
        f"precision@{FIRST}": float(bought[first].mean()),
    }


if __name__ == "__main__":
    main()
