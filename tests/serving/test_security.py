import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.home import Home
from features.settings import load_settings
from serving.app import build_app
from serving.exposure import is_loopback, safe_host
from serving.keys import KeyRing, now_utc, read_copy
from serving.rate_limit import RateLimit
from serving.route_table import PUBLIC, ROUTES, ApiRoute
from serving.runtime import Runtime
from serving.scopes import KeyScope

#: Routes whose answers name customers' scores.
OF_CUSTOMERS = {route.path for route in ROUTES if re.search("/customers|outcomes|contact-plans", route.path)}


def make_key(runtime: Runtime, scope: str, *, per_minute: int = 1_000_000) -> str:
    _, text = runtime.keys.create(KeyScope(scope), name="test", per_minute=per_minute, at=now_utc())
    runtime.refresh()
    return text


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def concrete(route: ApiRoute, **ids: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda part: ids.get(part.group(1), "x"), route.path)


@pytest.fixture
def keyed(runtime: Runtime) -> dict[str, str]:
    return {scope.value: make_key(runtime, scope) for scope in KeyScope}


def test_a_key_works_in_either_header_and_only_whole(client, keyed) -> None:
    key = keyed["site"]
    assert client.get("/v1/models", headers=bearer(key)).status_code == 200
    assert client.get("/v1/models", headers={"X-API-Key": key}).status_code == 200
    for wrong in (key[:-1], f"{key}x", key.replace("site", "admin"), "", "rg_site_000000000000_" + "A" * 43):
        response = client.get("/v1/models", headers=bearer(wrong))
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"


def test_once_a_key_exists_nothing_but_the_public_routes_answers_without_one(client, keyed) -> None:
    for route in ROUTES:
        response = client.request(route.method, concrete(route))
        assert (response.status_code == 401) == (route.scopes != PUBLIC), route.path


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    route=st.sampled_from(ROUTES),
    customer=st.text("abcdefghij0123456789-_.=", min_size=1, max_size=20),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_the_key_of_a_site_is_refused_every_route_that_names_customers_scores(
    client, keyed, route: ApiRoute, customer: str, method: str
) -> None:
    path = concrete(route, customer_id=customer)
    response = client.request(method, path, headers=bearer(keyed["site"]))
    if route.path in OF_CUSTOMERS:
        assert response.status_code == 403
    if response.status_code == 200 and route.path.startswith("/v1"):
        assert "churn_probability" not in response.text


def test_the_table_gives_the_site_no_route_of_customers_and_everything_to_admin() -> None:
    assert {"/v1/customers/{customer_id}", "/v1/customers/at-risk", "/v1/outcomes", "/v1/contact-plans"} <= OF_CUSTOMERS
    for route in ROUTES:
        if route.path in OF_CUSTOMERS:
            assert KeyScope.SITE not in route.scopes
        if route.scopes != PUBLIC:
            assert KeyScope.ADMIN in route.scopes
        if route.path.startswith("/v1"):
            assert route.scopes != PUBLIC


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("retention", "POST", "/v1/recommendations", 403),
        ("retention", "GET", "/v1/customers/at-risk", 200),
        ("site", "GET", "/metrics", 403),
        ("site", "GET", "/v1/feedback", 403),
        ("admin", "GET", "/metrics", 200),
        ("admin", "GET", "/v1/customers/ann", 200),
    ],
)
def test_each_scope_may_do_its_own_work(client, keyed, scope: str, method: str, path: str, status: int) -> None:
    body = {} if method == "POST" else None
    assert client.request(method, path, json=body, headers=bearer(keyed[scope])).status_code == status


def test_a_revoked_key_is_refused_and_the_shop_is_not_open_again(client, runtime: Runtime) -> None:
    key = make_key(runtime, "site")
    runtime.keys.revoke(runtime.keys.all()[0].key_id, at=now_utc())
    runtime.refresh()
    assert client.get("/v1/models", headers=bearer(key)).status_code == 401
    assert client.get("/v1/models").status_code == 401


def test_the_secret_is_kept_nowhere(runtime: Runtime) -> None:
    secret = make_key(runtime, "admin").split("_", 3)[3]
    for file in runtime.holder.home.root.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
    assert runtime.keys.copy.stat().st_mode & 0o077 == 0


def test_a_server_started_without_its_database_knows_the_keys_last_seen(make_runtime, asked, monkeypatch) -> None:
    first = make_runtime()
    key = make_key(first, "site")
    restarted = make_runtime(database_url="sqlite:////nowhere/at/all.db")
    client = asked(build_app(restarted))
    assert client.get("/v1/models", headers=bearer(key)).status_code == 200
    assert client.get("/v1/models").status_code == 401
    assert "keys last seen" in restarted.problems["keys"]


