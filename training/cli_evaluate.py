"""The command `regulars evaluate`: a model and the baselines a shop would use instead, on the same split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from features.terminal import out, print_json, print_table, step
from training.cli_arguments import AsJson, Model, ModelArgument, current_context
from training.protocols import Evaluation

OURS = "regulars"
#: Metrics whose best value is the least; the others named here are best when greatest. A metric in neither, such as a
#: base rate or a slope that should be 1, has no best.
LOWER_IS_BETTER = frozenset({"brier", "log_loss", "ece", "mae", "rmse"})
HIGHER_IS_BETTER = frozenset(
    {
        *(
            "recall",
            "precision",
            "phr",
            "mrr",
            "map",
            "ndcg",
            "ndcg_full",
            "repeat_recall",
            "explore_recall",
            "coverage",
        ),
        *("auc", "average_precision", "lift", "capture", "correlation"),
    }
)
#: In the table only where it is asked for as JSON: a variant of what stands there already.
ONLY_JSON = frozenset({"ndcg_full", "ece_equal_counts", "precision@1%", "lift@1%", "capture@1%"})
MOST_K = 1000
#: So many metrics beside a model's name fit a terminal of 100 columns.
COLUMNS_WIDE = 8


class SplitName(StrEnum):
    """What is hidden and asked for."""

    CUTOFF = "cutoff"
    LAST_ORDER = "last-order"


def evaluate(
    model: ModelArgument,
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="cutoff hides everything after one moment; last-order hides each customer's last order "
            "(recommender only). Without it: cutoff.",
            show_default=False,
        ),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="The moment (UTC). Without it: one horizon before the data end.",
            show_default=False,
        ),
    ] = None,
    customers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Measure only the customers whose ids this file holds, one a line (recommender only).",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Write what was recommended to this .parquet or .csv file (recommender only).",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        list[str] | None,
        typer.Option(
            help="Length of the lists measured: --k 5 --k 10, or --k 5,10 (recommender only). Without it: 5,10,20.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of all chance. Without it: the setting.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on orders hidden from it, beside the baselines a shop would use instead."""
    if model is not Model.RECOMMENDER:
        given = {
            "--split": split is SplitName.LAST_ORDER,
            "--customers": customers is not None,
            "--predictions": predictions is not None,
            "--k": bool(k),
        }
        for option, is_given in given.items():
            if is_given:
                raise typer.BadParameter(f"only the recommender takes it, not {model.value}", param_hint=option)
    ks = _read_ks(k)
    _check_predictions(predictions)
    context = current_context()
    with step(f"Evaluating {model.value}"):
        if model is Model.RECOMMENDER:
            from training.evaluate import evaluate_recommender

            evaluation = evaluate_recommender(
                context,
                split=(split or SplitName.CUTOFF).value,
                as_of=as_of,
                customers=customers,
                ks=ks,
                seed=seed,
                predictions=predictions,
            ).evaluation
        else:
            from training.evaluate_customers import evaluate_customers

            evaluation = evaluate_customers(context, model.value, as_of=as_of, seed=seed)
    if as_json:
        print_json(as_plain(evaluation))
    else:
        print_evaluation(evaluation)


def _read_ks(given: Sequence[str] | None) -> tuple[int, ...]:
    from training.metrics_ranking import KS

    if not given:
        return KS
    ks = set()
    for text in ",".join(given).split(","):
        if not text.strip().isdecimal() or not 1 <= int(text) <= MOST_K:
            raise typer.BadParameter(f"'{text.strip()}' is not a number from 1 to {MOST_K}", param_hint="--k")
        ks.add(int(text))
    return tuple(sorted(ks))


def _check_predictions(path: Path | None) -> None:
    """Now rather than after minutes of training."""
    if path is None:
        return
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise typer.BadParameter(f"'{path}' must end in .parquet or .csv", param_hint="--predictions")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder {path.absolute().parent} does not exist", param_hint="--predictions")


