"""Versions of what is kept on disk: what an earlier release wrote is read, what a later one wrote is refused."""

from __future__ import annotations

from features.errors import DataError
from features.release import release


class NewerFormatError(DataError):
    """Something was written by a later release of Regulars, which this one must not read as if it knew it."""


def refuse_newer(what: str, found: int, *, reads: int, written_by: str | None, anew: str) -> None:
    """Raise NewerFormatError where the format found is beyond what this release reads.

    `written_by`: the release that wrote it, where it says so; `anew`: how this release makes its own.
    """
    if found <= reads:
        return
    later = "a later Regulars" if written_by is None else f"Regulars {written_by}"
    install = "a later Regulars" if written_by is None else f"Regulars {written_by} or later"
    raise NewerFormatError(
        f"{what}: written in format {found} by {later}; this is Regulars {release()}, which reads formats up to "
        f"{reads}. Install {install}, or make it anew with this one:  {anew}"
    )
