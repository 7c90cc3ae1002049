"""Audiences against probabilities worked by hand, and who may ask."""

import csv
import dataclasses
import io

import numpy as np
import pytest

from serving.app import build_app
from serving.audiences import audience
from serving.outcomes import Contact, Contacts
from serving.schemas_customers import AudienceRequest
from serving.scopes import KeyScope
from serving.state import State
from tests.serving.small_scores import AS_OF, small_state
from training.category_propensity import SIGNALS, CategoryPropensity
from training.own_share import PRIOR_ORDERS

NOW = AS_OF.replace(tzinfo=None)
ORDERS = {
    "often": [(float(n), ["tea", "bun"]) for n in range(1, 9)],
    "once": [(30.0, ["tea"]), (20.0, ["bun"]), (10.0, ["bun"])],
    "never": [(15.0, ["bun"])],
    "both": [(12.0, ["tea"]), (11.0, ["jam"])],
}
PRODUCTS = [
    {"product_id": "tea", "category": "drink"},
    {"product_id": "jam", "category": "drink"},  # so that a category has two
    {"product_id": "bun", "category": "bread"},
    {"product_id": "new", "category": "new"},
]


@pytest.fixture(scope="module")
def shop() -> State:
    return small_state(ORDERS, PRODUCTS)


def ids(page) -> list[str]:
    return [one.customer_id for one in page.items]


def by_hand(bought: int, orders: int, *, days: float, sold: int = 10, of: int = 14) -> float:
    """Of an order: (bought + 10 * share of the shop) / (orders + 10); half of all customers order in 28 days."""
    in_order = (bought + PRIOR_ORDERS * sold / of) / (orders + PRIOR_ORDERS)
    orders_ahead = np.log(2) * days / 28
    return 1 - np.exp(-orders_ahead * in_order)


def test_probabilities_of_a_product_are_those_worked_by_hand(shop: State) -> None:
    page = audience(shop, AudienceRequest(product_id="tea", days=14), now=NOW)
    assert ids(page) == ["often", "both", "never", "once"]
    found = {one.customer_id: one.probability for one in page.items}
    # 14 orders in all, 10 with tea.
    for customer, bought, orders in (("often", 8, 8), ("once", 1, 3), ("never", 0, 1), ("both", 1, 2)):
        assert found[customer] == pytest.approx(by_hand(bought, orders, days=14), abs=1e-6)
    assert (page.days, page.total, page.strategy) == (14, 4, "own_share")


def test_a_category_holds_if_any_of_its_products_does(shop: State) -> None:
    page = audience(shop, AudienceRequest(category="drink"), now=NOW)
    both = next(one for one in page.items if one.customer_id == "both")
    tea, jam = (1 + 10 * 10 / 14) / 12, (1 + 10 * 1 / 14) / 12
    assert both.probability == pytest.approx(1 - np.exp(-np.log(2) * (1 - (1 - tea) * (1 - jam))), abs=1e-6)
    assert both.times_bought == 2


def test_each_says_why(shop: State) -> None:
    reasons = {one.customer_id: one.reason for one in audience(shop, AudienceRequest(product_id="tea"), now=NOW).items}
    assert reasons["often"] == "bought it 8 times in 8 orders, last yesterday"
    assert reasons["once"] == "bought it once in 3 orders, last 30 days ago"
    assert reasons["never"] == "never bought it, 1 order in all"


def test_who_bought_it_lately_is_left_out_when_asked(shop: State) -> None:
    page = audience(shop, AudienceRequest(product_id="tea", exclude_bought_days=20), now=NOW)
    assert set(ids(page)) == {"once", "never"}


def test_pages_hold_each_customer_once_likeliest_first(shop: State) -> None:
    whole = ids(audience(shop, AudienceRequest(category="bread"), now=NOW))
    parts = [ids(audience(shop, AudienceRequest(category="bread", limit=1, offset=n), now=NOW)) for n in range(5)]
    assert [one for part in parts for one in part] == whole
    assert len(whole) == 4


