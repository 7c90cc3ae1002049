"""A customer erased is nowhere in the data home, and stays away; what is kept of everybody else is as it was."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from features.erased import KEY, read_erased
from features.errors import DataError, RegularsError
from features.home import ASIDE, CHANGED, Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings, load_settings
from serving import privacy
from serving.app import build_app
from serving.database import events, open_database, outcomes
from serving.outcomes import Contacts, OutcomeLog
from serving.plan_log import PlanLog
from serving.privacy import erase
from serving.privacy_export import export
from serving.schemas_contact import ContactPlanRequest
from serving.state import read_state
from tests.features.loading import Shop
from tests.serving.planted import NEW, OTHERS, WHO, holding, open_home
from tests.training.registry.killed import run_killed
from training.ranked_lists import RankedLists, load_ranked_lists
from training.retrain import to_retrain
from training.tracking import open_registry

NOW = datetime(2024, 8, 1, 9)
#: What a process that erases imports, which takes longer than the work.
PRELOADED = ["serving.privacy", "features.store.sqlite_online", "mlflow.lightgbm"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, write_scores) -> Settings:
    """The home with everything in it. Copy it before writing."""
    return open_home(tmp_path_factory.mktemp("planted"), write_scores)


def copy_of(whole: Settings, folder: Path, **settings: object) -> Settings:
    shutil.copytree(whole.home.parent, folder, dirs_exist_ok=True)
    return load_settings(home=folder / "home", threads=1, seed=1, answer_ms=10_000, **settings)


@pytest.fixture
def settings(whole: Settings, tmp_path: Path) -> Settings:
    return copy_of(whole, tmp_path / "copy")


@pytest.fixture(scope="module")
def erased(whole: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home once both customers were erased. Read it only."""
    made = copy_of(whole, tmp_path_factory.mktemp("erased"))
    erase(made, [WHO, NEW], now=NOW)
    return made


def lists_in(settings: Settings) -> RankedLists:
    return load_ranked_lists(settings.home / "scores" / "versions" / "v1" / "ranking")


def test_the_search_finds_a_customer_in_every_part_of_a_home(whole: Settings) -> None:
    parts = {path.split("/")[0] for path in holding(whole.home, WHO)}
    assert parts == {"feast", "features", "insight", "lake", "ledgers", "live", "mlflow", "said", "scores", "spark"}
    assert len([path for path in holding(whole.home, WHO) if path.endswith("order_lines.parquet")]) == 4


def test_no_file_below_the_home_holds_who_was_erased(erased: Settings) -> None:
    assert holding(erased.home, WHO) == []
    assert holding(erased.home, NEW) == []
    assert not [path for path in erased.home.rglob("*") if path.name.startswith(ASIDE) or path.name.endswith(CHANGED)]


def test_everybody_else_is_as_before(whole: Settings, erased: Settings) -> None:
    before, after = (read_lake(Home(one.home)) for one in (whole, erased))
    gone = {"order_lines": 8 * 3, "customers": 2, "contacts": 1, "responses": 1}
    assert {table: rows - after.rows[table] for table, rows in before.rows.items()} == gone
    assert after.manifest["quarantined"] == {}
    old, new = lists_in(whole), lists_in(erased)
    assert new.customers["customer_id"].to_pylist() == OTHERS
    row_of = {customer: row for row, customer in enumerate(old.customers["customer_id"].to_pylist())}
    assert old.evidence is not None
    assert new.evidence is not None
    for row, customer in enumerate(OTHERS):
        at = row_of[customer]
        for name in ("lists", "scores", "sources", "own_orders"):
            assert np.array_equal(getattr(new, name)[row], getattr(old, name)[at])
        assert np.array_equal(new.evidence.own_last[new.evidence.own(row)], old.evidence.own_last[old.evidence.own(at)])
        assert np.array_equal(new.evidence.against(row), old.evidence.against(at))
    state = read_state(erased.home / "scores" / "versions" / "v1", version="v1")
    assert (state.about["customers"], len(state.rows), len(state.newcomer_rows)) == (len(OTHERS), len(OTHERS), 0)
    database = open_database(erased)
    with database.read() as connection:
        assert list(connection.scalars(sa.select(events.c.event_id))) == ["another"]
        assert list(connection.scalars(sa.select(outcomes.c.outcome_id))) == ["o2"]
    plan = PlanLog(database).read("june")
    assert plan is not None
    named = [item.customer_id for item in plan.items] + plan.held_out
    assert sorted(named) == OTHERS
    database.close()


