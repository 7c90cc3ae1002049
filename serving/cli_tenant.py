"""The option --tenant, which every command has: for which of several shops it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.main

from features.settings import PREFIX, current_settings

VARIABLE = f"{PREFIX}TENANT"


def with_tenant(command: Any) -> None:
    """Give the command, or every command of the group, the option."""
    inner = getattr(command, "commands", None)
    if inner is None:
        command.params.append(tenant_option())
        return
    for one in inner.values():
        with_tenant(one)


def tenant_option() -> Any:
    """The option, as a command that is read by itself has it."""
    alone = typer.Typer(add_completion=False)
    alone.command()(_named)
    return next(one for one in typer.main.get_command(alone).params if one.name == "tenant")


def _choose(context: typer.Context, name: str | None) -> None:
    if name is not None:
        context.with_resource(chosen(name))


def _named(
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For which shop, where there are several.",
            expose_value=False,
            is_eager=True,
            callback=_choose,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Nothing: it carries the option."""


@contextmanager
def chosen(name: str) -> Iterator[None]:
    """Settings are that shop's while the block runs, in processes started meanwhile too."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    current_settings.cache_clear()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
        current_settings.cache_clear()