def as_plain(evaluation: Evaluation) -> dict[str, Any]:
    """The JSON shape: model, split, data, results, seconds, and where there are any notes, ahead, groups."""
    plain = asdict(evaluation)
    return {name: value for name, value in plain.items() if value or name not in ("notes", "ahead", "groups")}


def print_evaluation(evaluation: Evaluation) -> None:
    """Models as rows, ours first; for a recommender one table for each k. The best value of each metric is marked."""
    data = evaluation.data
    counts = ", ".join(f"{data[name]:,} {name}" for name in ("customers", "products", "orders") if name in data)
    moment = f", as of {data['as_of']}" if "as_of" in data else ""
    horizon = f", {data['horizon_days']} days ahead" if "horizon_days" in data else ""
    out.print(
        f"[bold]{evaluation.model}[/], split {evaluation.split}{moment}{horizon}: {counts}; "
        f"lake {escape(str(data.get('hash', '')))}; {evaluation.seconds:.1f} s. [green]*[/] marks the best."
    )
    for title, names in _tables(evaluation):
        for start in range(0, len(names), COLUMNS_WIDE):
            part = names[start : start + COLUMNS_WIDE]
            headers = [(_base(name) if title else name).replace("_", "\n").replace("@", "\n@") for name in part]
            print_table(title, ("model", *headers), result_rows(evaluation.results, part))
    intervals = [
        f"{name} {_number(ends['low'])} to {_number(ends['high'])}"
        for name, ends in data.get("intervals", {}).items()
        if name in ("auc", "brier", "mae", "recall@10", "ndcg@10")
    ]
    if intervals:
        out.print(f"\n95% intervals of {OURS}: {'; '.join(intervals)}")
    _print_bands(evaluation)
    for note in evaluation.notes:
        out.print(f"[yellow]note[/] {escape(note)}")


def _print_bands(evaluation: Evaluation) -> None:
    if not evaluation.groups:
        return
    best = str(evaluation.data["best_baseline"]).replace("_", " ")
    print_table(
        f"By band, beside {best}, the best baseline",
        ("band", "customers", "metric", OURS, "baseline", "ahead by", "95% interval"),
        [
            (
                row["band"],
                row["customers"],
                row["metric"],
                _number(row["ours"]),
                _number(row["theirs"]),
                f"{row['ahead']:+.4f}",
                f"{row['ahead_low']:+.4f} to {row['ahead_high']:+.4f}",
            )
            for row in evaluation.groups
        ],
    )


def _tables(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """The metrics that stand in one table, with its title: those at one k, or those the same models have."""
    results = evaluation.results
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(name for values in results.values() for name in values):
        base, _, k = name.partition("@")
        if name in ONLY_JSON or base in ONLY_JSON:
            continue
        at_k = evaluation.model == Model.RECOMMENDER and bool(k)
        key = (k,) if at_k else ("", *(model for model, values in results.items() if name in values))
        groups.setdefault(key, []).append(name)
    return [(f"The first {key[0]} recommended" if key[0] else "", names) for key, names in groups.items()]


def result_rows(results: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> list[list[object]]:
    """A row of cells for each model, ours first and bold; the best value of each metric in green with a star."""
    best = {name: _best(name, [values[name] for values in results.values() if name in values]) for name in names}
    rows: list[list[object]] = []
    for model in sorted(results, key=lambda name: name != OURS):
        if not results[model].keys() & set(names):
            continue
        style = "bold" if model == OURS else ""
        row: list[object] = [Text(model, style=style)]
        for name in names:
            value = results[model].get(name, math.nan)
            is_best = best[name] is not None and value == best[name]
            text = "" if math.isnan(value) else f"{'*' if is_best else ''}{_number(value)}"
            row.append(Text(text, style=f"{style} green" if is_best else style, justify="right"))
        rows.append(row)
    return rows


def _base(metric: str) -> str:
    return metric.partition("@")[0]


def _best(metric: str, values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2 or _base(metric) not in LOWER_IS_BETTER | HIGHER_IS_BETTER:
        return None
    return min(known) if _base(metric) in LOWER_IS_BETTER else max(known)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"
