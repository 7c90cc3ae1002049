"""How long churn, propensity and value take to train on Complete Journey: `python -m benchmarks.training`.

A fresh data home each time, so that the features of all moments are built too; loading the orders is not counted.
Registered models are those of `regulars train churn propensity value`. Nothing else should run on the machine.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from training.outcome_training import train_outcome
from training.protocols import Context

OUT = Path(__file__).parent / "out"
MODELS = ("churn", "propensity", "value")
#: Seconds that all three may take on two cores.
LIMIT = 60.0


def main() -> None:
    """Train each once, print the seconds, and write benchmarks/out/training.json."""
    with tempfile.TemporaryDirectory() as root:
        settings = load_settings(home=Path(root) / "home")
        home = Home(settings.home)
        ingest("complete-journey", settings, now=datetime.now(UTC).replace(tzinfo=None))
        context = Context(settings=settings, home=home, lake=read_lake(home))
        seconds: dict[str, float] = {}
        moments = 0
        for model in MODELS:
            started = time.perf_counter()
            trained = train_outcome(context, Path(root) / model, model)
            seconds[model] = round(time.perf_counter() - started, 1)
            moments = int(trained.params["moments_learned_from"])
            print(f"{model:12}{seconds[model]:8.1f} s", flush=True)
    total = round(sum(seconds.values()), 1)
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.threads} threads",
        "load_average": os.getloadavg()[0],
        "moments_learned_from": moments,
        "seconds": seconds,
        "all": total,
        "limit": LIMIT,
    }
    print(f"{'all three':12}{total:8.1f} s, of {LIMIT:.0f} allowed; {moments} moments; {report['machine']}")
    print(f"load average of the last minute: {os.getloadavg()[0]:.1f}")
    OUT.mkdir(exist_ok=True)
    (OUT / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
