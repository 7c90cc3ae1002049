"""Which release of Regulars runs."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "regulars"


@cache
def release() -> str:
    """The installed version; in a Bento, which holds the packages as files, that of the pyproject.toml beside them."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        beside = Path(__file__).parents[1] / "pyproject.toml"
        found: str = tomllib.loads(beside.read_text(encoding="utf-8"))["project"]["version"]
        return found
