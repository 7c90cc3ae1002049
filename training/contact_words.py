"""What a contact plan takes for granted, in sentences that stand on the list."""

from __future__ import annotations

from training.contact_curve import holdout_cost, smallest_effect
from training.contact_plan import ASSUMED, MEASURED, ContactPlan


def assumptions(
    plan: ContactPlan, *, horizon_days: int, currency: str = "", rest_days: float = 0, measured_by: str = ""
) -> list[str]:
    """One sentence each, with the numbers; `measured_by` says what measured a save rate or an uplift."""
    money, limits, amounts = plan.economics, plan.limits, _Amounts(currency)
    found = [f"A contact costs {amounts(money.cost_per_contact)}."]
    if money.offer_cost:
        found.append(
            f"The offer costs {amounts(money.offer_cost)} for each who takes it; who would have stayed takes it too."
        )
    if money.fixed_cost:
        found.append(f"The campaign itself costs {amounts(money.fixed_cost)}.")
    found.append(
        f"Margin is {money.margin:.1%} of spend. A customer saved brings {money.horizons:g} times their spend of "
        f"{horizon_days} days."
    )
    found.append(_effect(plan, measured_by))
    limit = [] if limits.budget is None else [f"a budget of {amounts(limits.budget)}, were every offer taken"]
    limit += [] if limits.head_count is None else [f"{limits.head_count:,} contacts"]
    found.append(f"Limits: {' and '.join(limit)}." if limit else "No limit but the profit.")
    found.append(_holdout(plan, amounts))
    found.append(
        f"Left out: who opted out, ever; who was contacted or put on a list within {rest_days:g} days; who another "
        "campaign holds out and has not measured yet."
    )
    return found


class _Amounts:
    def __init__(self, currency: str) -> None:
        self.currency = currency

    def __call__(self, amount: float) -> str:
        return f"{amount:,.2f} {self.currency}".rstrip()


def _effect(plan: ContactPlan, measured_by: str) -> str:
    if plan.prospects.uplift is not None:
        return (
            f"What a contact changes was learned for each customer from {measured_by}: uplift x value ranks the list. "
            "Of customers unlike any on those lists it is a guess."
        )
    rate, needed = plan.save_rate, plan.break_even_save_rate
    said = f"Of contacted customers who would have stopped, {rate.value:.1%} stay for it"
    if rate.source == MEASURED and rate.low is not None and rate.high is not None:
        said += f": measured by {measured_by}, 95 % interval {rate.low:.1%} to {rate.high:.1%}."
        if rate.low <= 0:
            said += " The interval holds 0, so the contacts may have done nothing, or harm."
    else:
        word = f"assumed, for no campaign has measured it yet ({measured_by or 'nobody was held out'})"
        word = word if rate.source == ASSUMED else "as told, not measured"
        said += f": {word}. A contact can also make a customer leave; only a hold-out shows it."
    return said if needed is None else f"{said} Below {needed:.1%} the list earns nothing."


def _holdout(plan: ContactPlan, amounts: _Amounts) -> str:
    share, kept_back = plan.limits.holdout_share, len(plan.kept_back)
    if not share:
        return "Nobody is held out, so what the contacts change cannot be measured."
    said = f"{share:.0%} are left alone, drawn by lot ({kept_back:,} customers), so that the effect can be measured."
    if kept_back:
        said += f" It gives up {amounts(holdout_cost(plan))} of expected profit."
    effect = smallest_effect(plan)
    if effect is not None:
        said += f" It tells a difference of {effect:.1%} of customers or more; a smaller one stays unseen."
    return said
