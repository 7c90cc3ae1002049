"""The nights of several shops, one after another, each as a process of its own: what fails in one ends in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

from rich.markup import escape

from features.settings import Settings
from features.terminal import progress
from serving.nightly.record import EXIT_CODES, Status

#: From bad to good, among what a run may end with.
_WORST_FIRST = (EXIT_CODES[Status.FAILED], 4, EXIT_CODES[Status.HELD], EXIT_CODES[Status.OK])


def _command(name: str) -> Sequence[str]:
    return (sys.executable, "-m", "serving", "nightly", "--tenant", name)


def every_shop(
    server: Settings, options: Sequence[str] = (), *, command: Callable[[str], Sequence[str]] = _command
) -> dict[str, int]:
    """What each shop's run ended with, by name. Progress of each is told as it goes."""
    codes = {}
    for name in server.tenants:
        progress.print(f"[bold]{escape(name)}[/]")
        codes[name] = subprocess.run([*command(name), *options]).returncode
    return codes


def worst(codes: Sequence[int]) -> int:
    """The exit code for all of them together: one that failed counts before one that is going on, or was held back."""
    unforeseen = [code for code in codes if code not in _WORST_FIRST]
    if unforeseen:
        return EXIT_CODES[Status.FAILED]
    return next((code for code in _WORST_FIRST if code in codes), 0)
