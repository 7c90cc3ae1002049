"""The README's table of figures: each model and the baseline a shop would use, on Complete Journey's test cut-off.

Run `regulars ingest --source complete-journey` first; `--write` puts the table into README.md. It asks the same
functions as `regulars evaluate`, with the settings and seed in force. About five minutes on two cores.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from features.home import Home, write_text
from features.lake import read_lake
from features.settings import load_settings
from features.terminal import step
from training.evaluate import evaluate_recommender
from training.evaluate_customers import evaluate_customers
from training.protocols import Context, Evaluation

README = Path(__file__).parents[1] / "README.md"
COMMAND = "`.venv/bin/python -m benchmarks.figures`"
HEADER = ("model", "data", "split", "metric", "Regulars", "baseline", "command")


@dataclass(frozen=True)
class Figure:
    """One row: a metric of ours beside that of one baseline."""

    model: str
    metric: str
    baseline: str


RECOMMENDER = [
    Figure("recommender", metric, "personal_top_frequency")
    for metric in ("recall@10", "ndcg@10", "phr@10", "recall@20")
]
CUSTOMERS = [
    Figure("churn", "auc", "recency_rank"),
    Figure("propensity", "auc", "recency_rank"),
    Figure("value", "mae", "last_period_spend"),
]


def row(figure: Figure, evaluation: Evaluation) -> tuple[str, ...]:
    """The cells of one figure."""
    data, ours, theirs = evaluation.data, evaluation.results["regulars"], evaluation.results[figure.baseline]
    split = f"{evaluation.split} {data['as_of']}, {data['horizon_days']} days" if "as_of" in data else evaluation.split
    digits = 2 if figure.metric == "mae" else 4
    baseline = f"{theirs[figure.metric]:.{digits}f} ({figure.baseline.replace('_', ' ')})"
    about = f"Complete Journey, {data['customers']:,} customers"
    return figure.model, about, split, figure.metric, f"{ours[figure.metric]:.{digits}f}", baseline, COMMAND


def table(rows: list[tuple[str, ...]]) -> str:
    """The rows as Markdown."""
    lines = [HEADER, ("---",) * len(HEADER), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put(text: str, name: str, content: str) -> str:
    """The text with what stands between the markers `name` replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    found = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{content}\n\n{end}", text, flags=re.DOTALL
    )
    if found[1] != 1:
        raise SystemExit(f"README.md has not exactly one pair of markers '{name}'")
    return found[0]


def main() -> None:
    """Measure, print the table, and write it into the README if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    write = parser.parse_args().write
    settings = load_settings()
    home = Home(settings.home)
    context = Context(settings=settings, home=home, lake=read_lake(home))
    rows = []
    for split in ("last-order", "cutoff"):
        with step(f"recommender, {split}"):
            measured = evaluate_recommender(context, split=split).evaluation
        rows += [row(figure, measured) for figure in RECOMMENDER]
    for figure in CUSTOMERS:
        with step(figure.model):
            rows.append(row(figure, evaluate_customers(context, figure.model)))
    print(table(rows))
    if write:
        write_text(README, put(README.read_text(encoding="utf-8"), "figures", table(rows)))


if __name__ == "__main__":
    main()
