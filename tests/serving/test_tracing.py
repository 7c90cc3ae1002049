"""Traces: none unless asked for, and then each request as a span that names nobody."""

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from features.errors import ConfigError
from features.settings import load_settings, server_settings
from serving import starting
from serving.app import build_app
from serving.gate import Gate
from serving.shops import Shops
from tests.web_server import QuietHandler, web_server


@pytest.fixture
def collected() -> Iterator[tuple[str, list[bytes]]]:
    """The address of something that takes traces in, and what it was sent."""
    received: list[bytes] = []

    class Collector(QuietHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(body if self.path == "/v1/traces" else b"")
            self.send_response(200)
            self.end_headers()

    with web_server(Collector) as address:
        yield address, received


def test_without_an_address_nothing_is_traced(runtime) -> None:
    assert runtime.tracing is None
    assert type(build_app(runtime)) is Gate


def test_each_request_is_a_span_of_its_caller_and_names_nobody(make_runtime, asked, collected) -> None:
    address, received = collected
    runtime = make_runtime(otlp_endpoint=address)
    client = asked(build_app(runtime))
    caller = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "x-request-id": "page-7"}
    client.post("/v1/recommendations", json={"customer_id": "ann"}, headers=caller)
    client.get("/v1/customers/somebody?lang=zh")
    client.get("/nowhere/somebody")
    runtime.tracing.shutdown()  # sends what waits
    sent = [ExportTraceServiceRequest.FromString(body) for body in received]
    spans = [span for one in sent for of in one.resource_spans for scope in of.scope_spans for span in scope.spans]
    assert [span.name for span in spans] == [
        "POST /v1/recommendations",
        "GET /v1/customers/{customer_id}",
        "GET other",
    ]
    first = spans[0]
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == ("ab" * 16, "cd" * 8)
    told = {one.key: one.value.string_value or one.value.int_value for one in first.attributes}
    assert told == {
        "http.request.method": "POST",
        "http.route": "/v1/recommendations",
        "http.response.status_code": 200,
        "regulars.request_id": "page-7",
        "regulars.strategy": "personal",
    }
    assert not any(b"ann" in body or b"somebody" in body for body in received)


def test_of_several_shops_a_span_names_the_shop_and_at_the_door_none(
    two_homes, key_of, asked, collected, monkeypatch
) -> None:
    address, received = collected
    monkeypatch.setenv("REGULARS_OTLP_ENDPOINT", address)
    key = key_of("south", "site")
    shops = Shops(server_settings())
    client = asked(shops.app())
    shops.start()
    client.post("/v1/recommendations", json={"customer_id": "ann"}, headers={"X-API-Key": key})
    client.get("/v1/models")
    shops.close()  # sends what waits
    sent = [ExportTraceServiceRequest.FromString(body) for body in received]
    spans = [span for one in sent for of in one.resource_spans for scope in of.scope_spans for span in scope.spans]
    told = [{one.key: one.value.string_value for one in span.attributes} for span in spans]
    assert [one.get("regulars.tenant") for one in told] == ["south", None]
    assert [one["http.route"] for one in told] == ["/v1/recommendations", "/v1/models"]


def test_a_collector_that_is_away_changes_no_answer(make_runtime, asked) -> None:
    runtime = make_runtime(otlp_endpoint="http://127.0.0.1:9")
    assert asked(build_app(runtime)).get("/healthz").status_code == 200


def test_an_address_that_is_none_is_refused_before_the_start() -> None:
    with pytest.raises(ConfigError, match="must begin with http"):
        starting.check(load_settings(otlp_endpoint="localhost:4318"))
