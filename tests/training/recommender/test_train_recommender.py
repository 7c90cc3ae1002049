from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from features.engine import connect
from features.errors import DataError
from features.matrix import read_purchases
from training.bundle import MANIFEST, read_manifest, seal
from training.evaluate import evaluate_recommender
from training.protocols import Context, Trained
from training.ranked_lists import NO_PRODUCT, SOURCES, load_ranked_lists
from training.recommender import rank_everyone, train_recommender


@pytest.fixture(scope="session")
def trained(small_shop: Context, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_recommender(small_shop, tmp_path_factory.mktemp("recommender"))


def test_metrics_have_intervals_around_them_and_peers_have_the_same(trained: Trained) -> None:
    named = {metric.name: metric for metric in trained.metrics}
    assert trained.gate.metric in named
    for metric in trained.metrics:
        if not metric.name.startswith(("coverage", "gini", "popularity_lift")):
            assert metric.low is not None
            assert metric.high is not None
            assert metric.low <= metric.value <= metric.high
    assert {"personal_top_frequency", "global_top_frequency", "gp_top_frequency", "als", "item_item"} <= set(
        trained.peers
    )
    for metrics in trained.peers.values():
        assert [metric.name for metric in metrics] == [metric.name for metric in trained.metrics]


def test_customers_with_favourites_are_foreseen_better_than_by_what_everybody_buys(trained: Trained) -> None:
    ours = {metric.name: metric.value for metric in trained.metrics}
    shop = {metric.name: metric.value for metric in trained.peers["global_top_frequency"]}
    assert ours["ndcg@10"] > 1.3 * shop["ndcg@10"]


def test_bands_count_every_customer_asked_once_and_are_logged_with_a_picture(trained: Trained) -> None:
    bands = [row for row in trained.tables["bands"] if row["metric"] == "ndcg@10" and "customers with" in row["band"]]
    whole = next(metric.value for metric in trained.metrics if metric.name == "ndcg@10")
    counted = sum(row["customers"] for row in bands)
    assert sum(row["ours"] * row["customers"] for row in bands) / counted == pytest.approx(whole)
    assert {picture.name for picture in trained.pictures} == {"recall_by_k.png", "bands.png"}


def test_a_model_is_ahead_of_itself_by_nothing(trained: Trained) -> None:
    assert trained.ahead_of is not None
    found = trained.ahead_of(trained.bundle)
    assert (found.name, found.value, found.low, found.high) == ("ndcg@10", 0, 0, 0)


def test_a_baseline_that_was_not_beaten_is_noted_and_no_other(trained: Trained) -> None:
    ours = {metric.name: metric.value for metric in trained.metrics}
    expected = sum(
        ours[metric.name] <= metric.value
        for metrics in trained.peers.values()
        for metric in metrics
        if metric.name in ("recall@10", "ndcg@10", "recall@20", "ndcg@20")
    )
    assert len(trained.notes) == expected


def test_bundle_is_sealed_holds_plain_files_and_no_model_txt(trained: Trained) -> None:
    about = read_manifest(trained.bundle, kind="recommender")
    assert about["learned_before"] == trained.test_as_of.replace(tzinfo=None).isoformat()
    names = {path.name for path in trained.bundle.rglob("*") if path.is_file()}
    assert {"ranker.txt", "config.json", "lists.npy"} <= names
    assert "model.txt" not in names
    assert not any(name.endswith((".pkl", ".pickle")) for name in names)
    assert trained.pictures[0].read_bytes().startswith(b"\x89PNG")


def test_lists_hold_everybody_and_name_products_of_the_catalogue_once(trained: Trained, small_shop: Context) -> None:
    ranked = load_ranked_lists(trained.bundle / "ranking")
    purchases = read_purchases(small_shop.lake, connect(small_shop.settings))
    assert ranked.customers["customer_id"].to_pylist() == purchases.customer_ids.to_pylist()
    ids = ranked.products["product_id"].to_pylist()
    assert ids == sorted(ids)
    lists = np.asarray(ranked.lists)
    assert (lists >= 0).all()
    assert all(len(set(row)) == len(row) for row in lists.tolist())
    assert (np.diff(ranked.scores, axis=1) <= 0).all()
    assert int(np.max(ranked.sources)) < len(SOURCES)
    # Own orders are what the customer's purchases say.
    codes = {product: code for code, product in enumerate(ids)}
    start, end = purchases.customer_start[:2]
    bought: dict[int, int] = {}
    for order in range(start, end):
        for product in purchases.products[purchases.order_start[order] : purchases.order_start[order + 1]]:
            code = codes[purchases.product_ids[int(product)].as_py()]
            bought[code] = bought.get(code, 0) + 1
    assert [bought.get(int(code), 0) for code in lists[0]] == np.asarray(ranked.own_orders)[0].tolist()


def test_examples_name_no_customer_and_are_what_a_new_one_is_answered(trained: Trained) -> None:
    ranked = load_ranked_lists(trained.bundle / "ranking")
    assert set(trained.input_example["customer_id"]).isdisjoint(ranked.customers["customer_id"].to_pylist())
    first = trained.output_example.iloc[0]
    assert first["customer_id"] == trained.input_example["customer_id"].iloc[0]
    assert first["product_id"] == ranked.products["product_id"][int(ranked.popular[0])].as_py()
    assert first["rank"] == 1


def test_rescoring_the_own_bundle_gives_the_own_metrics(trained: Trained) -> None:
    again = {metric.name: metric.value for metric in trained.rescore(trained.bundle)}
    for metric in trained.metrics:
        assert again[metric.name] == pytest.approx(metric.value, abs=1e-12), metric.name


def test_a_bundle_that_learned_from_the_test_period_is_not_scored_on_it(trained: Trained, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.bundle, other)
    about = json.loads((other / MANIFEST).read_text())["about"]
    seal(other, kind="recommender", about=about | {"learned_before": "2099-01-01T00:00:00"})
    with pytest.raises(DataError, match="seen the answers"):
        trained.rescore(other)


def test_ranking_everyone_anew_gives_the_lists_of_the_bundle(trained: Trained, small_shop: Context) -> None:
    kept = rank_everyone(small_shop, trained.bundle)
    elsewhere = replace(small_shop, lake=replace(small_shop.lake, version="another"))
    anew = rank_everyone(elsewhere, trained.bundle)
    np.testing.assert_array_equal(kept.lists, anew.lists)
    np.testing.assert_allclose(kept.scores, anew.scores, rtol=1e-5)
    np.testing.assert_array_equal(kept.neighbours, anew.neighbours)


def test_settings_of_another_release_are_refused(trained: Trained, small_shop: Context, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.bundle, other)
    (other / "config.json").write_text(json.dumps({"candidates": {"moonlight": 3}}))
    seal(other, kind="recommender", about={"lake": "another", "learned_before": "2000-01-01T00:00:00"})
    with pytest.raises(DataError, match="another release"):
        rank_everyone(small_shop, other)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_predictions_recompute_the_reported_recall_and_hide_only_whom_the_file_names(
    small_shop: Context, tmp_path: Path, kind: str
) -> None:
    import pandas as pd

    named = tmp_path / "named.txt"
    purchases = read_purchases(small_shop.lake, connect(small_shop.settings))
    names = purchases.customer_ids.to_pylist()
    wanted = names[::6]
    named.write_text("\n".join(wanted))
    written = tmp_path / f"predicted.{kind}"
    found = evaluate_recommender(small_shop, split="last-order", customers=named, predictions=written, ks=(5, 10))

    # Only those named lost an order, and exactly their last.
    left = found.split.history.orders_per_customer
    eligible = {name for name, n in zip(names, purchases.orders_per_customer, strict=True) if n >= 4}
    asked = set(wanted) & eligible
    for code, name in enumerate(names):
        assert left[code] == purchases.orders_per_customer[code] - (name in asked)

    # Score the file with nothing but the orders.
    listed = pd.read_csv(written, dtype={"product_id": str}) if kind == "csv" else pd.read_parquet(written)
    assert set(listed.columns) == {"customer_id", "rank", "product_id", "score", "source"}
    assert set(listed["customer_id"]) == asked
    assert set(listed["source"]) <= set(SOURCES)
    products = purchases.product_ids.to_pylist()
    recalls = []
    for name, rows in listed.groupby("customer_id"):
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        last = purchases.customer_start[names.index(name) + 1] - 1
        truth = {products[p] for p in purchases.products[purchases.order_start[last] : purchases.order_start[last + 1]]}
        recalls.append(len(truth & set(rows["product_id"].head(10))) / len(truth))
    reported = found.evaluation.results["regulars"]["recall@10"]
    assert math.fsum(recalls) / len(recalls) == pytest.approx(reported)


def test_evidence_beside_the_lists_is_what_the_order_lines_say(small_shop: Context, trained: Trained) -> None:
    ranked = load_ranked_lists(trained.bundle / "ranking")
    evidence = ranked.evidence
    customers = ranked.customers["customer_id"].to_pylist()
    products = ranked.products["product_id"].to_pylist()
    lines = f"read_parquet('{small_shop.lake.file('order_lines')}')"
    counted = duckdb.sql(
        f"SELECT customer_id, product_id, count(DISTINCT order_id) FROM {lines} WHERE quantity > 0 GROUP BY ALL"
    ).fetchall()
    found = {
        (customer, products[code], int(orders))
        for row, customer in enumerate(customers)
        for code, orders in zip(
            evidence.own_products[evidence.own(row)], evidence.own_orders[evidence.own(row)], strict=True
        )
    }
    assert found == set(counted)
    pairs = duckdb.sql(
        f"""
        WITH bought AS (SELECT DISTINCT customer_id, order_id, product_id FROM {lines} WHERE quantity > 0)
        SELECT a.product_id, b.product_id, count(*) FROM bought a JOIN bought b USING (customer_id, order_id)
        WHERE a.product_id <> b.product_id GROUP BY ALL
        """
    ).fetchall()
    met = {(one, other): count for one, other, count in pairs}
    orders = "SELECT product_id, count(DISTINCT (customer_id, order_id))"
    sold = dict(duckdb.sql(f"{orders} FROM {lines} WHERE quantity > 0 GROUP BY 1").fetchall())
    for code, place in zip(*np.nonzero(ranked.neighbours != NO_PRODUCT), strict=True):
        one, other = products[code], products[ranked.neighbours[code, place]]
        assert evidence.neighbour_support[code, place] == met[one, other]
        assert evidence.neighbour_confidence[code, place] == pytest.approx(met[one, other] / sold[one])
