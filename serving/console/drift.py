"""What `regulars drift` found last of each model, as it is kept in the data home."""

from __future__ import annotations

import json
from typing import Any

from features.home import Home
from training.protocols import MODELS

FOLDER = "drift"


def drift_of(home: Home) -> list[dict[str, Any]]:
    """One row per model that was ever looked at: when, how far its scores and features had moved, what it alerts."""
    rows = []
    for model in MODELS:
        file = home.root / FOLDER / f"{model}.json"
        if file.is_file():
            found = json.loads(file.read_text(encoding="utf-8"))
            newest = found["weeks"][-1]
            moved = max(newest["features"].items(), key=lambda one: one[1] or 0.0, default=None)
            rows.append(
                {
                    "model": model,
                    "version": found["version"],
                    "as_of": newest["as_of"],
                    "scores": newest["scores"],
                    "weeks": [week["scores"] for week in found["weeks"]],
                    "moved": moved,
                    "level": found.get("level"),
                    "alerts": found["alerts"],
                }
            )
    return rows
