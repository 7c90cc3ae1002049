"""What a customer sent back or disliked, from orders and events, as the lists know it."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa

from features.engine import connect
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.matrix import read_purchases
from features.settings import load_settings
from training.everyone import _against, catalogue
from training.protocols import Context

MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "who"
product_id = "what"
ordered_at = "at"
quantity = "n"
[products]
path = "products.csv"
product_id = "what"
hidden = "hidden"
listed_at = "listed"
expires_at = "expires"
[interactions]
path = "events.csv"
event_id = "event"
product_id = "what"
kind = "kind"
occurred_at = "at"
customer_id = "who"
"""
ORDERS = """order,who,what,at,n
1,ann,kept,2024-01-01,2
1,ann,partly,2024-01-01,2
1,ann,returned,2024-01-01,1
2,ann,partly,2024-01-05,-1
2,ann,returned,2024-01-05,-1
3,ann,again,2024-01-09,1
4,bob,kept,2024-01-01,1
"""
EVENTS = """event,what,kind,at,who
1,kept,view,2024-01-02,ann
2,fresh,dislike,2024-01-02,ann
3,again,dislike,2024-01-02,ann
4,kept,return,2024-01-07,bob
"""
PRODUCTS = """what,hidden,listed,expires
fresh,false,2024-01-20,
gone,true,,2024-01-21
"""


def shop(folder: Path) -> Context:
    for name, text in (("orders.csv", ORDERS), ("events.csv", EVENTS), ("products.csv", PRODUCTS)):
        (folder / name).write_text(text)
    (folder / "shop.toml").write_text(MAPPING)
    settings = load_settings(home=folder / "home", threads=1)
    ingest("files", settings, mapping=folder / "shop.toml", replace=False, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))


def test_what_came_back_in_full_or_was_disliked_since_it_was_bought_counts_against(tmp_path: Path) -> None:
    context = shop(tmp_path)
    products = catalogue(context)
    ids = products["product_id"].to_pylist()
    purchases = read_purchases(context.lake, connect(context.settings))
    customers = purchases.customer_ids.to_pylist()
    found = {
        (customers[pair // len(ids)], ids[pair % len(ids)]) for pair in _against(context, purchases, products).tolist()
    }
    # What came back in part is kept in part; what was disliked and bought later is liked.
    assert found == {("ann", "returned"), ("ann", "fresh"), ("bob", "kept")}


def test_the_catalogue_says_what_is_hidden_listed_and_expires(tmp_path: Path) -> None:
    products = catalogue(shop(tmp_path))
    rows = {row["product_id"]: row for row in products.to_pylist()}
    assert rows["gone"]["hidden"]
    assert rows["gone"]["expires_at"] == datetime(2024, 1, 21)
    assert rows["fresh"]["listed_at"] == datetime(2024, 1, 20)
    assert not rows["fresh"]["hidden"]
    assert rows["kept"]["listed_at"] is None
    assert products.schema.field("listed_at").type == pa.timestamp("us")
