"""From a lake with contacts to an accepted uplift, or to a refusal that says what is missing."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import DataError
from features.settings import current_settings
from serving.cli import app
from serving.state import load_state
from tests.training.uplift.made import CALLED, HORIZON, START, by_lot, campaign_shop
from training.bundle import read_manifest, seal
from training.cli_uplift import in_words
from training.contact_results import campaign_results
from training.dataset import examples
from training.gates import compare, decide
from training.protocols import Context, Metric
from training.run import train
from training.score import score
from training.tracking import open_registry
from training.uplift_data import WHAT_TO_LOG, randomised_contacts
from training.uplift_training import Measured, kept_report, train_uplift, why_refused

AT = datetime(2024, 8, 1, tzinfo=UTC)


def asked(context: Context) -> str:
    """Why nothing can be learned."""
    with pytest.raises(DataError) as refused:
        randomised_contacts(context, horizon_days=HORIZON, rng=np.random.default_rng(0))
    return str(refused.value)


@pytest.fixture(scope="module")
def scored(called_shop: Context) -> Context:
    """The shop with its uplift learned, and scored."""
    (outcome,) = train(called_shop, ["uplift"], at=AT)
    assert outcome.status == "trained", outcome.why
    score(called_shop, at=AT)
    return called_shop


def test_whoever_is_late_is_saved_and_the_order_is_surely_better_than_chance(scored: Context) -> None:
    registry = open_registry(scored.home)
    version = registry.resolve("uplift")
    report = kept_report(Path(registry.fetch(version)))
    assert (report["accepted"], report["refused"]) == (True, None)
    assert report["learners"]["x"]["qini"]["low"] > 0
    assert (version.metrics["accepted"], version.metrics["qini_low"] > 0) == (1.0, True)
    assert report["contacted"] + report["held_out"] == 600
    first, last = report["groups"][0], report["groups"][-1]
    # 60% against 10% of those who slip, 80% against 95% of the steady.
    assert first["low"] <= 0.5 <= first["high"]
    assert first["foretold"] == pytest.approx(0.5, abs=0.15)
    assert last["low"] <= -0.15 <= last["high"]
    assert last["seen"] < 0


def test_features_are_of_before_the_contact_and_the_label_is_of_after(called_shop: Context) -> None:
    found = randomised_contacts(called_shop, horizon_days=HORIZON, rng=np.random.default_rng(0))
    assert set(found.frame["as_of"]) == {START.replace(month=5, day=30)}
    assert (START.replace(month=5, day=30) - START).days == CALLED
    silent = found.frame["days_since_last_order"].to_numpy(float)
    slips, steady = (silent > 12) & (silent < 30), silent < 12
    treated, kept = found.contacts.treated, found.contacts.kept
    shares = [kept[slips & treated].mean(), kept[slips & ~treated].mean(), kept[steady & ~treated].mean()]
    assert shares == pytest.approx([0.6, 0.1, 0.95], abs=0.08)
    assert found.contacts.probability[0] == pytest.approx(treated.mean())
    assert "kept_after" not in found.frame.columns


def test_a_scoring_keeps_the_uplift_of_active_customers_and_what_measured_it(scored: Context) -> None:
    state = load_state(scored.home)
    active = np.array(state.customers["active"].to_pylist())
    uplift = np.array(state.customers["uplift"].to_pylist(), dtype=float)
    assert np.isfinite(uplift[active]).all()
    assert np.isnan(uplift[~active]).all()
    assert state.about["uplift"].startswith("1 campaign (")
    assert state.models["uplift"] == 1


def test_the_command_shows_which_campaigns_count_and_how_sure_the_order_is(
    scored: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(scored.home.root))
    current_settings.cache_clear()
    shown = CliRunner().invoke(app, ["uplift", "--show"])
    told = json.loads(CliRunner().invoke(app, ["uplift", "--show", "--json"]).stdout)
    for name, value in {"THREADS": 1, "SEED": 1, "HORIZON_DAYS": HORIZON}.items():
        monkeypatch.setenv(f"REGULARS_{name}", str(value))
    current_settings.cache_clear()
    unchanged = json.loads(CliRunner().invoke(app, ["uplift", "--json"]).stdout)
    current_settings.cache_clear()
    assert shown.exit_code == 0, shown.output
    assert "X-learner *" in shown.output
    assert "may be (p =" in shown.output
    assert set(told["learners"]) == {"t", "x", "dr", "most at risk first"}
    assert "version 1 is champion (first version (qini 0." in " ".join(shown.output.split())
    assert (told["champion"], unchanged) == (1, told)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"accepted": True, "champion": 2}, "version 2 is champion (why): contact lists go by it after the next"),
        (
            {"accepted": True, "champion": 1},
            "[yellow]note[/] version 2 was not promoted, so lists do not go by it; version 1 stays champion: why.",
        ),
        (
            {"accepted": True, "champion": None},
            "[yellow]note[/] version 2 was not promoted, so lists do not go by it; none is champion: why.",
        ),
        ({"accepted": False, "champion": 2}, "[yellow]note[/] version 2: lists do not go by it: too few."),
    ],
)
def test_it_is_said_whether_lists_go_by_a_version_and_why_not(found: dict, said: str) -> None:
    assert in_words({"version": 2, "decision": "why", "refused": "too few", **found}).startswith(said)


def test_who_was_mailed_weeks_after_the_lot_was_drawn_is_followed_from_the_draw_as_those_left_alone_are(
    called_shop: Context, tmp_path: Path
) -> None:
    mailed = campaign_shop(tmp_path, by_lot, mailed_after=14)
    one, two = (
        randomised_contacts(shop, horizon_days=HORIZON, rng=np.random.default_rng(0)) for shop in (called_shop, mailed)
    )
    np.testing.assert_array_equal(one.contacts.treated, two.contacts.treated)
    np.testing.assert_array_equal(one.contacts.kept, two.contacts.kept)
    results = [campaign_results(shop, horizon_days=HORIZON) for shop in (called_shop, mailed)]
    assert results[0] == results[1]
    kept, treated = one.contacts.kept, one.contacts.treated
    # c000's order on the last day is of nobody's horizon.
    assert (results[0][0].arms.contacted_kept, results[0][0].arms.held_out_kept) == (
        kept[treated].sum(),
        kept[~treated].sum(),
    )


def test_examples_of_some_customers_are_those_of_everybody_cut_down(called_shop: Context) -> None:
    moment = START + timedelta(days=CALLED)
    everybody = examples(called_shop, [moment], HORIZON)
    some = examples(called_shop, [moment], HORIZON, customers=everybody["customer_id"].iloc[[5, 2]])
    pd.testing.assert_frame_equal(some, everybody.iloc[[2, 5]].reset_index(drop=True))


def test_a_shop_without_contacts_is_told_what_to_log(small_shop: Context) -> None:
    assert asked(small_shop) == f"No contacts are loaded, so there is nothing to learn an uplift from. {WHAT_TO_LOG}"


def test_campaigns_that_left_nobody_alone_are_refused(tmp_path: Path) -> None:
    everybody = campaign_shop(tmp_path, lambda slips, _: np.ones(len(slips), bool), customers=60)
    assert "1 campaigns are loaded and none left anybody alone" in asked(everybody)


def test_a_hold_out_that_was_chosen_and_not_drawn_is_refused(tmp_path: Path) -> None:
    chosen = campaign_shop(tmp_path, lambda slips, _: slips, customers=300)
    assert "'june': its arms were not drawn by lot: " in asked(chosen)


def test_a_hold_out_that_is_too_small_is_refused_with_the_numbers(tmp_path: Path) -> None:
    few = campaign_shop(tmp_path, lambda slips, rng: rng.random(len(slips)) < 0.6, customers=120)
    assert "Too few customers" in asked(few)


def test_a_campaign_whose_horizon_has_not_passed_is_left_out(tmp_path: Path) -> None:
    early = campaign_shop(tmp_path, lambda slips, rng: rng.random(len(slips)) < 0.5, customers=60, last=CALLED + 20)
    assert "'june': its 28 days have not passed yet" in asked(early)


def measured(low: float, *, lead_high: float) -> Measured:
    lead = Metric("qini_ahead_of_risk", lead_high - 0.01, lead_high - 0.02, lead_high)
    return Measured({}, {"x": [Metric("qini", 0.02, low, 0.04)]}, lead)


def test_an_order_that_may_be_chance_or_is_surely_worse_than_risk_is_not_gone_by() -> None:
    assert why_refused(measured(0.001, lead_high=0.01)) is None
    assert "cannot be told from chance" in why_refused(measured(-0.001, lead_high=0.01))
    assert "most at risk first do surely better (Qini 0.0110 higher)" in why_refused(measured(0.001, lead_high=-0.001))


def test_a_bundle_compares_by_its_way_of_learning_on_the_same_folds_and_the_same_training_is_the_same(
    called_shop: Context, scored: Context, tmp_path: Path
) -> None:
    registry = open_registry(scored.home)
    version = registry.resolve("uplift")
    again = train_uplift(called_shop, tmp_path / "again")
    values = {metric.name: metric.value for metric in again.metrics}
    assert values["qini"] == pytest.approx(version.metrics["qini"])
    assert {metric.name: metric.value for metric in again.rescore(registry.fetch(version))}["qini"] == values["qini"]
    about = read_manifest(again.bundle, kind="uplift")
    assert about["measured_by"].startswith("1 campaign (")
    assert [picture.name for picture in again.pictures] == ["uplift.png", "fifths.png"]
    shorter = tmp_path / "shorter"
    shutil.copytree(again.bundle, shorter)
    seal(shorter, kind="uplift", about=about | {"horizon_days": 21})
    # Another horizon is no rival: scorings no longer go by it.
    (qini,) = again.rescore(shorter)
    assert np.isnan(qini.value)
    decision = decide(compare(again, version, shorter))
    assert (decision.promote, "version 1 has no usable qini" in decision.why) == (True, True)
