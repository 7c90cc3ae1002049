"""The command line `regulars`: the commands of features and training, and those that recommend, list and serve."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
import typer.core

import features.cli
import serving.cli_contacts
import serving.cli_keys
import serving.cli_privacy
import training.cli
from features.settings import current_settings, server_settings
from features.terminal import out, print_json, print_table, run
from serving.cli_nightly import nightly
from serving.cli_tenant import tenant_option, with_tenant

if TYPE_CHECKING:
    from serving.state import State

#: The commands in the order a shop meets them; help shows them so.
ORDER = (
    *("ingest", "quarantine", "quality", "features", "tune", "train", "evaluate"),
    *("promote", "rollback", "models", "explain", "fairness", "backtest", "drift", "uplift", "response"),
    *("score", "lookback"),
    *("nightly", "report", "insight"),
    *("recommend", "at-risk", "contact-list", "contact-results", "serve", "push-live"),
    *("keys", "privacy", "upgrade", "demo", "doctor"),
)


class InOrder(typer.core.TyperGroup):
    """Lists commands in ORDER; any others come last. Each says by --tenant for which shop it is."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        with_tenant(self)
        self.params.append(tenant_option())

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in order."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    name="regulars",
    cls=InOrder,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  regulars ingest --source complete-journey && regulars train && regulars score && regulars serve",
)
app.add_typer(features.cli.app)
app.add_typer(training.cli.app)
app.add_typer(serving.cli_contacts.app)
app.add_typer(serving.cli_keys.app, name="keys")
app.add_typer(serving.cli_privacy.app, name="privacy")
app.command(epilog="Example:  regulars nightly --dry-run")(nightly)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _say_version(asked: bool) -> None:
    if asked:
        out.print(f"regulars {version('regulars')}")
        raise typer.Exit


@app.callback()
def regulars(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say the version and stop.")
    ] = False,
) -> None:
    """Learns from a shop's orders what each customer will buy next and who is about to stop buying."""


