import pytest

from features.home import Home
from serving.circumstances import Circumstances
from serving.recommend import bought_together, recommend, similar
from serving.schemas import Filters, RecommendationRequest, Recommendations
from serving.state import State, load_state


def ask(state: State, **request: object) -> Recommendations:
    return recommend(state, RecommendationRequest(**request), Circumstances(request_id="r1"))


def ids(answer: Recommendations) -> list[str]:
    return [item.product_id for item in answer.items]


def test_known_customer_gets_own_list_without_what_is_out_of_stock_then_popular(state: State) -> None:
    answer = ask(state, customer_id="ann", k=4)
    assert ids(answer) == ["p1", "p2", "p0", "p4"]
    assert [item.source for item in answer.items] == ["own_history", "als", "popular", "catalogue"]
    assert [item.rank for item in answer.items] == [1, 2, 3, 4]
    assert answer.strategy == "personal"
    assert answer.fallback is None
    assert answer.model_version == 3


def test_reasons_say_what_the_data_say(state: State) -> None:
    reasons = [item.reason for item in ask(state, customer_id="ann", k=3).items]
    assert reasons == [
        "Bought in 5 of your orders",
        "Bought by customers who buy what you buy",
        "Popular with all customers now",
    ]


def test_unknown_customer_gets_popular_products_and_is_told(state: State) -> None:
    answer = ask(state, customer_id="nobody", k=2)
    assert ids(answer) == ["p0", "p1"]
    assert answer.strategy == "popular"
    assert answer.fallback == "customer 'nobody' is not known"


def test_cart_leads_and_its_products_are_not_returned(state: State) -> None:
    answer = ask(state, cart=["p0"], customer_id="bob", k=3)
    assert ids(answer) == ["p1", "p2", "p4"]
    assert answer.strategy == "cart"
    assert answer.items[0].reason == "Often in the same order as Apples"
    assert answer.items[2].source == "popular"  # from bob's own list, where popularity put it


def test_lifts_of_several_cart_products_add_up_and_the_strongest_tie_is_named(state: State) -> None:
    answer = ask(state, cart=["p0", "p2"], k=1)
    assert ids(answer) == ["p1"]
    assert answer.items[0].score == pytest.approx(5.0)
    assert answer.items[0].reason == "Often in the same order as Cheese"


def test_unknown_cart_product_is_named_and_popular_products_answer(state: State) -> None:
    answer = ask(state, cart=["zzz"], k=2)
    assert answer.strategy == "popular"
    assert answer.fallback == "not known in the cart: 'zzz'"
    assert len(answer.items) == 2


def test_session_products_answer_when_the_cart_is_empty(state: State) -> None:
    answer = ask(state, session=["p1"], k=1)
    assert (answer.strategy, ids(answer)) == ("session", ["p0"])


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6, 50])
def test_exactly_k_products_whenever_there_are_k_eligible(state: State, k: int) -> None:
    assert len(ask(state, customer_id="ann", k=k).items) == min(k, 5)  # 6 products, one out of stock
    assert len(set(ids(ask(state, customer_id="ann", k=k)))) == min(k, 5)


def test_out_of_stock_products_come_only_when_asked_for(state: State) -> None:
    assert "p3" not in ids(ask(state, customer_id="ann", k=50))
    assert ids(ask(state, customer_id="ann", k=2, filters=Filters(in_stock=False))) == ["p1", "p3"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(category="fruit", in_stock=False), {"p0", "p3"}),
        (Filters(department="dairy"), {"p2", "p4"}),
        (Filters(brand="Mill"), {"p1"}),
        (Filters(brand="Mill", category="fruit"), set()),
        (Filters(exclude=["p0", "p1", "unheard of"]), {"p2", "p4", "p5"}),
    ],
)
def test_filters_hold_for_every_product_and_find_all_there_are(
    state: State, filters: Filters, expected: set[str]
) -> None:
    assert set(ids(ask(state, customer_id="bob", k=10, filters=filters))) == expected


def test_missing_recommender_answers_none_and_says_why(home: Home, write_scores) -> None:
    write_scores(home, models={"recommender": None, "churn": 2})
    answer = ask(load_state(home), customer_id="ann")
    assert (answer.items, answer.strategy, answer.model_version) == ([], "none", None)
    assert "no recommender champion" in answer.fallback


def test_nothing_scored_answers_none_and_says_why(home: Home) -> None:
    answer = ask(load_state(home), customer_id="ann")
    assert (answer.items, answer.strategy) == ([], "none")
    assert "nothing is scored yet" in answer.fallback


def test_bought_together_names_the_product_and_falls_back_to_popular(state: State) -> None:
    known = bought_together(state, "p0", Circumstances("r"), k=2)
    assert (known.strategy, ids(known), known.fallback) == ("bought_together", ["p1", "p2"], None)
    lonely = bought_together(state, "p4", Circumstances("r"), k=2)
    assert (lonely.strategy, ids(lonely), lonely.fallback) == ("popular", ["p0", "p1"], "product 'p4' has none")
    unknown = bought_together(state, "zzz", Circumstances("r"), k=1)
    assert (unknown.strategy, unknown.fallback) == ("popular", "not known in the request: 'zzz'")


def test_similar_products_share_the_category(state: State) -> None:
    answer = similar(state, "p3", Circumstances("r"), k=1)
    assert (answer.strategy, ids(answer), answer.items[0].reason) == (
        "category",
        ["p0"],
        "Also in fruit, also by Orchard",
    )
    plain = similar(state, "p5", Circumstances("r"), k=1)
    assert (plain.strategy, plain.fallback) == ("popular", "product 'p5' has none")
