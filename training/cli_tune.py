"""The command `regulars tune`: settings that suit this shop better than the defaults, if there are any."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from features.errors import ConfigError
from features.settings import current_settings
from features.terminal import out, print_json, print_table
from training.cli_arguments import AsJson, ModelArgument, current_context

SHOWN = 5


def tune(
    model: ModelArgument,
    trials: Annotated[int, typer.Option(min=2, help="Settings to try at most, the defaults among them.")] = 30,
    minutes: Annotated[float, typer.Option(min=0.1, help="Minutes to search at most.")] = 10,
    forget: Annotated[bool, typer.Option("--forget", help="Go back to the defaults, and search nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search settings of a model on moments before the test cut-off; the next training uses what is clearly better.

    Nobody must tune: the defaults adapt to the shop. Each trial is a child run in MLflow.
    """
    from training.tuned import forget as forget_kept

    if forget:
        there = forget_kept(current_settings().data_home, model.value)
        out.print(f"{model.value}: back to the defaults." if there else f"{model.value}: the defaults are in use.")
        return
    try:
        from training.tune import tune as search
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ConfigError("regulars tune needs Optuna. Install it:  pip install 'regulars[tune]'") from None

    found = search(current_context(), model.value, trials=trials, minutes=minutes)
    if as_json:
        print_json(asdict(found))
        return
    best = sorted(found.trials, key=lambda trial: trial["value"], reverse=found.higher_is_better)[:SHOWN]
    print_table(
        f"Best of {len(found.trials)} trials, judged as of {found.validation_as_of}",
        ("trial", found.metric, "settings"),
        [
            (
                "defaults" if trial["number"] == 0 else str(trial["number"]),
                f"{trial['value']:.4f}",
                ", ".join(f"{name} {_shown(value)}" for name, value in trial["settings"].items()),
            )
            for trial in best
        ],
    )
    out.print(f"{model.value}: {found.why}.")
    if found.kept:
        out.print(f"Train with them:  regulars train {model.value}")


def _shown(setting: object) -> str:
    return f"{setting:.3g}" if isinstance(setting, float) else str(setting)