def test_who_opted_out_is_never_in_it_and_who_rests_only_when_asked(shop: State) -> None:
    contacts = Contacts({"often": Contact("opted_out", NOW, True), "once": Contact("reached", NOW, False)})
    asked = AudienceRequest(product_id="tea")
    assert set(ids(audience(shop, asked, contacts, now=NOW, rest_days=14))) == {"never", "both"}
    also = AudienceRequest(product_id="tea", include_contacted=True)
    assert set(ids(audience(shop, also, contacts, now=NOW, rest_days=14))) == {"never", "both", "once"}


def test_a_product_without_a_sale_has_an_audience_of_nobody_likely(shop: State) -> None:
    page = audience(shop, AudienceRequest(product_id="new"), now=NOW)
    assert {one.probability for one in page.items} == {0.0}


def test_an_unknown_product_gets_an_empty_audience_that_says_so(shop: State) -> None:
    page = audience(shop, AudienceRequest(product_id="zzz"), now=NOW)
    assert (page.items, page.strategy, page.fallback) == ([], "none", "no product is of product_id 'zzz'")


def test_scores_of_an_earlier_release_say_that_they_hold_no_evidence(client) -> None:
    answer = client.post("/v1/audiences", json={"product_id": "p1"}).json()
    assert (answer["items"], answer["strategy"]) == ([], "none")
    assert "no evidence of purchases" in answer["fallback"]


@pytest.mark.parametrize("body", [{}, {"product_id": "p1", "category": "fruit"}])
def test_exactly_one_thing_must_be_named(client, body: dict) -> None:
    answer = client.post("/v1/audiences", json=body)
    assert answer.status_code == 422
    assert "exactly one of product_id, category, department, brand" in answer.json()["detail"]


def test_csv_by_parameter_or_header_with_no_formula(shop: State, make_runtime, asked) -> None:
    runtime = make_runtime()
    runtime.holder.state = small_state({"=cmd": [(1.0, ["tea"])]}, PRODUCTS)
    client = asked(build_app(runtime))
    for how in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
        answer = client.post("/v1/audiences", json={"product_id": "tea"}, **how)
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["x-total-count"] == "1"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert rows[0]["customer_id"] == "'=cmd"


@pytest.mark.parametrize(("scope", "status"), [("site", 403), ("retention", 200), ("admin", 200)])
def test_the_key_of_a_site_may_not_ask(runtime, client, scope: str, status: int) -> None:
    _, key = runtime.keys.create(KeyScope(scope), name="test", per_minute=100, at=NOW)
    runtime.refresh()
    headers = {"Authorization": f"Bearer {key}"}
    assert client.post("/v1/audiences", json={"product_id": "p1"}, headers=headers).status_code == status


def test_of_a_category_the_learned_model_speaks_and_of_a_product_it_does_not(shop: State) -> None:
    # Log-odds of own share less 1 for all, and of drinks half a unit more: probabilities worked by hand.
    model = CategoryPropensity(28, (1.0, *[0.0] * (len(SIGNALS) - 1)), -1.0, {"drink": (0.5, 1.0)})
    learned = dataclasses.replace(shop, about={**shop.about, "categories": model.as_json()})
    plain = audience(shop, AudienceRequest(category="drink"), now=NOW)
    found = audience(learned, AudienceRequest(category="drink"), now=NOW)
    assert (plain.strategy, found.strategy) == ("own_share", "learned")
    assert ids(found) == ids(plain)
    for before, after in zip(plain.items, found.items, strict=True):
        odds = np.log(before.probability / (1 - before.probability)) - 0.5
        assert after.probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-5)
    # Half the days: purchases come at an even rate.
    half = audience(learned, AudienceRequest(category="drink", days=14), now=NOW)
    assert (1 - half.items[0].probability) ** 2 == pytest.approx(1 - found.items[0].probability, abs=1e-5)
    # A category it did not learn from is taken as all are; a product is not its business.
    other = audience(learned, AudienceRequest(category="bread"), now=NOW)
    assert other.strategy == "learned"
    assert audience(learned, AudienceRequest(product_id="tea"), now=NOW).strategy == "own_share"
