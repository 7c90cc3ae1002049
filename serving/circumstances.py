"""What an answer depends on besides the state and the request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from serving.deadline import NEVER, Deadline
from serving.live import NO_INTEREST, Interest
from serving.rule_book import RuleBook


class Circumstances(Struct, frozen=True):
    """What an answer depends on besides the state and the request.

    `now` is the moment in UTC; None: that of the scores. `rebuy_after`: a product bought live after this moment (UTC)
    is not recommended; None: none is kept back. The dials of an experiment's variant stand over those of the request.
    `hidden` are products that the shop's rules never show; `rules` are all of them over the state's catalogue.
    `notes` stand before the answer's own in `fallback`.
    """

    request_id: str
    now: datetime | None = None
    interest: Interest = NO_INTEREST
    rebuy_after: datetime | None = None
    own_list_first: bool = False
    experiment: str | None = None
    variant: str | None = None
    diversity: float | None = None
    novelty: float | None = None
    explore: float | None = None
    deadline: Deadline = NEVER
    rules: RuleBook | None = None
    hidden: Sequence[str] = ()
    static: Sequence[str] = ()
    notes: tuple[str, ...] = ()
