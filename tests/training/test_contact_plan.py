"""Whom to contact: worked by hand, and as properties of any customers, economics and limits."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import ConfigError, DataError
from training.contact_curve import cuts, holdout_cost, shown, smallest_effect, table
from training.contact_plan import GIVEN, MEASURED, Economics, Limits, Prospects, SaveRate, plan_contacts
from training.contact_plots import draw
from training.contact_words import assumptions
from training.holdout import fnv1a, lots

NOBODY_HELD = Limits(holdout_share=0.0)
#: The example of docs/contacting.md: probability to stop, spend of a horizon.
FOUR = Prospects(np.array([0.5, 0.4, 0.2, 0.1]), np.array([100.0, 200.0, 50.0, 1000.0]), np.full(4, 0.5))
CALLS = Economics(cost_per_contact=2.0, margin=0.3)
QUARTER = SaveRate(0.25, source=GIVEN)


def test_the_profit_curve_worked_by_hand() -> None:
    # 0.5 x 0.25 x 30 - 2 = 1.75; 0.4 x 0.25 x 60 - 2 = 4; 0.2 x 0.25 x 15 - 2 = -1.25; 0.1 x 0.25 x 300 - 2 = 5.5
    plan = plan_contacts(FOUR, CALLS, QUARTER, NOBODY_HELD)
    assert FOUR.profit(CALLS, 0.25) == pytest.approx([1.75, 4.0, -1.25, 5.5])
    assert plan.curve == pytest.approx([0, 5.5, 9.5, 11.25, 10.0])
    assert plan.contacted.tolist() == [3, 1, 0]
    assert (plan.best, plan.break_even, plan.expected_profit) == (3, None, pytest.approx(11.25))
    # Without the contacts' cost of 6 the three bring 17.25 at a save rate of 0.25, so 6 at 0.25 x 6 / 17.25.
    assert plan.break_even_save_rate == pytest.approx(0.25 * 6 / 17.25)
    (cut,) = cuts(plan, [2])
    assert (cut.cost, cut.churners, cut.false_alarms, cut.saved) == pytest.approx((4.0, 0.5, 1.5, 0.125))
    assert (cut.caught_share, cut.precision) == pytest.approx((0.5 / 1.2, 0.25))


def test_an_offer_is_paid_to_those_who_would_have_stayed_too() -> None:
    # Of the first: kept 0.125 x (30 - 4), stays anyway 0.5 x 4, the call 2.
    money = Economics(cost_per_contact=2.0, margin=0.3, offer_cost=4.0)
    assert FOUR.profit(money, 0.25)[0] == pytest.approx(0.125 * 26 - 2 - 2)
    plan = plan_contacts(FOUR, money, QUARTER, NOBODY_HELD)
    (cut,) = cuts(plan, [4])
    takers = (1 - 1.2 / 4) * 4 + 0.25 * 1.2
    assert cut.cost == pytest.approx(4 * 2 + takers * 4)


def test_a_fixed_cost_that_no_list_earns_means_nobody_is_contacted() -> None:
    plan = plan_contacts(FOUR, Economics(2.0, 0.3, fixed_cost=12.0), QUARTER, NOBODY_HELD)
    assert plan.contacted.tolist() == []
    assert (plan.expected_profit, plan.break_even, plan.break_even_save_rate) == (0.0, 0, None)
    plan = plan_contacts(FOUR, Economics(2.0, 0.3, fixed_cost=11.0), QUARTER, NOBODY_HELD)
    assert plan.contacted.tolist() == [3, 1, 0]
    assert plan.expected_profit == pytest.approx(0.25)


def test_contacts_that_do_harm_are_not_made() -> None:
    plan = plan_contacts(FOUR, CALLS, SaveRate(-0.04, -0.08, 0.01, MEASURED), NOBODY_HELD)
    assert plan.contacted.tolist() == []


def test_where_uplift_was_learned_it_stands_in_for_probability_times_save_rate() -> None:
    learned = Prospects(FOUR.churn, FOUR.worth, FOUR.lot, uplift=np.array([-0.05, 0.0, 0.3, 0.02]))
    assert learned.profit(CALLS, 0.25) == pytest.approx([-3.5, -2.0, 2.5, 4.0])
    plan = plan_contacts(learned, CALLS, QUARTER, NOBODY_HELD)
    assert plan.contacted.tolist() == [3, 2]
    assert plan.break_even_save_rate is None
    told = " ".join(assumptions(plan, horizon_days=28, measured_by="campaign 'may'"))
    assert "learned for each customer from campaign 'may'" in told


def test_the_held_out_are_of_the_list_and_cost_no_budget() -> None:
    held = Prospects(FOUR.churn, FOUR.worth, np.array([0.5, 0.01, 0.5, 0.5]))
    plan = plan_contacts(held, CALLS, QUARTER, Limits(budget=4.0, holdout_share=0.1))
    assert (plan.contacted.tolist(), plan.kept_back.tolist()) == ([3, 0], [1])
    assert holdout_cost(plan) == pytest.approx(4.0)
    # 2.80 standard errors of a difference between 2 and 1 customers of whom a third stop.
    rate = (0.5 + 0.4 + 0.1) / 3
    assert smallest_effect(plan) == pytest.approx(2.8016 * np.sqrt(rate * (1 - rate) * 1.5), rel=1e-4)
    assert smallest_effect(plan_contacts(FOUR, CALLS, QUARTER, NOBODY_HELD)) is None


def test_the_list_says_all_that_it_takes_for_granted() -> None:
    plan = plan_contacts(FOUR, Economics(2.0, 0.3, 4.0, 2.0, 0.1), SaveRate(), Limits(50.0, 3, 0.2))
    told = " ".join(assumptions(plan, horizon_days=28, currency="EUR", rest_days=14))
    for said in ("2.00 EUR", "4.00 EUR", "30.0% of spend", "2 times their spend of 28 days", "10.0% stay", "assumed"):
        assert said in told
    for said in ("budget of 50.00 EUR", "3 contacts", "20% are left alone", "within 14 days", "opted out"):
        assert said in told
    measured = plan_contacts(FOUR, CALLS, SaveRate(0.2, -0.01, 0.4, MEASURED), NOBODY_HELD)
    told = " ".join(assumptions(measured, horizon_days=28, measured_by="2 campaigns"))
    assert "measured by 2 campaigns, 95 % interval -1.0% to 40.0%" in told
    assert "may have done nothing, or harm" in told
    assert "cannot be measured" in told


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Economics(-1.0, 0.3),
        lambda: Economics(1.0, 0.0),
        lambda: Economics(float("nan"), 0.3),
        lambda: Limits(budget=-1.0),
        lambda: Limits(holdout_share=1.0),
        lambda: Prospects(np.array([np.nan]), np.ones(1), np.ones(1)),
        lambda: Prospects(np.ones(2), np.ones(1), np.ones(2)),
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(DataError, match=r"Give|Leave out"):
        wrong()


@st.composite
def asked(draw):
    n = draw(st.integers(0, 40))
    share = st.floats(0, 1)
    money = Economics(
        draw(st.sampled_from([0.0, 0.1, 1.0, 3.3])),
        draw(st.floats(0.01, 1)),
        draw(st.sampled_from([0.0, 0.7])),
        draw(st.floats(0, 5)),
        draw(st.sampled_from([0.0, 5.0])),
    )
    who = Prospects(
        draw(arrays(float, n, elements=share)),
        draw(arrays(float, n, elements=st.floats(0, 200))),
        draw(arrays(float, n, elements=st.floats(0, 1, exclude_max=True))),
        draw(st.none() | arrays(float, n, elements=st.floats(-0.5, 0.5))),
    )
    limits = Limits(
        draw(st.none() | st.floats(0, 60)), draw(st.none() | st.integers(1, 50)), draw(st.sampled_from([0, 0.1, 0.5]))
    )
    return who, money, SaveRate(draw(share)), limits


@given(asked())
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_whatever_is_asked_the_limits_hold_and_no_other_cut_earns_more(what) -> None:
    who, money, rate, limits = what
    plan = plan_contacts(who, money, rate, limits)
    contacted, kept_back = plan.contacted, plan.kept_back
    assert limits.budget is None or len(contacted) * (money.cost_per_contact + money.offer_cost) <= limits.budget
    assert limits.head_count is None or len(contacted) <= limits.head_count
    assert (who.lot[contacted] >= limits.holdout_share).all()
    assert (who.lot[kept_back] < limits.holdout_share).all()
    assert len({*contacted.tolist(), *kept_back.tolist()}) == plan.cut
    profit = who.profit(money, rate.value)
    total = profit[contacted].sum() - (money.fixed_cost if len(contacted) else 0.0)
    assert plan.expected_profit == pytest.approx(total)
    assert plan.expected_profit >= 0
    # Any other list of a length that the limits allow, the dearest first, earns no more.
    free = np.sort(profit[who.lot >= limits.holdout_share])[::-1]
    allowed = limits.most_contacts(money, len(free))
    others = [free[:length].sum() - money.fixed_cost for length in range(1, allowed + 1)]
    assert max([0.0, *others]) == pytest.approx(plan.expected_profit)
    for cut in [*table(plan), *shown(plan)]:
        assert cut.churners + cut.false_alarms == pytest.approx(cut.contacts)
        assert 0 <= cut.caught_share <= 1 + 1e-9


def test_a_budget_is_not_overspent_by_rounding() -> None:
    money = Economics(cost_per_contact=0.1, margin=0.5)
    for contacts in range(1, 200):
        spent = sum([0.1] * contacts)
        most = Limits(budget=spent).most_contacts(money, 1000)
        assert most * 0.1 <= spent
        assert most >= contacts - 1
    assert Limits(budget=0.3).most_contacts(money, 1000) == 2  # three cost 0.30000000000000004


def test_hashes_are_those_of_the_published_function() -> None:
    # Test vectors of the authors: http://www.isthe.com/chongo/tech/comp/fnv
    found = fnv1a(pa.array(["", "a", "b", "foobar"]))
    assert found.tolist() == [0xCBF29CE484222325, 0xAF63DC4C8601EC8C, 0xAF63DF4C8601F1A5, 0x85944171F73967E8]
    assert fnv1a(pa.array(["bar"]), begin=b"foo").tolist() == [0x85944171F73967E8]


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(0, 5))
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_a_lot_hangs_on_the_names_alone_and_not_on_who_else_is_asked_about(names, skip) -> None:
    names = [name.encode(errors="ignore").decode() for name in names]
    ids = pa.array(names, type=pa.string())
    found = lots(ids, "june")
    assert ((found >= 0) & (found < 1)).all()
    alone = [float(lots(pa.array([name]), "june")[0]) for name in names]
    assert found.tolist() == alone
    assert lots(ids.slice(skip), "june").tolist() == alone[skip:]
    halves = pa.chunked_array([ids.slice(0, skip), ids.slice(skip)], type=pa.string())
    assert lots(halves, "june").tolist() == alone


def test_lots_are_even_and_one_campaign_says_nothing_of_another() -> None:
    ids = pa.array([f"m{n}" for n in range(200_000)])
    june, july = lots(ids, "june-calls"), lots(ids, "july-calls")
    counts = np.histogram(june, bins=50, range=(0, 1))[0]
    assert ((counts - 4000) ** 2 / 4000).sum() < 95  # chi-square with 49 degrees: 1 in 10,000
    both = ((june < 0.1) & (july < 0.1)).mean()
    assert both == pytest.approx(0.01, abs=0.0012)


def test_the_curve_is_drawn_as_a_picture_or_as_a_page_with_a_slider(tmp_path) -> None:
    rng = np.random.default_rng(3)
    who = Prospects(rng.beta(1, 6, 500), rng.gamma(2, 40, 500), rng.random(500))
    plan = plan_contacts(who, CALLS, SaveRate(0.3, 0.1, 0.5, MEASURED), Limits(head_count=60))
    picture = draw(tmp_path / "curve.png", plan, title="June", currency="EUR")
    assert picture.read_bytes().startswith(b"\x89PNG")
    page = draw(tmp_path / "curve.html", plan, title="June </title>", currency="</script>").read_text()
    assert 'type="range"' in page
    assert "June &lt;/title&gt;" in page
    assert page.count("</script>") == 1
    assert "http" not in page
    with pytest.raises(ConfigError, match=r"\.png or \.html"):
        draw(tmp_path / "curve.pdf", plan, title="June")
