"""Ten thousand bodies that nobody should send, and what comes back for them."""

import asyncio
import json
import random

import httpx
import pytest

from serving.app import build_app
from serving.route_table import ROUTES

SENT = 10_000
LEAKS = ("Traceback", "serving/", "site-packages", "sqlalchemy", "SELECT", "INSERT", "/tmp/", "object at 0x")
POSTS = [route.path.replace("{session_id}", "s1") for route in ROUTES if route.method == "POST"]
GETS = [route.path for route in ROUTES if route.method == "GET" and route.path.startswith("/v1")]
WORDS = [
    *("customer_id", "session_id", "session", "cart", "k", "filters", "exclude", "events", "outcomes", "placements"),
    *(
        "event_id",
        "product_id",
        "kind",
        "occurred_at",
        "view",
        "purchase",
        "p0",
        "ann",
        "in_stock",
        "fields",
        "dry_run",
    ),
    *("'; DROP TABLE events; --", "../../etc/passwd", "${jndi:ldap://x}", "<script>", "\0", "\ud7ff", "😀", "=1+1"),
    *("NaN", "1e999", "-0", "9" * 400, "true", "", " ", "2024-06-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
]


def value(chance: random.Random, depth: int) -> object:
    kind = chance.randrange(9 if depth < 6 else 6)
    if kind < 3:
        return chance.choice(WORDS)
    if kind < 6:
        return chance.choice([None, True, False, 0, -1, 2**63, 2**200, 1.5, 1e308, -1e-308, chance.random()])
    if kind < 8:
        return {str(chance.choice(WORDS)): value(chance, depth + 1) for _ in range(chance.randrange(6))}
    return [value(chance, depth + 1) for _ in range(chance.randrange(6))]


def body(chance: random.Random) -> bytes:
    shape = chance.randrange(10)
    if shape == 0:
        return chance.randbytes(chance.randrange(300))
    if shape == 1:
        return chance.choice(
            [b"[" * 5000, b'{"a":' * 5000, b'"' * 999, b"{" + b'"k":1,' * 900, b"\xef\xbb\xbf{}", b"\x80\x04."]
        )
    text = json.dumps(value(chance, 0), ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if shape == 2 and text:  # a good one damaged
        at = chance.randrange(len(text))
        text = text[:at] + chance.randbytes(1) + text[at + 1 :]
    return text


@pytest.mark.timeout(120)
def test_ten_thousand_hostile_requests_break_nothing_and_learn_nothing(make_runtime) -> None:
    app = build_app(make_runtime())
    chance = random.Random(11)
    statuses: dict[int, int] = {}

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            for _ in range(SENT):
                if chance.random() < 0.85:
                    response = await client.post(chance.choice(POSTS), content=body(chance))
                else:
                    path = chance.choice(GETS)
                    for name in ("{product_id}", "{customer_id}"):
                        path = path.replace(
                            name, httpx.QueryParams({"": chance.choice(WORDS)[:300]}).__str__()[1:] or "x"
                        )
                    params = {chance.choice(["k", "limit", "stage", "sort", "days", "x"]): chance.choice(WORDS)}
                    response = await client.get(path, params=params)
                statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
                assert response.status_code < 500, response.text
                if response.status_code >= 400:
                    assert response.headers["content-type"] == "application/problem+json"
                    assert not any(leak in response.text for leak in LEAKS), response.text
            still = await client.post("/v1/recommendations", json={"customer_id": "ann"})
            assert still.json()["strategy"] == "personal"

    asyncio.run(ask())
    assert statuses[200] >= 10, statuses  # the words are those of good requests too
    assert statuses[422] > 1000, statuses
