"""Stock told while the server runs counts for the next answer of every worker, and stands until told otherwise."""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from features.home import Home
from features.settings import load_settings
from serving.app import build_app
from serving.catalogue import make_catalogue
from serving.database import StoreAwayError, open_database, stock
from serving.keys import now_utc
from serving.runtime import Runtime
from serving.scopes import KeyScope
from serving.stock import StockLog

NOW = datetime.now(UTC).isoformat()
EVERYTHING = {"customer_id": "ann", "k": 6}


def tell(client, **words: bool | None) -> dict:
    products = [{"product_id": product, "in_stock": word} for product, word in words.items()]
    return client.request("PUT", "/v1/stock", json={"products": products}).json()


def shown(client, **request: object) -> list[str]:
    answer = client.post("/v1/recommendations", json=EVERYTHING | request).json()
    return [item["product_id"] for item in answer["items"]]


def test_what_is_sold_out_is_in_no_answer_from_then_on_and_back_once_it_is_there_again(client) -> None:
    assert "p1" in shown(client)
    alone = client.request("PUT", "/v1/stock", json={"product_id": "p1", "in_stock": False}).json()
    assert alone == {"changed": 1, "unchanged": 0, "unknown": []}
    assert "p1" not in shown(client)
    assert "p1" not in shown(client, customer_id=None)
    assert "p1" not in shown(client, question="similar", product_id="p2")
    assert tell(client, p1=True)["changed"] == 1
    assert "p1" in shown(client)


def test_what_the_product_file_says_is_sold_out_can_be_told_to_be_there(client) -> None:
    assert "p3" not in shown(client)
    tell(client, p3=True)
    assert "p3" in shown(client)


def test_told_null_a_product_is_as_its_file_says(client) -> None:
    tell(client, p1=False, p3=True)
    assert tell(client, p1=None, p3=None, p4=None) == {"changed": 2, "unchanged": 1, "unknown": []}
    assert "p1" in shown(client)
    assert "p3" not in shown(client)


def test_whoever_asks_for_what_cannot_be_sold_is_told_how_it_stands(client) -> None:
    tell(client, p1=False)
    asked = EVERYTHING | {"filters": {"in_stock": False}, "fields": ["in_stock"]}
    answer = client.post("/v1/recommendations", json=asked).json()
    assert {item["product_id"]: item["product"]["in_stock"] for item in answer["items"]}["p1"] is False


def test_the_same_word_twice_is_kept_once_and_changes_nothing(client, runtime: Runtime) -> None:
    first, again = tell(client, p1=False, p2=True), tell(client, p1=False, p2=True)
    assert [first["changed"], again["changed"], again["unchanged"]] == [2, 0, 2]
    with runtime.database.read() as connection:
        rows = connection.execute(select(stock.c.product_id, stock.c.in_stock).order_by(stock.c.seq)).all()
    assert rows == [("p1", False), ("p2", True)]


def test_of_a_product_named_twice_the_later_word_counts(client) -> None:
    words = [{"product_id": "p1", "in_stock": word} for word in (False, True, False)]
    assert client.request("PUT", "/v1/stock", json={"products": words}).json()["changed"] == 1
    assert "p1" not in shown(client)


def test_products_that_no_scores_know_are_named_and_count_once_they_do(
    client, runtime, write_scores, ranked_lists
) -> None:
    assert tell(client, p1=True, p9=False)["unknown"] == ["p9"]
    products = ranked_lists.products.to_pylist()
    products[4] |= {"product_id": "p9"}
    renamed = replace(ranked_lists, products=pa.Table.from_pylist(products, schema=ranked_lists.products.schema))
    write_scores(runtime.holder.home, "v2", ranking=renamed)
    runtime.refresh()
    assert runtime.holder.state.version == "v2"
    assert "p9" not in shown(client, customer_id="bob")


def test_a_new_scoring_does_not_bring_back_what_was_sold_out_since(client, runtime, write_scores, ranked_lists) -> None:
    tell(client, p1=False)
    write_scores(runtime.holder.home, "v2", ranking=ranked_lists)
    runtime.refresh()
    assert runtime.holder.state.version == "v2"
    assert "p1" not in shown(client)


def test_another_worker_knows_at_its_next_answer_and_so_does_one_that_starts_later(client, make_runtime, asked) -> None:
    other = asked(build_app(make_runtime()))
    tell(client, p1=False)
    assert "p1" not in shown(other)
    assert "p1" not in shown(asked(build_app(make_runtime())))