def test_the_registered_model_is_whole_and_is_to_be_trained_again(whole: Settings, erased: Settings) -> None:
    registry = open_registry(Home(erased.home))
    version = registry.get("recommender", 1)
    bundle = registry.fetch(version)
    assert load_ranked_lists(bundle / "ranking").customers["customer_id"].to_pylist() == OTHERS
    assert to_retrain(Home(whole.home)) == []
    # It was made just now, so an erasure asked for in 2024 lies before it; one asked for from now on does not.
    assert to_retrain(Home(erased.home)) == []


def test_a_model_made_before_an_erasure_is_told_of_by_the_doctor(settings: Settings, monkeypatch, regulars) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(settings.home))
    told = regulars("privacy", "erase", WHO)
    assert told.exit_code == 0, told.output
    assert "regulars train && regulars score" in told.output
    assert [version.model for version in to_retrain(Home(settings.home))] == ["recommender"]
    findings = {one["name"]: one for one in json.loads(regulars("doctor", "--json").stdout)["findings"]}
    assert "learned from somebody erased since" in findings["recommender"]["found"]
    assert findings["erasures"]["status"] == "ok"


def test_who_was_erased_is_kept_as_keyed_hashes_for_the_owner_alone(erased: Settings) -> None:
    folder = erased.home / "privacy"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / KEY, folder / "erased.json")} == {0o600}
    kept = read_erased(Home(erased.home))
    assert kept.among([WHO, NEW, "c01"]) == {WHO, NEW}
    assert kept.unfinished() == []


def test_a_lost_key_is_told_of(settings: Settings) -> None:
    erase(settings, [WHO], now=NOW)
    (settings.home / "privacy" / KEY).unlink()
    (settings.home / "privacy" / "erased.json").write_text((settings.home / "privacy" / "erased.json").read_text())
    with pytest.raises(DataError, match="key is gone"):
        read_erased(Home(settings.home))


def erase_both(home: str) -> None:
    """For processes of their own."""
    erase(load_settings(home=home, threads=1, seed=1), [WHO, NEW], now=NOW)


