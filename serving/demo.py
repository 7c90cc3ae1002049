"""The whole path on real orders, each step with its time: load, train, score, serve, ask. Nothing is done twice."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import NoReturn

from rich.markup import escape

from features.errors import RegularsError
from features.home import Home
from features.lake import CURRENT, read_lake
from features.settings import Settings
from features.terminal import out, print_table, progress, step
from serving.client import Client
from serving.exposure import LOOPBACK
from serving.quality import word
from serving.schemas import RecommendationRequest, Recommendations
from serving.schemas_customers import CustomerPage, ScoredCustomer
from serving.server import free_port, running
from serving.tables import at_risk_rows, recommendation_rows

SOURCE = "complete-journey"
_K = 5


def demo(settings: Settings, *, once: bool) -> None:
    """Run it. With `once`, stop after the answers; else serve until Ctrl-C."""
    started = time.perf_counter()
    home = settings.data_home
    _prepare(settings, home)
    host = LOOPBACK  # the demo makes no key, so it is for this machine alone
    port = free_port(host, settings.port)
    if port != settings.port:
        progress.print(f"[yellow]note[/] port {settings.port} is in use, so the server takes {port}")
    with _terminated_as_interrupted():
        try:
            with ExitStack() as stack:
                with step("Starting the server"):
                    log = home.root / "serve.log"
                    server = stack.enter_context(running(host=host, port=port, home=home.root, log=log))
                ask(Client(host, port))
                progress.print(f"[green]✓[/] From orders to answers in {time.perf_counter() - started:.0f} s")
                if not once:
                    _serve_on(server, f"http://{host}:{port}")
        except KeyboardInterrupt:
            progress.print("\nThe server is stopped.")


def _prepare(settings: Settings, home: Home) -> None:
    from features.ingest import ingest
    from training.cli_insight import picturing
    from training.insight.keep import keep_insight
    from training.protocols import Context
    from training.run import NOT_TRAINED, train
    from training.score import score

    _refuse_other_data(home)
    with step("Loading the orders of Complete Journey"):
        report = ingest(SOURCE, settings, now=datetime.now(UTC).replace(tzinfo=None))
    for warning in report.warnings:
        progress.print(f"[yellow]note[/] {escape(warning)}")
    context = Context(settings=settings, home=home, lake=read_lake(home))
    outcomes = train(context, at=datetime.now(UTC))
    rows = [
        (o.model, o.status, None if o.version is None else o.version.version, o.why, f"{o.seconds:.1f} s")
        for o in outcomes
    ]
    print_table("Models", ("model", "status", "version", "why", "time"), rows)
    if all(outcome.status == NOT_TRAINED for outcome in outcomes):
        raise RegularsError("No model could be trained; the reasons stand above.")
    for note in score(context, at=datetime.now(UTC)).notes:
        progress.print(f"[yellow]note[/] {escape(note)}")
    with picturing() as done:
        keep_insight(context, at=datetime.now(UTC), done=done)


def _refuse_other_data(home: Home) -> None:
    """The demo must not add another shop's orders to a user's own."""
    if not (home.lake / CURRENT).is_file():
        return
    sources = set(read_lake(home).manifest["sources"])
    if sources != {SOURCE}:
        raise RegularsError(
            f"{home.root.resolve()} holds other data ({', '.join(sorted(sources))}); the demo would mix "
            "its own into it. Give the demo a folder of its own:  REGULARS_HOME=.regulars-demo regulars demo"
        )


def ask(client: Client) -> None:
    """The questions a user would ask, and the answers as tables."""
    regular = client.at_risk(sort="spend", limit=1)
    if regular.items:
        customer = regular.items[0].customer_id
        answer = client.recommend(RecommendationRequest(customer_id=customer, k=_K))
        _print_products(f"What will customer {customer} buy next?", answer)
        cart = [item.product_id for item in answer.items[:2]]
        named = " and ".join(item.name or item.product_id for item in answer.items[:2])
        if cart:
            with_cart = client.recommend(RecommendationRequest(cart=cart, placement="cart", k=_K))
            _print_products(f"What goes with {named} in the cart?", with_cart)
    _print_products(
        "What for somebody never seen before?", client.recommend(RecommendationRequest(customer_id="never-seen", k=_K))
    )
    page = client.at_risk(limit=_K)
    by = f"{page.total:,} active customers, churn version {page.model_version}, predictions {word(page.grade)}"
    print_table(f"Who is about to stop, with most to lose? ({by})", *at_risk_rows(page))
    if page.fallback:
        out.print(f"[yellow]note[/] {escape(page.fallback)}")
    if page.items:
        _print_customer(client.customer(page.items[0].customer_id))


def _print_products(title: str, answer: Recommendations) -> None:
    by = f"strategy {answer.strategy}, version {answer.model_version}"
    print_table(f"{title} ({by})", *recommendation_rows(answer))
    if answer.fallback:
        out.print(f"[yellow]note[/] {escape(answer.fallback)}")


def _print_customer(page: CustomerPage) -> None:
    scores = page.scores
    if scores is None:
        return
    rows = [
        ("last order", scores.last_order_at[:10]),
        ("orders", f"{scores.orders:,}"),
        ("spend so far", _shown(scores.spend, page.currency)),
        ("stage", scores.stage),
        (f"no order within {page.horizon_days} days", _shown(scores.churn_probability, "%")),
        ("an order within them", _shown(scores.purchase_probability, "%")),
        ("next order", _next_order(scores)),
        ("expected spend within them", _shown(scores.expected_spend, page.currency)),
        ("reasons", "; ".join(scores.reasons)),
        (
            "next purchases",
            ", ".join(dict.fromkeys(item.name or item.product_id for item in page.next_purchases.items)),
        ),
    ]
    print_table(f"Customer {page.customer_id}", ("", ""), rows)


def _next_order(scores: ScoredCustomer) -> str:
    if scores.expected_back_by is None:
        return "not known"
    late = f"; {scores.days_overdue} days overdue" if scores.days_overdue else ""
    now = f"; now by {scores.next_order_expected}" if scores.next_order_expected else ""
    return f"expected back by {scores.expected_back_by}{late}{now}"


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    return f"{value:.0%}" if unit == "%" else f"{value:,.2f} {unit}".rstrip()


def _serve_on(server: subprocess.Popen[bytes], address: str) -> None:
    out.print(f"\nServing on {address} (documentation at {address}/docs). Ctrl-C stops it.")
    if server.wait() != 0:
        raise RegularsError("The server ended by itself; its log is serve.log in the data home.")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A request to terminate stops the server as Ctrl-C does, instead of leaving it behind."""

    def interrupt(_signal: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
