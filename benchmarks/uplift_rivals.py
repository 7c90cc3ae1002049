"""What causalml and scikit-uplift learn from drawn customers; run by benchmarks/uplift.py in an environment of theirs.

Reads draw000.npz … of a folder (x, treated, kept, share, asked) and writes said000.npz … beside them: by method, an
uplift of each customer asked about.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from causalml.inference.meta import BaseDRRegressor, BaseTClassifier, BaseXClassifier
from lightgbm import LGBMClassifier, LGBMRegressor
from sklift.models import ClassTransformation, TwoModels

Ask = Callable[[Any], np.ndarray]


def causal(model: Any, draw: Any, *, tells_chance: bool = False) -> np.ndarray:
    """Of one of causalml's learners."""
    chance = np.full(len(draw["x"]), float(draw["share"]))
    model.fit(X=draw["x"], treatment=draw["treated"], y=draw["kept"], p=chance)
    more = {"p": np.full(len(draw["asked"]), float(draw["share"]))} if tells_chance else {}
    return np.asarray(model.predict(draw["asked"], **more)).ravel()


def lifted(model: Any, draw: Any) -> np.ndarray:
    """Of one of scikit-uplift's models."""
    model.fit(pd.DataFrame(draw["x"]), pd.Series(draw["kept"]), pd.Series(draw["treated"]))
    return np.asarray(model.predict(pd.DataFrame(draw["asked"])))


def methods(settings: dict[str, Any], name: str) -> dict[str, Ask]:
    """Every rival with these trees, by its name."""

    def yes() -> Any:
        return LGBMClassifier(**settings)

    def amount() -> Any:
        return LGBMRegressor(**settings)

    return {
        f"causalml T {name}": lambda draw: causal(BaseTClassifier(learner=yes()), draw),
        f"causalml X {name}": lambda draw: causal(
            BaseXClassifier(outcome_learner=yes(), effect_learner=amount()), draw, tells_chance=True
        ),
        f"causalml DR {name}": lambda draw: causal(BaseDRRegressor(learner=amount()), draw),
        f"scikit-uplift two models {name}": lambda draw: lifted(TwoModels(yes(), yes()), draw),
        f"scikit-uplift class transformation {name}": lambda draw: lifted(ClassTransformation(yes()), draw),
    }


def main() -> None:
    """Answer every draw of the folder."""
    logging.disable(logging.WARNING)
    folder, fine = Path(sys.argv[1]), json.loads(sys.argv[2])
    common = {"verbose": -1, "random_state": 0, "n_jobs": fine["n_jobs"]}
    every = methods(common, "rough") | methods(fine | common, "fine")
    for path in sorted(folder.glob("draw*.npz")):
        draw = dict(np.load(path))
        np.savez(folder / path.name.replace("draw", "said"), **{name: ask(draw) for name, ask in every.items()})


if __name__ == "__main__":
    main()
