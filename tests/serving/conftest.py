import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.types import ASGIApp
from typer.testing import CliRunner, Result

from features.home import Home, write_text
from features.settings import current_settings, load_settings
from features.tenants import shop_settings
from serving.app import build_app
from serving.cli import app
from serving.database import open_database
from serving.keys import Keys, now_utc
from serving.reload import Holder
from serving.runtime import Runtime, open_runtime
from serving.scopes import KeyScope
from serving.state import State, load_state
from training.bundle import seal
from training.customer_scores import SCHEMA
from training.ranked_lists import RankedLists, save_ranked_lists

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
SHOPS = ("north", "south")
MODELS = {"recommender": 3, "churn": 2, "propensity": 1, "value": 1}

PRODUCTS = [
    # product_id, name, department, category, brand, price, in_stock
    ("p0", "Apples", "fresh", "fruit", "Orchard", 2.0, None),
    ("p1", "Bread", "bakery", "bread", "Mill", 3.0, True),
    ("p2", "Cheese", "dairy", "cheese", "Farm", 5.5, True),
    ("p3", "Dates", "fresh", "fruit", "Orchard", 4.0, False),
    ("p4", "Eggs", "dairy", "eggs", "Farm", 2.5, True),
    ("p5", None, None, None, None, None, None),
]


def ranked_lists() -> RankedLists:
    names = ("product_id", "name", "department", "category", "brand", "price", "in_stock")
    columns = dict(zip(names, map(list, zip(*PRODUCTS, strict=True)), strict=True))
    return RankedLists(
        customers=pa.table({"customer_id": ["ann", "bob"]}),
        products=pa.table(columns),
        lists=np.array([[1, 3, 2, -1], [0, 4, -1, -1]], dtype=np.int32),
        scores=np.array([[0.9, 0.8, 0.7, 0], [0.6, 0.5, 0, 0]], dtype=np.float32),
        sources=np.array([[0, 0, 1, 0], [2, 3, 0, 0]], dtype=np.uint8),
        own_orders=np.array([[5, 1, 0, 0], [0, 0, 0, 0]], dtype=np.uint16),
        popular=np.array([0, 1, 2], dtype=np.int32),
        neighbours=np.array([[1, 2], [0, -1], [1, 0], [-1, -1], [-1, -1], [-1, -1]], dtype=np.int32),
        neighbour_lift=np.array([[2.0, 1.5], [2.0, 0], [3.0, 1.5], [0, 0], [0, 0], [0, 0]], dtype=np.float32),
        about={"as_of": AS_OF.isoformat()},
    )


def customer(customer_id: str, churn: float | None, value: float | None, *, silent: int, **other: object) -> dict:
    return {
        "customer_id": customer_id,
        "last_order_at": AS_OF - timedelta(days=silent),
        "orders": 10,
        "spend": 100.0,
        "days_since_last_order": silent,
        "active": True,
        "churn_probability": churn,
        "purchase_probability": 0.5,
        "expected_spend": 20.0,
        "value_at_risk": value,
        "stage": "regular",
        "reasons": [{"message": "silent", "lowers": False, "number": 3.0, "other": 9.0, "detail": None}],
    } | other


CUSTOMERS = [
    customer("ann", 0.2, 30.0, silent=3),
    customer("bob", 0.9, 10.0, silent=20, stage="slipping"),
    customer("cat", 0.5, 10.0, silent=12),
    customer("dan", None, None, silent=90, active=False, stage="lapsed", reasons=[]),
    customer("=eve", 0.1, 1.0, silent=1),
]


