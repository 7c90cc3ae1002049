"""From a list to its effect and the next list: a real server, outcomes, orders that came after, and a scoring."""

import json
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings, load_settings
from serving.app import build_app
from serving.client import Client
from serving.contact_plans import contact_plan
from serving.outcomes import Contacts, Outcome
from serving.schemas_contact import ContactPlanRequest
from serving.server import running
from serving.state import load_state
from training.contact_results import campaign_results
from training.protocols import Context
from training.score import score

HOST = "127.0.0.1"
CUSTOMERS = [f"c{n:03}" for n in range(240)]
HORIZON = 28
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
amount = "paid"
"""
ASKED = ContactPlanRequest("june", 0.1, 0.5, holdout_share=0.3)


def load(settings: Settings, folder: Path, orders: Sequence[tuple[str, datetime]], *, now: datetime) -> None:
    rows = [f"{who}-{at:%Y%m%d},{who},p{int(who[1:]) % 7},{at:%Y-%m-%d %H:%M:%S},10" for who, at in orders]
    (folder / "orders.csv").write_text("\n".join(["order,customer,product,at,paid", *rows]))
    (folder / "shop.toml").write_text(MAPPING)
    ingest("files", settings, mapping=folder / "shop.toml", now=now)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def row(who: str, now: datetime) -> dict[str, object]:
    return {
        "customer_id": who,
        "last_order_at": now - timedelta(days=9),
        "orders": 3,
        "spend": 30.0,
        "days_since_last_order": 9,
        "active": True,
        "churn_probability": 0.5,
        "purchase_probability": 0.5,
        "expected_spend": 20.0,
        "value_at_risk": 10.0,
        "stage": "regular",
        "reasons": [],
    }


def test_a_list_is_recorded_worked_measured_and_heeded_by_the_next(
    home: Home, write_scores, regulars, tmp_path: Path
) -> None:
    settings = load_settings(home=home.root, threads=1, horizon_days=HORIZON)
    now = datetime.now(UTC).replace(tzinfo=None)
    load(settings, tmp_path, [(who, now - timedelta(days=d)) for who in CUSTOMERS for d in (9, 18, 150)], now=now)
    write_scores(home, customers=[row(who, now.replace(tzinfo=UTC)) for who in CUSTOMERS])

    port = free_port()
    with running(host=HOST, port=port, home=home.root, log=tmp_path / "serve.log"):
        client = Client(HOST, port)
        first = client.contact_plan(ASKED)
        called = [item.customer_id for item in first.items]
        assert (first.recorded, len(called) + len(first.held_out)) == (True, len(CUSTOMERS))
        assert 0.2 < len(first.held_out) / len(CUSTOMERS) < 0.4
        assert first.summary.save_rate_source == "assumed"
        at = datetime.now(UTC)
        sent = [Outcome(f"o{who}", who, "saved" if n % 3 else "lost", at, "june") for n, who in enumerate(called[:60])]
        # Three who are held out are called all the same: they stay in their arm.
        sent += [Outcome(f"x{who}", who, "reached", at, "june") for who in first.held_out[:3]]
        assert client.outcomes(sent).accepted == 63
        page = client.campaign("june")
        assert (page.outcomes, page.held_out_contacted) == ({"saved": 40, "lost": 20}, 3)
        assert "known once orders up to" in page.effect_note
        assert client.at_risk().total == 0

    # Weeks later: three in four of those called came back, and half of those held out.
    back = [who for n, who in enumerate(called) if n % 4] + first.held_out[::2]
    later = now + timedelta(days=70)
    load(settings, tmp_path, [(who, now + timedelta(days=d)) for who in back for d in (20, 60)], now=later)
    loaded = ingest("events", settings, now=later)
    assert {table.table: table.added for table in loaded.tables} == {"contacts": len(CUSTOMERS) + 3, "responses": 40}
    assert not ingest("events", settings, now=later).changed
    context = Context(settings=settings, home=home, lake=read_lake(home))
    (found,) = campaign_results(context, horizon_days=HORIZON)
    kept = (len([n for n in range(len(called)) if n % 4]), len(first.held_out[::2]))
    arms = found.arms
    assert (arms.contacted, arms.held_out, found.not_yet) == (len(called), len(first.held_out), 0)
    assert (arms.contacted_kept, arms.held_out_kept) == kept

    told = json.loads(regulars("contact-results", "june", "--json").stdout)
    assert told["effect"]["contacted"] == len(called)
    assert told["effect"]["difference"] == pytest.approx(kept[0] / len(called) - kept[1] / len(first.held_out))
    assert told["effect"]["low"] > 0
    assert "the contacts kept customers" in told["effect_note"]
    assert "Save rate" in regulars("contact-results", "june").stdout

    # A scoring takes the measured rate up, and the next list goes by it and says so.
    score(context, at=later.replace(tzinfo=UTC))
    state = load_state(home)
    (measured,) = state.about["campaigns"]
    write_scores(
        home, "later", customers=[row(who, later.replace(tzinfo=UTC)) for who in CUSTOMERS], campaigns=[measured]
    )
    july = ContactPlanRequest("july", 0.1, 0.5)
    page, _ = contact_plan(load_state(home), july, Contacts(), now=later, rest_days=14)
    stopped = (1 - kept[0] / len(called), 1 - kept[1] / len(first.held_out))
    assert page.summary.save_rate_source == "measured"
    assert page.summary.save_rate == pytest.approx(1 - stopped[0] / stopped[1])
    assert page.summary.expected_profit_low < page.summary.expected_profit < page.summary.expected_profit_high
    assert f"measured by 1 campaign ({len(called)} contacted, {len(first.held_out)} held out)" in " ".join(
        page.assumptions
    )


def test_a_hold_out_that_is_too_small_leaves_the_rate_assumed_and_the_list_says_why(home: Home, write_scores) -> None:
    few = {"campaign_id": "may", "first_contact_at": "2024-05-01T00:00:00", "not_yet": 0}
    few |= {"contacted": 100, "contacted_kept": 90, "held_out": 12, "held_out_kept": 9}
    write_scores(home, campaigns=[few])
    page, _ = contact_plan(
        load_state(home), ContactPlanRequest("june", 0.1, 0.5), Contacts(), now=datetime(2024, 6, 1), rest_days=14
    )
    assert page.summary.save_rate_source == "assumed"
    assert "12 customers held out so far, 3 of whom stopped" in " ".join(page.assumptions)


def test_campaigns_that_did_harm_leave_nobody_to_contact(home: Home, write_scores, make_runtime, asked) -> None:
    harm = {"campaign_id": "may", "first_contact_at": "2024-05-01T00:00:00", "not_yet": 0}
    harm |= {"contacted": 10_000, "contacted_kept": 9_000, "held_out": 10_000, "held_out_kept": 9_360}
    write_scores(home, "v9", campaigns=[harm])
    page, _ = contact_plan(
        load_state(home), ContactPlanRequest("june", 0.1, 0.5), Contacts(), now=datetime(2024, 6, 1), rest_days=14
    )
    told = asked(build_app(make_runtime())).get("/v1/contact-plans/may").json()
    assert (told["recorded"], told["effect"]["contacted_kept"]) == (False, 9_000)
    assert "drove customers away" in told["effect"]["verdict"]
    assert page.items == []
    assert page.summary.save_rate == pytest.approx(-0.5625)
    assert "no contact is expected to earn its cost" in page.fallback
