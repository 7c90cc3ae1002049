import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.app import build_app
from serving.openapi import openapi
from serving.runtime import Runtime

DESCRIBED = [(method, path, what) for path, methods in openapi()["paths"].items() for method, what in methods.items()]
OPERATIONS = [(method.upper(), path) for method, path, _ in DESCRIBED]
WITH_INPUT = [
    (method.upper(), path)
    for method, path, what in DESCRIBED
    if "requestBody" in what or any(parameter["in"] == "query" for parameter in what["parameters"])
]


#: That an event lies within a day of now, or has a customer or a session, no JSON Schema says.
UNSUITED = [positive_data_acceptance]


def _written_as_float(body: object) -> bool:
    if isinstance(body, dict):
        return isinstance(body.get("k"), float) or any(_written_as_float(value) for value in body.values())
    return isinstance(body, list) and any(_written_as_float(value) for value in body)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_described_whatever_is_asked(runtime: Runtime, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", build_app(runtime))[path][method]

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        # JSON Schema takes 64.0 for an integer; the API wants it written as one.
        assume(not _written_as_float(case.body))
        case.call_and_validate(excluded_checks=UNSUITED)

    ask()


@pytest.mark.parametrize(("method", "path"), WITH_INPUT)
def test_what_is_not_allowed_is_refused_and_never_breaks_the_server(runtime: Runtime, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_asgi("/openapi.json", build_app(runtime))[path][method]

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
