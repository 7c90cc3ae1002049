"""What each benchmark's own report says of us beside a peer, as rows of one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

OURS = "regulars"
LIMIT = "allowed"


@dataclass(frozen=True)
class Row:
    """One figure of ours beside a peer's, of the same run."""

    benchmark: str
    what: str
    unit: str
    ours: float
    peer: str  # LIMIT where nobody else does it and we set ourselves a limit
    theirs: float
    data: str
    higher_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours over theirs; None of nothing."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def ahead(self) -> bool:
        """Whether ours is at least as good."""
        return self.ours >= self.theirs if self.higher_is_better else self.ours <= self.theirs

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ratio": self.ratio, "ahead": self.ahead}


Report = Any
Reader = Callable[[Report], Iterator[Row]]


def _best(results: Mapping[str, Mapping[str, float]], metric: str, *, highest: bool, ours: str = OURS) -> str:
    others = [name for name in results if name != ours and metric in results[name]]
    return (max if highest else min)(others, key=lambda name: results[name][metric])


def ingest(report: Report) -> Iterator[Row]:
    """Loading a CSV, beside DuckDB copying it to Parquet unread and unchecked."""
    for run in report:
        data = f"{run['lines']:,} order lines in a CSV"
        seconds = run["load"]["seconds"], run["duckdb_copy_seconds"]
        yield Row("ingest", "load, check, keep", "s", seconds[0], "DuckDB, CSV to Parquet", seconds[1], data)


def features(report: Report) -> Iterator[Row]:
    """Features as of a moment beside one plain sum, and reading them back beside an ASOF JOIN."""
    for lines, runs in report["sizes"].items():
        data = f"{int(lines):,} order lines"
        plain = runs["plain_sum"]["seconds"]
        for name, run in runs.items():
            if name != "plain_sum":
                yield Row(
                    "features", name.replace("_", " "), "s", run["seconds"], "DuckDB, one GROUP BY sum", plain, data
                )
    reading = report["retrieval"]
    yield Row(
        "features",
        "600,000 rows of 30 features at their moments",
        "s",
        reading["point_in_time"]["seconds"],
        "DuckDB, ASOF JOIN",
        reading["asof_join"]["seconds"],
        "Complete Journey",
    )


def recommender(report: Report) -> Iterator[Row]:
    """Lists beside the best published peer of each metric, and beside personal top-frequency."""
    for shop in report["shops"]:
        about, results = shop["about"], shop["results"]
        data = f"{about['shop']}: {about['customers_asked']:,} customers, {about['products']:,} products"
        for metric in ("recall@10", "ndcg@10", "new_recall@10"):
            peers = {_best(results, metric, highest=True), "P-TopFreq", "GP-TopFreq"}
            for peer in sorted(peers):
                ours, theirs = results[OURS][metric], results[peer].get(metric, 0.0)
                if theirs:  # a peer that never tells a new product has nothing to be compared with
                    yield Row("recommender", metric, "share", ours, peer, theirs, data, higher_is_better=True)


def carts(report: Report) -> Iterator[Row]:
    """What completes a cart."""
    results = report["hit@10 and mrr"]
    ours = results["strength (ours)"]
    for peer in ("confidence", "lift", "popularity"):
        yield Row("carts", "hit@10", "share", ours["hit"], peer, results[peer]["hit"], report["data"], True)


def audiences(report: Report) -> Iterator[Row]:
    """Who buys of a category."""
    results = report["mean over categories"]
    ours = next(iter(results))
    for metric in ("auc", "ap"):
        for peer in ("times bought", "bought lately"):
            values = results[ours][metric], results[peer][metric]
            yield Row("audiences", metric, "", values[0], peer, values[1], report["data"], True)


def customers(report: Report) -> Iterator[Row]:
    """Churn, propensity and value beside the best peer, means over rolling cut-offs."""
    metrics = {"auc": True, "average_precision": True, "brier": False, "mae": False}
    for model in ("churn", "propensity", "value"):
        if model not in report:
            continue
        means = report[model]["mean"]
        data = f"Complete Journey, {len(report[model]['cutoffs'])} cut-offs"
        for metric, highest in metrics.items():
            if metric in means[OURS]:
                peer = _best(means, metric, highest=highest)
                yield Row(model, metric, "", means[OURS][metric], peer, means[peer][metric], data, highest)


