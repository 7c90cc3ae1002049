"""The cadence of a customer: gaps between visits, silence measured in them, and how both change."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ibis

from features.definitions import Feature
from features.ledger import DAY_BITS, HALF_LIVES
from features.measures import AMOUNT, against_before, in_gaps, per, real, spread
from features.snapshot import Relation, Snapshot

CUSTOMERS, FEATURES = Relation.CUSTOMERS, Relation.FEATURES
#: The weeks whose days the ledger keeps.
WEEKS = 2 * DAY_BITS // 7
_ONE = ibis.literal(1).cast("int64")


def _decayed(half_life: int) -> Callable[[Any, Snapshot], Any]:
    def expression(totals: Any, _: Snapshot) -> Any:
        return totals[f"decayed_{half_life}d"] * ((totals.today - totals.day) * (-math.log(2) / half_life)).exp()

    return expression


@ibis.udf.scalar.builtin
def bit_count(bits: int) -> int:
    """How many bits are 1; DuckDB and Spark have it under this name."""
    raise NotImplementedError  # the engine's own is called


def _days_by_week(totals: Any) -> list[Any]:
    """Days with a visit of each of the last WEEKS, as seven bits, the latest first."""
    passed = totals.today - totals.day
    near = ibis.least(passed, DAY_BITS)
    far = ibis.least(ibis.greatest(passed - DAY_BITS, 0), DAY_BITS)

    def moved(bits: Any, by: Any) -> Any:
        # What would be shifted out at the upper end is taken away before.
        return (bits & ((_ONE << (DAY_BITS - by)) - 1)) << by

    recent = passed < DAY_BITS
    lately = ibis.cases((recent, moved(totals.days_lately, near)), else_=0)
    before = moved(totals.days_earlier, near) | (totals.days_lately >> (DAY_BITS - near))
    earlier = ibis.cases((recent, before), else_=moved(totals.days_lately, far))
    half = WEEKS // 2
    return [(half_of >> (7 * week)) & 127 for half_of in (lately, earlier) for week in range(half)]


def _weeks_active(totals: Any, _: Snapshot) -> Any:
    return sum((days > 0).cast("int64") for days in _days_by_week(totals))


def _weekly_slope(totals: Any, _: Snapshot) -> Any:
    """Least-squares slope of visits a week over the last WEEKS, in which weeks without any count as 0."""
    middle = (WEEKS - 1) / 2
    spread = sum((week - middle) ** 2 for week in range(WEEKS))
    weeks = enumerate(_days_by_week(totals)[::-1])
    return sum((week - middle) * real(bit_count(days)) for week, days in weeks) / spread


def _after_two_visits(value: Callable[[Any], Any]) -> Callable[[Any, Snapshot], Any]:
    """Of customers with a gap."""
    return lambda totals, _: ibis.cases((totals.visits > 1, real(value(totals))), else_=None)


def rhythm_features() -> list[Feature]:
    """Visits and the gaps between them."""
    features = [
        Feature(
            f"visits_decayed_{half_life}d",
            CUSTOMERS,
            _decayed(half_life),
            f"Days with an order, each counting half as much for every {half_life} days since.",
            "visits",
            0.0,
        )
        for half_life in HALF_LIVES
    ]
    features += [
        Feature("visits_life", CUSTOMERS, lambda totals, _: totals.visits, "Days with an order, ever.", "visits", 0.0),
        Feature(
            "weeks_active_12w",
            CUSTOMERS,
            _weeks_active,
            "Of the last 12 weeks, those with an order.",
            "weeks",
            0.0,
            window_days=84,
        ),
        Feature(
            "visits_slope_12w",
            CUSTOMERS,
            _weekly_slope,
            "By how many visits a week the customer comes more often each week, over the last 12.",
            "visits per week squared",
            0.0,
            window_days=84,
        ),
        Feature(
            "gap_mean_days",
            CUSTOMERS,
            lambda totals, _: per(totals.gap_sum, totals.visits - 1),
            "Time between visits, mean.",
            "days",
        ),
        Feature(
            "gap_median_days",
            CUSTOMERS,
            _after_two_visits(lambda totals: totals.gap_median),
            "Time between visits, median.",
            "days",
        ),
        Feature(
            "gap_spread_days",
            CUSTOMERS,
            lambda totals, _: spread(totals.visits - 1, totals.gap_sum, totals.gap_squares),
            "Time between visits, standard deviation (of three visits or more).",
            "days",
        ),
        Feature(
            "gap_longest_days",
            CUSTOMERS,
            _after_two_visits(lambda totals: totals.gap_longest),
            "Longest time between visits.",
            "days",
        ),
        Feature(
            "gap_last_days",
            CUSTOMERS,
            _after_two_visits(lambda totals: totals.gap_last),
            "Time between the last two visits.",
            "days",
        ),
        Feature(
            "gap_recent_days",
            CUSTOMERS,
            _after_two_visits(lambda totals: totals.gap_recent),
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
