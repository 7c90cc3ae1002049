"""The command that tests models at one cut-off after another: backtest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import DataError
from features.terminal import out, print_json, print_table, progress
from training.cli_arguments import AsJson, Model, current_context
from training.protocols import Context

if TYPE_CHECKING:
    from training.backtest import Rolling
    from training.backtest_ranking import RankingRolling

#: Metrics of each cut-off in the terminal; all of them are in the JSON.
SHOWN_RANKING = ("recall@10", "ndcg@10", "phr@10", "repeat_recall@10", "explore_recall@10", "novelty@10", "coverage@10")
SHOWN = ("auc", "average_precision", "lift@10%", "brier", "ece", "mae", "rmse", "bias_share", "correlation")


def backtest(
    models: Annotated[
        list[Model] | None, typer.Argument(help="Which models; all when none is named.", show_default=False)
    ] = None,
    cutoffs: Annotated[int, typer.Option(min=1, max=60, help="Cut-offs at most, the newest ones.")] = 6,
    every_days: Annotated[
        int | None, typer.Option(min=1, help="Days between cut-offs; a horizon unless told, so none overlap.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for the pictures; they are in MLflow too.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test models at one cut-off after another, each learned anew from what was known before it.

    Says how good the model was at each, whether its level was right, whether it is
    surely ahead of the best simple rule over all of them together, and in which
    groups of customers it is weak. Logged to MLflow as one run of the experiment
    backtest-MODEL, with pictures and tables. Champions are left as they are.
    """
    context = current_context()
    found: list[tuple[Rolling | RankingRolling, str]] = []
    for model in models or list(Model):
        try:
            found.append(_one(context, model.value, cutoffs=cutoffs, every_days=every_days, plots=plots))
        except DataError as error:
            if models and len(models) == 1:
                raise
            progress.print(f"[yellow]note[/] {model.value}: {error}", soft_wrap=True)
    if not found:
        raise DataError("No model could be back-tested: see the notes above.")
    if as_json:
        print_json([{**rolling.as_json(), "run_id": run_id} for rolling, run_id in found])
        return
    for rolling, run_id in found:
        _show(rolling, run_id)


def _one(
    context: Context, model: str, *, cutoffs: int, every_days: int | None, plots: Path | None
) -> tuple[Rolling | RankingRolling, str]:
    from training.report_runs import log_report
    from training.tracking import open_registry

    found: Rolling | RankingRolling
    with tempfile.TemporaryDirectory(prefix="regulars-backtest-") as directory:
        if model == Model.RECOMMENDER:
            from training.backtest_ranking import ranking_report, rolling_ranking
            from training.plots_rolling import ranking_pictures

            found = rolling_ranking(context, cutoffs=cutoffs, every_days=every_days)
            pictures = ranking_pictures(found, Path(directory))
            report = ranking_report(found, context.lake.version, pictures)
        else:
            from training.backtest import report_of, rolling_backtest
            from training.plots_rolling import rolling_pictures

            found = rolling_backtest(context, model, cutoffs=cutoffs, every_days=every_days)
            pictures = rolling_pictures(found, Path(directory))
            report = report_of(found, context.lake.version, pictures)
        # Before the log: where MLflow cannot be written, the pictures that took so long are there all the same.
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            for picture in pictures:
                shutil.copy(picture, plots / f"{model}-{picture.name}")
        run_id = log_report(open_registry(context.home), report)
    return found, run_id


def lead_in_words(found: Rolling | RankingRolling) -> str:
    """How far ahead of the best simple rule, and how sure that is."""
    lead, peer = found.ahead, found.best_peer.replace("_", " ")
    told = f"{found.metric} less that of {peer}, the best simple rule: {lead.value:+.4f}"
    if lead.low is None or lead.high is None:
        return f"{told}; with so few events how sure that is cannot be told: not surely ahead."
    sure = "surely ahead" if found.is_ahead else "not surely ahead"
    return f"{told}, 95% interval {lead.low:+.4f} to {lead.high:+.4f}: {sure}."


def _show(found: Rolling | RankingRolling, run_id: str) -> None:
    told = found.as_json()
    ours = [row["results"]["regulars"] for row in told["cutoffs"]]
    names = [name for name in (*SHOWN_RANKING, *SHOWN) if name in ours[0]]
    # Lists of products have neither a level that may be right or wrong, nor a grade.
    level = [name for name in ("happened", "predicted", "grade") if name in told["cutoffs"][0]]
    rows = []
    for row, values in zip(told["cutoffs"], ours, strict=True):
        cells = [_with_ends(values[name]) if name == found.metric else _number(values[name]["value"]) for name in names]
        about = [row[name] if name == "grade" else _number(row[name]) for name in level]
        rows.append((row["as_of"], row["customers"], *about, *cells))
    print_table(
        f"{found.model}: {told['predicted']}, learned anew at each cut-off",
        ("as of", "customers", *(name.replace("happened", "came true") for name in level), *names),
        rows,
    )
    means = told["mean"]
    print_table(
        "Mean over the cut-offs",
        ("model", *names),
        [(name, *(_number(values.get(metric)) for metric in names)) for name, values in means.items()],
    )
    out.print(f"\n{lead_in_words(found)}")
    for group in told.get("groups", ()):
        if group["weak"]:
            kind = group["kind"].removeprefix("attribute_").replace("_", " ")
            out.print(f"[yellow]note[/] {kind} {group['group']}: {group['weak']}", highlight=False)
    if found.stopped is not None:
        out.print(f"[yellow]note[/] no earlier cut-off: {found.stopped}", soft_wrap=True)
    out.print(f"Logged to MLflow: experiment backtest-{found.model}, run {run_id}", highlight=False)


def _with_ends(metric: dict[str, Any]) -> str:
    if metric["low"] is None:
        return _number(metric["value"])
    return f"{_number(metric['value'])} [{_number(metric['low'])}, {_number(metric['high'])}]"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"
