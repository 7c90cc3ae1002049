"""The cadence of a customer: gaps between visits, silence measured in them, and how both change."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ibis

from features.definitions import Feature
from features.measures import AMOUNT, against_before, exact_sum, in_gaps, real, spread
from features.snapshot import Relation, Snapshot

VISITS, GAPS, FEATURES = Relation.VISITS, Relation.GAPS, Relation.FEATURES
#: Half-lives in days of decayed counts of visits.
HALF_LIVES = (14, 45)
#: Weeks over which the slope of weekly visits is taken.
SLOPE_WEEKS = 12


def _decayed(half_life: int) -> Callable[[Any, Snapshot], Any]:
    return lambda visits, _: exact_sum((visits.days_ago * (-math.log(2) / half_life)).exp())


def _weekly_slope(visits: Any, _: Snapshot) -> Any:
    """Least-squares slope of visits a week over the last SLOPE_WEEKS, in which weeks without any count as 0."""
    n = SLOPE_WEEKS
    within = visits.days_ago < 7 * n
    week = (n - 1) - visits.days_ago // 7  # 0 for the oldest week
    mean = (n - 1) / 2
    spread = sum((index - mean) ** 2 for index in range(n))
    total = real(week.sum(where=within).fill_null(0)) - mean * real(within.sum())
    return total / spread


def rhythm_features() -> list[Feature]:
    """Visits and the gaps between them."""
    features = [
        Feature(
            f"visits_decayed_{half_life}d",
            VISITS,
            _decayed(half_life),
            f"Days with an order, each counting half as much for every {half_life} days since.",
            "visits",
            0.0,
        )
        for half_life in HALF_LIVES
    ]
    features += [
        Feature("visits_life", VISITS, lambda visits, _: visits.count(), "Days with an order, ever.", "visits", 0.0),
        Feature(
            "weeks_active_12w",
            VISITS,
            lambda visits, _: (visits.days_ago // 7).nunique(where=visits.days_ago < 84),
            "Of the last 12 weeks, those with an order.",
            "weeks",
            0.0,
            window_days=84,
        ),
        Feature(
            "visits_slope_12w",
            VISITS,
            _weekly_slope,
            "By how many visits a week the customer comes more often each week, over the last 12.",
            "visits per week squared",
            0.0,
            window_days=84,
        ),
        Feature("gap_mean_days", GAPS, lambda gaps, _: gaps.gap_days.mean(), "Time between visits, mean.", "days"),
        Feature(
            "gap_median_days",
            GAPS,
            lambda gaps, _: real(gaps.gap_days.median()),
            "Time between visits, median.",
            "days",
        ),
        Feature(
            "gap_spread_days",
            GAPS,
            lambda gaps, _: spread(gaps.gap_days),
            "Time between visits, standard deviation (of three visits or more).",
            "days",
        ),
        Feature(
            "gap_longest_days", GAPS, lambda gaps, _: real(gaps.gap_days.max()), "Longest time between visits.", "days"
        ),
        Feature(
            "gap_last_days",
            GAPS,
            lambda gaps, _: real(gaps.gap_days.max(where=gaps.back == 0)),
            "Time between the last two visits.",
            "days",
        ),
        Feature(
            "gap_recent_days",
            GAPS,
            lambda gaps, _: gaps.gap_days.mean(where=gaps.back < 5),
            "Time between visits, mean of the last five.",
            "days",
        ),
    ]
    return features


#: Silence in mean gaps from which a customer is cooling, and dormant.
COOLING, DORMANT = 2.0, 4.0
#: With fewer visits the customer has no cadence yet.
FORMING_VISITS = 4
NEW_DAYS = 30
STAGES = ("new", "forming", "stable", "cooling", "dormant", "returned")


def _stage(made: Any, _: Snapshot) -> Any:
    """The place in STAGES, by the customer's own cadence; a one-time buyer's gap counts as NEW_DAYS."""
    gap = ibis.cases((made.gap_mean_days < 1.0, 1.0), else_=made.gap_mean_days.fill_null(float(NEW_DAYS)))
    silence = made.days_since_last_order / gap
    return ibis.cases(
        ((made.days_since_first_order <= NEW_DAYS) & (made.visits_life < FORMING_VISITS), STAGES.index("new")),
        (silence > DORMANT, STAGES.index("dormant")),
        (silence > COOLING, STAGES.index("cooling")),
        (made.visits_life < FORMING_VISITS, STAGES.index("forming")),
        (made.gap_last_days > DORMANT * gap, STAGES.index("returned")),
        else_=STAGES.index("stable"),
    )


def change_features() -> list[Feature]:
    """Silence in the customer's own gaps, and recent windows against those before."""
    return [
        Feature(
            "silence_to_gap_mean",
            FEATURES,
            lambda made, _: in_gaps(made.days_since_last_order, made.gap_mean_days),
            "Time since the last order, in the customer's mean gaps.",
            "gaps",
        ),
        Feature(
            "silence_to_gap_recent",
            FEATURES,
            lambda made, _: in_gaps(made.days_since_last_order, made.gap_recent_days),
            "Time since the last order, in the mean of the customer's last five gaps.",
            "gaps",
        ),
        Feature(
            "silence_to_gap_longest",
            FEATURES,
            lambda made, _: in_gaps(made.days_since_last_order, made.gap_longest_days),
            "Time since the last order, in the customer's longest gaps.",
            "gaps",
        ),
        Feature(
            "lifecycle_stage",
            FEATURES,
            _stage,
            f"Stage by the customer's own cadence: {', '.join(f'{i} {name}' for i, name in enumerate(STAGES))}.",
            "stage",
        ),
        Feature(
            "silence_deviations",
            FEATURES,
            lambda made, _: (made.days_since_last_order - made.gap_mean_days) / (made.gap_spread_days + 1.0),
            "By how many standard deviations of their gaps (plus a day) the customer is later than their mean.",
            "deviations",
        ),
        Feature(
            "days_to_expected_order",
            FEATURES,
            lambda made, _: made.gap_median_days - made.days_since_last_order,
            "Time until the next order is due by the median gap; negative when overdue.",
            "days",
        ),
        *(
            Feature(
                f"orders_trend_{days}d",
                FEATURES,
                against_before(f"orders_{days}d", f"orders_{2 * days}d"),
                f"Orders of the last {days} days against the {days} before, one added to each.",
                "ratio",
                window_days=2 * days,
            )
            for days in (7, 30, 90)
        ),
        *(
            Feature(
                f"spend_trend_{days}d",
                FEATURES,
                against_before(f"spend_{days}d", f"spend_{2 * days}d"),
                f"Spend of the last {days} days against the {days} before, one added to each.",
                "ratio",
                needs=(AMOUNT,),
                window_days=2 * days,
            )
            for days in (30, 90)
        ),
    ]
