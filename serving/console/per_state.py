"""What is worked out once from what a page is made of, such as a scoring, and kept until another takes its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class PerState(Generic[S, T]):
    """A function of one thing, or of a tuple of them, that remembers its last answer."""

    def __init__(self, make: Callable[[S], T]) -> None:
        self._make = make
        self._last: tuple[S, T] | None = None

    def __call__(self, of: S) -> T:
        """The answer for it."""
        last = self._last
        if last is None or not _same(last[0], of):
            # Two threads may both work it out; either answer is right.
            last = self._last = (of, self._make(of))
        return last[1]


def _same(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return all(a is b for a, b in zip(one, other, strict=True))
    return one is other
