from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from tests.features.loading import MAPPING as ORDERS
from tests.features.loading import Shop as Files
from training.insight.customers import customer_facts
from training.insight.files import Insight, read_insight
from training.insight.keep import keep_insight
from training.insight.shop import Shop, shop_before
from training.protocols import Context

HEADER = "order,customer,product,at,pieces,paid,off,store"
MAPPING = ORDERS + 'discount = "off"\nstore_id = "store"\n'
GOODS = """
[products]
path = "goods.csv"
product_id = "product"
name = "product"
category = "category"
cost = "cost"
"""
AT = datetime(2025, 1, 1, tzinfo=UTC)
#: How shops are made: lines of HEADER, the moment, and the goods (product,category,cost) where there are any.
MakeShop = Callable[..., Shop]


@pytest.fixture
def make_shop(tmp_path: Path) -> MakeShop:
    """A shop of a few lines, loaded into a lake and looked at before a moment."""

    def make(
        *lines: str,
        as_of: str,
        goods: tuple[str, ...] = (),
        mapping: str = MAPPING,
        files: Mapping[str, list[str]] | None = None,
    ) -> Shop:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        shop = Files(folder)
        for name, rows in (files or {}).items():
            shop.write(name, "\n".join(rows) + "\n")
        if goods:
            shop.write("goods.csv", "\n".join(("product,category,cost", *goods)) + "\n")
            mapping += GOODS
        shop.load_lines(*lines, header=HEADER, mapping=mapping)
        context = Context(settings=shop.settings, home=shop.home, lake=read_lake(shop.home))
        return shop_before(context, datetime.fromisoformat(as_of), horizon_days=28)

    return make


@pytest.fixture
def by_customer() -> Callable[..., dict[str, object]]:
    """Values aligned with the facts of customers, by their ids."""

    def by(facts: pd.DataFrame, values: object) -> dict[str, object]:
        return dict(zip(facts["customer_id"], np.asarray(values).tolist(), strict=True))

    return by


@pytest.fixture(scope="session")
def pictured_context(small_shop: Context, tmp_path_factory: pytest.TempPathFactory) -> Context:
    home = Home(tmp_path_factory.mktemp("picture") / "home")
    shutil.copytree(small_shop.home.lake, home.lake)
    settings = small_shop.settings.model_copy(update={"home": home.root})
    return Context(settings=settings, home=home, lake=read_lake(home))


@pytest.fixture(scope="session")
def told() -> list[str]:
    return []


@pytest.fixture(scope="session")
def kept(pictured_context: Context, told: list[str]) -> Insight:
    assert read_insight(pictured_context.home) is None
    return keep_insight(pictured_context, at=AT, done=told.append)


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Complete Journey in a lake, shared by all tests: read it only."""
    settings = load_settings(home=tmp_path_factory.mktemp("journey") / "home", threads=2, seed=1)
    ingest("complete-journey", settings, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))


@pytest.fixture(scope="session")
def journey_shop(journey: Context) -> Shop:
    """Complete Journey before 2018-01-02, the midnight after its last order."""
    return shop_before(journey, datetime(2018, 1, 2), horizon_days=28)


@pytest.fixture(scope="session")
def journey_facts(journey_shop: Shop) -> pd.DataFrame:
    return customer_facts(journey_shop)
