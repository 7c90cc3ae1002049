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
#: Metrics whose best value is the least; every other metric named here is best when greatest. A metric in neither,
#: such as a base rate, has no best.
LOWER_IS_BETTER = frozenset({"brier", "ece", "log_loss", "mae", "rmse", "mape", "median_absolute_error"})
HIGHER_IS_BETTER = frozenset(
    {
        *("recall", "precision", "phr", "mrr", "ndcg", "ndcg_full", "repeat_recall", "explore_recall", "coverage"),
        *("auc", "average_precision", "lift", "gain", "spearman", "r2", "gini"),
    }
)
#: In the table only where it is asked for as JSON: a second normalisation of a metric that stands there already.
ONLY_JSON = frozenset({"ndcg_full"})
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
    """The JSON shape: model, split, data, results, seconds, and notes if there are any."""
    plain = asdict(evaluation)
    if not evaluation.notes:
        del plain["notes"]
    return plain


def print_evaluation(evaluation: Evaluation) -> None:
    """Models as rows, ours first; for a recommender one table for each k. The best value of each metric is marked."""
    data = evaluation.data
    counts = ", ".join(f"{data[name]:,} {name}" for name in ("customers", "products", "orders") if name in data)
    moment = f", as of {data['as_of']}" if "as_of" in data else ""
    horizon = f", {data['horizon_days']} days ahead" if "horizon_days" in data else ""
    out.print(
        f"[bold]{evaluation.model}[/], split {evaluation.split}{moment}{horizon}: {counts}; "
        f"lake {escape(str(data.get('hash', '')))}; {evaluation.seconds:.1f} s"
    )
    names = dict.fromkeys(name for values in evaluation.results.values() for name in values)
    shown = [name for name in names if _base(name) not in ONLY_JSON]
    by_k: dict[str, list[str]] = {}
    for name in shown:
        by_k.setdefault(name.partition("@")[2] if evaluation.model == Model.RECOMMENDER else "", []).append(name)
    for k, group in by_k.items():
        for start in range(0, len(group), COLUMNS_WIDE):
            part = group[start : start + COLUMNS_WIDE]
            headers = [(_base(name) if k else name).replace("_", "\n") for name in part]
            title = f"The first {k} recommended" if k else "On the customers it was not trained on"
            print_table(title, ("model", *headers), result_rows(evaluation.results, part))
    for note in evaluation.notes:
        out.print(f"[yellow]note[/] {escape(note)}")


def result_rows(results: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> list[list[object]]:
    """A row of cells for each model, ours first and bold; the best value of each metric in green with a star."""
    best = {name: _best(name, [values[name] for values in results.values() if name in values]) for name in names}
    rows: list[list[object]] = []
    for model in sorted(results, key=lambda name: name != OURS):
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
    if not known or _base(metric) not in LOWER_IS_BETTER | HIGHER_IS_BETTER:
        return None
    return min(known) if _base(metric) in LOWER_IS_BETTER else max(known)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"
