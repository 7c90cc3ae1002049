"""The one command that runs every benchmark: what it reads of reports, what it shows, and that it forgets none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.bench import LOG_LINES, SHORT, Short
from benchmarks.bench_page import page, times_better
from benchmarks.bench_rows import LIMIT, Row, recommender, response, serving, survival

ROOT = Path(bench.__file__).parent
#: They read others' reports, write the README's blocks, make shops, or want hours or an environment of their own.
LONG_ONLY = {
    "bench",
    "scale",
    "big_shop",
    "demo",
    "feature_rivals",
    "figures",
    "recommender_scale",
    "spark",
    "uplift_rivals",
}
#: They run in environments of their own, started by the recommender's benchmark.
PEERS = {"rectools_peers", "lenskit_peers", "recanet_peer"}


def test_every_benchmark_has_a_short_form_or_says_why_not() -> None:
    runnable = {file.stem for file in ROOT.glob("*.py") if '__name__ == "__main__"' in file.read_text(encoding="utf-8")}
    assert runnable - LONG_ONLY - PEERS == {short.name for short in SHORT}


def test_every_short_form_is_told_in_the_readme_of_the_benchmarks() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [short.name for short in SHORT if f"benchmarks.{short.name}" not in text] == []


def test_the_best_peer_of_each_metric_stands_beside_ours() -> None:
    found = {
        "regulars": {"recall@10": 0.3, "ndcg@10": 0.2, "new_recall@10": 0.1},
        "P-TopFreq": {"recall@10": 0.2, "ndcg@10": 0.1, "new_recall@10": 0.0},
        "GP-TopFreq": {"recall@10": 0.25, "ndcg@10": 0.1, "new_recall@10": 0.0},
        "EASE": {"recall@10": 0.1, "ndcg@10": 0.4, "new_recall@10": 0.05},
    }
    report = {"shops": [{"about": {"shop": "s", "customers_asked": 7, "products": 9}, "results": found}]}
    rows = {(row.what, row.peer): row for row in recommender(report)}
    assert rows["recall@10", "GP-TopFreq"].ratio == pytest.approx(1.2)
    assert rows["ndcg@10", "EASE"].ratio == pytest.approx(0.5)
    assert not rows["ndcg@10", "EASE"].ahead
    assert ("recall@10", "EASE") not in rows


def test_a_peer_without_probabilities_is_not_asked_how_far_they_hold() -> None:
    found = {
        "regulars": {"auc": 0.8, "average_precision": 0.4, "brier": 0.1, "ece": 0.02},
        "rfm_logistic": {"auc": 0.7, "average_precision": 0.3, "brier": 0.2, "ece": 0.01},
        "past_responses": {"auc": 0.75, "average_precision": 0.2},
    }
    rows = list(response({"results": found, "data": {"tested_contacts": 1709, "tested_from": "2017-10-18"}}))
    assert [(row.what, row.peer, row.ahead) for row in rows] == [
        ("auc", "past_responses", True),
        ("average_precision", "rfm_logistic", True),
        ("brier", "rfm_logistic", True),
        ("ece", "rfm_logistic", False),
    ]
    assert rows[0].data == "Complete Journey, 1,709 contacts from 2017-10-18 on"


def test_a_limit_stands_in_for_a_peer_where_nobody_else_does_it() -> None:
    load = {
        "requests_per_second": {"regulars": 300.0, "native": 100.0, "bare": 600.0},
        "at_70_percent_ms": {"regulars": {"p99": 5.0}},
        "p99_allowed_ms": 12.0,
        "data": "made up",
    }
    rows = {row.peer: row for row in serving({"load": load})}
    assert rows["an empty BentoML endpoint"].ratio == 3
    assert rows["uvicorn, a constant answer"].ahead is False
    assert rows[LIMIT].ahead


def test_nothing_lost_of_nothing_allowed_has_no_ratio_and_is_as_it_should_be() -> None:
    (row,) = survival({"kills": 3, "answered": 10, "lost": 0, "twice": 0})
    assert row.ratio is None
    assert row.ahead


def test_better_is_above_one_whichever_way_the_figure_points() -> None:
    quick = Row("a", "b", "s", 1.0, "c", 4.0, "d")
    right = Row("a", "b", "", 4.0, "c", 1.0, "d", higher_is_better=True)
    assert times_better(quick.as_dict()) == times_better(right.as_dict()) == 4


def test_one_that_fails_is_named_and_the_page_shows_it_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "OUT", tmp_path)
    broken = bench.run(Short("carts", ("--no-such-option",), "carts", lambda _: iter(())), tmp_path / "nothing")
    assert broken.failed is not None
    assert len(broken.failed.splitlines()) <= LOG_LINES
    whole = bench.Ran("x", "python -m x", 1.0, None, (Row("x", "<what>", "s", 1.0, "peer", 2.0, "data"),))
    results = {"machine": bench.machine(), "seconds": 2.0, "benchmarks": [broken.as_dict(), whole.as_dict()]}
    shown = page(json.loads(json.dumps(results)))
    assert "Failed" in shown
    assert "&lt;what&gt;" in shown
    assert "<script" not in shown
    assert "http" not in shown.replace("http-equiv", "")