def test_the_scores_of_a_variant_know_it_too(
    make_runtime, asked, tmp_path, scored_home: Home, write_scores, ranked_lists
) -> None:
    write_scores(scored_home, "v2", ranking=ranked_lists)
    write_scores(scored_home, "v1b", ranking=ranked_lists)
    file = tmp_path / "experiments.toml"
    variants = "".join(f'[try.variants.{name}]\nshare = 0.5\nscores = "v2"\n' for name in ("one", "two"))
    file.write_text(f"[try]\n{variants}")
    runtime = make_runtime(experiments_file=file)
    client = asked(build_app(runtime))
    assert runtime.holder.variants.keys() == {"v2"}
    tell(client, p1=False)
    answer = client.post("/v1/recommendations", json=EVERYTHING).json()
    assert answer["variant"] in ("one", "two")
    assert "p1" not in [item["product_id"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"in_stock": "no"}, "in_stock"),
        ({"in_stock": 0}, "in_stock"),
        ({"product_id": ""}, "product_id"),
        ({"product_id": "p1\n"}, "product_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_word_names_its_field_and_nothing_of_its_batch_is_kept(client, runtime, change, field: str) -> None:
    right = {"product_id": "p1", "in_stock": False}
    alone = client.request("PUT", "/v1/stock", json=right | change)
    assert (alone.status_code, alone.json()["errors"][0]["field"]) == (422, field)
    batch = client.request("PUT", "/v1/stock", json={"products": [right, right | change]})
    assert (batch.status_code, batch.json()["errors"][0]["field"]) == (422, f"products[1].{field}")
    assert runtime.shelf.log.since(0) == (0, {})
    assert "p1" in shown(client)


def test_a_word_that_cannot_be_kept_is_not_taken(client, runtime: Runtime) -> None:
    path = runtime.database.folder / "live.db"
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE stock")
    assert client.request("PUT", "/v1/stock", json={"product_id": "p1", "in_stock": False}).status_code == 503
    assert "p1" in shown(client)
    runtime.shelf.log.doorbell.ring()
    with pytest.raises(StoreAwayError):
        runtime.shelf.read()


def test_more_words_than_one_look_takes_are_all_read(home: Home, make_runtime) -> None:
    runtime = make_runtime()
    words = {f"x{number}": number % 3 > 0 for number in range(1_234)}
    assert runtime.shelf.log.write(words, at=runtime.holder.state.scored_at) == 1_234
    runtime.shelf.read()
    assert runtime.shelf.told == words
    assert runtime.shelf.log.write(words | {"x1": None}, at=runtime.holder.state.scored_at) == 1
    runtime.shelf.read()
    assert runtime.shelf.told == {product: word for product, word in words.items() if product != "x1"}


def test_events_do_not_make_a_worker_ask_for_the_stock_each_time(client, runtime: Runtime, monkeypatch) -> None:
    runtime.shelf.read()
    monkeypatch.setattr("serving.stock._LOOK_SECONDS", 1e9)
    asked: list[int] = []
    since = runtime.shelf.log.since
    monkeypatch.setattr(runtime.shelf.log, "since", lambda seq: asked.append(seq) or since(seq))
    event = {"event_id": "e1", "product_id": "p1", "kind": "view", "occurred_at": NOW, "customer_id": "ann"}
    assert client.post("/v1/events", json=event).json()["accepted"] == 1
    shown(client)
    assert asked == []
    tell(client, p1=False)
    assert "p1" not in shown(client)
    assert asked


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["p0", "p1", "p3", "p5", "no such"]), st.sampled_from([True, False, None]))
    )
)
def test_after_any_words_what_can_be_sold_is_what_the_last_word_or_the_file_says(calls: list[dict]) -> None:
    files = {"p0": None, "p1": True, "p3": False, "p5": None}
    columns = {name: [None] * 4 for name in ("name", "department", "category", "brand")}
    table = pa.table(
        {"product_id": list(files), "in_stock": pa.array(files.values(), pa.bool_()), "price": [1.0] * 4, **columns}
    )
    catalogue = make_catalogue(table, pa.array([0, 1]).to_numpy())
    last: dict[str, bool | None] = {}
    for words in calls:
        before = catalogue.offers.at(0.0)
        held = before.sellable.tolist()
        catalogue.tell_stock(words)
        last |= words
        assert before.sellable.tolist() == held  # an answer under way keeps what it began with
        said = [files[product] if last.get(product) is None else last[product] for product in files]
        assert catalogue.offers.at(0.0).sellable.tolist() == [word is not False for word in said]


def test_the_log_is_empty_at_first(home: Home) -> None:
    log = StockLog(open_database(load_settings(home=home.root)))
    assert log.since(0) == (0, {})


def test_a_key_of_stock_tells_it_and_does_nothing_else_and_one_of_the_site_does_not(client, runtime: Runtime) -> None:
    site, of_stock = (
        {"Authorization": f"Bearer {runtime.keys.create(scope, name='k', per_minute=1000, at=now_utc())[1]}"}
        for scope in (KeyScope.SITE, KeyScope.STOCK)
    )
    runtime.refresh()
    word = {"product_id": "p1", "in_stock": False}
    assert client.request("PUT", "/v1/stock", json=word, headers=site).status_code == 403
    assert "p1" in shown_to(client, site)
    assert client.request("PUT", "/v1/stock", json=word, headers=of_stock).status_code == 200
    assert "p1" not in shown_to(client, site)
    for method, path in (("POST", "/v1/recommendations"), ("GET", "/v1/customers/ann"), ("GET", "/metrics")):
        assert client.request(method, path, json={}, headers=of_stock).status_code == 403


def shown_to(client, headers: dict[str, str]) -> list[str]:
    answer = client.post("/v1/recommendations", json=EVERYTHING, headers=headers).json()
    return [item["product_id"] for item in answer["items"]]
