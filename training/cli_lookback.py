"""The command that holds past scorings against what happened since: lookback."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.terminal import out, print_json, print_table, step
from training.cli_arguments import AsJson, current_context
from training.protocols import Context
from training.verdicts import AS_PROMISED

if TYPE_CHECKING:
    from training.lookback import Lookback


def lookback(
    plots: Annotated[
        Path | None, typer.Option(help="Folder for the pictures; they are in MLflow too.", show_default=False)
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="Scorings shown, the newest.")] = 3,
    as_json: AsJson = False,
) -> None:
    """What past scorings said against what happened since.

    The first scoring of each week is kept until its horizon has passed. Then
    its own probabilities, expected spend and product lists are judged by what
    came, beside what the back-test promised. Customers contacted meanwhile
    are told apart: they may have stayed for it. Run it after ingest; regulars
    nightly does. It is logged to the MLflow experiment lookback.
    """
    from training.lookback import refuse_early
    from training.said import due, kept_sayings, known_on
    from training.verdicts import kept_lookbacks

    context = current_context()
    for said in due(context.home, context.lake):
        with step(f"Looking back on the scores as of {said.name}"):
            judge(context, said, plots=plots)
    found, waiting = kept_lookbacks(context.home)[:last], kept_sayings(context.home)
    if not found:
        refuse_early(context, waiting)
    if as_json:
        print_json({"judged": found, "waiting": {said.name: f"{known_on(said):%Y-%m-%d}" for said in waiting}})
        return
    for one in reversed(found):
        _show(one)
    for said in waiting:
        out.print(
            f"Scores as of {said.name}: known once orders up to {known_on(said):%Y-%m-%d} are loaded.", highlight=False
        )


def judge(context: Context, said: Path, *, plots: Path | None = None) -> Lookback:
    """One scoring, judged, drawn, logged and kept."""
    from training.lookback import finish, look_back, report_of
    from training.plots_lookback import lookback_picture
    from training.report_runs import log_report
    from training.tracking import open_registry

    found = look_back(context, said, at=datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="regulars-lookback-") as directory:
        picture = lookback_picture(Path(directory) / "lookback.png", found)
        log_report(open_registry(context.home), report_of(found, [picture]))
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, plots / f"lookback-{said.name}.png")
    finish(context.home, found, said)
    return found


def _show(found: Mapping[str, Any]) -> None:
    rows = [
        (
            f"{one['model']} {one['version']}",
            f"{one['customers']:,}",
            one["metric"],
            _number(one["promised"].get(one["metric"])),
            _with_interval(one["came"], one["metric"]),
            _number(one["ratio"]),
            one["verdict"],
        )
        for one in found["models"]
    ]
    print_table(
        f"Scores as of {found['as_of'][:10]} against the {found['horizon_days']} days after",
        ("model", "customers", "metric", "promised", "came", "came / predicted", "verdict"),
        rows,
    )
    for note in found["notes"]:
        out.print(f"[yellow]note[/] {note}", highlight=False, soft_wrap=True)
    for one in found["models"]:
        if one["verdict"] != AS_PROMISED:
            out.print(f"[yellow]note[/] {one['model']} {one['verdict']}: {one['why']}", highlight=False, soft_wrap=True)
        if one["contacted"] is not None:
            group = one["contacted"]
            out.print(
                f"{one['model']}: {group['customers']:,} were contacted meanwhile and are not judged by: "
                f"predicted {group['predicted']:.3g}, came {group['came']:.3g}",
                highlight=False,
                soft_wrap=True,
            )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _with_interval(came: Mapping[str, float], metric: str) -> str:
    value, low, high = (came.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    ends = "" if low is None or high is None else f" [{_number(low)}, {_number(high)}]"
    return f"{_number(value)}{ends}"