@app.command(epilog="Example:  regulars recommend 1 --k 5   or   regulars recommend --cart 916122 --cart 820165")
def recommend(
    customer: Annotated[str | None, typer.Argument(help="The customer's id.", show_default=False)] = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many products.")] = 10,
    cart: Annotated[list[str] | None, typer.Option(help="A product in the cart; may be repeated.")] = None,
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    question: Annotated[str, typer.Option(help="next_purchase, buy_again, trending, new_arrivals …")] = "next_purchase",
    product: Annotated[
        str | None, typer.Option(help="What similar and bought_together are around.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a customer will buy next, or what goes with a cart, as the server would answer."""
    import msgspec

    from features.pseudonyms import known_as
    from serving.circumstances import Circumstances
    from serving.keys import now_utc
    from serving.questions import AROUND_ONE
    from serving.recommend import recommend as answer
    from serving.request_ids import new_id
    from serving.rule_book import RulesFile
    from serving.schemas import Filters, Question, RecommendationRequest

    if question not in get_args(Question):
        raise typer.BadParameter(f"one of {', '.join(get_args(Question))}", param_hint="--question")
    if question in AROUND_ONE and product is None:
        raise typer.BadParameter(f"{question} is about one product: --product ID", param_hint="--question")
    settings = current_settings()
    if customer is not None:
        (customer,) = known_as(settings, [customer])
    request = RecommendationRequest(
        customer_id=customer,
        cart=cart or [],
        k=k,
        filters=Filters(category=category) if category else Filters(),
        question=cast("Question", question),
        product_id=product,
    )
    state, rules = _state(), RulesFile(settings.rules_file)
    book = None if state.catalogue is None else rules.book(state.catalogue)
    found = answer(
        state, request, Circumstances(request_id=new_id(), now=now_utc(), rules=book, hidden=rules.rules.hide)
    )
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    from serving.tables import recommendation_rows

    title = f"Strategy {found.strategy}, recommender version {found.model_version or 'none'}, as of {found.as_of}"
    print_table(title, *recommendation_rows(found))
    if found.fallback:
        out.print(f"[yellow]note[/] {found.fallback}")


@app.command("at-risk", epilog="Example:  regulars at-risk --limit 20 --min-probability 0.3 --csv > call-these.csv")
def at_risk(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many customers.")] = 20,
    min_probability: Annotated[float, typer.Option(min=0, max=1, help="Least churn probability.")] = 0.0,
    min_value_at_risk: Annotated[float, typer.Option(min=0, help="Least value at risk.")] = 0.0,
    stage: Annotated[str | None, typer.Option(help="new, regular or slipping.")] = None,
    sort: Annotated[
        str, typer.Option(help="Highest first: value_at_risk, churn_probability, spend …")
    ] = "value_at_risk",
    lang: Annotated[str, typer.Option(help="Of the reasons: en or zh.")] = "en",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the list as CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Active customers about to stop, those with most to lose first, with reasons."""
    import sys

    import msgspec

    from serving.at_risk import as_csv as csv_of
    from serving.at_risk import at_risk as answer
    from serving.keys import now_utc
    from serving.outcomes import known_contacts
    from serving.quality import word
    from serving.schemas_customers import AtRiskQuery
    from serving.tables import at_risk_rows

    asked = {
        "limit": limit,
        "min_probability": min_probability,
        "min_value_at_risk": min_value_at_risk,
        "stage": stage,
        "sort": sort,
        "lang": lang,
    }
    try:
        query = msgspec.convert(asked, AtRiskQuery)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(str(error)) from None
    settings = current_settings()
    page = answer(_state(), query, known_contacts(settings), now=now_utc(), rest_days=settings.contact_rest_days)
    if as_json:
        print_json(msgspec.to_builtins(page))
    elif as_csv:
        sys.stdout.write(csv_of(page))
    else:
        by = page.model_version or "none"
        trust = f"predictions {word(page.grade)}"
        title = f"{len(page.items)} of {page.total:,} customers, churn version {by}, {trust}, as of {page.as_of}"
        print_table(title, *at_risk_rows(page))
        if page.fallback:
            out.print(f"[yellow]note[/] {page.fallback}")


@app.command(epilog="Example:  regulars serve --port 3000   then open http://127.0.0.1:3000/docs")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; the setting says this machine only.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that share the port.")] = None,
    pin: Annotated[str | None, typer.Option(help="Answer from this scoring, whatever becomes current.")] = None,
) -> None:
    """Answer over HTTP until stopped. New scores are taken up within seconds, without a restart."""
    from serving.exposure import safe_host
    from serving.server import serve as become_server

    settings = server_settings()
    if pin is not None and settings.tenants:
        raise typer.BadParameter("a scoring is of one shop: name it by --tenant", param_hint="--pin")
    given = {name: value for name, value in {"workers": workers, "pin": pin}.items() if value is not None}
    settings = settings.model_copy(update=given)
    become_server(host=safe_host(host or settings.host, settings), port=port or settings.port, settings=settings)


@app.command("push-live", epilog="Example:  regulars push-live --every 5")
def push_live(
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks at the event log.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Push all of the last day's events and stop.")] = False,
) -> None:
    """Push what customers do on the site to the online store, beside the server and until stopped."""
    from serving.live_push import push_live as follow

    pushed = follow(current_settings(), every_seconds=every, once=once)
    out.print(f"Live features of {pushed:,} customers are online.")


@app.command(epilog="Example:  regulars demo --once")
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the answers instead of serving on.")] = False,
) -> None:
    """The whole path on the Complete Journey data: load, train, score, serve, ask. Nothing is done twice."""
    from serving.demo import demo as run_demo

    run_demo(current_settings(), once=once)


@app.command(epilog="Example:  regulars upgrade --dry-run")
def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the tables of live events, outcomes and keys up to date, and say which release wrote what.

    A server does so by itself when it first opens them. Back the database up
    before. What a later release wrote is refused, and the command exits with 1.
    """
    from dataclasses import asdict

    from serving.upgrade import Todo
    from serving.upgrade import upgrade as bring_up_to_date

    parts = bring_up_to_date(current_settings(), dry_run=dry_run)
    if as_json:
        print_json([asdict(part) for part in parts])
    else:
        rows = [(part.name, part.found, part.knows, part.todo.value, part.note) for part in parts]
        names = ("part", "found", "this release", "it is", "note")
        print_table("Versions", names, rows or [("nothing is there yet", "", "", "", "")])
    if any(part.todo is Todo.NEWER for part in parts):
        raise typer.Exit(1)


@app.command(epilog="Example:  regulars doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """What is installed, configured, loaded, stale or broken, and what to do. Exits 1 when something is broken."""
    from dataclasses import asdict

    from serving.doctor import Status, examine
    from serving.doctor_shops import examine_shops

    settings = server_settings()
    findings = examine_shops(settings) if settings.tenants else examine(settings)
    broken = [finding for finding in findings if finding.status is Status.BROKEN]
    if as_json:
        print_json({"healthy": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(f.area, f.name, f.status.value, f.found, f.do) for f in findings]
        print_table("Regulars", ("", "what", "status", "found", "what to do"), rows)
    if broken:
        raise typer.Exit(1)


def _state() -> State:
    from serving.state import scored_state

    return scored_state(current_settings().data_home)


def main() -> None:
    """Run the command line: exit 0 done, 1 failed with a message, 2 used wrongly."""
    run(app, name="regulars")
