"""What contacts changed: published examples, harm, small hold-outs, and intervals that hold the truth."""

import numpy as np
import pytest

from features.errors import DataError
from training.contact_effect import HARMED, KEPT, TOO_FEW, UNCLEAR, Arms, difference, effect, enough, save_rate
from training.intervals import wilson


def test_the_difference_and_its_interval_are_those_of_a_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table II: 56/70 against 48/80, method 10.
    found = difference(Arms(70, 56, 80, 48))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_score_interval_of_a_share() -> None:
    # Newcombe (1998), Statistics in Medicine 17: 81/263 is 0.2553 to 0.3662, 0/20 is 0 to 0.1611.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_the_save_rate_worked_by_hand() -> None:
    # 10 of 100 contacted and 20 of 100 held out stopped: half were kept. The logarithm of the ratio 0.5 varies by
    # 1/10 - 1/100 + 1/20 - 1/100 = 0.13.
    found = save_rate([Arms(100, 90, 100, 80)])
    spread = np.exp(1.959964 * np.sqrt(0.13))
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 1 - 0.5 * spread, 1 - 0.5 / spread))


def test_campaigns_of_other_risk_do_not_mix() -> None:
    # Half of would-be stoppers are kept in both, but the first contacts few of many at risk: together they would seem
    # to do much better than either.
    risky, calm = Arms(100, 75, 900, 450), Arms(900, 855, 100, 90)
    assert [save_rate([one]).value for one in (risky, calm)] == pytest.approx([0.5, 0.5])
    together = save_rate([risky, calm])
    assert together.value == pytest.approx(0.5)
    assert together.low > save_rate([calm]).low
    assert pytest.approx(0.85, abs=0.01) == 1 - (70 / 1000) / (460 / 1000)


def test_contacts_that_drove_customers_away_say_so() -> None:
    # The shares of Ascarza, Iyengar and Schleicher (2016): 10.0 % contacted left, 6.4 % left alone.
    harmed = effect(Arms(10_000, 9_000, 10_000, 9_360))
    assert harmed.verdict == HARMED
    assert harmed.difference.value == pytest.approx(-0.036)
    assert harmed.save_rate.value == pytest.approx(-0.5625)
    assert harmed.save_rate.high < 0


@pytest.mark.parametrize(
    ("arms", "verdict"),
    [
        (Arms(1000, 900, 200, 150), KEPT),
        (Arms(1000, 800, 200, 155), UNCLEAR),
        (Arms(1000, 900, 29, 20), TOO_FEW),
        (Arms(1000, 900, 60, 56), TOO_FEW),
    ],
)
def test_a_hold_out_that_is_too_small_is_said_to_be(arms: Arms, verdict: str) -> None:
    assert effect(arms).verdict == verdict


def test_nobody_stopped_or_nobody_held_out_has_no_rate() -> None:
    assert save_rate([Arms(10, 10, 10, 10)]) is None
    assert save_rate([Arms(10, 10, 0, 0)]) is None
    assert not enough([Arms(100, 50, 29, 0)])
    none_of_contacted = save_rate([Arms(50, 50, 50, 40)])
    assert none_of_contacted.low < none_of_contacted.value < none_of_contacted.high <= 1
    with pytest.raises(DataError, match="nothing to compare"):
        difference(Arms(10, 5, 0, 0))
    with pytest.raises(DataError, match="Count each once"):
        Arms(10, 11, 5, 5)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    held = {"difference": 0, "save rate": 0}
    draws = 1500
    for _ in range(draws):
        kept, its_kept = rng.binomial(400, 0.9), rng.binomial(100, 0.84)
        arms = Arms(400, int(kept), 100, int(its_kept))
        found, rate = difference(arms), save_rate([arms])
        held["difference"] += found.low <= 0.06 <= found.high
        held["save rate"] += rate is not None and rate.low <= 1 - 0.1 / 0.16 <= rate.high
    for name, times in held.items():
        assert 0.93 < times / draws < 0.985, name