def lifetime(report: Report) -> Iterator[Row]:
    """Orders and spend over many weeks beside the best peer of each metric."""
    for name, title in (("cdnow", "CDNOW, 39 weeks held out"), ("journey", "Complete Journey, 24 weeks")):
        if name not in report:
            continue
        for what, metrics in (("orders", {"rmse": False, "correlation": True, "auc": True}), ("spend", {"mae": False})):
            results = report[name][what]
            for metric, highest in metrics.items():
                peer = _best(results, metric, highest=highest)
                values = results[OURS][metric], results[peer][metric]
                yield Row("lifetime", f"{what}: {metric}", "", values[0], peer, values[1], title, highest)


def response(report: Report) -> Iterator[Row]:
    """Who responds to a contact beside the best peer of each metric."""
    data = f"Complete Journey, {report['data']['tested_contacts']:,} contacts from {report['data']['tested_from']} on"
    for metric, highest in {"auc": True, "average_precision": True, "brier": False, "ece": False}.items():
        peer = _best(report["results"], metric, highest=highest)
        values = report["results"][OURS][metric], report["results"][peer][metric]
        yield Row("response", metric, "", values[0], peer, values[1], data, highest)


def training(report: Report) -> Iterator[Row]:
    """Seconds that churn, propensity and value take to learn."""
    data = f"Complete Journey, {report['moments_learned_from']} moments"
    yield Row("training", "churn, propensity, value", "s", report["all"], LIMIT, report["limit"], data)


def scoring(report: Report) -> Iterator[Row]:
    """Probabilities, and reasons, beside LightGBM's bare predict, as work of the processor."""
    churn = report["churn"]
    data = f"{report['customers']:,} active customers of Complete Journey, drawn anew"
    bare, scores, reasons = (churn[name][1] for name in ("bare", "scores", "reasons"))
    peer = "LightGBM, predict"
    yield Row("scoring", "churn, calibrated", "CPU s", scores, peer, bare, data)
    yield Row("scoring", "churn, with reasons", "CPU s", scores + reasons, peer, bare, data)


def one_customer(report: Report) -> Iterator[Row]:
    """An answer in process."""
    for case, found in report["ms"].items():
        limits = report["limits_ms"].get(case, {})
        for name in ("median", "p99"):
            if limits.get(name) is not None:
                yield Row("one customer", f"{case}, {name}", "ms", found[name], LIMIT, limits[name], report["data"])


def serving(report: Report) -> Iterator[Row]:
    """Answers a second of the whole server, and its tail."""
    load = report["load"]
    rate, at_70 = load["requests_per_second"], load["at_70_percent_ms"]
    peers = (("native", "an empty BentoML endpoint"), ("bare", "uvicorn, a constant answer"))
    for key, peer in peers:
        yield Row("serving", "answers a second", "/s", rate[OURS], peer, rate[key], load["data"], True)
    yield Row("serving", "p99 at 70 %", "ms", at_70[OURS]["p99"], LIMIT, load["p99_allowed_ms"], load["data"])


def console(report: Report) -> Iterator[Row]:
    """Pages of the console over HTTP."""
    for page, found in report["milliseconds"].items():
        data = f"{report['customers']:,} customers, made up"
        yield Row("console", page, "ms", found["median"], LIMIT, report["limit_ms"], data)


def survival(report: Report) -> Iterator[Row]:
    """Events answered and then lost, or kept twice."""
    data = f"{report['kills']} kills, {report['answered']:,} events"
    yield Row("survival", "events lost or twice", "events", report["lost"] + report["twice"], LIMIT, 0, data)


def online_store(report: Report) -> Iterator[Row]:
    """Writing features online."""
    rates = report["customers_a_second"]
    data = f"{report['customers']:,} customers, made up"
    yield Row(
        "online store", "written a second", "/s", rates["SQLite"], "Feast, SQLite", rates["Feast SQLite"], data, True
    )


def insights(report: Report) -> Iterator[Row]:
    """What sells together, counted, beside FP-Growth."""
    for by, found in report.get("baskets", {}).items():
        data = f"{found['orders']:,} orders, {found['items']} of {by}"
        yield Row("insights", "pairs sold together", "s", found["ours"], "FP-Growth, mlxtend", found["fp_growth"], data)


def uplift(report: Report) -> Iterator[Row]:
    """The part of the possible gain that an order by uplift finds."""
    ours = {row["world"]: row["found"] for row in report if row["method"] == "regulars X"}
    for row in report:
        told = ours[row["world"]]
        # Where each contact does the same there is nothing to find.
        if not row["method"].startswith(OURS) and math.isfinite(told):
            data = f"{row['world']}: {row['customers']:,} customers, {row['holdout']:.0%} held out"
            yield Row("uplift", "gain found", "share", told, row["method"], row["found"], data, True)
