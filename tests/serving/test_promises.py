"""What a shop is promised, whatever is asked: each a property over questions, filters, rules, dials and fallbacks."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.circumstances import Circumstances
from serving.live import Bought, Interest
from serving.recommend import recommend
from serving.rule_book import RuleBook
from serving.rules import Cap, Matching, Pin, Rules, Weight
from serving.schemas import Filters, RecommendationRequest, Recommendations
from serving.state import State
from tests.serving.small_scores import AS_OF, TODAY, small_state

NOW = AS_OF.replace(tzinfo=None)
N = 30
IDS = [f"p{n:02}" for n in range(N)]
CATEGORIES = ("tea", "coffee", "bread", "fruit", None)
BRANDS = ("Alp", "Kapp", None)


def _product(n: int) -> dict[str, object]:
    return {
        "product_id": IDS[n],
        "name": f"Product {n}",
        "category": CATEGORIES[n % 5],
        "department": "food" if n % 2 else "drink",
        "brand": BRANDS[n % 3],
        "price": None if n == 7 else float(n % 11) + 1,
        "in_stock": n % 7 != 3,
        "hidden": n in (4, 20),
        "listed_at": NOW + timedelta(days=1) if n == 11 else NOW if n == 12 else None,
        "expires_at": NOW if n == 15 else NOW + timedelta(days=2) if n == 16 else None,
    }


def _shop() -> State:
    rng = np.random.default_rng(5)
    orders = {}
    for customer in range(12):
        own = rng.choice(26, size=4, replace=False)  # the last four were never sold
        orders[f"c{customer}"] = [
            (float(ago), [IDS[n] for n in {*rng.choice(own, 2), *rng.choice(26, 1)}])
            for ago in rng.uniform(0.1, 120, size=rng.integers(1, 7))
        ]
    return small_state(orders, [_product(n) for n in range(N)], against=[("c1", "p01")], newcomers={"new": ["p05"]})


SHOP = _shop()
PRODUCTS = {row["product_id"]: row for row in map(_product, range(N))}
#: Lists as a shop of an earlier release left them: no evidence.
PLAIN = replace(SHOP, ranking=replace(SHOP.ranking, evidence=None))
#: No recommender: the shop's static list answers.
EMPTY = State()

some = st.lists(st.sampled_from([*IDS, "unheard of"]), max_size=4)
maybe_category = st.sampled_from([*CATEGORIES, "no such"])
filters = st.builds(
    Filters,
    in_stock=st.booleans(),
    category=maybe_category,
    brand=st.sampled_from([None, None, "Alp", "Kapp"]),
    department=st.sampled_from([None, None, "food"]),
    exclude=some,
    min_price=st.sampled_from([None, None, 3.0]),
    max_price=st.sampled_from([None, None, 9.0]),
    exclude_bought_days=st.sampled_from([0, 0, 5, 60]),
    repeats=st.sampled_from([None, True, False]),
)
dial = st.sampled_from([None, 0.0, 0.3, 1.0])
questions = st.sampled_from(
    ["next_purchase", "buy_again", "trending", "new_arrivals", "category", "similar", "bought_together"]
)
requests = st.builds(
    RecommendationRequest,
    customer_id=st.sampled_from([None, "new", "nobody", *(f"c{n}" for n in range(12))]),
    session=some,
    cart=some,
    k=st.integers(1, 35),
    offset=st.sampled_from([0, 0, 3]),
    filters=filters,
    question=questions,
    product_id=st.sampled_from([*IDS, "unheard of"]),
    if_nothing=st.sampled_from([None, "empty", "popular"]),
    diversity=dial,
    novelty=dial,
    explore=dial,
)
products = st.lists(st.sampled_from([*IDS, "gone"]), max_size=2)
rules = st.builds(
    Rules,
    hide=products,
    if_nothing=st.sampled_from(["empty", "popular"]),
    explore=st.sampled_from([0.0, 0.5]),
    no_repeats=st.builds(Matching, category=st.lists(st.sampled_from(["tea", "coffee"]), max_size=1)),
    pin=st.lists(st.builds(Pin, product=st.sampled_from(IDS), position=st.integers(1, 9)), max_size=2),
    boost=st.lists(st.builds(Weight, factor=st.just(3.0), category=st.just(["bread"])), max_size=1),
    bury=st.lists(st.builds(Weight, factor=st.just(3.0), brand=st.just(["Alp"])), max_size=1),
)
caps = st.lists(
    st.builds(Cap, per=st.sampled_from(["category", "brand"]), most=st.integers(1, 3)), min_size=1, max_size=2
)
interests = st.builds(
    Interest,
    views=some.map(tuple),
    cart=some.map(tuple),
    against=some.map(tuple),
    bought=st.dictionaries(st.sampled_from(IDS), st.just(Bought(1, NOW - timedelta(hours=1))), max_size=2),
)
situations = st.tuples(st.sampled_from([SHOP, PLAIN]), requests, rules, interests)
examples = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def answer(state: State, request: RecommendationRequest, rules: Rules, interest: Interest) -> Recommendations:
    book = None if state.catalogue is None else RuleBook(rules, state.catalogue)
    circumstances = Circumstances(
        "r", now=NOW, interest=interest, rebuy_after=NOW - timedelta(days=1), rules=book, hidden=rules.hide, static=IDS
    )
    return recommend(state, request, circumstances)


def ids(found: Recommendations) -> list[str]:
    return [item.product_id for item in found.items]


def may_be_shown(product: Mapping[str, object], asked: Filters, rules: Rules) -> bool:
    """Whether a product is on offer at all: nothing may ever bring back one that is not."""
    listed, expires = product["listed_at"], product["expires_at"]
    return (
        not product["hidden"]
        and (listed is None or listed <= NOW)
        and (expires is None or expires > NOW)
        and (product["in_stock"] or not asked.in_stock)
        and product["product_id"] not in asked.exclude
        and product["product_id"] not in rules.hide
    )


def fits(product: Mapping[str, object], asked: Filters) -> bool:
    """Whether the wish in the filters holds."""
    price = product["price"]
    return (
        all(
            wanted is None or product[name] == wanted
            for name, wanted in (
                ("category", asked.category),
                ("brand", asked.brand),
                ("department", asked.department),
            )
        )
        and (asked.min_price is None or (price is not None and price >= asked.min_price))
        and (asked.max_price is None or (price is not None and price <= asked.max_price))
    )


def bought_by(customer: str | None, interest: Interest, *, days: float = float("inf")) -> set[str]:
    """What the customer bought within so many days, from orders and live."""
    found = {product for product, live in interest.bought.items() if (NOW - live.last) / timedelta(days=1) <= days}
    evidence, row = SHOP.ranking.evidence, SHOP.rows.get(customer or "")
    if row is not None:
        at = evidence.own(row)
        lately = evidence.own_products[at][evidence.own_last[at] >= TODAY - days]
        found |= {SHOP.catalogue.ids[code] for code in lately}
    return found


@examples
@given(situations)
def test_a_hidden_expired_unlisted_excluded_or_out_of_stock_product_is_never_returned(situation) -> None:
    state, request, rules, interest = situation
    for product_id in ids(answer(state, request, rules, interest)):
        assert may_be_shown(PRODUCTS[product_id], request.filters, rules)


@examples
@given(situations)
def test_filters_hold_for_all_or_are_said_to_have_left_nothing(situation) -> None:
    state, request, rules, interest = situation
    found = answer(state, request, rules, interest)
    if "the filters leave nothing" not in (found.fallback or ""):
        assert all(fits(PRODUCTS[product_id], request.filters) for product_id in ids(found))


@examples
@given(situations)
def test_a_purchased_product_is_never_returned_where_repeats_are_off(situation) -> None:
    _, request, rules, interest = situation
    shown = set(ids(answer(SHOP, request, rules, interest)))
    bought = bought_by(request.customer_id, interest)
    if request.filters.repeats is False:
        assert not shown & bought


@examples
@given(situations, st.sets(st.sampled_from(["tea", "coffee", "bread", "fruit"]), min_size=1))
def test_a_purchased_product_is_never_returned_where_its_category_is_not_repeated(situation, categories) -> None:
    _, request, rules, interest = situation
    request = msgspec.structs.replace(request, filters=msgspec.structs.replace(request.filters, repeats=None))
    rules = msgspec.structs.replace(rules, no_repeats=Matching(category=sorted(categories)))
    once = {one for one in bought_by(request.customer_id, interest) if PRODUCTS[one]["category"] in categories}
    assert not set(ids(answer(SHOP, request, rules, interest))) & once


@examples
@given(situations)
def test_what_was_bought_lately_is_left_out_when_asked(situation) -> None:
    _, request, rules, interest = situation
    days = request.filters.exclude_bought_days
    lately = bought_by(request.customer_id, interest, days=days) if days else set()
    assert not set(ids(answer(SHOP, request, rules, interest))) & lately


@examples
@given(situations)
def test_exactly_k_different_products_whenever_k_are_eligible(situation) -> None:
    """All there are is what a list as long as the catalogue holds; it is counted in another way below."""
    state, request, rules, interest = situation
    whole = msgspec.structs.replace(request, k=100, offset=0, diversity=0, novelty=0, explore=0)
    there = len(ids(answer(state, whole, rules, interest)))
    found = ids(answer(state, request, rules, interest))
    assert len(found) == len(set(found)) == max(0, min(request.k, there - request.offset))


@examples
@given(st.sampled_from([None, "nobody", "new"]), filters, st.integers(1, 35), dial, dial)
def test_all_eligible_products_are_found_however_narrow_the_filters(customer, asked, k, diversity, novelty) -> None:
    request = RecommendationRequest(customer_id=customer, filters=asked, k=k, diversity=diversity, novelty=novelty)
    eligible = [row for row in PRODUCTS.values() if may_be_shown(row, asked, Rules()) and fits(row, asked)]
    assert len(ids(answer(SHOP, request, Rules(), Interest()))) == min(k, len(eligible))


@examples
@given(situations, caps)
def test_caps_hold_with_every_dial_and_pin(situation, capped) -> None:
    state, request, rules, interest = situation
    rules = Rules(pin=rules.pin, boost=rules.boost, bury=rules.bury, explore=rules.explore, cap=capped)
    pinned = {pin.product for pin in rules.pin}
    for cap in capped:
        counts: dict[object, int] = {}
        for product_id in ids(answer(state, msgspec.structs.replace(request, offset=0), rules, interest)):
            value = PRODUCTS[product_id][cap.per]
            if value is not None and product_id not in pinned:
                counts[value] = counts.get(value, 0) + 1
        assert all(count <= cap.most for count in counts.values())


@examples
@given(situations)
def test_every_item_says_its_source_and_reason_and_chance_alone_has_propensities(situation) -> None:
    state, request, rules, interest = situation
    found = answer(state, request, rules, interest)
    explores = (rules.explore if request.explore is None else request.explore) > 0
    for place in found.items:
        assert place.source
        assert place.reason
        assert 0 < place.propensity <= 1 if explores else place.propensity is msgspec.UNSET
    assert found.strategy
    assert [place.rank for place in found.items] == list(
        range(request.offset + 1, request.offset + 1 + len(ids(found)))
    )


@examples
@given(requests, rules, interests)
def test_without_a_recommender_the_static_list_keeps_what_it_can_know(request, rules, interest) -> None:
    found = answer(EMPTY, request, rules, interest)
    shown = set(ids(found))
    assert not shown & {*request.filters.exclude, *rules.hide, *request.cart, *interest.bought, *interest.against}
    assert found.strategy in ("static", "none")


@pytest.mark.parametrize(("if_nothing", "expected"), [("empty", 0), ("popular", 3), (None, 3)])
def test_the_shop_chooses_empty_or_popular_when_the_filters_leave_nothing(if_nothing, expected: int) -> None:
    request = RecommendationRequest(k=3, filters=Filters(category="no such"), if_nothing=if_nothing)
    found = answer(SHOP, request, Rules(if_nothing="popular"), Interest())
    assert len(found.items) == expected
    if expected:
        assert found.strategy == "popular"
        assert found.fallback == "the filters leave nothing; these are popular products without them"
