"""The command that looks whether a champion still fits its customers: drift."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.drift import MOVED, STABLE
from features.errors import DataError, NotReadyError
from features.terminal import out, print_json, print_table, progress, step
from training.cli_arguments import AsJson, current_context
from training.cli_trust import Outcome
from training.protocols import Context

if TYPE_CHECKING:
    from training.model_drift import Drift

#: Features shown in the terminal, the most moved; all of them are in the JSON.
SHOWN = 8


def drift(
    models: Annotated[
        list[Outcome] | None, typer.Argument(help="Which models; all three when none is named.", show_default=False)
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=104, help="Weeks at most, the newest ones since training.")] = 4,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for the pictures; they are in MLflow too.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How far customers and scores have moved since the champions were trained, and whether their level is still right.

    The stability index (PSI) of the scores and of each feature, week by week,
    against the customers of the last moment learned from: below 0.1 nothing has
    moved, from 0.25 on much has. And what came true over what was predicted, at
    the last moment whose horizon has passed. Run it each week, after ingest: it
    is logged to the MLflow experiment drift, and regulars doctor tells alerts.
    """
    context = current_context()
    found = []
    for model in models or list(Outcome):
        try:
            with step(f"Looking at {model.value}"):
                found.append(look(context, model.value, weeks=weeks, plots=plots))
        except (DataError, NotReadyError) as error:
            if models and len(models) == 1:
                raise
            progress.print(f"[yellow]note[/] {model.value}: {error}", soft_wrap=True)
    if not found:
        raise NotReadyError("No champion could be looked at: see the notes above.")
    if as_json:
        print_json([{**one.as_json(), "run_id": run_id} for one, run_id in found])
        return
    for one, run_id in found:
        _show(one, run_id)


def look(context: Context, model: str, *, weeks: int, plots: Path | None = None) -> tuple[Drift, str]:
    """The drift of a model's champion, kept for the doctor and logged; and the run it was logged to."""
    from training.model_drift import measure_drift, report_of
    from training.plots_drift import drift_picture
    from training.report_runs import log_report
    from training.tracking import open_registry

    found = measure_drift(context, model, weeks=weeks)
    with tempfile.TemporaryDirectory(prefix="regulars-drift-") as directory:
        picture = drift_picture(Path(directory) / "drift.png", found)
        run_id = log_report(open_registry(context.home), report_of(found, [picture]))
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, plots / f"{model}-{picture.name}")
    found.keep(context.home)
    return found, run_id


def _show(found: Drift, run_id: str) -> None:
    most = list(found.weeks[-1].features)[:SHOWN]
    rows: list[tuple[object, ...]] = [
        ("scores", *(f"{week.scores:.3f}" for week in found.weeks)),
        *((name, *(f"{week.features[name]:.3f}" for week in found.weeks)) for name in most),
        ("mean score", *(f"{week.mean:.3g}" for week in found.weeks)),
    ]
    print_table(
        f"{found.model} version {found.version} against {found.reference_as_of[:10]}: stability index "
        f"({STABLE} nothing, {MOVED} much has moved)",
        ("", *(f"{week.as_of:%Y-%m-%d}" for week in found.weeks)),
        rows,
    )
    level = found.level
    if level is None:
        out.print(f"\nLevel: not known yet, {found.no_level}.", highlight=False)
    else:
        ratio = "" if level.ratio is None else f", {level.ratio:.2f} times [{level.low:.2f}, {level.high:.2f}]"
        out.print(
            f"\nLevel as of {level.as_of:%Y-%m-%d}, {level.customers:,} customers: predicted {level.predicted:.4g}, "
            f"came {level.came:.4g}{ratio}, by the {level.by} model",
            highlight=False,
        )
    for alert in found.alerts:
        out.print(f"[yellow]alert[/] {alert}. Train again:  regulars train {found.model}", highlight=False)
    if not found.alerts:
        out.print("Nothing that the model goes by has moved.")
    out.print(f"Logged to MLflow: experiment drift, run {run_id}", highlight=False)
