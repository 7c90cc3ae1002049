"""A whole data home with one customer whose id stands nowhere by chance, and a search of every file for it."""

from __future__ import annotations

import asyncio
import csv
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow.parquet as pq

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.pseudonyms import known_as
from features.settings import Settings, load_settings
from features.store.feast_store import open_store, register
from features.store.materialize import materialize
from features.store.snapshots import build_snapshots
from serving.app import build_app
from serving.desk import DeskLog
from serving.last_good import PINNED, keep
from serving.runtime import open_runtime
from tests.features.loading import MAPPING as ORDERS
from tests.serving.small_scores import AS_OF, small_state
from tests.training.registry.fakes import trained_recommender
from training.insight.keep import keep_insight
from training.protocols import Context, Trained
from training.ranked_lists import RankedLists
from training.run import train
from training.said import keep_said

WHO, NEW = "planted-7731", "planted-8842"
OTHERS = [f"c{number:02}" for number in range(40)]
PRODUCTS = [{"product_id": f"p{n}", "name": f"Product {n}", "category": "ab"[n % 2], "price": 2.0} for n in range(8)]
MODEL_AT = datetime(2024, 6, 30, tzinfo=UTC)
MAPPING = f"""{ORDERS}
[customers]
path = "customers.csv"
customer_id = "customer"
band = "band"

[contacts]
path = "contacts.csv"
campaign_id = "campaign"
customer_id = "customer"
contacted_at = "at"

[responses]
path = "contacts.csv"
campaign_id = "campaign"
customer_id = "customer"
responded_at = "at"
"""


def orders() -> dict[str, list[tuple[float, list[str]]]]:
    """Everybody orders three products every few days, up to the day before the scores."""
    return {
        who: [
            (1.0 + number % 6 + back * (3 + number % 5), [f"p{(number + back + n) % 8}" for n in range(3)])
            for back in range(8)
        ]
        for number, who in enumerate([*OTHERS, WHO])
    }


def write_files(folder: Path) -> Path:
    """The shop's files, two lines of them broken; the mapping's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "orders.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["order", "customer", "product", "at", "pieces", "paid"])
        for who, theirs in orders().items():
            for ago, basket in theirs:
                at = AS_OF.replace(tzinfo=None) - timedelta(days=ago)
                rows.writerows(
                    [f"{who[-2:]}-{ago:g}", who, product, f"{at:%Y-%m-%d %H:%M:%S}", 1, 2.5] for product in basket
                )
        rows.writerow(["broken", WHO, "p1", "never", 1, 2])
        rows.writerow(["short", WHO])
    everybody = "".join(f"{who},x\n" for who in [*OTHERS, WHO, NEW])
    (folder / "customers.csv").write_text(f"customer,band\n{everybody}")
    contacts = "".join(f"spring,{who},2024-03-01\n" for who in (WHO, "c01"))
    (folder / "contacts.csv").write_text(f"campaign,customer,at\n{contacts}")
    (folder / "shop.toml").write_text(MAPPING)
    return folder / "shop.toml"


def recommender(ranking: RankedLists, into: Path, who: str) -> Trained:
    """A recommender of these lists, logged as an earlier release did: its example is a real customer."""
    return replace(
        trained_recommender(into, ranking),
        input_example=pd.DataFrame({"customer_id": [who]}),
        output_example=pd.DataFrame({"customer_id": [who], "rank": [1], "product_id": ["p1"], "score": [0.9]}),
        test_as_of=AS_OF,
    )


def open_home(root: Path, write_scores: Any, *, pseudonyms: bool = False) -> Settings:
    """Everything a home may hold, made of these orders, of which a first load had only some."""
    privacy = {"pseudonyms": pseudonyms}
    settings = load_settings(home=root / "home", threads=1, seed=1, answer_ms=10_000, privacy=privacy)
    home = Home(settings.home)
    mapping = write_files(root / "files")
    whole = (root / "files" / "orders.csv").read_text()
    head, *lines = whole.splitlines(keepends=True)
    for text in ("".join([head, *lines[30:]]), whole):
        (root / "files" / "orders.csv").write_text(text)
        ingest("files", settings, mapping=mapping, now=AS_OF.replace(tzinfo=None))
    held = dict(zip(orders(), known_as(settings, orders()), strict=True))
    (new,) = known_as(settings, [NEW])
    theirs = {held[who]: baskets for who, baskets in orders().items()}
    state = small_state(theirs, PRODUCTS, newcomers={new: ["p1", "p2"]})
    lake = read_lake(home)
    rows = [row | {"value_at_risk": 5.0 + n, "stage": "slipping"} for n, row in enumerate(state.customers.to_pylist())]
    write_scores(home, customers=rows, ranking=state.ranking, about={"lake_version": lake.version})
    keep_said(home, home.scores / "versions" / "v1")
    context = Context(settings=settings, home=home, lake=lake)
    keep_insight(context, at=AS_OF)
    train(
        context,
        ["recommender"],
        at=MODEL_AT,
        trainers={"recommender": lambda _, into: recommender(state.ranking, into, held[WHO])},
    )
    snapshots, _ = build_snapshots(settings, lake, [AS_OF.replace(tzinfo=None)])
    shutil.copytree(home.ledgers, home.spark_ledgers)  # where Spark keeps the same
    store = open_store(home, settings)
    register(store, snapshots)
    materialize(home, store, snapshots)
    keep(home, "v1", under=PINNED)
    asyncio.run(_live(settings))
    return settings


async def _live(settings: Settings) -> None:
    """What the customer did on the site, and what agents did with them."""
    runtime = open_runtime(settings)
    runtime.start()
    now = datetime.now(UTC)
    at = now.isoformat()
    view = {"product_id": "p1", "kind": "view", "occurred_at": at}
    outcome = {"outcome_id": "o1", "customer_id": WHO, "outcome": "reached", "occurred_at": at}
    if not settings.privacy.pseudonyms:
        outcome["note"] = f"told {WHO}"
    plan = {"campaign_id": "june", "cost_per_contact": 0.0, "margin": 0.5, "rest_days": 0, "holdout_share": 0.3}
    transport = httpx.ASGITransport(build_app(runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path, sent in (
            ("/v1/contact-plans", plan),
            ("/v1/events", view | {"event_id": "before", "session_id": "visit"}),
            ("/v1/sessions/visit/customer", {"customer_id": WHO}),
            ("/v1/events", view | {"event_id": "hers", "customer_id": WHO}),
            ("/v1/events", view | {"event_id": "another", "customer_id": "c01", "session_id": "other"}),
            ("/v1/outcomes", outcome),
            ("/v1/outcomes", outcome | {"outcome_id": "o2", "customer_id": "c01", "note": None}),
        ):
            answer = await client.post(path, json=sent)
            assert answer.status_code == 200, answer.text
    DeskLog(runtime.database, runtime.outcomes.doorbell).assign(
        known_as(settings, [WHO, "c02"]), "dee", who="dee", at=now.replace(tzinfo=None)
    )
    runtime.close()


def holding(root: Path, customer: str) -> list[str]:
    """Files below `root` that hold the id: as bytes, in a column, in a row of SQLite, or packed in one."""
    wanted = customer.encode()
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and any(wanted in part for part in _parts(path))
    ]


def _parts(path: Path) -> Iterator[bytes]:
    """The file as it is, and what it holds when it is read."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pydict()).encode()
    if content.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
            for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in con.execute(f'SELECT * FROM "{table}"'):
                    yield from map(_plain, row)


def _plain(value: object) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
