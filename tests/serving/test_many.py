"""Calls that answer many questions at once, and answers made to be kept, compressed or streamed."""

import csv
import gzip
import io

import msgspec
import pytest

from serving import openapi, openapi_examples
from serving.openapi import openapi as described


def ids(answer: dict) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def test_a_batch_answers_each_customer_as_alone_and_in_order(client) -> None:
    asked = ["bob", "nobody", "ann", "bob"]
    answers = client.post("/v1/recommendations/batch", json={"customer_ids": asked, "k": 2}).json()["answers"]
    assert [answer["customer_id"] for answer in answers] == asked
    for customer, answer in zip(asked, answers, strict=True):
        alone = client.post("/v1/recommendations", json={"customer_id": customer, "k": 2}).json()
        assert (ids(answer), answer["strategy"]) == (ids(alone), alone["strategy"])
    assert len({answer["request_id"] for answer in answers}) == 4


def test_a_batch_holds_at_most_a_thousand(client) -> None:
    thousand = [f"c{n}" for n in range(1000)]
    assert len(client.post("/v1/recommendations/batch", json={"customer_ids": thousand}).json()["answers"]) == 1000
    assert client.post("/v1/recommendations/batch", json={"customer_ids": [*thousand, "x"]}).status_code == 422
    assert client.post("/v1/recommendations/batch", json={"customer_ids": []}).status_code == 422


def test_a_page_shows_no_product_twice_unless_told(client) -> None:
    places = [{"placement": "home", "k": 2}, {"placement": "footer", "k": 2}]
    body = {"customer_id": "ann", "placements": places}
    first, second = client.post("/v1/recommendations/page", json=body).json()["answers"]
    assert (first["placement"], second["placement"]) == ("home", "footer")
    assert (ids(first), ids(second)) == (["p1", "p2"], ["p0", "p4"])
    again = client.post("/v1/recommendations/page", json=body | {"distinct": False}).json()["answers"]
    assert ids(again[0]) == ids(again[1]) == ["p1", "p2"]


def test_a_placement_may_have_filters_of_its_own(client) -> None:
    places = [{"placement": "a", "k": 1, "filters": {"category": "fruit"}}, {"placement": "b", "k": 1}]
    answers = client.post("/v1/recommendations/page", json={"placements": places}).json()["answers"]
    assert [ids(answer) for answer in answers] == [["p0"], ["p1"]]


def test_fields_of_products_come_when_asked_for(client) -> None:
    plain = client.post("/v1/recommendations", json={"customer_id": "ann", "k": 1}).json()["items"][0]
    assert "product" not in plain
    body = {"customer_id": "ann", "k": 1, "fields": ["brand", "department", "in_stock"]}
    full = client.post("/v1/recommendations", json=body).json()["items"][0]
    assert full["product"] == {"brand": "Mill", "department": "bakery", "in_stock": True}
    assert client.post("/v1/recommendations", json={"fields": ["secret"]}).status_code == 422


def test_a_dry_run_answers_and_is_counted_nowhere(client) -> None:
    body = {"customer_id": "ann", "dry_run": True}
    assert client.post("/v1/recommendations", json=body).json()["strategy"] == "personal"
    assert client.post("/v1/recommendations", json=body | {"k": 0}).status_code == 422
    assert 'regulars_strategies_total{route="/v1/recommendations"' not in client.get("/metrics").text


def test_a_list_unchanged_is_not_sent_again(client) -> None:
    first = client.get("/v1/customers/at-risk?limit=2")
    again = client.get("/v1/customers/at-risk?limit=2", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/v1/customers/at-risk?limit=3", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("header", "compressed"), [("gzip, br", True), ("br", False), ("gzip;q=0", False), ("", False)]
)
def test_what_is_long_is_compressed_for_whoever_reads_it(client, header: str, compressed: bool) -> None:
    response = client.get("/v1/customers/at-risk", headers={"Accept-Encoding": header})
    assert (response.headers.get("content-encoding") == "gzip") is compressed
    assert response.json()["total"] == 4


def test_an_export_is_the_whole_list_as_the_pages_give_it(client) -> None:
    export = client.get("/v1/customers/at-risk/export?sort=churn_probability", headers={"Accept-Encoding": ""})
    pages = client.get("/v1/customers/at-risk?sort=churn_probability&format=csv")
    assert export.text == pages.text
    assert [row["customer_id"] for row in csv.DictReader(io.StringIO(export.text))] == ["bob", "cat", "ann", "'=eve"]
    assert export.headers["x-total-count"] == "4"
    packed = client.get("/v1/customers/at-risk/export?sort=churn_probability", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == export.text
    assert client.get("/v1/customers/at-risk/export?limit=5").status_code == 422


def test_gzip_of_nothing_reads_back() -> None:
    from serving.handlers_customers import _compressed

    assert gzip.decompress(b"".join(_compressed(iter([b"a", b"b"])))) == b"ab"


def test_every_example_is_of_its_type() -> None:
    types = {kind.__name__: kind for kind in openapi._TYPES}
    for name, example in openapi_examples.OF.items():
        assert msgspec.convert(example, types[name], strict=True) is not None, name


def test_every_route_and_every_error_of_the_description_has_an_example() -> None:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                assert media["examples"], (method, path)
            for status, response in operation["responses"].items():
                for media in response.get("content", {}).values():
                    assert "example" in media, (method, path, status)
