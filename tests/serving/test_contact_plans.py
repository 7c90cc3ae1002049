"""A campaign's list over HTTP and on the command line: who is on it, who never is, and that it is kept."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.home import Home
from serving.app import build_app
from serving.contact_plans import as_csv, contact_plan
from serving.keys import now_utc
from serving.outcomes import Contact, Contacts, Planned
from serving.plan_log import planned
from serving.schemas_contact import ContactPlanRequest
from serving.state import State, load_state, read_state

ASKED = {"campaign_id": "june", "cost_per_contact": 1.0, "margin": 0.5, "save_rate": 0.5, "holdout_share": 0.0}
NOW = datetime(2024, 6, 1, 8)


def ids(page: dict) -> list[str]:
    return [item["customer_id"] for item in page["items"]]


def plan(client, **more: object) -> dict:
    response = client.post("/v1/contact-plans", json=ASKED | more)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_list_worked_by_hand(client) -> None:
    # Kept 0.5 x churn, worth half of value at risk / churn: the profit is value at risk / 4 - 1.
    page = plan(client, dry_run=True)
    assert [(item["customer_id"], item["expected_profit"]) for item in page["items"]] == [
        ("ann", 6.5),
        ("bob", 1.5),
        ("cat", 1.5),
    ]
    assert (page["items"][0]["worth"], page["items"][0]["kept_probability"]) == (150.0, 0.1)
    summary = page["summary"]
    assert (summary["expected_profit"], summary["candidates"], summary["expected_cost"]) == (9.5, 4, 3.0)
    assert (page["recorded"], page["strategy"], page["model_version"]) == (False, "save_rate", 2)
    assert [cut["contacts"] for cut in page["table"]] == [1, 2, 3, 4]
    assert page["curve"][-1]["profit"] == pytest.approx(8.75)
    assert any("50.0% stay for it: as told" in sentence for sentence in page["assumptions"])


def learned(home: Home, write_scores) -> State:
    """Scores with what a contact changes: most for bob, nothing for cat, and ann is driven away."""
    uplift = {"ann": -0.1, "bob": 0.4, "cat": 0.0, "=eve": 0.2, "dan": None}
    rows = read_state(home.scores / "versions" / "v1", version="v1").customers.to_pylist()
    write_scores(home, "v2", customers=[row | {"uplift": uplift[row["customer_id"]]} for row in rows])
    return load_state(home)


def test_a_list_goes_by_an_uplift_that_was_learned_unless_a_save_rate_is_given(scored_home: Home, write_scores) -> None:
    state = learned(scored_home, write_scores)
    asked = msgspec.convert(ASKED | {"save_rate": None, "cost_per_contact": 0.5}, ContactPlanRequest)
    page, _ = contact_plan(state, asked, Contacts(), now=NOW, rest_days=14)
    # Worth is value at risk over churn: half of 10/0.9 times 0.4, less 0.5; half of 1/0.1 times 0.2, less 0.5.
    assert [(item.customer_id, item.expected_profit, item.kept_probability) for item in page.items] == [
        ("bob", 1.7222, 0.4),
        ("=eve", 0.5, 0.2),
    ]
    assert (page.strategy, page.summary.save_rate, page.summary.save_rate_source) == ("uplift", None, "uplift")
    assert any("was learned for each customer from campaigns of the past" in told for told in page.assumptions)
    given = msgspec.structs.replace(asked, save_rate=0.5)
    assert contact_plan(state, given, Contacts(), now=NOW, rest_days=14)[0].strategy == "save_rate"


def test_the_grade_of_the_predictions_stands_on_the_list_and_in_each_row(client, scored_home: Home, regulars) -> None:
    assert plan(client, dry_run=True)["grade"] is None
    rows = csv.DictReader(io.StringIO(client.post("/v1/contact-plans?format=csv", json=ASKED).text))
    assert {row["prediction_grade"] for row in rows} == {"not known"}
    assert "Predictions: not known" in regulars(*COMMAND).stdout


def test_a_graded_model_says_so_in_the_answer_the_csv_and_the_assumptions(state: State) -> None:
    grade = {"grade": "fair", "why": "AUC surely above 0.650"}
    graded = replace(state, about={**state.about, "grades": {"churn": grade}})
    asked = msgspec.convert(ASKED, ContactPlanRequest)
    page, _ = contact_plan(graded, asked, Contacts(), now=NOW, rest_days=14)
    assert (page.grade.grade, page.grade.why) == ("fair", "AUC surely above 0.650")
    rows = list(csv.DictReader(io.StringIO(as_csv(page).decode())))
    assert [row["prediction_grade"] for row in rows] == ["fair"] * 3
    assert "graded fair: AUC surely above 0.650." in rows[0]["assumptions"]


def test_a_budget_and_a_head_count_end_the_list(client) -> None:
    assert ids(plan(client, dry_run=True, budget=2.5)) == ["ann", "bob"]
    assert ids(plan(client, dry_run=True, head_count=1)) == ["ann"]
    assert "no contact is expected to earn its cost" in plan(client, dry_run=True, cost_per_contact=50)["fallback"]


def test_a_recorded_campaign_gives_its_list_again_and_refuses_other_numbers(client, runtime) -> None:
    dry = plan(client, dry_run=True)
    first = plan(client)
    assert (first["recorded"], ids(first)) == (True, ids(dry))
    again = plan(client)
    assert again == first
    assert plan(client, dry_run=True) == first
    other = client.post("/v1/contact-plans", json=ASKED | {"budget": 5.0})
    assert (other.status_code, other.json()["errors"][0]["field"]) == (409, "campaign_id")
    assert "with another budget" in other.json()["detail"]
    held = client.get("/v1/contact-plans/june").json()
    assert (held["recorded"], held["plan"]) == (True, first)
    unknown = client.get("/v1/contact-plans/july").json()
    assert (unknown["recorded"], unknown["plan"]) == (False, None)


def test_who_is_on_a_list_or_held_out_is_on_no_other(client, runtime, make_runtime, asked) -> None:
    first = plan(client, holdout_share=0.5, head_count=2)
    assert sorted([*ids(first), *first["held_out"]]) == ["ann", "bob", "cat"]
    assert first["held_out"] == ["bob"]
    other = asked(build_app(make_runtime()))
    second = plan(other, campaign_id="july", save_rate=1.0, cost_per_contact=0.1)
    assert ids(second) == ["=eve"]
    assert second["left_out"] == {"contacted_lately": 2, "held_out": 1}
    runtime.refresh()
    at_risk = client.get("/v1/customers/at-risk").json()["items"]
    assert [item["customer_id"] for item in at_risk] == []
    assert plan(client, campaign_id="later", dry_run=True, rest_days=0)["left_out"] == {"held_out": 1}


def test_the_same_campaign_holds_out_the_same_customers_on_each_call(client) -> None:
    pages = [plan(client, dry_run=True, holdout_share=0.5) for _ in range(3)]
    assert pages[0]["held_out"] == pages[1]["held_out"] == pages[2]["held_out"] == ["bob"]
    others = [plan(client, dry_run=True, holdout_share=0.5, campaign_id=f"c{n}")["held_out"] for n in range(12)]
    assert len({tuple(held) for held in others}) > 1


def test_outcomes_of_the_list_are_counted_and_a_call_to_someone_held_out_is_told(client) -> None:
    plan(client, holdout_share=0.5, head_count=2)
    at = datetime.now(UTC).isoformat()
    sent = [
        {"outcome_id": f"o{n}", "customer_id": who, "outcome": what, "occurred_at": at, "campaign_id": "june"}
        for n, (who, what) in enumerate([("ann", "reached"), ("ann", "saved"), ("bob", "reached"), ("=eve", "lost")])
    ]
    assert client.post("/v1/outcomes", json={"outcomes": sent}).json()["accepted"] == 4
    page = client.get("/v1/contact-plans/june").json()
    assert page["outcomes"] == {"saved": 1}  # by the last outcome; eve was not on the list
    assert page["held_out_contacted"] == 1


def test_csv_names_each_customer_with_what_the_list_takes_for_granted(client) -> None:
    response = client.post("/v1/contact-plans?format=csv", json=ASKED | {"cost_per_contact": 0.1})
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["customer_id"] for row in rows] == ["ann", "bob", "cat", "'=eve"]
    assert {row["campaign_id"] for row in rows} == {"june"}
    assert "A contact costs 0.10 EUR." in rows[0]["assumptions"]
    assert (response.headers["x-total-count"], response.headers["x-strategy"]) == ("4", "save_rate")


def test_without_a_churn_model_or_amounts_nobody_is_named_and_the_answer_says_why(home: Home, write_scores) -> None:
    write_scores(home, "v1")
    rows = load_state(home).customers.to_pylist()
    write_scores(home, "v2", customers=[{**row, "value_at_risk": None} for row in rows])
    wanted = msgspec.convert(ASKED, ContactPlanRequest)
    page, _ = contact_plan(load_state(home), wanted, Contacts(), now=NOW, rest_days=14)
    assert (page.items, page.strategy) == ([], "none")
    assert "give customer_worth" in page.fallback
    told = msgspec.structs.replace(wanted, customer_worth=20.0)
    page, _ = contact_plan(load_state(home), told, Contacts(), now=NOW, rest_days=14)
    assert [item.customer_id for item in page.items] == ["bob", "cat"]
    nobody = [{**row, "churn_probability": None, "value_at_risk": None} for row in rows]
    write_scores(home, "v3", customers=nobody)
    page, _ = contact_plan(load_state(home), told, Contacts(), now=NOW, rest_days=14)
    assert (page.items, page.strategy, page.left_out) == ([], "none", {"not_scored": 4})
    assert "no churn model" in page.fallback


moments = st.integers(-40, 0).map(lambda days: NOW + timedelta(days=days))
people = st.sampled_from(["ann", "bob", "cat", "=eve", "nobody"])
contacted = st.dictionaries(people, st.builds(Contact, st.just("reached"), moments, st.booleans()))
on_lists = st.dictionaries(
    people,
    st.builds(lambda treated, at: Planned("may", treated, at, at + timedelta(days=28)), st.booleans(), moments),
)


@given(contacted, on_lists, st.floats(0, 30), st.sampled_from([0.0, 0.5]))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_who_opted_out_rests_or_is_held_out_is_never_on_the_list(scored_state, by_customer, on, rest, share) -> None:
    wanted = msgspec.convert(ASKED | {"holdout_share": share, "cost_per_contact": 0.0}, ContactPlanRequest)
    page, _ = contact_plan(scored_state, wanted, Contacts(by_customer, planned=on), now=NOW, rest_days=rest)
    listed = {item.customer_id for item in page.items} | set(page.held_out)
    rested = NOW - timedelta(days=rest)
    for who in listed:
        contact, plan = by_customer.get(who), on.get(who)
        assert contact is None or (not contact.opted_out and contact.at < rested)
        assert plan is None or (plan.at < rested if plan.treated else plan.until <= NOW)
    assert not {item.customer_id for item in page.items} & set(page.held_out)


@pytest.fixture(scope="module")
def scored_state(tmp_path_factory, write_scores) -> State:
    home = Home(tmp_path_factory.mktemp("scored"))
    write_scores(home)
    return load_state(home)


def test_an_outcome_that_comes_while_the_list_is_made_keeps_its_customer_off_it(runtime, monkeypatch) -> None:
    from serving import plan_log
    from serving.outcomes import Outcome

    made = plan_log.contact_plan
    calls = []

    def slow(*arguments: object, **more: object):
        page = made(*arguments, **more)
        if not calls:
            at = datetime.now(UTC)
            runtime.outcomes.append([Outcome("o1", "ann", "opted_out", at)], at=now_utc())
        calls.append(page)
        return page

    monkeypatch.setattr(plan_log, "contact_plan", slow)
    wanted = msgspec.convert(ASKED, ContactPlanRequest)
    page, _ = planned(
        runtime.holder.state, wanted, runtime.outcomes, runtime.plans, known=Contacts(), now=now_utc(), rest_days=14
    )
    assert [item.customer_id for item in page.items] == ["bob", "cat"]
    assert len(calls) == 2


COMMAND = ("contact-list", "june", "--cost", "1", "--margin", "0.5", "--save-rate", "0.5", "--holdout", "0")


def test_the_command_shows_records_and_draws_the_list(regulars, scored_home: Home, tmp_path) -> None:
    shown = regulars(*COMMAND)
    assert "june (not recorded): 3 to contact of 4" in shown.stdout
    assert "Margin is 50.0% of spend" in shown.stdout
    curve = tmp_path / "curve.html"
    page = json.loads(regulars(*COMMAND, "--record", "--json", "--plot", str(curve)).stdout)
    assert (page["recorded"], ids(page)) == (True, ["ann", "bob", "cat"])
    assert "june: whom to contact" in curve.read_text()
    rows = list(csv.DictReader(io.StringIO(regulars(*COMMAND, "--record", "--csv").stdout)))
    assert [row["customer_id"] for row in rows] == ["ann", "bob", "cat"]
    result = json.loads(regulars("contact-results", "june", "--json").stdout)
    assert result["plan"]["items"] == page["items"]
    assert "on the list" in regulars("contact-results", "june").stdout
    # The list of customers at risk leaves them out too, in the terminal as on the server.
    assert json.loads(regulars("at-risk", "--json").stdout)["total"] == 1


@pytest.mark.parametrize("wrong", [("contact-list", "a/b", *COMMAND[2:]), ("contact-list", "june", "--cost", "1")])
def test_wrong_numbers_exit_with_2(regulars, scored_home: Home, wrong: tuple[str, ...]) -> None:
    assert regulars(*wrong).exit_code == 2
