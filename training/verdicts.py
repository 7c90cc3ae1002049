"""How past scorings stood against what came: the rule of the verdict, and what was found of those judged so far.

Light to import, so that a server shows what is kept without loading what judges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from features.home import Home

AS_PROMISED, WORSE, OFF_LEVEL, TOO_FEW = "as promised", "worse than promised", "off its level", "too few to tell"
#: Verdicts that somebody should act on.
ALERTS = (WORSE, OFF_LEVEL)
#: With fewer customers on the rarer side no verdict is given.
FEW_EVENTS = 50
#: What came over what was predicted is told where its interval leaves out 1 and it is beyond these.
LOW, HIGH = 0.8, 1.25


def kept_lookbacks(home: Home) -> list[dict[str, Any]]:
    """What was found of each scoring judged so far, the newest first."""
    files = sorted(home.lookback.glob("*.json"), reverse=True)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def newest_verdicts(home: Home) -> dict[str, dict[str, Any]]:
    """By model, what was found of it last, with the `as_of` of that scoring."""
    found: dict[str, dict[str, Any]] = {}
    for lookback in kept_lookbacks(home):
        for one in lookback["models"]:
            found.setdefault(one["model"], {**one, "as_of": lookback["as_of"], "judged_at": lookback["judged_at"]})
    return found


def verdict_of(
    metric: str,
    promised: Mapping[str, float],
    came: Mapping[str, float],
    *,
    ratio: tuple[float | None, float | None, float | None] | None,
    rarer: int,
) -> tuple[str, str]:
    """One of the verdicts by a metric of which higher is better, and why in words.

    Worse than promised is said only where the back-test's figure lies outside the interval of what came, and what came
    outside that of the back-test: both are measured on a few customers.
    """
    if rarer < FEW_EVENTS:
        return TOO_FEW, f"only {rarer} customers are on the rarer side"
    value, low, high = (came.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    was, was_low = (promised.get(f"{metric}{end}") for end in ("", "_low"))
    told = f"{metric} {value:.3f}" if value is not None else f"{metric} not known"
    if low is not None and high is not None:
        told += f" (95% interval {low:.3f} to {high:.3f})"
    told += f", promised {was:.3f}" if was is not None else ", nothing was promised"
    level, from_, to = ratio or (None, None, None)
    if level is not None and from_ is not None and to is not None:
        told += f"; {level:.2f} times as much came as was predicted ({from_:.2f} to {to:.2f})"
    if value is not None and high is not None and was is not None:
        below_both = high < was and value < (was if was_low is None else was_low)
        if below_both:
            return WORSE, told
    if level is not None and from_ is not None and to is not None and not LOW <= level <= HIGH and not from_ <= 1 <= to:
        return OFF_LEVEL, told
    return AS_PROMISED, told