def test_killed_half_way_and_run_again_it_is_complete(whole: Settings, erased: Settings, tmp_path: Path) -> None:
    first = copy_of(whole, tmp_path / "counted")
    moments = run_killed(first.home, erase_both, str(first.home), moment=0, preloaded=PRELOADED)
    assert moments is not None
    version = read_lake(Home(erased.home)).version
    renames = [number for number, what in enumerate(moments, start=1) if what.startswith("os.rename")]
    for moment in [*renames[len(renames) // 8 :: max(len(renames) // 3, 1)], len(moments)]:
        settings = copy_of(whole, tmp_path / f"killed-{moment}")
        assert run_killed(settings.home, erase_both, str(settings.home), moment=moment) is None
        erase(settings, [WHO, NEW], now=NOW)
        assert holding(settings.home, WHO) == [], moments[moment - 1]
        assert holding(settings.home, NEW) == [], moments[moment - 1]
        assert read_lake(Home(settings.home)).version == version
        assert lists_in(settings).customers["customer_id"].to_pylist() == OTHERS
        registry = open_registry(Home(settings.home))
        registry.fetch(registry.get("recommender", 1))
        assert (settings.home / "privacy" / "retrain.json").is_file()
        assert read_erased(Home(settings.home)).unfinished() == []


@pytest.mark.parametrize("pin", [None, "v1"])
def test_a_running_server_stops_answering_with_it(settings: Settings, make_runtime, asked, pin: str | None) -> None:
    runtime = make_runtime(Home(settings.home), pin=pin)
    client = asked(build_app(runtime))
    assert client.get(f"/v1/customers/{WHO}").json()["known"] is True
    assert client.post("/v1/recommendations", json={"customer_id": WHO, "k": 2}).json()["strategy"] != "popular"
    assert runtime.live.knows(WHO, None)
    erase(settings, [WHO], now=NOW)
    runtime.refresh()  # as the server does each second
    assert runtime.holder.problem is None
    assert client.get(f"/v1/customers/{WHO}").json()["known"] is False
    assert client.post("/v1/recommendations", json={"customer_id": WHO, "k": 2}).json()["strategy"] == "popular"
    listed = client.get("/v1/customers/at-risk?format=csv&include_contacted=true&limit=1000").text
    assert "c03" in listed
    assert WHO not in listed
    assert not runtime.live.knows(WHO, "visit")
    assert WHO not in {**runtime.contacts.by_customer, **runtime.contacts.planned, **runtime.contacts.desk}
    # Nothing comes back by the API either.
    now = datetime.now(UTC).isoformat()
    event = {"event_id": "again", "product_id": "p1", "kind": "view", "occurred_at": now, "customer_id": WHO}
    assert client.post("/v1/events", json=event).json() == {"accepted": 0, "duplicates": 0, "dry_run": False}
    outcome = {"outcome_id": "again", "customer_id": WHO, "outcome": "saved", "occurred_at": now}
    assert client.post("/v1/outcomes", json=outcome).status_code == 200
    client.post("/v1/sessions/visit/customer", json={"customer_id": WHO})
    assert holding(settings.home, WHO) == []


def test_a_plan_is_recorded_after_the_newest_outcome_was_removed(settings: Settings) -> None:
    database = open_database(settings)
    seen = OutcomeLog(database).contacts(Contacts())
    page = PlanLog(database).read("june")
    assert page is not None
    erase(settings, [WHO, "c01"], now=NOW)
    asked = ContactPlanRequest("july", 0.0, 0.5)
    page = type(page)(**{name: getattr(page, name) for name in page.__struct_fields__} | {"campaign_id": "july"})
    assert PlanLog(database).record(asked, page, seen=seen) is not None
    database.close()


def test_an_id_that_is_also_a_number_of_others_takes_only_its_own_rows(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    good = ("1,1,tea,2024-01-02 10:00:00,1,5.00", "2,2,tea,2024-01-02 10:00:00,1,5.00")
    shop.load_lines(*good, "3,1,tea,never,1,1", "4,2,tea,never,1,1", good[1])
    assert shop.reasons() == {"bad_ordered_at": 2, "duplicate_line": 1}
    assert export(shop.settings, "1", now=NOW)["lake"]["set_aside"][0]["row"].startswith('{"order":"3"')
    erase(shop.settings, ["1"], now=NOW)
    assert shop.values("customer_id") == ["2"]
    assert shop.reasons() == {"bad_ordered_at": 1, "duplicate_line": 1}
    with pytest.raises(DataError, match=r"Nothing is kept of '5[.]00'"):
        erase(shop.settings, ["5.00"], now=NOW)


def load_again(settings: Settings, *, now: datetime = NOW) -> list[str]:
    return ingest("files", settings, mapping=settings.home.parent / "files" / "shop.toml", now=now).warnings


def test_the_same_files_do_not_bring_anybody_back(erased: Settings, tmp_path: Path) -> None:
    settings = copy_of(erased, tmp_path)
    before = read_lake(Home(settings.home))
    # 24 lines of orders, two that break the contract, two customers, a contact and a response.
    assert "30 rows were left out" in " ".join(load_again(settings))
    assert read_lake(Home(settings.home)).version == before.version
    assert holding(settings.home, WHO) == []
    ingest("events", settings, now=datetime.now(UTC).replace(tzinfo=None))
    assert holding(settings.home, WHO) == []
    load = settings.home.parent / "files" / "orders.csv"
    load.write_text("\n".join(line for line in load.read_text().splitlines() if WHO in line or "order" in line))
    assert "left out" in " ".join(load_again(settings))
    assert holding(settings.home, WHO) == []


def test_who_may_return_comes_back_with_the_next_load(erased: Settings, tmp_path: Path) -> None:
    settings = copy_of(erased, tmp_path)
    erase(settings, [WHO], now=NOW, may_return=True)
    assert read_erased(Home(settings.home)).among([WHO, NEW]) == {NEW}
    load_again(settings)
    assert "lake" in {path.split("/")[0] for path in holding(settings.home, WHO)}
    assert holding(settings.home, NEW) == []


def test_an_unknown_customer_is_an_error_and_nothing_is_erased(settings: Settings, regulars, monkeypatch) -> None:
    with pytest.raises(DataError, match=r"Nothing is kept of 'nobody' in .* Nothing was erased"):
        erase(settings, [WHO, "nobody"], now=NOW)
    assert not (settings.home / "privacy").exists()
    assert len(holding(settings.home, WHO)) > 10
    with pytest.raises(DataError, match="Nothing is kept of 'nobody'"):
        erase(settings, ["nobody"], now=NOW, dry_run=True)


def test_a_dry_run_says_where_and_changes_nothing(whole: Settings, regulars, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(whole.home))
    before = sorted(holding(whole.home, WHO))
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{WHO}\n\n{NEW}\n")
    told = json.loads(regulars("privacy", "erase", "--from-file", str(ids), "--dry-run", "--json").stdout)
    assert told["counts"]["order_lines"] == 24
    assert told["counts"]["quarantine"] == 4  # two of each load
    assert told["counts"]["live events"] == 3  # one of them of a visit that was only later known to be hers
    assert (told["retrain"], told["dry_run"]) == (True, True)
    assert sorted(holding(whole.home, WHO)) == before
    assert not (whole.home / "privacy").exists()


@pytest.mark.parametrize("other", ["ingest", "train", "score"])
def test_not_while_another_writer_works(settings: Settings, monkeypatch, other: str) -> None:
    monkeypatch.setattr(privacy, "_WAIT_SECONDS", 0.0)
    with Home(settings.home).lock(other), pytest.raises(RegularsError, match=f"Another '{other}' is running"):
        erase(settings, [WHO], now=NOW)
    assert not (settings.home / "privacy").exists()


def test_an_export_holds_all_that_is_kept(whole: Settings, regulars, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(whole.home))
    target = tmp_path / "export.json"
    assert regulars("privacy", "export", WHO, "--out", str(target)).exit_code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    found = json.loads(target.read_text())
    assert {table: len(rows) for table, rows in found["lake"].items()} == {
        "order_lines": 24,
        "customers": 1,
        "contacts": 1,
        "responses": 1,
        "set_aside": 2,  # the lines too short to be read may be anybody's
    }
    assert {table: len(rows) for table, rows in found["live"].items()} == {
        "events": 3,
        "outcomes": 1,
        "contact_plan_members": 1,
        "desk_notes": 1,
        "contact_plans": 1,
    }
    assert found["scores"]["v1"]["customer_id"] == WHO
    assert len(found["recommended"]["v1"]) > 0
    assert found["features"]["customer"][0]["customer_id"] == WHO
    assert found["online"]["orders_90d"] > 0
    assert len(found["pictures"]) == 1
    refused = regulars("privacy", "export", "nobody", "--out", str(tmp_path / "no.json"))
    assert refused.exit_code == 1
    assert "Nothing is kept of 'nobody'" in str(refused.exception)
    assert not (tmp_path / "no.json").exists()


def test_a_visit_that_another_was_last_known_to_be_in_stays_theirs(settings: Settings, make_runtime, asked) -> None:
    client = asked(build_app(make_runtime(Home(settings.home))))
    at = datetime.now(UTC).isoformat()
    event = {"product_id": "p1", "kind": "view", "occurred_at": at, "session_id": "shared"}
    for customer in (WHO, "c05"):
        client.post("/v1/sessions/shared/customer", json={"customer_id": customer})
    client.post("/v1/events", json=event | {"event_id": "on-shared"})
    erase(settings, [WHO], now=NOW)
    with open_database(settings).read() as connection:
        assert "on-shared" in list(connection.scalars(sa.select(events.c.event_id)))


def test_old_rows_go_and_stay_away_and_opt_outs_stay(settings: Settings, make_runtime, asked) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    client = asked(build_app(make_runtime(Home(settings.home))))
    old = (now - timedelta(days=40)).replace(tzinfo=UTC).isoformat()
    event = {"event_id": "old", "product_id": "p1", "kind": "view", "occurred_at": old, "customer_id": "c09"}
    assert client.post("/v1/events", json=event).json()["accepted"] == 1
    for outcome, kind in (("old-reached", "reached"), ("old-out", "opted_out")):
        sent = {"outcome_id": outcome, "customer_id": "c09", "outcome": kind, "occurred_at": old}
        client.post("/v1/outcomes", json=sent)
    newest = datetime.fromisoformat(str(read_lake(Home(settings.home)).manifest["last_order_at"]))
    days = (now - newest).days + 10
    limited = settings.model_copy(
        update={
            "privacy": type(settings.privacy).model_validate(
                {"keep_orders_days": days, "keep_events_days": 30, "keep_outcomes_days": 30}
            )
        }
    )
    rows = read_lake(Home(settings.home)).rows["order_lines"]
    would = privacy.retain(limited, now=now, dry_run=True).counts
    assert read_lake(Home(settings.home)).rows["order_lines"] == rows
    assert 0 < would["order_lines"] < rows
    assert (would["live events"], would["live outcomes"]) == (1, 1)
    assert privacy.retain(limited, now=now).counts == would
    lake = read_lake(Home(settings.home))
    assert lake.rows["order_lines"] == rows - would["order_lines"]
    assert lake.manifest["first_order_at"] >= str(now - timedelta(days=days))
    with open_database(settings).read() as connection:
        assert "old-out" in list(connection.scalars(sa.select(outcomes.c.outcome_id)))
        assert "old" not in list(connection.scalars(sa.select(events.c.event_id)))
    load_again(limited, now=now)
    assert read_lake(Home(settings.home)).version == lake.version
    assert privacy.retain(limited, now=now).counts == {}
    with pytest.raises(RegularsError, match="Nothing is limited in time"):
        privacy.retain(settings, now=now)
