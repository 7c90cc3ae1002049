"""The command about what contacts change: uplift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from features.terminal import out, print_json, print_table
from training.cli_arguments import AsJson
from training.cli_learned import learned_or_champion
from training.protocols import UPLIFT

#: Names of the learners as they are printed.
NAMES = {"t": "T-learner", "x": "X-learner", "dr": "DR-learner"}


def uplift(
    show: Annotated[bool, typer.Option("--show", help="Train nothing; show the champion's report.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn what a contact changes with each customer, from campaigns that left part of the customers alone by lot.

    Says which campaigns count and why others do not, how well each way of learning
    orders customers it did not learn from (Qini and area under the uplift curve,
    with 95% intervals), and whether lists may go by it. If they may, they do after
    the next regulars score. Refuses where nothing was drawn by lot, and says what
    to log so that there will be something. More: docs/trust.md.
    """
    from training.uplift_training import kept_report

    _, bundle, stands = learned_or_champion(UPLIFT, show=show)
    found = {**stands, **kept_report(bundle)}
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    print_table(
        "Campaigns that held customers out",
        ("campaign", "first contact", "contacted", "held out", "drawn by lot?"),
        [
            (
                row["campaign_id"],
                row["first_contact_at"][:10],
                row["contacted"],
                row["held_out"],
                row["left_out"] or f"may be (p = {row['p']:.2f})",
            )
            for row in found["campaigns"]
        ],
    )
    print_table(
        f"Customers kept per 100, on customers not learned from: {found['contacted']:,} contacted, "
        f"{found['held_out']:,} held out",
        ("order (* served)", "Qini", "95% interval", "AUUC", "95% interval", "first tenth", "all"),
        [
            (
                f"{NAMES.get(name, name)}{' *' if name == found['served'] else ''}",
                *(cell for metric in ("qini", "auuc") for cell in _with_ends(values[metric])),
                f"{100 * values['effect@10%']['value']:+.2f}",
                f"{100 * values['effect']['value']:+.2f}",
            )
            for name, values in found["learners"].items()
        ],
    )
    lead = found["ahead_of_risk"]
    out.print(f"\nQini ahead of those most at risk first: {' ['.join(_with_ends(lead))}]")
    print_table(
        "Fifths of the customers, greatest uplift first (points of the share kept)",
        ("group", "customers", "foretold", "seen", "95% interval"),
        [
            (
                row["group"],
                row["customers"],
                f"{100 * row['foretold']:+.1f}",
                "" if row["seen"] is None else f"{100 * row['seen']:+.1f}",
                "" if row["seen"] is None else f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            )
            for row in found["groups"]
        ],
    )
    out.print(f"\n{in_words(found)}", highlight=False)


def in_words(found: Mapping[str, Any]) -> str:
    """Whether lists go by the version, and why not: it says too little, or the champion stayed champion."""
    name = f"version {found['version']}"
    if not found["accepted"]:
        return f"[yellow]note[/] {name}: lists do not go by it: {found['refused']}."
    if found["champion"] == found["version"]:
        return f"{name} is champion ({found['decision']}): contact lists go by it after the next  regulars score"
    stays = "none is" if found["champion"] is None else f"version {found['champion']} stays"
    return f"[yellow]note[/] {name} was not promoted, so lists do not go by it; {stays} champion: {found['decision']}."


def _with_ends(metric: Mapping[str, float]) -> tuple[str, str]:
    low, high = 100 * metric["low"], 100 * metric["high"]
    return f"{100 * metric['value']:.2f}", f"{low:.2f} to {high:.2f}"