def write_scores(
    home: Home,
    version: str = "v1",
    *,
    customers: list[dict] | None = None,
    ranking: RankedLists | None = None,
    models: dict | None = None,
    campaigns: list[dict] | None = None,
    about: dict | None = None,
) -> Path:
    """A scoring as `regulars score` leaves it, made current."""
    directory = home.scores / "versions" / version
    (directory / "ranking").mkdir(parents=True)
    rows = sorted(customers or CUSTOMERS, key=lambda row: row["customer_id"])
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), directory / "customers.parquet")
    if ranking is None:
        (directory / "ranking").rmdir()
    else:
        save_ranked_lists(ranking, directory / "ranking")
    said = {
        "created_at": AS_OF.isoformat(),
        "as_of": AS_OF.isoformat(),
        "lake_version": "lake1",
        "horizon_days": 28,
        "currency": "EUR",
        "customers": len(rows),
        "models": models or MODELS,
        "notes": [],
        "campaigns": campaigns or [],
    }
    seal(directory, kind="scores", about=said | (about or {}))
    write_text(home.scores / "CURRENT", version)
    return directory


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def scored_home(home: Home) -> Home:
    write_scores(home, ranking=ranked_lists())
    return home


@pytest.fixture
def state(scored_home: Home) -> State:
    return load_state(scored_home)


@pytest.fixture
def holder(scored_home: Home) -> Holder:
    held = Holder(scored_home)
    assert held.refresh()
    return held


@pytest.fixture
def make_runtime(scored_home: Home):
    """A started runtime over the scored home, with any settings."""
    made: list[Runtime] = []

    def make(home: Home = scored_home, **settings: object) -> Runtime:
        # A busy machine must not turn an answer into a plainer one; tests of the time limit set their own.
        runtime = open_runtime(load_settings(home=home.root, **{"answer_ms": 10_000, **settings}))
        made.append(runtime)
        runtime.start()
        return runtime

    yield make
    for runtime in made:
        runtime.close()


@pytest.fixture
def runtime(make_runtime) -> Runtime:
    return make_runtime()


@pytest.fixture
def client(runtime: Runtime):
    return Asked(build_app(runtime))


@pytest.fixture
def regulars(home: Home, monkeypatch) -> Iterator[Callable[..., Result]]:
    """The command line over that home."""
    monkeypatch.setenv("REGULARS_HOME", str(home.root))
    monkeypatch.setenv("COLUMNS", "200")
    current_settings.cache_clear()

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    yield call
    current_settings.cache_clear()


@pytest.fixture(name="write_scores", scope="session")
def _write_scores():
    return write_scores


@pytest.fixture(name="ranked_lists")
def _ranked_lists():
    return ranked_lists()


@pytest.fixture
def two_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_scores, ranked_lists) -> Iterator[Path]:
    """A working folder with two scored shops."""
    for name in ("REGULARS_HOME", "REGULARS_CONFIG", "REGULARS_THREADS", "REGULARS_TENANT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    homes = "".join(f'{name} = "{name}"\n' for name in SHOPS)
    (tmp_path / "regulars.toml").write_text(f'home = "server"\nthreads = 1\n[tenants]\n{homes}')
    for name in SHOPS:
        write_scores(Home(tmp_path / name), version=f"of-{name}", ranking=ranked_lists)
        (tmp_path / name / "regulars.toml").write_text("answer_ms = 10000\n")
    current_settings.cache_clear()
    yield tmp_path
    current_settings.cache_clear()


@pytest.fixture
def key_of(two_homes: Path) -> Callable[..., str]:
    """Makes a key of a shop."""

    def make(name: str, scope: str = "admin") -> str:
        database = open_database(shop_settings(load_settings(), name))
        _, text = Keys(database, tenant=name).create(KeyScope(scope), name="k", per_minute=10**6, at=now_utc())
        database.close()
        return text

    return make


class Asked:
    """Asks an application in this process, one request at a time."""

    def __init__(self, app: ASGIApp, *, raising: bool = True) -> None:
        self.app, self.raising = app, raising

    def request(self, method: str, path: str, **what: object) -> httpx.Response:
        return asyncio.run(self._request(method, path, **what))

    async def _request(self, method: str, path: str, **what: object) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=self.raising)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", follow_redirects=True) as client:
            return await client.request(method, path, **what)

    def get(self, path: str, **what: object) -> httpx.Response:
        return self.request("GET", path, **what)

    def post(self, path: str, **what: object) -> httpx.Response:
        return self.request("POST", path, **what)


@pytest.fixture
def asked():
    return Asked
