"""Evidence against orders counted by hand."""

from pathlib import Path

import numpy as np

from tests.training.recommender.tiny import purchases
from training.evidence import load_evidence, save_evidence
from training.gather_evidence import gather, own_purchases

ORDERS = {
    "ann": [(100.0, ["milk", "bread"]), (110.0, ["milk"]), (114.0, ["milk"]), (130.0, ["milk", "tea"])],
    "bob": [(90.0, ["tea"])],
    "cy": [],
}
#: bread 0, milk 1, tea 2 by name; as the lists number them:
PLACE = np.array([3, 0, 2], dtype=np.int32)


def evidence():
    shape = (4, 1)
    return gather(
        purchases(ORDERS),
        PLACE,
        n_products=4,
        as_of_day=131.0,
        against=np.array([0 * 4 + 2, 1 * 4 + 0]),
        support=np.zeros(shape, dtype=np.int32),
        confidence=np.zeros(shape, dtype=np.float32),
        strength=np.zeros(shape, dtype=np.float32),
    )


def test_own_purchases_count_orders_last_day_and_median_gap_by_hand() -> None:
    own = own_purchases(purchases(ORDERS), PLACE)
    assert own.start.tolist() == [0, 3, 4, 4]
    assert own.products.tolist() == [0, 2, 3, 2]
    assert own.orders.tolist() == [4, 1, 1, 1]
    assert own.last.tolist() == [130, 130, 100, 90]
    np.testing.assert_array_equal(own.gap, [10, np.nan, np.nan, np.nan])  # gaps 10, 4, 16


def test_median_of_an_even_number_of_gaps_lies_between_the_middle_ones() -> None:
    days = [(0.0, ["a"]), (1.0, ["a"]), (4.0, ["a"])]
    assert own_purchases(purchases({"x": days}), np.array([0], dtype=np.int32)).gap.tolist() == [2.0]


def test_sales_of_products_now_and_before_by_hand() -> None:
    found = evidence()
    assert (found.orders, found.days, found.window_days) == (5, 41.0, 7.0)
    assert found.sold_orders.tolist() == [4, 0, 2, 1]
    assert found.sold_lately.tolist() == [1, 0, 1, 0]  # from day 124 on
    assert found.sold_before.tolist() == [0, 0, 0, 0]  # days 117 to 124
    np.testing.assert_array_equal(found.first_sold, [100, np.nan, 90, 100])
    assert found.against(0).tolist() == [2]
    assert found.against(1).tolist() == [0]
    assert found.against(2).tolist() == []


def test_evidence_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = evidence()
    save_evidence(found, tmp_path)
    again = load_evidence(tmp_path)
    assert again is not None
    np.testing.assert_array_equal(again.own_gap, found.own_gap)
    assert (again.orders, again.window_days, again.own(0)) == (found.orders, found.window_days, slice(0, 3))
    assert load_evidence(tmp_path / "none") is None


def test_evidence_beside_lists_overwrites_none_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "own_orders.npy").write_text("of the lists")
    save_evidence(evidence(), tmp_path)
    assert (tmp_path / "own_orders.npy").read_text() == "of the lists"
