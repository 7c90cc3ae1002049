"""The Python client against a real server, and the JavaScript of the documents as a page would run it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import quickjs

from features.errors import RegularsError
from serving.app import build_app
from serving.client import Client
from serving.event_types import Event
from serving.keys import now_utc
from serving.outcomes import Outcome
from serving.route_table import ROUTES
from serving.runtime import Runtime
from serving.schemas import BatchRequest, PageRequest, Place, RecommendationRequest
from serving.schemas_customers import AudienceRequest
from serving.scopes import KeyScope
from tests.serving.uvicorn_server import HOST, served_by

NOW = datetime.now(UTC)
DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture
def served(runtime: Runtime) -> Iterator[int]:
    with served_by(build_app(runtime)) as port:
        yield port


def test_the_client_has_a_method_for_every_versioned_route() -> None:
    said = " ".join(method.__doc__ or "" for method in vars(Client).values() if callable(method))
    for route in ROUTES:
        if route.path.startswith("/v1"):
            assert f"{route.method} {route.path}" in said


def test_each_method_gives_the_answer_as_a_type(served: int) -> None:
    client = Client(HOST, served)
    answer = client.recommend(RecommendationRequest(customer_id="ann", k=1))
    assert answer.items[0].product_id == "p1"
    assert [one.customer_id for one in client.recommend_many(BatchRequest(["ann", "bob"]))] == ["ann", "bob"]
    page = client.recommend_page(PageRequest([Place("home", k=1), Place("side", k=1)]))
    assert [one.placement for one in page] == ["home", "side"]
    assert client.similar("p1", k=1).items
    assert client.bought_together("p1", k=1).items[0].product_id == "p0"
    event = Event("e1", "p4", "view", NOW, session_id="s1", request_id=answer.request_id)
    assert client.send([event], dry_run=True).accepted == 1
    assert (client.send([event]).accepted, client.send([event]).duplicates) == (1, 1)
    client.identify("s1", "zoe")
    assert client.recommend(RecommendationRequest(customer_id="zoe")).strategy != "personal"
    assert client.at_risk(min_probability=0.5).total == 2
    lines = b"".join(client.export(min_probability=0.5)).decode().splitlines()
    assert [line.split(",")[0] for line in lines] == ["customer_id", "bob", "cat"]
    assert client.customer("ann").scores.orders == 10
    assert client.audience(AudienceRequest(product_id="p1")).total == 0
    assert client.stock({"p1": False, "p2": True}).changed == 2
    assert client.recommend(RecommendationRequest(customer_id="ann", k=1)).items[0].product_id != "p1"
    assert client.stock({"p1": None, "p2": None}).changed == 2
    assert client.outcomes([Outcome("o1", "ann", "reached", NOW)]).accepted == 1
    assert client.models().scores_version == "v1"
    assert client.ready().status == "ok"
    assert client.feedback().rows == []


def test_what_is_refused_or_does_not_answer_is_an_error_that_says_which_and_why(served: int, runtime: Runtime) -> None:
    with pytest.raises(RegularsError, match=r"answered 422.*limit"):
        Client(HOST, served).at_risk(limit=0)
    _, key = runtime.keys.create(KeyScope.SITE, name="shop", per_minute=1000, at=now_utc())
    runtime.refresh()
    with pytest.raises(RegularsError, match="answered 401"):
        Client(HOST, served).models()
    assert Client(HOST, served, key=key).models().customers == 5
    with pytest.raises(RegularsError, match="answered 403"):
        next(Client(HOST, served, key=key).export())
    with pytest.raises(RegularsError, match="did not answer"):
        Client(HOST, served, secure=True, timeout=5).models()


#: What a browser gives a page, as far as the snippet asks.
BROWSER = """
const links = [], sent = [];
const element = {dataset: {recommendations: "home"}, append: link => links.push(link)};
const document = {querySelectorAll: () => [element], createElement: () => ({})};
const sessionStorage = {};
let given = 0;
const crypto = {randomUUID: () => "id-" + ++given};
const fetch = async (path, {method, body}) => {
  const {status, text} = JSON.parse(ask(method, path, body));
  sent.push({path, status});
  return {ok: status === 200, json: async () => JSON.parse(text)};
};
"""


def test_the_snippet_for_a_page_shows_products_and_sends_what_came_of_them(client) -> None:
    (script,) = re.findall(r"<script>\n(.*?)</script>", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)

    def ask(method: str, path: str, body: str) -> str:
        response = client.request(method, path.removeprefix("/shop-api"), content=body)
        return json.dumps({"status": response.status_code, "text": response.text})

    page = quickjs.Context()
    page.add_callable("ask", ask)
    page.eval(BROWSER)
    page.eval(script)

    def settle() -> None:
        while page.execute_pending_job():
            pass

    settle()
    links = json.loads(page.eval("JSON.stringify(links)"))
    assert links[0] == {"href": "/products/p0", "textContent": "Apples", "title": "Popular with all customers now"}
    page.eval("links[0].onclick()")
    settle()
    page.eval('post("/v1/events", event("view", "p4"))')  # as on a product page
    settle()
    sent = json.loads(page.eval("JSON.stringify(sent)"))
    assert [one["status"] for one in sent] == [200] * 4
    told = client.get("/v1/feedback").json()["rows"]
    (home,) = [row for row in told if row["placement"] == "home"]
    assert (home["impressions"], home["clicks"], home["strategy"]) == (len(links), 1, "popular")
    after = client.post("/v1/recommendations", json={"session_id": page.eval("session")}).json()
    assert "p4" not in [item["product_id"] for item in after["items"]]  # the view is of that visit
