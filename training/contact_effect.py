"""What contacts changed: customers contacted against customers held out by lot, as assigned, with 95 % intervals.

As assigned: a customer on the list counts as contacted whether or not anybody reached them, and one held out as held
out. Only so are the two alike but for the list; comparing those reached would compare people who answer the phone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from features.errors import DataError
from training.intervals import wilson
from training.off_policy import Z95, Estimate

#: Fewer held out, or fewer of them who stopped, and a share says next to nothing.
LEAST_HELD_OUT, LEAST_STOPPED = 30, 5
KEPT, HARMED, UNCLEAR, TOO_FEW = "kept", "harmed", "unclear", "too_few"


@dataclass(frozen=True)
class Arms:
    """Customers of one campaign contacted and held out, and how many of each were kept: ordered within the horizon."""

    contacted: int
    contacted_kept: int
    held_out: int
    held_out_kept: int

    def __post_init__(self) -> None:
        if not (0 <= self.contacted_kept <= self.contacted and 0 <= self.held_out_kept <= self.held_out):
            raise DataError(f"{self}: more customers were kept than there are. Count each once.")

    @property
    def stopped(self) -> tuple[int, int]:
        """How many of those contacted, and of those held out, were not kept."""
        return self.contacted - self.contacted_kept, self.held_out - self.held_out_kept


@dataclass(frozen=True)
class Effect:
    """Share kept among contacted less that among held out; and the save rate: which part of would-be stoppers stayed.

    Both below 0 where contacts did harm. `verdict`: kept or harmed where the interval of the difference leaves 0 out,
    unclear where it holds 0, too_few where the hold-out is too small to say anything.
    """

    difference: Estimate
    save_rate: Estimate | None
    verdict: str


@dataclass(frozen=True)
class Result:
    """One campaign: its arms, as far as their horizon has passed; and of how many customers it has not."""

    campaign_id: str
    first_contact_at: datetime  # UTC, without a zone
    arms: Arms
    not_yet: int

    def as_json(self) -> dict[str, Any]:
        """Numbers and texts only."""
        return {
            "campaign_id": self.campaign_id,
            "first_contact_at": self.first_contact_at.isoformat(),
            "not_yet": self.not_yet,
            **asdict(self.arms),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Result:
        """The inverse of `as_json`."""
        arms = Arms(*(found[name] for name in ("contacted", "contacted_kept", "held_out", "held_out_kept")))
        return cls(found["campaign_id"], datetime.fromisoformat(found["first_contact_at"]), arms, found["not_yet"])


def difference(arms: Arms) -> Estimate:
    """Share kept among contacted less that among held out; the interval is Newcombe's of scores (1998, method 10)."""
    if not arms.contacted or not arms.held_out:
        raise DataError("There is nobody contacted, or nobody held out, so there is nothing to compare.")
    one, other = arms.contacted_kept / arms.contacted, arms.held_out_kept / arms.held_out
    low, high = wilson(arms.contacted_kept, arms.contacted)
    its_low, its_high = wilson(arms.held_out_kept, arms.held_out)
    return Estimate(
        one - other,
        one - other - math.hypot(one - low, its_high - other),
        one - other + math.hypot(high - one, other - its_low),
    )


def save_rate(campaigns: Sequence[Arms]) -> Estimate | None:
    """1 - the ratio of the shares that stopped, contacted over held out, over all campaigns; None where none stopped.

    The ratio is that of Mantel and Haenszel (1959), so campaigns of other risk do not mix; the interval by the variance
    of its logarithm (Greenland and Robins 1985). A campaign in which nobody of one arm stopped counts half a
    customer more in each of its four groups (Walter 1975).
    """
    rows = [arms for arms in campaigns if arms.contacted and arms.held_out]
    if not rows or not sum(arms.stopped[1] for arms in rows):
        return None
    groups = np.array([(*arms.stopped, *(arms.contacted_kept, arms.held_out_kept)) for arms in rows], dtype=float)
    groups += 0.5 * (groups[:, :2] == 0).any(axis=1, keepdims=True)
    stopped, its_stopped = groups[:, 0], groups[:, 1]
    contacted, held_out = groups[:, 0] + groups[:, 2], groups[:, 1] + groups[:, 3]
    everybody = contacted + held_out
    above, below = (stopped * held_out / everybody).sum(), (its_stopped * contacted / everybody).sum()
    both = (stopped + its_stopped) * contacted * held_out - stopped * its_stopped * everybody
    spread = Z95 * math.sqrt(float((both / everybody**2).sum() / (above * below)))
    ratio = float(above / below)
    return Estimate(1 - ratio, 1 - ratio * math.exp(spread), 1 - ratio * math.exp(-spread))


def effect(arms: Arms) -> Effect:
    """Of one campaign. Raises DataError where one arm is empty."""
    found = difference(arms)
    if not enough([arms]):
        verdict = TOO_FEW
    elif found.low > 0:
        verdict = KEPT
    else:
        verdict = HARMED if found.high < 0 else UNCLEAR
    return Effect(found, save_rate([arms]), verdict)


def enough(campaigns: Sequence[Arms]) -> bool:
    """Whether the hold-outs together are large enough that a list should go by the measured save rate."""
    held_out = sum(arms.held_out for arms in campaigns)
    return held_out >= LEAST_HELD_OUT and sum(arms.stopped[1] for arms in campaigns) >= LEAST_STOPPED
