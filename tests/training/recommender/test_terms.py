"""Terms of sale, stores, amounts, kinds of the next order: worked by hand, and nothing from the moment on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.matrix import Purchases, Terms
from tests.training.recommender.tiny import purchases, random_orders
from training.candidates.amounts import own_amounts
from training.candidates.history import lines_of
from training.candidates.kinds import NextKinds, in_kinds
from training.candidates.prices import PRIOR_LINES, Prices
from training.candidates.running import Running
from training.candidates.stores import DECAY, Stores
from training.ranking import list_weights

ANN = np.array([0], dtype=np.int32)


def with_terms(
    shop: Purchases, *, quantity: list[float], paid: list[float], saved: list[float], store: list[int]
) -> Purchases:
    """The shop on other terms, in the order of its lines and orders."""
    lines = [np.array(values, dtype=np.float32) for values in (quantity, paid, saved)]
    return replace(shop, terms=Terms(*lines, np.array(store, dtype=np.int32), max(store) + 1))


def test_running_sums_end_before_the_moment() -> None:
    days = np.array([3.0, 1.0, 2.0, 2.0])
    running = Running(np.array([0, 0, 0, 1]), days, {"sold": np.array([4, 1, 2, 8])})
    asked = np.array([0, 0, 0, 1, 2])
    moment = np.array([3.0, 3.5, 0.0, 9.0, 9.0])
    ever, one_day = running.before(asked, moment, np.inf, 1.0)
    assert ever["sold"].tolist() == [3, 7, 0, 8, 0]
    assert one_day["sold"].tolist() == [2, 4, 0, 0, 0]


def test_a_value_made_when_it_is_summed_is_the_value_and_none_counts_sales() -> None:
    codes, days, sold = np.array([0, 0, 1]), np.array([1.0, 2.0, 2.0]), np.array([4, 2, 8])
    running = Running(codes, days, {"sold": sold, "later": lambda: sold, "times": None})
    (found,) = running.before(np.array([0, 0, 1]), np.array([2.0, 9.0, 9.0]), np.inf)
    assert found["sold"].tolist() == found["later"].tolist() == [4, 6, 8]
    assert found["times"].tolist() == [1, 2, 1]


def test_running_sums_of_nothing_are_nothing() -> None:
    empty = np.empty(0)
    running = Running(empty.astype(np.int64), empty, {"sold": empty})
    (found,) = running.before(np.array([0, 5]), np.array([1.0, 2.0]), np.inf)
    assert found["sold"].tolist() == [0, 0]


def test_prices_tell_an_offer_from_the_usual_price_and_the_own_supply() -> None:
    # ann buys a twice, bob buys a on offer the day before ann is asked, and on the day itself at another price.
    shop = purchases({"ann": [(0, "a"), (20, "a")], "bob": [(29, "a"), (30, "a")]})
    shop = with_terms(shop, quantity=[1, 3, 1, 1], paid=[10, 30, 5, 99], saved=[0, 0, 5, 0], store=[0, 0, 0, 0])
    found = Prices().fit(shop).at(ANN, np.array([30.0]), np.array([0]), np.array([0]))
    value = {name: float(of[0]) for name, of in found.items()}
    usual = (1 + PRIOR_LINES * 0.25) / (3 + PRIOR_LINES)
    assert value["offer_share"] == pytest.approx(usual)
    assert value["offer_share_7"] == pytest.approx((1 + PRIOR_LINES * usual) / (1 + PRIOR_LINES))
    assert value["offer_more_7"] > 0
    assert value["depth_more"] > 0
    assert value["price_now"] == pytest.approx(5 / (45 / 5))
    assert value["line_paid"] == pytest.approx(45 / 3)
    assert value["customer_line_paid"] == pytest.approx(40 / 2)
    assert value["own_offer_share"] == value["own_last_offer"] == 0
    assert value["own_last_supply"] == pytest.approx(3 / 2)
    assert value["own_last_supply_of_usual"] == pytest.approx(3 / (5 / 3))
    assert value["own_price_now"] == pytest.approx(5 / 10)


def test_prices_are_unknown_where_the_shop_says_nothing_of_them() -> None:
    shop = purchases({"ann": [(0, "ab"), (20, "a")]})
    told = Prices().fit(shop).at(ANN, np.array([30.0]), np.zeros(2, dtype=int), np.array([0, 1]))
    silent = Prices().fit(replace(shop, terms=None)).at(ANN, np.array([30.0]), np.zeros(2, dtype=int), np.array([0, 1]))
    assert list(told) == list(silent)
    assert all(np.isnan(of).all() for of in silent.values())
    assert np.isfinite(told["line_paid"]).all()


def test_stores_count_what_the_customers_last_store_sold_before() -> None:
    shop = purchases({"ann": [(0, "a"), (1, "b"), (2, "b")], "bob": [(1, "a"), (2, "a"), (3, "b")]})
    shop = with_terms(shop, quantity=[1] * 6, paid=[1] * 6, saved=[0] * 6, store=[0, 1, 0, 0, 0, 1])
    found = Stores().fit(shop).at(ANN, np.array([2.0]), np.zeros(2, dtype=int), np.array([0, 1]))
    # Store 0 before day 2: a on day 0 of ann, on day 1 of bob; what is bought on day 2 itself is in nothing but own.
    assert found["store_orders"].tolist() == [2, 0]
    assert found["store_share"].tolist() == [1, 0]
    assert found["own_store_share"].tolist() == pytest.approx([DECAY**2 / (1 + DECAY**2), 1 / (1 + DECAY**2)])
    unknown = Stores().fit(replace(shop, terms=None)).at(ANN, np.array([2.0]), np.zeros(2, dtype=int), np.array([0, 1]))
    assert list(unknown) == list(found)
    assert all(np.isnan(of).all() for of in unknown.values())


def test_amounts_count_lines_instead_of_orders() -> None:
    shop = purchases({"ann": [(0, "ab"), (10, "cde"), (20, "ab"), (30, "f")]})
    lines = lines_of(shop, ANN)
    keys = np.unique(lines.products)
    found = own_amounts(shop, ANN, lines, keys)
    # After a's last order one line was bought; five from the end of its first order to the end of its last.
    assert found["lines_since"][0] == 1
    assert found["lines_gap"][0] == 5
    assert found["lines_due"][0] == pytest.approx(1 / 5)
    assert np.isnan(found["lines_gap"][5])
    assert found["mean_log_size"].tolist() == pytest.approx([np.log(2)] * 2 + [np.log(3)] * 3 + [0])
    # Half a weight after eight mean orders, which hold two lines each.
    assert found["decay_lines"][0] == pytest.approx(0.5 ** (1 / 16) + 0.5 ** (6 / 16))
    weights = np.array([2 * 0.9**3, 3 * 0.9**2, 2 * 0.9, 1])
    assert found["share_of_large"][2] == pytest.approx(weights[1] / weights.sum())
    assert np.isnan(found["gap_regularity"]).all()


def test_amounts_of_a_customer_do_not_depend_on_who_else_is_asked_about() -> None:
    shop = purchases(random_orders(np.random.default_rng(6), customers=12, products=10))
    everyone = np.arange(shop.n_customers, dtype=np.int32)

    def of(customers: np.ndarray) -> dict[str, np.ndarray]:
        lines = lines_of(shop, customers)
        return own_amounts(shop, customers, lines, np.unique(lines.rows * shop.n_products + lines.products))

    parts = [of(everyone[code : code + 1]) for code in everyone]
    for name, values in of(everyone).items():
        np.testing.assert_allclose(values, np.concatenate([part[name] for part in parts]), rtol=1e-5)


def test_orders_in_kinds_hold_each_kind_once_and_leave_out_what_has_none() -> None:
    shop = purchases({"ann": [(0, "abc"), (1, "d")], "bob": [(2, "ad")]})
    kinds = in_kinds(shop, np.array([1, 1, 0, -1], dtype=np.int32))
    assert kinds.n_orders == shop.n_orders
    assert kinds.order_sizes.tolist() == [2, 0, 1]
    assert kinds.products.tolist() == [0, 1, 1]
    assert kinds.terms is None


def test_a_kind_that_is_due_speaks_for_all_its_products() -> None:
    # Everybody alternates between two kinds, each time with another product of it.
    orders = {
        f"c{n:02d}": [(day, "ab"[day // 2 % 2] if day % 2 else "xy"[n % 2]) for day in range(8)] for n in range(30)
    }
    shop = purchases(orders)
    classes = np.array([0, 0, 1, 1], dtype=np.int32)
    customers = np.array([0, 1], dtype=np.int32)
    rows, products = np.repeat([0, 1], 4), np.tile(np.arange(4), 2)
    score = NextKinds(classes, products=10).fit(shop).at(customers, rows, products).reshape(2, 4)
    assert (score[:, 0] == score[:, 1]).all()
    assert (score[:, 2] == score[:, 3]).all()
    without = NextKinds(np.array([0, 0, 1, -1], dtype=np.int32), products=10).fit(shop).at(customers, rows, products)
    assert np.isnan(without[products == 3]).all()
    assert np.isfinite(without[products != 3]).all()


def test_a_list_weighs_what_its_candidates_can_still_win_of_its_order() -> None:
    ideal = np.cumsum(1 / np.log2(np.arange(2, 22)))
    found = list_weights(np.array([1, 1, 5, 25, 0]), np.array([1, 20, 5, 40, 3]), 20)
    assert found.tolist() == pytest.approx([1, 1 / ideal[9], 1, ideal[19] / ideal[9], 0])
