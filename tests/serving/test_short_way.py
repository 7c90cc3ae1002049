"""The short way of recommendations: the same answers as the way of all, over real connections."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.settings import server_settings
from serving import handlers, live_feed, protocol, short_way
from serving.app import build_app
from serving.keys import now_utc
from serving.runtime import Runtime
from serving.scopes import KeyScope
from serving.shops import Shops
from serving.short_way import ShortWay
from tests.serving.conftest import SHOPS
from tests.serving.uvicorn_server import HOST, served_by

PATH = "/v1/recommendations"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHANCE = re.compile(rb"[0-9a-f]{32}")


ANN = {"customer_id": "ann", "k": 1}


def disliked(product: str) -> dict[str, str]:
    """An event of ann."""
    moment = datetime.now(UTC).isoformat()
    return {
        "event_id": "e1",
        "product_id": product,
        "kind": "dislike",
        "occurred_at": moment,
        "customer_id": "ann",
    }


class Watched(ShortWay):
    """A short way that notes which requests it answered."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.went: list[bool] = []

    def answer(self, *what: object) -> bytes | None:
        found = super().answer(*what)
        self.went.append(found is not None)
        return found


@pytest.fixture
def way(runtime: Runtime) -> Watched:
    return Watched(runtime)


@pytest.fixture
def port(runtime: Runtime, way: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(live_feed, "_LOOK_SECONDS", 600)
    with served_by(build_app(runtime), way, timeout_keep_alive=1) as port:
        take_events_in(port)
        way.went.clear()
        yield port


def take_events_in(port: int) -> None:
    """The first answer reads the events there are; those after it need not."""
    assert b" 200 " in talk(port, post({"customer_id": "ann"}, headers=["Connection: close"]))


def post(
    body: object, *, path: str = PATH, version: str = "1.1", headers: Sequence[str] = (), length: int | None = None
) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = [f"Content-Length: {len(content) if length is None else length}", *headers]
    if not any(one.lower().startswith("content-type") for one in headers):
        said.append("Content-Type: application/json")
    head = "\r\n".join([f"POST {path} HTTP/{version}", "Host: localhost", *said])
    return head.encode() + b"\r\n\r\n" + content


def talk(port: int, *parts: bytes, pause: float = 0.0, answers: int = 1) -> bytes:
    """What comes back, up to so many answers or the end of the connection."""
    with socket.create_connection((HOST, port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        came = b""
        while len(whole(came)) < answers and (received := connection.recv(65536)):
            came += received
    return came


def whole(came: bytes) -> list[bytes]:
    """The complete answers in what came."""
    came, found = came.removeprefix(_CONTINUE), []
    while (end := came.find(b"\r\n\r\n")) >= 0:
        length = int(re.search(rb"content-length: (\d+)", came[:end]).group(1))
        if len(came) < end + 4 + length:
            break
        found.append(came[: end + 4 + length])
        came = came[end + 4 + length :]
    return found


def parts(answer: bytes) -> tuple[bytes, dict[bytes, bytes], object]:
    """The status, the headers and the body of an answer, without what is another each time."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    headers.pop(b"date", None)
    headers[b"x-request-id"] = _CHANCE.sub(b"", headers.get(b"x-request-id", b""))
    return status, headers, json.loads(_CHANCE.sub(b"", body) or b"null")


IDS = st.sampled_from(["ann", "bob", "stranger", "Ünïcode \U0001f600", "", "x" * 201])
PRODUCTS = st.lists(st.sampled_from(["p0", "p1", "p4", "unknown"]), max_size=3)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from(["fruit", "none such"]),
        "exclude": PRODUCTS,
        "max_price": st.floats(0, 10) | st.just("dear"),
        "in_stock": st.booleans(),
        "repeats": st.booleans(),
    },
)
QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "customer_id": IDS | st.none(),
        "session_id": IDS,
        "cart": PRODUCTS,
        "session": PRODUCTS,
        "k": st.integers(-1, 6),
        "placement": st.sampled_from(["home", "a~b"]),
        "filters": FILTERS,
        "fields": st.just(["brand", "in_stock"]),
        "question": st.sampled_from(["next_purchase", "buy_again", "similar", "trending", "no such"]),
        "product_id": st.sampled_from(["p1", "unknown"]),
        "dry_run": st.booleans(),
        "more": st.none(),
    },
)
BODIES = st.one_of(QUESTIONS, QUESTIONS, QUESTIONS, st.binary(max_size=20), st.just(b"[" * 3000), st.just([]))
HEADERS = st.lists(
    st.sampled_from(
        [
            "X-Request-ID: of-the-site_1",
            "X-Request-ID: not one!",
            "Origin: http://localhost",
            "Origin: http://elsewhere.test",
            "Connection: close",
            "Expect: 100-continue",
            "Accept-Encoding: gzip",
            "Upgrade: websocket",
        ]
    ),
    max_size=2,
    unique=True,
)
KINDS = st.sampled_from(["application/json", "text/plain; charset=utf-8", "application/octet-stream"])
PATHS = st.sampled_from([PATH, PATH, PATH, f"{PATH}?a=b", f"{PATH}/", "/v1/recommendations/batch"])
VERSIONS = st.sampled_from(["1.1", "1.1", "1.1", "1.0"])


@pytest.fixture
def both(make_runtime) -> Iterator[tuple[int, int, dict[str, str], Watched]]:
    """The ports of a server with a short way and of one without, a key of each kind, and the short way."""
    short, long = make_runtime(), make_runtime()
    keys = {"none": "", "wrong": f"rg_site_{'0' * 12}_{'0' * 43}"}
    for scope in KeyScope:
        _, keys[scope.value] = short.keys.create(scope, name=scope.value, per_minute=10**6, at=now_utc())
    gone, keys["revoked"] = short.keys.create(KeyScope.SITE, name="gone", per_minute=60, at=now_utc())
    short.keys.revoke(gone.key_id, at=now_utc())
    for runtime in (short, long):
        runtime.refresh()
    way = Watched(short)
    with ExitStack() as stack:
        first = stack.enter_context(served_by(build_app(short), way))
        second = stack.enter_context(served_by(build_app(long)))
        protocol.install(way)  # of the class, so that both have it: each request says below which it takes
        yield first, second, keys, way


def test_whatever_is_asked_the_answer_is_that_of_the_way_of_all(both, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, keys, way = both
    monkeypatch.setattr(way.runtime.feed, "is_behind", lambda: False)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(BODIES, PATHS, HEADERS, KINDS, VERSIONS, st.sampled_from(sorted(keys)))
    def same(body, path, headers, kind, version, who) -> None:
        asking = [*headers, f"Content-Type: {kind}", *([f"Authorization: Bearer {keys[who]}"] if keys[who] else [])]
        request = post(body, path=path, headers=asking, version=version)
        protocol.PatientProtocol.way = way
        by_short = talk(first, request).removeprefix(_CONTINUE)
        protocol.PatientProtocol.way = None
        by_long = talk(second, request).removeprefix(_CONTINUE)
        assert parts(by_short) == parts(by_long)

    same()
    assert way.went.count(True) > 5
    assert way.went.count(False) > 5


def test_a_plain_question_goes_the_short_way_whole_or_in_pieces(port: int, way: Watched) -> None:
    request = post({"customer_id": "ann", "k": 2})
    assert b"p1" in talk(port, request)
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"p1" in talk(port, head[:30], head[30:], b"\r\n\r\n", body[:5], body[5:], pause=0.01)
    assert way.went == [True, True]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post({"k": "two"}), b"422"),
        (post(b"{"), b"400"),
        (post({"customer_id": "ann"}, headers=["Content-Type: application/octet-stream"]), b"415"),
        (post({"customer_id": "ann"}, headers=["Origin: http://elsewhere.test"]), b"403"),
        (post({"customer_id": "ann"}, path=f"{PATH}?a=b"), b"422"),
        (post({"customer_id": "ann"}, headers=["Connection: close"]), b"200"),
        (post({"customer_id": "ann"}, version="1.0"), b"200"),
        (post(b"", length=99_999_999), b"413"),
        (
            post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            + b'11\r\n{"customer_id":"a\r\n3\r\nnn"\r\n1\r\n}\r\n0\r\n\r\n',
            b"200",
        ),
    ],
)
def test_anything_else_goes_the_way_of_all(port: int, way: Watched, request_: bytes, status: bytes) -> None:
    assert talk(port, request_).split()[1] == status
    assert True not in way.went


def test_a_defect_is_told_once_by_the_way_of_all(
    port: int, way: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(short_way, "recommended", broken)
    monkeypatch.setattr(handlers, "recommended", broken)
    assert talk(port, post({"customer_id": "ann"})).split()[1] == b"500"
    assert way.went == [False]
    assert [record.message for record in caplog.records].count(f"a defect: ZeroDivisionError at {PATH}") == 1


def test_an_event_is_in_the_next_answer(port: int, way: Watched) -> None:
    assert b'"p1"' in talk(port, post(ANN))
    assert b" 200 " in talk(port, post(disliked("p1"), path="/v1/events"))
    assert b'"p1"' not in talk(port, post(ANN))
    assert way.went[0]


def test_requests_sent_at_once_are_answered_in_their_order(port: int, way: Watched) -> None:
    asked = [post({"customer_id": f"c{number}"}) for number in range(6)]
    asked.insert(3, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    came = whole(talk(port, b"".join(asked), answers=7))
    said = [json.loads(answer.partition(b"\r\n\r\n")[2]).get("customer_id") for answer in came]
    assert said == ["c0", "c1", "c2", None, "c3", "c4", "c5"]
    # One of them alone, lest a connection that sends many keeps the others waiting.
    assert way.went.count(True) == 1


def test_a_request_counts_once_towards_the_limit_of_its_key_and_in_the_metrics(
    port: int, way: Watched, runtime: Runtime
) -> None:
    _, key = runtime.keys.create(KeyScope.SITE, name="slow", per_minute=30, at=now_utc())
    runtime.refresh()
    request = post({"customer_id": "ann"}, headers=[f"Authorization: Bearer {key}"])
    statuses = [talk(port, request).split()[1] for _ in range(7)]
    assert statuses == [b"200"] * 5 + [b"429"] * 2  # ten seconds' worth at once
    assert way.went == [True] * 5 + [False] * 2
    counted = runtime.metrics.text().decode()
    assert f'regulars_requests_total{{method="POST",route="{PATH}",status="200"}} 6.0' in counted
    assert f'regulars_requests_total{{method="POST",route="{PATH}",status="429"}} 2.0' in counted
    assert re.search(rf'regulars_strategies_total{{route="{PATH}",strategy="personal",variant=""}} 6.0', counted)


def test_a_connection_idle_after_its_answer_is_closed_in_time_and_one_that_asks_again_is_not(port: int) -> None:
    with socket.create_connection((HOST, port), timeout=10) as connection:
        for _ in range(4):
            connection.sendall(post({"customer_id": "ann"}))
            assert b" 200 " in connection.recv(65536)
            time.sleep(0.5)
        started = time.monotonic()
        assert connection.recv(65536) == b""
        assert time.monotonic() - started < 2


def test_a_body_that_never_ends_is_cut(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MESSAGE_SECONDS", 0.3)
    started = time.monotonic()
    assert talk(port, post(b'{"customer_id":', length=40)) == b""
    assert time.monotonic() - started < 5


def test_a_request_being_sent_while_the_server_stops_is_answered(runtime: Runtime) -> None:
    way = Watched(runtime)
    request = post({"customer_id": "ann"})
    stack = ExitStack()
    port = stack.enter_context(served_by(build_app(runtime), way))
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(request[:-5])
        time.sleep(0.1)
        stopping = threading.Thread(target=stack.close)
        stopping.start()
        time.sleep(0.3)
        connection.sendall(request[-5:])
        came = connection.recv(65536)
        assert b" 200 " in came.splitlines()[0]
        assert b"connection: close" in came
        stopping.join(10)


def test_there_is_none_where_requests_are_traced_or_logged(make_runtime) -> None:
    assert short_way.short_way(make_runtime()) is not None
    assert short_way.short_way(make_runtime(log_requests=True)) is None


def test_of_several_shops_each_key_takes_the_short_way_of_its_own(
    two_homes: Path, key_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "_LOOK_SECONDS", 600)
    keys = {name: key_of(name) for name in SHOPS}
    shops = Shops(server_settings())
    app = shops.app()
    shops.start()
    went: dict[str, Watched] = {}
    for name, shop in shops.by_name.items():
        went[name] = shop.way = Watched(shop.runtime)
    try:
        with served_by(app, shops.way()) as port:

            def ask(key: str, body: object = ANN, path: str = PATH) -> bytes:
                return talk(port, post(body, path=path, headers=[f"Authorization: Bearer {key}"]))

            for key in keys.values():
                ask(key)
                assert b'"p1"' in ask(key)
            assert all(way.went[1:] == [True] for way in went.values())
            assert b" 200 " in ask(keys["north"], disliked("p1"), "/v1/events")
            assert b'"p1"' not in ask(keys["north"])
            assert b'"p1"' in ask(keys["south"])
            forged = keys["north"].split("_")[:3] + keys["south"].split("_")[3:]
            before = [list(way.went) for way in went.values()]
            for key in ("_".join(forged), f"{keys['north']}x", "rg_elsewhere_site_0_0", ""):
                assert talk(port, post(ANN, headers=[f"Authorization: Bearer {key}"])).split()[1] == b"401"
            assert all(True not in way.went[len(old) :] for way, old in zip(went.values(), before, strict=True))
    finally:
        shops.close()
