"""The commands of this package: train, tune, evaluate, promote, rollback, models, score."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import DataError
from features.settings import current_settings
from features.terminal import out, print_json, print_table
from training.cli_arguments import AsJson, Model, ModelArgument, current_context
from training.cli_backtest import backtest
from training.cli_drift import drift
from training.cli_evaluate import evaluate
from training.cli_insight import insight, picturing, report
from training.cli_lookback import lookback
from training.cli_models import grade_text, measured, models, print_notes
from training.cli_off_policy import off_policy
from training.cli_response import response
from training.cli_trust import explain, fairness
from training.cli_tune import tune
from training.cli_uplift import uplift
from training.version_listing import described

if TYPE_CHECKING:
    from training.promotion_log import Promotion

app = typer.Typer(no_args_is_help=True)
app.add_typer(models, name="models")
app.command(epilog="Example:  regulars evaluate recommender --split last-order --json")(evaluate)
app.command(epilog="Example:  regulars tune churn --trials 40 --minutes 5")(tune)
app.command("off-policy", epilog="Example:  regulars off-policy --metric purchase")(off_policy)
app.command(epilog="Example:  regulars explain churn --json")(explain)
app.command(epilog="Example:  regulars fairness churn --json")(fairness)
app.command(epilog="Example:  regulars backtest churn --cutoffs 6 --plots pictures")(backtest)
app.command(epilog="Example:  regulars drift --weeks 8 --plots pictures")(drift)
app.command(epilog="Example:  regulars lookback --plots pictures")(lookback)
app.command(epilog="Example:  regulars uplift --json")(uplift)
app.command(epilog="Example:  regulars response --json")(response)
app.command(epilog="Example:  regulars report --out report.html --lang zh")(report)
app.command(epilog="Example:  regulars insight segments --json")(insight)


@app.command(epilog="Example:  regulars train churn value")
def train(
    models: Annotated[
        list[Model] | None, typer.Argument(help="Which models; all when none is named.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train on the lake as it is, compare with the champions on the same back-test, and promote what is not worse."""
    from training.run import NOT_TRAINED
    from training.run import train as train_models

    wanted = [model.value for model in models or Model]
    outcomes = train_models(current_context(), wanted, at=datetime.now(UTC))
    if as_json:
        print_json([{**asdict(o), "version": None if o.version is None else described(o.version)} for o in outcomes])
    else:
        print_table(
            "Training",
            ("model", "outcome", "version", "alias", "measured", "grade", "why"),
            [
                (
                    o.model,
                    o.status,
                    o.version.version if o.version else "",
                    ", ".join(o.version.aliases) if o.version else "",
                    measured(o.version) if o.version else "",
                    grade_text(o.version),
                    o.why,
                )
                for o in outcomes
            ],
        )
        print_notes([o.version for o in outcomes if o.version is not None])
    if all(o.status == NOT_TRAINED for o in outcomes):
        raise DataError("No model could be trained: " + "; ".join(f"{o.model}: {o.why}" for o in outcomes))


@app.command(epilog="Example:  regulars promote churn --version 3 --why 'checked by hand'")
def promote(
    model: ModelArgument,
    version: Annotated[int | None, typer.Option(help="Which version; the challenger when none is named.")] = None,
    why: Annotated[str, typer.Option(help="Kept in the promotion log.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Promote although it is worse; needs --why.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version champion, unless it is worse than the champion on the same back-test."""
    from training.promotions import promote as promote_version
    from training.run import listing
    from training.tracking import open_registry

    if force and not why:
        raise typer.BadParameter("say why you force it, for the promotion log", param_hint="--why")
    settings = current_settings()
    registry = open_registry(settings.data_home)
    row = promote_version(registry, model.value, version, who=settings.who, at=datetime.now(UTC), why=why, force=force)
    listing(registry)
    _print_change(row, as_json=as_json)


@app.command(epilog="Example:  regulars rollback churn --why 'the list names people who just ordered'")
def rollback(
    model: ModelArgument,
    why: Annotated[str, typer.Option(help="Kept in the promotion log.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make the version before the champion champion again."""
    from training.promotions import rollback as roll_back
    from training.run import listing
    from training.tracking import open_registry

    settings = current_settings()
    registry = open_registry(settings.data_home)
    row = roll_back(registry, model.value, who=settings.who, at=datetime.now(UTC), why=why)
    listing(registry)
    _print_change(row, as_json=as_json)


@app.command(epilog="Example:  regulars score --json")
def score(as_json: AsJson = False) -> None:
    """Score every customer with the champions, as of midnight after the last order, for the server to read.

    And take the shop's picture of that moment, which the console shows.
    """
    from training.insight.keep import keep_insight
    from training.score import score as score_everybody

    context, now = current_context(), datetime.now(UTC)
    report = score_everybody(context, at=now)
    with picturing() as done:
        picture = keep_insight(context, at=now, done=done)
    if as_json:
        print_json({**asdict(report), "insight": picture.version})
        return
    what = "Scored" if report.scored else "Nothing changed: scored already are"
    out.print(f"{what} {report.customers:,} customers as of {report.as_of:%Y-%m-%d} (scores {report.version}).")
    print_table(
        "Champions used",
        ("model", "version"),
        [(name, "none" if number is None else str(number)) for name, number in report.models.items()],
    )
    for note in report.notes:
        out.print(f"[yellow]note[/] {note}")


def _print_change(row: Promotion, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(row))
        return
    before = "no champion" if row.from_version is None else f"version {row.from_version}"
    out.print(f"{row.model}: {row.action} version {row.to_version} ({before} before). {row.why}")
    out.print("What is served changes with the next scoring:  regulars score")
