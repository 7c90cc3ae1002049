import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from serving.app import build_app
from serving.openapi import openapi
from serving.reload import Holder


@pytest.fixture
def application(holder: Holder):
    return schemathesis.openapi.from_asgi("/openapi.json", build_app(holder))


schema = schemathesis.pytest.from_fixture("application")


@schema.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
def test_every_answer_is_as_described_whatever_is_asked(case: schemathesis.Case) -> None:
    case.call_and_validate()


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
