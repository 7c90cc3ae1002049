import csv
import io

import pytest

from features.home import Home
from serving import openapi_examples as examples
from serving.app import build_app
from serving.openapi import openapi
from serving.route_table import ROUTES


@pytest.fixture
def empty(tmp_path, asked, make_runtime):
    return asked(build_app(make_runtime(Home(tmp_path / "empty"))))


def test_recommendations_answer_with_strategy_version_and_request_id(client) -> None:
    response = client.post("/v1/recommendations", json={"customer_id": "ann", "k": 2, "placement": "home"})
    answer = response.json()
    assert response.status_code == 200
    assert [item["product_id"] for item in answer["items"]] == ["p1", "p2"]
    assert (answer["strategy"], answer["model_version"], answer["placement"]) == ("personal", 3, "home")
    assert answer["request_id"].partition("~")[2] == "personal~3~~~home"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"customer_id": 5}, "customer_id"),
        ({"k": 0}, "k"),
        ({"k": 101}, "k"),
        ({"k": "ten"}, "k"),
        ({"cart": "p1"}, "cart"),
        ({"cart": ["p1", 2]}, "cart[1]"),
        ({"filters": {"in_stok": True}}, "filters.in_stok"),
        ({"filters": {"brand": ""}}, "filters.brand"),
        ({"customer": "ann"}, "customer"),
    ],
)
def test_a_wrong_field_is_named(client, body: dict, field: str) -> None:
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["errors"][0]["field"] == field
    assert problem["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b"[]", 422), (b"x" * 300_000, 413)]
)
def test_a_body_that_is_no_request_is_refused(client, content: bytes, status: int) -> None:
    response = client.post("/v1/recommendations", content=content)
    assert response.status_code == status
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("min_probability=2", "min_probability"),
        ("limit=0", "limit"),
        ("limit=ten", "limit"),
        ("stage=angry", "stage"),
        ("sort=name", "sort"),
        ("nonsense=1", "nonsense"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_wrong_parameter_is_named(client, query: str, field: str) -> None:
    response = client.get(f"/v1/customers/at-risk?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


def test_at_risk_as_csv_by_format_or_accept_header(client) -> None:
    by_format = client.get("/v1/customers/at-risk?format=csv&limit=2")
    by_header = client.get("/v1/customers/at-risk?limit=2", headers={"Accept": "text/csv, application/json"})
    assert by_format.text == by_header.text
    assert by_format.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_format.headers["x-total-count"] == "4"
    assert [row["customer_id"] for row in csv.DictReader(io.StringIO(by_format.text))] == ["ann", "bob"]


def test_json_wins_where_it_stands_first_or_is_asked_for(client) -> None:
    for headers in ({"Accept": "application/json, text/csv"}, {"Accept": "*/*"}):
        assert client.get("/v1/customers/at-risk", headers=headers).json()["total"] == 4
    assert client.get("/v1/customers/at-risk?format=json", headers={"Accept": "text/csv"}).json()["total"] == 4


def test_reasons_come_in_the_language_of_the_parameter_or_of_the_client(client) -> None:
    chinese = "平均每 3 天下单一次，已 9 天没有下单"
    for path in ("/v1/customers/at-risk?limit=1&format=csv", "/v1/customers/at-risk/export", "/v1/customers/ann"):
        answer = client.get(path, headers={"Accept-Language": "zh-CN"})
        assert chinese in answer.text
        assert chinese in client.get(f"{path}{'&' if '?' in path else '?'}lang=zh").text
        assert chinese not in client.get(path).text
    assert client.get("/v1/customers/at-risk?lang=xx").status_code == 422


def test_customer_ids_may_hold_slashless_oddities(client) -> None:
    assert client.get("/v1/customers/%3Deve").json()["known"]
    assert client.get("/v1/customers/a%20b").json()["known"] is False
    assert client.get(f"/v1/customers/{'x' * 201}").status_code == 422


def test_product_routes(client) -> None:
    assert client.get("/v1/products/p0/bought-together?k=1").json()["items"][0]["product_id"] == "p1"
    assert client.get("/v1/products/p3/similar?k=1").json()["strategy"] == "category"
    assert client.get("/v1/products/zzz/similar").json()["strategy"] == "popular"


def test_models_say_what_answers(client) -> None:
    answer = client.get("/v1/models").json()
    assert answer["models"] == {"recommender": 3, "churn": 2, "propensity": 1, "value": 1}
    assert (answer["scores_version"], answer["customers"], answer["products"]) == ("v1", 5, 6)


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
def test_health(client, empty, path: str) -> None:
    assert client.get(path).json() == {"status": "ok", "scores_version": "v1"}
    assert empty.get(path).json() == {"status": "empty", "scores_version": None}


BODIES = {
    path: examples.OF[body]
    for path, body in (
        ("/v1/recommendations/batch", "BatchRequest"),
        ("/v1/recommendations/page", "PageRequest"),
        ("/v1/events", "Event"),
        ("/v1/sessions/{session_id}/customer", "IdentifyRequest"),
        ("/v1/outcomes", "Outcome"),
        ("/v1/stock", "Stocked"),
        ("/v1/contact-plans", "ContactPlanRequest"),
        ("/v1/audiences", "AudienceRequest"),
    )
}


@pytest.mark.parametrize(
    ("method", "path"),
    [(route.method, route.path) for route in ROUTES if route.path.startswith("/v1")],
)
def test_with_nothing_scored_every_route_still_answers(empty, method: str, path: str) -> None:
    concrete = path.format(product_id="p1", customer_id="ann", session_id="s1", campaign_id="june")
    response = empty.request(method, concrete, json=BODIES.get(path, {}) if method in ("POST", "PUT") else None)
    assert response.status_code == 200
    if response.headers["content-type"] == "application/json":
        assert response.json().get("strategy", "none") == "none"


def test_unknown_paths_and_methods_are_problems(client) -> None:
    missing, refused = client.get("/v2/x"), client.get("/v1/recommendations")
    assert (missing.status_code, refused.status_code) == (404, 405)
    for response in (missing, refused):
        assert response.headers["content-type"] == "application/problem+json"
    assert refused.headers["allow"] == "POST"


def test_a_defect_is_a_problem_without_its_details(client, monkeypatch, caplog) -> None:
    monkeypatch.setattr("serving.handlers.recommend", lambda *a, **k: 1 / 0)
    response = client.post("/v1/recommendations", json={"customer_id": "zacharias"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "division" not in response.text
    assert "ZeroDivisionError at /v1/recommendations" in caplog.text
    assert "zacharias" not in caplog.text


def test_metrics_count_by_route_and_strategy(client) -> None:
    client.get("/v1/customers/ann")
    client.post("/v1/recommendations", json={"customer_id": "nobody"})
    client.get("/nothing-here")
    text = client.get("/metrics").text
    assert 'regulars_requests_total{method="GET",route="/v1/customers/{customer_id}",status="200"} 1.0' in text
    assert 'regulars_strategies_total{route="/v1/recommendations",strategy="popular",variant=""} 1.0' in text
    assert 'route="other",status="404"' in text
    assert "ann" not in text


def test_docs_page_needs_no_outside_address(client) -> None:
    page = client.get("/").text
    assert "http" not in page.replace("http-equiv", "")
    assert client.get("/docs/static/swagger-ui-bundle.js").status_code == 200


def test_openapi_names_every_versioned_route() -> None:
    described = {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods}
    assert {(route.method, route.path) for route in ROUTES if route.path.startswith("/v1")} <= described
