from __future__ import annotations

import pytest

from tests.training.uplift.made import by_lot, campaign_shop
from training.protocols import Context


@pytest.fixture(scope="session")
def called_shop(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return campaign_shop(tmp_path_factory.mktemp("called"), by_lot)
