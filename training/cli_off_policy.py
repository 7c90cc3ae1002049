"""The command `regulars off-policy`: what a scoring's lists would have earned, from answers partly given by chance."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from features.terminal import out, print_json, print_table, step
from training.cli_arguments import AsJson, current_context

#: Below, a good part of what the lists show was never to be seen in the log, and no estimate knows of it.
LEAST_OVERLAP = 0.9


class Reward(StrEnum):
    """What counts as a success."""

    CLICK = "click"
    PURCHASE = "purchase"


def off_policy(
    scores: Annotated[
        str | None, typer.Option(help="The version of a scoring. Without it: the current one.", show_default=False)
    ] = None,
    metric: Annotated[Reward, typer.Option(help="What counts, once for each product shown.")] = Reward.CLICK,
    as_json: AsJson = False,
) -> None:
    """What a scoring's lists would have earned, from logged answers that had propensities (explore above 0)."""
    from training import off_policy as estimators
    from training.logged_answers import beside_lists, lists_of, read_shown

    context = current_context()
    with step("Weighing the logged answers"):
        version, ranked = lists_of(context.home, scores)
        logged = beside_lists(read_shown(context, metric=metric.value), ranked)
    found = {
        "logged": estimators.logged_value(logged),
        "ips": estimators.ips(logged),
        "snips": estimators.snips(logged),
        "doubly_robust": estimators.doubly_robust(logged),
    }
    overlap, effective = estimators.overlap(logged), estimators.effective_answers(logged)
    if as_json:
        print_json(
            {
                "scores": version,
                "metric": metric.value,
                "answers": logged.answers,
                "effective_answers": effective,
                "overlap": overlap,
                "per_answer": {name: asdict(estimate) for name, estimate in found.items()},
            }
        )
        return
    title = f"{metric.value.capitalize()}s per answer, lists of scores {version}, {logged.answers:,} logged answers"
    rows = [[name, f"{one.value:.4f}", f"{one.low:.4f} … {one.high:.4f}"] for name, one in found.items()]
    print_table(title, ["estimator", "value", "95 % interval"], rows)
    out.print(f"As much as {effective:,.0f} answers of these lists; overlap {overlap:.2f}")
    if overlap < LEAST_OVERLAP:
        out.print(
            "[yellow]note[/] A part of what these lists show could not be shown in the log: compare with care, and ask "
            "with more exploration."
        )
