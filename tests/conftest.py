from __future__ import annotations

import prometheus_client  # noqa: F401  before Feast, which would have it count in files that processes share
import pytest

import features  # noqa: F401  first: it settles thread pools, which numpy reads when it loads
from tests.small_shop import loaded
from training.protocols import Context

pytest_plugins = ["tests.not_run", "tests.postgres", "tests.redis_server"]


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A made-up shop in the lake, nothing trained. Shared by all tests: read it, or copy its home before writing."""
    return loaded(tmp_path_factory.mktemp("small-shop"))
