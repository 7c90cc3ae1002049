"""What is worked out once from what a page is made of, such as a scoring, and kept for as long as that is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class PerState(Generic[S, T]):
    """A function of one thing, or of a tuple of them, that remembers its answer until one of them is gone.

    Several shops in one process each have their scoring, so the last answer alone would be of whoever asked last.
    """

    def __init__(self, make: Callable[[S], T]) -> None:
        self._make = make
        self._known: tuple[tuple[tuple[weakref.ref[Any], ...], T], ...] = ()

    def __call__(self, of: S) -> T:
        """The answer for it."""
        parts = of if isinstance(of, tuple) else (of,)
        for references, answer in self._known:
            if all(reference() is part for reference, part in zip(references, parts, strict=True)):
                return answer
        made = self._make(of)
        # Two threads may both work it out, and one's note of it be lost; either answer is right.
        still = [entry for entry in self._known if all(reference() is not None for reference in entry[0])]
        self._known = ((tuple(map(weakref.ref, parts)), made), *still)
        return made
