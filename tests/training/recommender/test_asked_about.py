"""Sources asked about some customers by their own orders answer as those fitted on everybody do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.matrix import Purchases
from tests.training.recommender.tiny import purchases, random_orders
from training.candidates.attributes import Attributes
from training.fitted_files import OUTLINE, load_sources, save_sources
from training.pair_table import CandidateConfig, CandidateSources

MOMENT = 203.25
CONFIG = CandidateConfig(own=20, als=8, item_item=8, popular=6, transitions=8, next_order=8, neighbours=8, factors=4)


@pytest.fixture(scope="module")
def shop() -> Purchases:
    orders = random_orders(np.random.default_rng(11), customers=60, products=30)
    return purchases({**orders, "c0003": orders["c0003"][:1]})


@pytest.fixture(scope="module")
def fitted(shop: Purchases) -> CandidateSources:
    kinds = Attributes({"category": (np.arange(shop.n_products) // 4 - 1).astype(np.int32)})
    # A pool that leaves some customers out.
    config = CandidateConfig(**{**vars(CONFIG), "pool": 40, "threads": 1})
    return CandidateSources(config, kinds).fit(shop)


@pytest.fixture(scope="module")
def read_back(fitted: CandidateSources, tmp_path_factory: pytest.TempPathFactory) -> CandidateSources:
    folder = tmp_path_factory.mktemp("sources")
    save_sources(fitted, folder, moment=MOMENT)
    return load_sources(folder)


def only(shop: Purchases, start: int, stop: int) -> Purchases:
    """The orders of some customers alone, who are all that the result knows of."""
    kept = shop.keep_orders((shop.order_customer >= start) & (shop.order_customer < stop))
    return Purchases(
        shop.customer_ids[start:stop],
        shop.product_ids,
        kept.customer_start[start : stop + 1],
        kept.order_start,
        kept.order_day,
        kept.products,
        kept.terms,
    )


def moments(customers: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.full(len(customers), MOMENT)


@pytest.mark.parametrize(("start", "stop"), [(0, 60), (0, 7), (3, 4), (41, 60)])
def test_some_customers_asked_by_their_orders_get_what_they_get_among_all(
    start: int, stop: int, shop: Purchases, fitted: CandidateSources, read_back: CandidateSources
) -> None:
    among_all = np.arange(start, stop, dtype=np.int32)
    alone = np.arange(stop - start, dtype=np.int32)
    expected = fitted.table(among_all, moments(among_all))
    assert len(expected.keys) > 5 * len(alone)
    found = read_back.about(only(shop, start, stop), among_all).table(alone, moments(alone))
    assert found.names == expected.names
    assert found.keys.tolist() == expected.keys.tolist()
    assert found.sources.tolist() == expected.sources.tolist()
    # Products of matrices of other shapes are rounded otherwise in their last bits.
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)
    exact = [place for place, name in enumerate(found.names) if not name.startswith(("linear", "category_next", "als"))]
    np.testing.assert_array_equal(found.values[:, exact], expected.values[:, exact])


def test_sources_written_for_one_moment_refuse_another(shop: Purchases, read_back: CandidateSources) -> None:
    everybody = np.arange(shop.n_customers, dtype=np.int32)
    with pytest.raises(ValueError, match="another was asked about"):
        read_back.about(shop, everybody).table(everybody, moments(everybody) + 1)


def test_what_is_written_names_no_customer_line_and_holds_no_pickle(
    fitted: CandidateSources, shop: Purchases, tmp_path: Path
) -> None:
    save_sources(fitted, tmp_path, moment=MOMENT)
    assert {file.suffix for file in tmp_path.iterdir()} == {".npy", ".json"}
    outline = (tmp_path / OUTLINE).read_text()
    assert "baskets_" not in outline
    assert "history_" not in outline
    for file in tmp_path.glob("*.npy"):
        assert np.load(file, allow_pickle=False, mmap_mode=None).dtype != object
    assert json.loads(outline)["of"] == "CandidateSources"
