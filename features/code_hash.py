"""What fixes a result besides the data: the modules that compute it, and the libraries they stand on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import features


@lru_cache
def code_hash(modules: Sequence[str], libraries: Sequence[str]) -> str:
    """Changes with the modules of features/ that the patterns name, and with the libraries' versions."""
    digest = hashlib.sha256()
    package = Path(str(features.__file__)).parent
    for path in sorted(path for pattern in modules for path in package.glob(f"{pattern}.py")):
        digest.update(path.read_bytes())
    for name in libraries:
        digest.update(f"{name} {version(name)}\0".encode())
    return digest.hexdigest()
