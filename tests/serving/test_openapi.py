import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings

from serving.app import build_app
from serving.openapi import openapi
from serving.reload import Holder

DESCRIBED = [(method, path, what) for path, methods in openapi()["paths"].items() for method, what in methods.items()]
OPERATIONS = [(method.upper(), path) for method, path, _ in DESCRIBED]
WITH_INPUT = [
    (method.upper(), path)
    for method, path, what in DESCRIBED
    if "requestBody" in what or any(parameter["in"] == "query" for parameter in what["parameters"])
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_described_whatever_is_asked(holder: Holder, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", build_app(holder))[path][method]

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        # JSON Schema takes 64.0 for an integer; the API wants it written as one.
        assume(not (isinstance(case.body, dict) and isinstance(case.body.get("k"), float)))
        case.call_and_validate()

    ask()


@pytest.mark.parametrize(("method", "path"), WITH_INPUT)
def test_what_is_not_allowed_is_refused_and_never_breaks_the_server(holder: Holder, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", build_app(holder))[path][method]

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def ask(case: schemathesis.Case) -> None:
        response = case.call()
        assert 400 <= response.status_code < 500
        assert response.headers["content-type"] == ["application/problem+json"]

    ask()


def test_every_reference_is_defined() -> None:
    document = openapi()
    defined = document["components"]["schemas"]
    found = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                found.add(value["$ref"].rsplit("/", 1)[1])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    assert found == set(defined)
