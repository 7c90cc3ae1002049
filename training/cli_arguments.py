"""What the commands of this package share: their arguments, and the context they act on."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from features.lake import read_lake
from features.settings import current_settings
from training.protocols import Context


class Model(StrEnum):
    """The models a command may name; those of protocols.MODELS, in their order."""

    RECOMMENDER = "recommender"
    CHURN = "churn"
    PROPENSITY = "propensity"
    VALUE = "value"


ModelArgument = Annotated[Model, typer.Argument(help="Which model.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def current_context() -> Context:
    """The settings in force and the lake as it is. Raises NotReadyError when nothing is loaded."""
    settings = current_settings()
    home = settings.data_home
    return Context(settings=settings, home=home, lake=read_lake(home))
