from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.fairness import fairness, parities
from training.segments import attribute_groups, by_group, groupings, selection, weak_groups

CUSTOMERS = 400


def two_groups(*, other_rate: float = 0.1, predicted_other: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two hundred customers each of north and south: what came true, what was predicted, and where they live."""
    rng = np.random.default_rng(0)
    place = np.repeat(np.array(["north", "south"], dtype=object), CUSTOMERS // 2)
    rate = np.where(place == "north", 0.1, other_rate)
    happened = (np.arange(CUSTOMERS) % (CUSTOMERS // 2)) < rate * CUSTOMERS / 2
    predicted = np.where(place == "north", 0.1, predicted_other) + rng.uniform(-0.01, 0.01, CUSTOMERS)
    return happened, predicted, place


def test_the_selected_are_a_tenth_and_ties_at_the_edge_count_in_equal_parts() -> None:
    assert selection(np.arange(20.0)).tolist() == [0.0] * 18 + [1.0] * 2
    assert selection(np.zeros(20)).tolist() == [0.1] * 20
    assert selection(np.array([3.0, 1, 1, 1]), 0.5).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])


def test_a_group_is_measured_on_its_own_customers() -> None:
    happened, predicted, place = two_groups(other_rate=0.3, predicted_other=0.1)
    north, south = by_group("where", place, happened, predicted)
    assert (north.group, north.customers, north.happened) == ("north", 200, 0.1)
    assert south.happened == 0.3
    assert north.ratio == pytest.approx(1.0, abs=0.02)
    assert south.ratio == pytest.approx(3.0, abs=0.05)
    assert (north.weak, south.weak) == (None, "happens more often than predicted")
    assert weak_groups([north, south]) == ["where south (200 customers): happens more often than predicted"]


def test_a_group_in_which_nothing_happened_is_no_proof() -> None:
    happened, predicted, place = two_groups(other_rate=0.0, predicted_other=0.012)
    _, south = by_group("where", place, happened, predicted)
    assert (south.ratio, south.auc, south.reached) == (0.0, None, None)
    # None of 200 is not surely less than 1.2 in a hundred.
    assert south.weak is None


def test_a_group_told_apart_worse_than_the_others_is_weak() -> None:
    rng = np.random.default_rng(1)
    place = np.repeat(np.array(["known", "unknown"], dtype=object), 500)
    happened = rng.random(1_000) < 0.3
    helps = np.where(place == "known", 0.5, 0.0) * happened
    predicted = np.clip(0.15 + helps + rng.uniform(0, 0.3, 1_000), 0, 1)
    known, unknown = by_group("data", place, happened, predicted)
    assert known.auc == 1.0
    assert unknown.auc_high is not None
    assert unknown.auc_high < 0.7
    assert unknown.weak == "told apart worse than all customers are"


def test_too_few_customers_are_shown_and_not_judged() -> None:
    happened, predicted, place = two_groups()
    place[:29] = "east"
    east = by_group("where", place, happened, predicted)[-1]
    assert (east.group, east.customers) == ("east", 29)
    assert (east.ratio, east.auc, east.weak) == (None, None, None)


def test_amounts_have_no_auc_and_their_mean_is_compared() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat(np.array(["north", "south"], dtype=object), 200)
    spent = rng.gamma(2, 10, CUSTOMERS)
    north, south = by_group("where", place, spent, np.where(place == "north", 20.0, 40.0), is_amount=True)
    assert (north.auc, south.auc) == (None, None)
    assert south.weak == "happens less often than predicted"


def test_customers_are_grouped_by_stage_tenure_orders_and_attributes() -> None:
    frame = pd.DataFrame(
        {
            "days_since_last_order": [3.0, 20.0, 3.0],
            "days_since_first_order": [3.0, 200.0, 400.0],
            "orders_life": [1.0, 30.0, 90.0],
            "attribute_age": ["20-39", None, "40-59"],
            "attribute_children": [0.0, 1.0, np.nan],
        }
    )
    found = {kind: labels.tolist() for kind, labels in groupings(frame, horizon_days=28).items()}
    assert found == {
        "stage": ["new", "slipping", "regular"],
        "tenure": ["up to 90 days", "91 to 365 days", "over a year"],
        "orders": ["one order", "several orders", "several orders"],
        "attribute_age": ["20-39", "not known", "40-59"],
        "attribute_children": ["0.0", "1.0", "not known"],
    }


def test_attributes_of_many_values_keep_the_most_frequent_and_numbers_are_cut_in_quarters() -> None:
    rows = 120
    frame = pd.DataFrame(
        {
            "attribute_town": [f"t{min(row, 9)}" if row < 20 else f"t{row % 8}" for row in range(rows)],
            "attribute_income": np.arange(rows, dtype=float),
        }
    )
    found = attribute_groups(frame)
    assert len(set(found["attribute_town"])) == 9
    assert "other" in found["attribute_town"]
    assert sorted(np.unique(found["attribute_income"], return_counts=True)[1]) == [30, 30, 30, 30]


def test_who_is_selected_less_and_reached_less_is_told() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat(np.array(["north", "south"], dtype=object), 500)
    happened = np.arange(1_000) % 10 == 0
    predicted = np.where(place == "north", 0.12, 0.08) + 0.001 * rng.random(1_000)
    [parity] = parities(by_group("attribute_place", place, happened, predicted))
    assert (parity.least_selected, parity.most_selected, parity.selection_ratio) == ("south", "north", 0.0)
    assert parity.told[0] == "south is selected 0.00 times as often as north; it happens to them 1.00 times as often"
    assert parities(by_group("stage", place, happened, predicted)) == []


def test_groups_alike_have_nothing_told_of_them() -> None:
    happened, _, place = two_groups()
    predicted = np.tile(np.linspace(0.05, 0.15, CUSTOMERS // 2)[::-1], 2)
    groups = by_group("attribute_place", place, happened, predicted)
    found = fairness([group.as_json() for group in groups])
    assert found["attributes"][0]["selection_ratio"] == 1.0
    assert found["attributes"][0]["told"] == ()
    assert [group["group"] for group in found["groups"]] == ["north", "south"]
