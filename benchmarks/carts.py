"""What completes a cart: one product of each customer's last order is hidden, and the others are the cart.

    .venv/bin/python -m benchmarks.carts

Run `regulars ingest --source complete-journey` first. Neighbours are of all other orders, the same pairs beyond
chance for each measure, 20 of each product; a product scores the sum over the cart. Popularity is of the same orders.
The result is printed and written to benchmarks/out/carts.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import sparse

from features.engine import connect
from features.matrix import Purchases, read_purchases
from training.cli_arguments import current_context
from training.together import bought_together

OUT = Path(__file__).parent / "out"
K, DEPTH, LEAST_PRODUCTS, MOST_IN_CART = 10, 20, 3, 10


def main() -> None:
    """Measure and print."""
    context = current_context()
    purchases = read_purchases(context.lake, connect(context.settings))
    back = purchases.orders_from_end
    history = purchases.keep_orders(back >= 1)
    carts = questions(purchases, np.flatnonzero((back == 0) & (purchases.order_sizes >= LEAST_PRODUCTS)))
    found = bought_together(history, depth=200)
    measures = {"strength (ours)": found.strength, "confidence": found.confidence, "lift": found.lift}
    results = {name: measured(carts, neighbours(found.neighbours, values)) for name, values in measures.items()}
    popular = np.bincount(history.products, minlength=history.n_products).astype(np.float64)
    results["popularity"] = measured(carts, popular)
    report = {"data": f"{len(carts)} carts", f"hit@{K} and mrr": results}
    OUT.mkdir(exist_ok=True)
    (OUT / "carts.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(json.dumps(report, indent=2))


def questions(purchases: Purchases, orders: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(hidden product, the cart) of each order."""
    rng = np.random.default_rng(0)
    found = []
    for order in orders:
        products = purchases.products[purchases.order_start[order] : purchases.order_start[order + 1]]
        hidden = rng.integers(len(products))
        found.append((int(products[hidden]), np.delete(products, hidden)[:MOST_IN_CART]))
    return found


def neighbours(codes: np.ndarray, values: np.ndarray) -> sparse.csr_matrix:
    """(products, products) the DEPTH neighbours of each product that are best by `values`."""
    best = np.argsort(-np.where(codes >= 0, values, -np.inf), axis=1, kind="stable")[:, :DEPTH]
    codes, values = np.take_along_axis(codes, best, axis=1), np.take_along_axis(values, best, axis=1)
    rows, places = np.nonzero(codes >= 0)
    return sparse.csr_matrix((values[rows, places], (rows, codes[rows, places])), shape=(len(codes), len(codes)))


def measured(carts: list[tuple[int, np.ndarray]], scores: sparse.csr_matrix | np.ndarray) -> dict[str, float]:
    """Share of carts whose hidden product is among the first K, and the mean reciprocal of its place up to 100."""
    hits, reciprocal = [], []
    for hidden, cart in carts:
        score = np.asarray(scores[cart].sum(axis=0)).ravel() if sparse.issparse(scores) else scores.copy()
        score[cart] = 0
        place = int((score > score[hidden]).sum()) if score[hidden] > 0 else len(score)
        hits.append(place < K)
        reciprocal.append(1 / (place + 1) if place < 100 else 0.0)
    error = float(np.std(hits)) / len(hits) ** 0.5
    return {
        "hit": round(float(np.mean(hits)), 4),
        "hit_se": round(error, 4),
        "mrr": round(float(np.mean(reciprocal)), 4),
    }


if __name__ == "__main__":
    main()
