from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import DataError
from training.uplift_metrics import Contacts, Order, uplift_metrics


def contacts(treated: list[int], kept: list[int], chance: float | list[float] = 0.5) -> Contacts:
    n = len(treated)
    chances = np.broadcast_to(np.array(chance, dtype=float), n)
    return Contacts(np.array(treated, dtype=bool), np.array(kept, dtype=bool), chances, np.arange(n))


FOUR = contacts([1, 0, 1, 0], [1, 0, 0, 1])


def test_the_curves_worked_by_hand() -> None:
    found = Order(np.array([4.0, 3.0, 2.0, 1.0]), FOUR).curves()
    # Among the first 1, 2, 3 and 4 the arms differ by 1, 1, 1/2 and 0; half of the contacted are the first.
    np.testing.assert_allclose(found.share, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.gain, [0, 0.25, 0.5, 0.375, 0])
    np.testing.assert_allclose(found.qini, [0, 0.5, 0.5, 0.5, 0])
    assert found.measures()["auuc"] == pytest.approx(0.28125)
    assert found.measures()["qini"] == pytest.approx(0.375)


def test_the_same_uplift_for_all_is_chance() -> None:
    measures = Order(np.zeros(4), FOUR).curves().measures()
    assert measures["qini"] == pytest.approx(0)
    assert measures["effect"] == measures["effect@10%"] == pytest.approx(0)


def test_customers_of_one_uplift_come_in_together_whatever_their_order() -> None:
    uplift = np.array([1.0, 2.0, 1.0, 2.0])
    turned = contacts([0, 1, 0, 1], [1, 0, 0, 1])
    one = Order(uplift, turned).curves().measures()
    other = Order(uplift[::-1].copy(), contacts([1, 0, 1, 0], [1, 0, 0, 1])).curves().measures()
    assert one == pytest.approx(other)


def test_campaigns_that_held_out_other_shares_do_not_make_an_effect() -> None:
    # 9 in 10 stay in a campaign that calls 9 in 10; 1 in 10 stay in one that calls 1 in 10; a call does nothing.
    arms = [(1, 1, 81, 0.9), (1, 0, 9, 0.9), (0, 1, 9, 0.9), (0, 0, 1, 0.9)]
    arms += [(1, 1, 1, 0.1), (1, 0, 9, 0.1), (0, 1, 9, 0.1), (0, 0, 81, 0.1)]
    treated, kept, chance = (np.repeat([arm[place] for arm in arms], [arm[2] for arm in arms]) for place in (0, 1, 3))
    found = Order(np.zeros(200), contacts(treated.tolist(), kept.tolist(), chance.tolist())).curves().measures()
    assert found["effect"] == pytest.approx(0)


def test_an_interval_holds_its_value_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    many = contacts(rng.integers(0, 2, 400).tolist(), rng.integers(0, 2, 400).tolist())
    uplift = rng.normal(size=400)
    one, again = (uplift_metrics(uplift, many, rng=np.random.default_rng(1), resamples=100) for _ in range(2))
    assert one == again
    assert all(metric.low < metric.value < metric.high for metric in one)


def test_a_customer_of_several_campaigns_is_drawn_whole() -> None:
    both = np.array([True, True, False, False])
    twice = Contacts(both, both, np.full(4, 0.5), np.array([0, 0, 1, 1]))
    order = Order(np.zeros(4), twice)
    assert order.curves(np.array([2, 1])).gain[-1] == pytest.approx(1)
    effects = {order.draw(np.random.default_rng(seed)).gain[-1] for seed in range(30)}
    # Both, or one of them twice: then an arm is empty and says 0.
    assert effects <= {1.0, 0.0}
    assert len(effects) == 2


def test_who_was_sure_to_be_contacted_is_refused() -> None:
    with pytest.raises(DataError, match="nothing was drawn"):
        contacts([1, 0], [1, 0], 1.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(-1, 1)), min_size=4, max_size=40))
def test_turning_the_order_round_never_changes_the_effect_of_contacting_everybody(rows: list) -> None:
    treated, kept, uplift = (np.array(column) for column in zip(*rows, strict=True))
    found = contacts(treated.tolist(), kept.tolist())
    ends = [Order(sign * uplift, found).curves().gain[-1] for sign in (1.0, -1.0)]
    assert ends[0] == pytest.approx(ends[1])
