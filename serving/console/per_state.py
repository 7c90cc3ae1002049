"""What is worked out once from a scoring and kept until another answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from serving.state import State

T = TypeVar("T")


class PerState(Generic[T]):
    """A function of a state that remembers its last answer."""

    def __init__(self, make: Callable[[State], T]) -> None:
        self._make = make
        self._last: tuple[State, T] | None = None

    def __call__(self, state: State) -> T:
        """The answer for this state."""
        last = self._last
        if last is None or last[0] is not state:
            # Two threads may both work it out; either answer is right.
            last = self._last = (state, self._make(state))
        return last[1]
