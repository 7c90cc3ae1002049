"""What the server writes to its log, and what it must not."""

import json
import logging
import sys
from pathlib import Path

import httpx
import pytest

from features.errors import DataError
from features.home import Home
from serving.logs import JsonLines, Lines
from serving.server import free_port, running

HOST = "127.0.0.1"


def record(message: str, *, fields: dict | None = None, error: Exception | None = None) -> logging.LogRecord:
    info = None
    if error is not None:
        try:
            raise error
        except Exception:
            info = sys.exc_info()
    made = logging.LogRecord("regulars.serving", logging.ERROR, "here.py", 1, message, (), info)
    if fields is not None:
        made.fields = fields
    return made


def test_a_line_of_json_holds_the_fields_beside_the_message() -> None:
    line = json.loads(JsonLines().format(record("answered", fields={"request_id": "r1", "ms": 0.5})))
    assert line["message"] == "answered"
    assert (line["level"], line["logger"], line["request_id"], line["ms"]) == ("error", "regulars.serving", "r1", 0.5)
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize("formatter", [JsonLines(), Lines("%(message)s")])
def test_an_exception_says_where_and_of_which_kind_and_its_message_only_where_it_is_ours(formatter) -> None:
    other = formatter.format(record("failed", error=KeyError("customer 17850")))
    assert "KeyError" in other
    assert "test_logs.py" in other
    assert "17850" not in other
    assert "lists.npy: missing" in formatter.format(record("failed", error=DataError("lists.npy: missing")))


def test_a_line_for_people_ends_with_the_fields() -> None:
    assert Lines("%(message)s").format(record("answered", fields={"status": 200})) == "answered status=200"


def test_each_line_of_a_server_is_json_and_names_requests_by_id_and_nobody_by_name(
    scored_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_LOG_FORMAT", "json")
    monkeypatch.setenv("REGULARS_LOG_REQUESTS", "true")
    monkeypatch.setenv("REGULARS_WORKERS", "2")
    port, log = free_port(HOST, 24850), tmp_path / "serve.log"
    with running(host=HOST, port=port, home=scored_home.root, log=log), httpx.Client() as client:
        url = f"http://{HOST}:{port}"
        said = {"x-request-id": "page-1"}
        client.post(f"{url}/v1/recommendations", json={"customer_id": "zz-somebody"}, headers=said)
        client.get(f"{url}/v1/customers/zz-somebody?lang=zh", headers={"x-request-id": "page-2"})
        client.post(f"{url}/v1/recommendations", content=b"zz-somebody", headers={"x-request-id": "page-3"})
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    asked = {line["request_id"]: line for line in lines if "request_id" in line}
    assert asked["page-1"] | {"ms": 0, "time": "", "process": 0} == {
        "time": "",
        "level": "info",
        "logger": "regulars.serving",
        "process": 0,
        "message": "answered",
        "request_id": "page-1",
        "route": "/v1/recommendations",
        "method": "POST",
        "status": 200,
        "strategy": "popular",
        "ms": 0,
    }
    assert asked["page-2"]["route"] == "/v1/customers/{customer_id}"
    assert asked["page-3"]["status"] == 400
    assert any(line["message"].startswith("scores v1 loaded") for line in lines)
    assert "zz-somebody" not in text
