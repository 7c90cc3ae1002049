"""The command line `regulars`: the commands of features and training, and those that recommend, list and serve."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated

import typer

import features.cli
from features.terminal import out, run

app = typer.Typer(
    name="regulars",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  regulars ingest --source complete-journey && regulars train && regulars score && regulars serve",
)
app.add_typer(features.cli.app)
if find_spec("training.cli"):
    import training.cli

    app.add_typer(training.cli.app)


def _say_version(*, asked: bool) -> None:
    if asked:
        out.print(f"regulars {version('regulars')}")
        raise typer.Exit


@app.callback()
def regulars(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda asked: _say_version(asked=asked), help="Say it and stop."
        ),
    ] = False,
) -> None:
    """Learns from a shop's orders what each customer will buy next and who is about to stop buying."""


def main() -> None:
    """Run the command line: exit 0 done, 1 failed with a message, 2 used wrongly."""
    run(app, name="regulars")
