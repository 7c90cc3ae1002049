"""What stands out in a picture, as sentences for the top of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.insight.customer_grades import GRADES
from training.insight.figures import Figures
from training.insight.report_words import text


def findings(about: Mapping[str, Any], tables: Mapping[str, Any], figures: Figures) -> list[str]:
    """Sentences in the language of `figures`, the weightiest first; what the shop's data do not tell is left out."""
    language, found = figures.language, []
    spend = tables["deciles"]["spend"]
    if spend is not None and spend["customers"][0]["amount"] > 0:
        half = sum(row["customers"] for row in spend["sales"][:5])
        share = figures.share(spend["customers"][0]["share"])
        found.append(text("find_top", language, share=share, customers=figures.count(half)))
    silent = next(row for row in tables["segments"] if row["group"] == "cannot_lose")
    if silent["customers"] and silent["spend"] is not None:
        places = {"customers": figures.count(silent["customers"]), "spend": figures.money(silent["spend"])}
        found.append(text("find_cannot_lose", language, **places))
    last = tables["states"][-1]
    counts = {name: figures.count(last[state]) for name, state in _STATES}
    found.append(text("find_states", language, days=about["horizon_days"], **counts))
    mean = tables["cohorts"]["mean"]
    if len(mean) > 6 and mean[1] is not None and mean[6] is not None:
        shares = {"first": figures.share(mean[1]), "sixth": figures.share(mean[6])}
        found.append(text("find_cohorts", language, **shares))
    if tables["movement"] is not None and tables["movement"]["whole"]:
        values = tables["movement"]["grade"]["values"][: len(GRADES)]
        up, down = (
            sum(n for i, row in enumerate(values) for j, n in enumerate(row) if (j - i) * sign > 0) for sign in (-1, 1)
        )
        moved = {"up": figures.count(up), "down": figures.count(down)}
        found.append(text("find_moved", language, since=tables["movement"]["since"], **moved))
    rules = tables["baskets"]["categories"] or tables["baskets"]["products"]
    if rules:
        places = {name: rules[0][name] for name in ("item", "other")}
        found.append(text("find_together", language, lift=figures.number(rules[0]["lift"]), **places))
    return found


_STATES = (("cooling", "cooling"), ("lost", "lost"), ("back", "returned"))
