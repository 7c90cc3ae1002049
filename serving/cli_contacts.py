"""The commands about contacting customers: whom to contact, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.settings import current_settings
from features.terminal import out, print_json, print_table, progress

if TYPE_CHECKING:
    from serving.database import Database
    from serving.schemas_contact import CampaignPage, ContactPlanPage, ContactPlanRequest
    from serving.state import State
    from training.contact_effect import Result
    from training.contact_plan import ContactPlan

app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
CampaignName = Annotated[str, typer.Argument(help="The campaign's name.", show_default=False)]
#: Customers shown in a terminal; the whole list is in --csv and --json.
SHOWN = 20


@app.command(
    "contact-list",
    epilog="Example:  regulars contact-list june-calls --cost 2 --margin 0.3 --budget 200 --record --csv > call.csv",
)
def contact_list(
    campaign: CampaignName,
    cost: Annotated[float, typer.Option(min=0, help="Of one contact.", show_default=False)],
    margin: Annotated[float, typer.Option(min=0, max=1, help="Profit per unit of spend.", show_default=False)],
    budget: Annotated[
        float | None, typer.Option(min=0, help="Most the contacts may cost, were every offer taken.")
    ] = None,
    head_count: Annotated[int | None, typer.Option(min=1, help="Most customers to contact.")] = None,
    save_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of contacted who would stop, the share that stays.")
    ] = None,
    offer_cost: Annotated[float, typer.Option(min=0, help="Of the offer, for each who takes it.")] = 0.0,
    fixed_cost: Annotated[float, typer.Option(min=0, help="Of the campaign, whoever is contacted.")] = 0.0,
    horizons: Annotated[float, typer.Option(min=0, help="Horizons of spend a customer saved brings.")] = 1.0,
    customer_worth: Annotated[
        float | None, typer.Option(min=0, help="Spend of a horizon, where the shop has no amounts.")
    ] = None,
    holdout: Annotated[float, typer.Option(min=0, max=0.9, help="Share left alone by lot, to measure by.")] = 0.1,
    rest_days: Annotated[
        float | None, typer.Option(min=0, help="Leave out who was contacted within so many days.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Keep the list and its hold-out.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the profit curve: .png, or .html with a slider.", show_default=False)
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the list as CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Whom to contact for the greatest expected profit, within a budget or a head count, and whom to leave alone.

    A contact pays where the chance that it keeps the customer, times what they
    would spend, is worth more than it costs. How often a contact keeps one who
    would have stopped (the save rate) is assumed until a campaign of yours has
    measured it against its hold-out, and the list says so. All of it, with a
    worked example: docs/contacting.md.

    Without --record nothing is kept: try numbers until the list is right. With
    it, the same campaign gives the same list from then on, the customers on it
    rest, and those held out stay off every list until the effect is known.
    """
    import msgspec

    from serving.contact_plans import as_csv as csv_of
    from serving.keys import now_utc
    from serving.outcomes import Contacts, OutcomeLog
    from serving.plan_log import PlanLog, planned
    from serving.state import scored_state
    from training.contact_plots import check_form

    if plot is not None:
        check_form(plot)
    asked = _asked(
        campaign_id=campaign,
        cost_per_contact=cost,
        margin=margin,
        budget=budget,
        head_count=head_count,
        save_rate=save_rate,
        offer_cost=offer_cost,
        fixed_cost=fixed_cost,
        horizons=horizons,
        customer_worth=customer_worth,
        holdout_share=holdout,
        rest_days=rest_days,
        dry_run=not record,
    )
    settings = current_settings()
    state = scored_state(settings.data_home)
    with _database() as database:
        page, plan = planned(
            state,
            asked,
            OutcomeLog(database),
            PlanLog(database),
            known=Contacts(),
            now=now_utc(),
            rest_days=settings.contact_rest_days,
        )
    if plot is not None:
        _draw(plot, page, plan)
    if as_json:
        print_json(msgspec.to_builtins(page))
    elif as_csv:
        sys.stdout.write(csv_of(page).decode())
        for sentence in page.assumptions:
            progress.print(sentence, style="dim", markup=False, soft_wrap=True)
    else:
        _show_plan(page)


def _draw(path: Path, page: ContactPlanPage, plan: ContactPlan | None) -> None:
    from training.contact_plots import draw

    if plan is None:
        progress.print(
            f"[yellow]note[/] '{page.campaign_id}' was recorded before; its curve is in --json", soft_wrap=True
        )
        return
    draw(
        path,
        plan,
        title=f"{page.campaign_id}: whom to contact, as of {(page.as_of or '')[:10]}",
        currency=page.currency,
    )
    progress.print(f"[green]✓[/] {path}", soft_wrap=True)


