"""Taking customers out of the examples that MLflow keeps of what a model is asked."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from features.home import write_text
from training.examples import NOBODY

#: What MLflow keeps of the examples a model was logged with.
EXAMPLES = ("input_example.json", "serving_input_example.json")


def rename_in(file: Path, customers: Collection[str]) -> bool:
    """Whether the example named any of the customers; now it names nobody in their place."""
    known = json.loads(file.read_text(encoding="utf-8"))
    renamed = _renamed(known, frozenset(customers))
    if renamed == known:
        return False
    write_text(file, json.dumps(renamed))
    return True


def _renamed(value: Any, customers: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, customers) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, customers) for item in value]
    return NOBODY[0] if isinstance(value, str) and value in customers else value
