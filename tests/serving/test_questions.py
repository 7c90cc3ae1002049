"""Every question, and that its reasons say what the orders say; numbers counted by hand from ORDERS."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from serving.circumstances import Circumstances
from serving.live import Bought, Interest
from serving.recommend import recommend
from serving.schemas import Filters, Grounds, Item, RecommendationRequest, Recommendations
from serving.state import State
from tests.serving.small_scores import AS_OF, small_state
from training.ranked_lists import NO_PRODUCT, SOURCES

NOW = AS_OF.replace(tzinfo=None)


def product(product_id: str, category: str, brand: str, price: float, **other: object) -> dict[str, object]:
    given = {"product_id": product_id, "name": product_id.title(), "category": category, "brand": brand}
    return {**given, "price": price, **other}


PRODUCTS = [
    product("beans", "coffee", "Kapp", 9.0),
    product("filters", "coffee", "Melitta", 3.0),
    product("grinder", "coffee", "Kapp", 60.0),
    product("decaf", "coffee", "Kapp", 8.5, listed_at=NOW - timedelta(days=3)),  # never sold
    product("mug", "crockery", "Studio", 7.0),
    product("plate", "crockery", "Studio", 9.0, listed_at=NOW - timedelta(days=5)),  # never sold
    product("old", "crockery", "Studio", 5.0, listed_at=NOW - timedelta(days=90)),  # never sold
    product("milk", "dairy", "Alp", 1.2),
    product("oats", "cereal", "Alp", 2.2),
]
ORDERS = {
    # beans on days 62, 50, 38, 26, 14 before: every 12 days, last 14 days ago.
    "ann": [(62, ["beans"]), (50, ["beans", "filters"]), (38, ["beans"]), (26, ["beans"]), (14, ["beans", "mug"])],
    "bob": [(20, ["milk"]), (10, ["milk"]), (3, ["oats", "milk"])],
    # Beans and filters meet 8 times more, beside 20 orders of other things: no chance pair.
    **{f"c{n}": [(300 + n, ["beans", "filters"]), (200 + n, ["milk"])] for n in range(8)},
    **{f"d{n}": [(100 + n, ["oats"])] for n in range(20)},
    # Milk sells more in the last weeks than in those before.
    **{f"e{n}": [(2 + n / 10, ["milk"])] for n in range(30)},
}


@pytest.fixture(scope="module")
def shop() -> State:
    return small_state(ORDERS, PRODUCTS, newcomers={"new": ["oats", "mug"]})


def ask(shop: State, circumstances: Circumstances | None = None, **request: object) -> Recommendations:
    return recommend(shop, RecommendationRequest(**request), circumstances or Circumstances("r", now=NOW))


def ids(answer: Recommendations) -> list[str]:
    return [item.product_id for item in answer.items]


def item(answer: Recommendations, product_id: str) -> Item:
    return next(found for found in answer.items if found.product_id == product_id)


def test_a_product_bought_in_a_rhythm_says_how_often_and_how_long_ago(shop: State) -> None:
    found = item(ask(shop, customer_id="ann", k=3), "beans")
    assert found.reason == "You buy this about every 12 days; last 14 days ago"
    assert found.grounds == Grounds(orders=5, every_days=12.0, days_ago=14, due_on="2024-05-30")


def test_a_product_bought_once_says_when(shop: State) -> None:
    found = item(ask(shop, customer_id="ann", k=3), "filters")
    assert (found.reason, found.grounds.days_ago) == ("Bought once before, 50 days ago", 50)


def test_days_are_counted_to_now_and_to_the_scores_where_those_are_of_the_past(shop: State) -> None:
    later = Circumstances("r", now=NOW + timedelta(days=6))
    assert item(ask(shop, later, customer_id="ann"), "beans").grounds.days_ago == 20
    years = Circumstances("r", now=NOW + timedelta(days=2000))
    assert item(ask(shop, years, customer_id="ann"), "beans").grounds.days_ago == 14


def test_a_live_purchase_counts_in_the_reason_at_once(shop: State) -> None:
    live = Interest(bought={"beans": Bought(1, NOW - timedelta(days=1))})
    found = item(ask(shop, Circumstances("r", now=NOW, interest=live), customer_id="ann"), "beans")
    assert found.reason == "You buy this about every 12 days; last yesterday"
    assert found.grounds.orders == 6


def test_cart_complements_say_the_share_of_orders_counted_by_hand(shop: State) -> None:
    answer = ask(shop, cart=["beans"], k=1)
    assert (answer.strategy, ids(answer)) == ("cart", ["filters"])
    # 13 orders hold beans (5 of ann, 8 of the c), 9 of them filters too.
    assert answer.items[0].reason == "Bought with Beans in your cart in 69% of the orders with it"
    assert answer.items[0].grounds.support == 9
    assert answer.items[0].grounds.confidence == pytest.approx(9 / 13, abs=1e-4)
    assert answer.items[0].grounds.product_id == "beans"
    # Of all 74 orders (5, 3, 16, 20 and 30), 9 hold filters.
    assert answer.items[0].grounds.lift == pytest.approx(9 / 13 / (9 / 74), abs=0.01)


def test_bought_together_leaves_out_pairs_of_chance(shop: State) -> None:
    answer = ask(shop, question="bought_together", product_id="beans", k=3)
    together = [found.product_id for found in answer.items if found.source == "bought_together"]
    assert together == ["filters"]  # mug met beans once


def test_buy_again_gives_what_is_due_and_when(shop: State) -> None:
    answer = ask(shop, question="buy_again", customer_id="ann", k=2)
    assert (answer.strategy, ids(answer)) == ("due", ["beans", "mug"])
    assert [found.source for found in answer.items] == ["due", "own_history"]
    assert answer.items[0].grounds.due_on == "2024-05-30"


def test_buy_again_is_not_due_right_after_buying(shop: State) -> None:
    earlier = Circumstances("r", now=NOW - timedelta(days=13))
    assert ask(shop, earlier, question="buy_again", customer_id="ann", k=1).items[0].source == "own_history"


def test_buy_again_for_somebody_unknown_is_plainer_and_says_so(shop: State) -> None:
    answer = ask(shop, question="buy_again", customer_id="nobody", k=2)
    assert (answer.strategy, len(answer.items)) == ("popular", 2)
    assert answer.fallback == "customer 'nobody' is not known"


def test_trending_says_sales_now_and_before(shop: State) -> None:
    answer = ask(shop, question="trending", k=2)
    assert (answer.strategy, answer.items[0].product_id) == ("trending", "milk")
    # The window is 8 % of 307 days, in whole days: 24. Within it 3 of bob and 30; none in the 24 before.
    assert answer.items[0].reason == "In 33 orders of the last 24 days, in 0 of the 24 before"
    assert [found.source for found in answer.items] == ["trending", "popular"]


def test_new_arrivals_of_a_kind_the_customer_buys_come_first(shop: State) -> None:
    answer = ask(shop, question="new_arrivals", customer_id="ann", k=2)
    assert (answer.strategy, ids(answer)) == ("new", ["decaf", "plate"])
    # 5 times beans and once filters of coffee; the mug is the one piece of crockery.
    assert answer.items[0].reason == "New since 2024-05-29; you bought coffee 6 times"
    assert answer.items[1].reason == "New since 2024-05-27; you bought crockery once"


def test_new_arrivals_for_nobody_known_stand_newest_first(shop: State) -> None:
    answer = ask(shop, question="new_arrivals", k=2)
    assert ids(answer) == ["decaf", "plate"]
    assert answer.items[0].reason == "New since 2024-05-29"


def test_a_product_listed_today_without_a_sale_appears_today(shop: State) -> None:
    similar = ask(shop, question="similar", product_id="beans", k=3)
    assert ids(similar)[0] == "decaf"  # same category and brand, nearest in price
    assert similar.items[0].reason == "Also in coffee, also by Kapp"
    page = ask(shop, question="category", filters=Filters(category="crockery"), k=3)
    assert set(ids(page)) == {"mug", "plate", "old"}


def test_products_without_a_sale_have_similar_ones_too(shop: State) -> None:
    assert ask(shop, question="similar", product_id="plate", k=1).items[0].source == "category"


def test_a_category_page_stands_by_the_customer_and_shows_what_lies_in_the_cart_too(shop: State) -> None:
    page = Filters(category="coffee")
    anns = ask(shop, question="category", customer_id="ann", cart=["beans"], filters=page, k=10)
    assert set(ids(anns)) == {"beans", "filters", "grinder", "decaf"}
    alone = ask(shop, question="category", customer_id="ann", filters=page, k=10)
    assert ids(alone)[:2] == ["beans", "filters"]
    second = ask(shop, question="category", customer_id="ann", filters=page, k=2, offset=2)
    assert ids(second) == ids(alone)[2:]
    assert [found.rank for found in second.items] == [3, 4]


def test_a_customer_with_a_profile_and_no_order_gets_what_the_profile_buys(shop: State) -> None:
    answer = ask(shop, customer_id="new", k=2)
    assert (answer.strategy, ids(answer)) == ("profile", ["oats", "mug"])
    assert answer.items[0].reason == "Popular with customers of a profile like this one"
    assert answer.fallback == "customer 'new' has no order yet"


def test_a_purchase_says_more_than_a_cart_and_a_cart_more_than_a_view(shop: State) -> None:
    def weighed(**seen: object) -> float:
        return ask(shop, Circumstances("r", now=NOW, interest=Interest(**seen)), k=1).items[0].score or 0

    viewed, carted = weighed(views=("beans",)), weighed(cart=("beans",))
    bought = weighed(bought={"beans": Bought(1, NOW)})
    # The list of nobody known begins with what was bought itself; its neighbour stands behind it.
    live = Circumstances("r", now=NOW, interest=Interest(bought={"beans": Bought(1, NOW)}), rebuy_after=NOW)
    bought = item(ask(shop, live, k=3), "filters").score
    assert bought > carted > viewed > 0


def test_what_was_disliked_is_not_returned_and_counts_against_what_goes_with_it(shop: State) -> None:
    disliked = Circumstances("r", now=NOW, interest=Interest(views=("milk",), against=("beans",)))
    assert "beans" not in ids(ask(shop, disliked, k=9))
    both = Circumstances("r", now=NOW, interest=Interest(views=("filters",), against=("filters",)))
    answer = ask(shop, both, k=9)
    assert not [found for found in answer.items if found.source == "session"]


def test_what_was_sent_back_is_not_suggested_again() -> None:
    state = small_state(ORDERS, PRODUCTS, against=[("ann", "beans")])
    assert "beans" not in ids(ask(state, customer_id="ann", k=9))
    assert "beans" in ids(ask(state, customer_id="bob", k=9))


@pytest.mark.parametrize("question", ["similar", "bought_together"])
def test_questions_around_a_product_need_one(client, question: str) -> None:
    answer = client.post("/v1/recommendations", json={"question": question})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "product_id"


def test_a_page_asks_different_questions_and_shows_no_product_twice(client) -> None:
    places = [
        {"placement": "again", "k": 1, "question": "buy_again"},
        {"placement": "like", "k": 2, "question": "similar", "product_id": "p3"},
        {"placement": "trend", "k": 1, "question": "trending"},
    ]
    answers = client.post("/v1/recommendations/page", json={"customer_id": "ann", "placements": places}).json()
    shown = [found["product_id"] for answer in answers["answers"] for found in answer["items"]]
    assert len(shown) == len(set(shown)) == 4


def test_product_routes_take_filters(client) -> None:
    answer = client.get("/v1/products/p0/bought-together?k=5&max_price=3").json()
    assert all(found["price"] <= 3 for found in answer["items"])
    assert datetime.fromisoformat(answer["as_of"]) == AS_OF


@pytest.mark.parametrize(
    ("source", "reason"), [("item_item", "People who buy Mug buy this"), ("next_order", "Often bought after Mug")]
)
def test_a_product_never_bought_names_the_own_product_that_says_most_for_it(
    shop: State, source: str, reason: str
) -> None:
    ranking = shop.ranking
    codes = shop.catalogue.codes
    ann = shop.rows["ann"]
    lists, sources, own = ranking.lists.copy(), ranking.sources.copy(), ranking.own_orders.copy()
    because = np.full(lists.shape, NO_PRODUCT, dtype=np.int32)
    lists[ann, 0], sources[ann, 0], own[ann, 0] = codes["oats"], SOURCES.index(source), 0
    because[ann, 0] = codes["mug"]
    named = replace(shop, ranking=replace(ranking, lists=lists, sources=sources, own_orders=own, because=because))
    found = ask(named, customer_id="ann", k=1).items[0]
    assert (found.product_id, found.reason) == ("oats", reason)
    assert found.grounds.product_id == "mug"


def test_a_small_share_of_orders_is_told_as_times_chance_by_hand() -> None:
    orders = {
        **{f"b{n}": [(n + 1.0, ["bananas"])] for n in range(190)},
        **{f"both{n}": [(n + 1.0, ["bananas", "cake"])] for n in range(8)},
        "none": [(float(n + 1), ["milk"]) for n in range(202)],
    }
    found = ask(small_state(orders, PRODUCTS), question="bought_together", product_id="bananas", k=1).items[0]
    # 8 of 198 orders with bananas hold cake: 4 %; 8 of all 400 do: 2 %.
    assert found.reason == "Bought with bananas in 8 orders, 2.0 times as often as by chance"


def test_a_product_bought_every_other_day_is_due_for_two_weeks() -> None:
    state = small_state({"ann": [(13.0 + 2 * n, ["milk"]) for n in range(5)]}, PRODUCTS)
    assert ask(state, question="buy_again", customer_id="ann", k=1).items[0].source == "due"
    later = Circumstances("r", now=NOW + timedelta(days=4))
    assert ask(state, later, question="buy_again", customer_id="ann", k=1).items[0].source == "own_history"