def _asked(**given: object) -> ContactPlanRequest:
    import msgspec

    from serving.schemas_contact import ContactPlanRequest

    try:
        return msgspec.convert(given, ContactPlanRequest)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def _database() -> Iterator[Database]:
    from serving.database import open_database

    database = open_database(current_settings())
    try:
        yield database
    finally:
        database.close()


def _show_plan(page: ContactPlanPage) -> None:
    from serving.quality import word
    from serving.tables import contact_rows, cut_rows

    summary = page.summary
    kept = "recorded" if page.recorded else "not recorded"
    title = (
        f"{page.campaign_id} ({kept}): {summary.contacts:,} to contact of {summary.candidates:,}, as of {page.as_of}"
    )
    print_table(title, *contact_rows(page, most=SHOWN))
    out.print(f"Predictions: {word(page.grade)}", markup=False)
    if len(page.items) > SHOWN:
        out.print(f"[dim]and {len(page.items) - SHOWN:,} more: --csv or --json[/]")
    print_table("At each length (churners and false alarms are expected numbers)", *cut_rows(page))
    out.print()
    for sentence in page.assumptions:
        out.print(f"· {sentence}", markup=False, soft_wrap=True)
    if page.left_out:
        said = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in sorted(page.left_out.items()))
        out.print(f"· Left out: {said}.", markup=False, soft_wrap=True)
    if page.fallback:
        out.print(f"[yellow]note[/] {page.fallback}", soft_wrap=True)


@app.command("contact-results", epilog="Example:  regulars contact-results june-calls --json")
def contact_results(campaign: CampaignName, as_json: AsJson = False) -> None:
    """What came of a recorded list: outcomes so far, and its effect against those held out once that is known.

    The effect is known when the horizon has passed and its orders are loaded:
    regulars ingest, then regulars ingest --source events. After regulars score
    the next list goes by it. Customers count as they were assigned: all of the
    list as contacted, whether or not anybody reached them.
    """
    import msgspec

    from serving.campaigns import campaign_page
    from serving.plan_log import PlanLog
    from serving.state import load_state

    state = load_state(current_settings().data_home)
    results, as_of = _results(state)
    with _database() as database:
        page = campaign_page(campaign, PlanLog(database), results, as_of=as_of)
    if as_json:
        print_json(msgspec.to_builtins(page))
    else:
        _show_results(page)


def _results(state: State) -> tuple[list[Result], str | None]:
    """As the lake is now, which may be newer than the scores; and the moment of its last order."""
    from features.errors import NotReadyError
    from training.cli_arguments import current_context
    from training.contact_results import campaign_results
    from training.dataset import horizon_of

    try:
        context = current_context()
    except NotReadyError:
        return [], None
    horizon = state.about.get("horizon_days") or horizon_of(context)
    return campaign_results(context, horizon_days=horizon), context.lake.manifest["last_order_at"]


def _show_results(page: CampaignPage) -> None:
    if page.plan is not None:
        listed, held_out = len(page.plan.items), len(page.plan.held_out)
        rows: list[tuple[str, object]] = [("on the list", listed), ("held out", held_out)]
        rows += sorted(page.outcomes.items())
        rows += [("no outcome yet", listed - sum(page.outcomes.values()))]
        rows += [("held out and yet contacted", page.held_out_contacted)] if page.held_out_contacted else []
        print_table(f"{page.campaign_id}, planned {page.plan.planned_at[:10]}", ("customers", ""), rows)
    found = page.effect
    if found is not None:
        kept = (f"{found.contacted_kept / found.contacted:.1%}", f"{found.held_out_kept / found.held_out:.1%}")
        arms = [("contacted", found.contacted, kept[0]), ("held out", found.held_out, kept[1])]
        print_table(f"Ordered within the horizon, by orders up to {found.as_of[:10]}", ("", "customers", "kept"), arms)
        out.print(f"Difference {found.difference:+.1%}, 95 % interval {found.low:+.1%} to {found.high:+.1%}")
        if found.save_rate is not None:
            ends = f"{found.save_rate_low:.1%} to {found.save_rate_high:.1%}"
            out.print(f"Save rate {found.save_rate:.1%} of those who would have stopped, 95 % interval {ends}")
    out.print(f"[yellow]note[/] {page.effect_note}", soft_wrap=True)
