"""A scoring answers only once requests were replayed on it."""

import pytest

from features.home import Home
from serving import reload
from serving.reload import Holder
from serving.state import State
from serving.warm_up import warm_up


def test_customers_carts_strangers_and_the_list_are_replayed(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = reload.warm_up.__globals__["recommend"]
    monkeypatch.setitem(
        warm_up.__globals__, "recommend", lambda of, one, where: (asked.append(one), original(of, one, where))[1]
    )
    count = warm_up(state)
    customers = {one.customer_id for one in asked}
    assert customers >= {"ann", "bob", "cat", "dan", "=eve", None, "\n"}  # the last is nobody's id
    assert [one.cart for one in asked if one.cart] == [["p0"], ["p1"], ["p2"]]
    assert count == len(asked) + 1


def test_the_scoring_before_answers_until_the_next_is_warm(
    scored_home: Home, write_scores, ranked_lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Holder(scored_home)
    seen = []
    monkeypatch.setattr(reload, "warm_up", lambda next_one: seen.append((holder.state.version, next_one.version)))
    holder.refresh()
    write_scores(scored_home, "v2", ranking=ranked_lists)
    holder.refresh()
    assert seen == [(None, "v1"), ("v1", "v2")]


def test_a_scoring_that_cannot_be_warmed_does_not_answer(
    scored_home: Home, write_scores, ranked_lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Holder(scored_home)
    assert holder.refresh()

    def fail(_: State) -> int:
        raise ValueError("lists do not fit the products")

    monkeypatch.setattr(reload, "warm_up", fail)
    write_scores(scored_home, "v2", ranking=ranked_lists)
    assert not holder.refresh()
    assert holder.state.version == "v1"
    assert holder.problem == "lists do not fit the products"