def test_every_key_is_compared_whole_whether_its_id_is_known_or_not(monkeypatch, runtime: Runtime) -> None:
    compared = []
    monkeypatch.setattr("serving.keys.hmac.compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    key = make_key(runtime, "site")
    for text in (key, key[:-1] + "!", "rg_site_000000000000_" + "A" * 43, "nonsense"):
        runtime.ring.find(text)
    assert compared == [(64, 64)] * 4


def test_a_key_may_ask_so_often_and_is_told_when_to_come_again(client, runtime: Runtime) -> None:
    key = make_key(runtime, "site", per_minute=60)
    answers = [client.get("/v1/models", headers=bearer(key)) for _ in range(12)]
    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert client.get("/v1/models", headers=bearer(make_key(runtime, "site"))).status_code == 200


def test_a_bucket_fills_evenly_and_workers_share_it() -> None:
    limit = RateLimit(workers=2)
    assert sum(limit.wait("k", 240, at=100.0) == 0 for _ in range(100)) == 20  # 10 s of 2 a second
    assert limit.wait("k", 240, at=100.0) == pytest.approx(0.5)
    assert [limit.wait("k", 240, at=101.0) == 0 for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("name", ["shop.example", "192.168.1.5", "localhost.evil.example", "evil"])
def test_without_a_key_only_this_machine_by_its_own_name_is_answered(client, name: str) -> None:
    assert client.get("/v1/models", headers={"Host": "localhost:3000"}).status_code == 200
    assert client.get("/v1/models", headers={"Host": "[::1]:3000"}).status_code == 200
    refused = client.get("/v1/models", headers={"Host": name})
    assert refused.status_code == 401
    assert "regulars keys create" in refused.json()["detail"]
    assert client.get("/healthz", headers={"Host": name}).status_code == 200


def test_without_a_key_the_server_binds_to_this_machine_and_says_so(scored_home: Home, capsys) -> None:
    settings_ = load_settings(home=scored_home.root)
    assert safe_host("0.0.0.0", settings_) == "127.0.0.1"
    assert "No API key exists" in capsys.readouterr().err
    assert safe_host("::1", settings_) == "::1"


def test_with_a_key_it_binds_where_it_is_told(runtime: Runtime) -> None:
    make_key(runtime, "site")
    assert safe_host("0.0.0.0", runtime.settings) == "0.0.0.0"
    away = load_settings(home=runtime.settings.home, database_url="sqlite:////nowhere/at/all.db")
    assert safe_host("0.0.0.0", away) == "0.0.0.0"
    assert read_copy(runtime.keys.copy) == runtime.keys.all()


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_loopback_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_foreign_page_may_not_write_and_a_listed_one_may(make_runtime, asked) -> None:
    shop, foreign = "https://shop.example", "https://evil.example"
    client = asked(build_app(make_runtime(cors_origins=(shop,))))
    assert client.post("/v1/recommendations", json={}, headers={"Origin": foreign}).status_code == 403
    allowed = client.post("/v1/recommendations", json={}, headers={"Origin": shop})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, shop)
    asked_first = {
        "Origin": shop,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    assert client.request("OPTIONS", "/v1/events", headers=asked_first).status_code == 200
    unlisted = asked_first | {"Origin": foreign}
    assert "access-control-allow-origin" not in client.request("OPTIONS", "/v1/events", headers=unlisted).headers


def test_without_a_list_no_origin_but_the_servers_own_may_write(client) -> None:
    assert client.post("/v1/recommendations", json={}, headers={"Origin": "https://shop.example"}).status_code == 403
    assert client.post("/v1/recommendations", json={}, headers={"Origin": "http://localhost"}).status_code == 200
    assert client.post("/v1/recommendations", json={}, headers={"Origin": "null"}).status_code == 403


@pytest.mark.parametrize(
    "kind",
    ["application/vnd.bentoml+pickle", "application/x-pickle", "application/octet-stream", "multipart/form-data"],
)
def test_a_body_of_another_kind_is_refused_unread(client, kind: str) -> None:
    for route in ROUTES:
        if route.method == "POST":
            response = client.post(concrete(route), content=b"{}", headers={"Content-Type": kind})
            assert response.status_code == 415, route.path


def test_deep_and_large_bodies_are_refused(client) -> None:
    deep = b'{"filters":' * 100_000
    assert client.post("/v1/recommendations", content=deep).status_code in (400, 413, 422)
    nested = b'{"events":' + b"[" * 60_000 + b"]" * 60_000 + b"}"
    response = client.post("/v1/events", content=nested)
    assert response.status_code in (400, 422)
    too_large = {"Content-Length": str(10**9)}
    assert client.post("/v1/events", content=b"{}", headers=too_large).status_code == 413
    assert client.post("/v1/events", content=b" " * (2 * 1024 * 1024 + 1)).status_code == 413


def test_answers_carry_security_headers_and_pages_a_policy(client) -> None:
    page = client.get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert "<script>" not in page.text
    for path in ("/v1/models", "/docs", "/healthz", "/nothing"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"
    assert "no-store" in client.get("/v1/customers/ann").headers["cache-control"]


def test_a_given_request_id_is_said_back_unless_it_is_unfit(client) -> None:
    assert client.get("/v1/models", headers={"X-Request-Id": "trace-1"}).headers["x-request-id"] == "trace-1"
    made = client.get("/v1/models", headers={"X-Request-Id": "a b"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_no_customer_is_named_in_the_log(client, runtime: Runtime, caplog) -> None:
    caplog.set_level("DEBUG", logger="regulars.serving")
    client.get("/v1/customers/zacharias")
    client.post("/v1/recommendations", json={"customer_id": "zacharias"})
    client.post("/v1/recommendations", json={"customer_id": "zacharias", "k": "x"})
    runtime.refresh()
    assert "zacharias" not in caplog.text


def test_a_ring_of_old_keys_is_a_ring() -> None:
    assert not KeyRing([]).exist
    assert KeyRing([], exist=True).exist
