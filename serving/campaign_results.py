"""The campaigns that a scoring measured against their hold-outs, and the save rate of all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from serving.state import State
from training.contact_effect import Result, enough, save_rate
from training.contact_plan import MEASURED, SaveRate


def results_of(state: State) -> list[Result]:
    """The campaigns that the scoring measured."""
    return [Result.from_json(found) for found in state.about.get("campaigns", ())]


def measured_save_rate(results: Sequence[Result]) -> tuple[SaveRate | None, str]:
    """The save rate of all campaigns together and what measured it; None, and why, where their hold-outs are small."""
    arms = [found.arms for found in results if found.arms.contacted and found.arms.held_out]
    found = save_rate(arms)
    held_out = sum(one.held_out for one in arms)
    if found is None or not enough(arms):
        stopped = sum(one.stopped[1] for one in arms)
        return None, f"{held_out:,} customers held out so far, {stopped:,} of whom stopped"
    contacted = sum(one.contacted for one in arms)
    what = "1 campaign" if len(arms) == 1 else f"{len(arms)} campaigns"
    rate = SaveRate(found.value, found.low, found.high, MEASURED)
    return rate, f"{what} ({contacted:,} contacted, {held_out:,} held out)"
