"""From a lake with contacts and responses to a probability on every customer's scores, or a refusal that says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import DataError
from features.labels import RESPONDED
from features.settings import current_settings
from serving.at_risk import at_risk
from serving.cli import app
from serving.schemas_customers import AtRiskQuery
from serving.state import load_state
from tests.training.response.made import HORIZON, START, TRUTH, Shop, mailing_shop
from training.bundle import read_manifest
from training.dataset import feature_columns
from training.response import CHANNEL
from training.response_backtest import plan, run_response_backtest
from training.response_data import read_contacts, usual_channel, with_features
from training.run import train
from training.score import CUSTOMERS, score
from training.tracking import open_registry

AT = datetime(2024, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def mailing(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return mailing_shop(tmp_path_factory.mktemp("mailing"))


@pytest.fixture(scope="module")
def scores(mailing: Shop) -> pd.DataFrame:
    """Everybody's scores with a response learned, by customer."""
    (outcome,) = train(mailing.context, ["response"], at=AT)
    assert outcome.status == "trained", outcome.why
    report = score(mailing.context, at=AT)
    assert report.notes == ()
    return pd.read_parquet(report.path / CUSTOMERS).set_index("customer_id")


def test_each_customer_has_about_the_probability_with_which_they_answer(mailing: Shop, scores: pd.DataFrame) -> None:
    assert set(scores.index) == set(mailing.keen)
    said = scores["response_probability"]
    keen = said.index.map(mailing.keen).to_numpy(bool)
    often, seldom = TRUTH["mail"]
    assert said[keen].mean() == pytest.approx(often, abs=0.07)
    assert said[~keen].mean() == pytest.approx(seldom, abs=0.04)
    assert said[keen].min() > said[~keen].quantile(0.95)


def test_the_back_test_is_ahead_of_what_a_shop_would_go_by_and_its_probabilities_hold(
    mailing: Shop, scores: pd.DataFrame
) -> None:
    version = open_registry(mailing.context.home).resolve("response")
    found = version.metrics
    assert found["auc_low"] > 0.75  # who knew the truth would have .81
    assert found["ece"] < 0.06
    for peer in ("channel_rate", "past_responses"):
        assert found["auc"] > found[f"peer.{peer}.auc"], peer
    assert version.horizon_days == HORIZON


def test_a_contact_by_telephone_is_answered_more_often(mailing: Shop) -> None:
    found = run_response_backtest(mailing.context)
    test = found.backtest.test
    model = found.backtest.model
    by_mail, by_phone = (model.predict_proba(test.assign(**{CHANNEL: name}))[:, 1].mean() for name in TRUTH)
    assert by_phone > by_mail + 0.05
    assert (found.channel, found.campaigns) == ("mail", 11)


def test_nothing_learned_or_tested_is_of_a_time_before_it_was_known(mailing: Shop) -> None:
    contacts = read_contacts(mailing.context, HORIZON)
    moments = plan(contacts, HORIZON)
    day, horizon = timedelta(days=1), timedelta(days=HORIZON)
    assert (contacts["as_of"] <= contacts["contacted_at"]).all()
    for known, then in ((moments.fit, moments.validation), (moments.refit, (moments.test,))):
        of_known = contacts[contacts["as_of"].isin(known)]["contacted_at"].max()
        assert of_known + horizon <= min(then)
        assert max(known) + horizon + day <= min(then)
    assert max(moments.serving) + horizon <= datetime.fromisoformat(mailing.context.lake.manifest["last_order_at"])
    newest = contacts["as_of"] >= pd.Timestamp(moments.test)
    assert newest.mean() >= 0.25


def test_what_is_known_before_a_contact_does_not_change_with_what_came_after(mailing: Shop, tmp_path: Path) -> None:
    end = 165
    earlier = mailing_shop(tmp_path, until=end)
    before = START + timedelta(days=end - HORIZON - 1)

    def known(shop: Shop) -> pd.DataFrame:
        contacts = read_contacts(shop.context, HORIZON)
        contacts = contacts[contacts["contacted_at"] < before].reset_index(drop=True)
        return with_features(shop.context, contacts.tail(400), HORIZON)

    whole, cut = known(mailing), known(earlier)
    assert len(whole) > 300
    names = feature_columns(whole)
    assert {"days_since_last_contact", "responses_365d", CHANNEL} <= set(names)
    pd.testing.assert_frame_equal(whole[[*names, RESPONDED]], cut[[*names, RESPONDED]], check_dtype=False)


def test_the_list_can_stand_by_it_and_says_when_it_cannot(mailing: Shop, scores: pd.DataFrame) -> None:
    train(mailing.context, ["churn"], at=AT)
    score(mailing.context, at=AT)
    state = load_state(mailing.context.home)
    assert state.about["response_channel"] == "mail"
    page = at_risk(state, AtRiskQuery(sort="response_probability", limit=20))
    said = [one.response_probability for one in page.items]
    assert page.sorted_by == "response_probability"
    assert said == sorted(said, reverse=True)
    assert said[0] == pytest.approx(scores["response_probability"][page.items[0].customer_id])


def test_scores_from_before_it_was_learned_have_no_such_number(mailing: Shop, scores: pd.DataFrame) -> None:
    from serving.customer_columns import make_columns

    state = load_state(mailing.context.home)
    without = make_columns(state.customers.drop_columns(["response_probability", "uplift"]))
    assert not without.known["response_probability"]
    assert np.isnan(without.numbers["response_probability"]).all()


def test_the_command_shows_the_back_test_beside_its_peers(
    mailing: Shop, scores: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(mailing.context.home.root))
    monkeypatch.setenv("REGULARS_HORIZON_DAYS", str(HORIZON))
    current_settings.cache_clear()
    try:
        done = CliRunner().invoke(app, ["response", "--show", "--json"])
        words = CliRunner().invoke(app, ["response", "--show"])
    finally:
        current_settings.cache_clear()
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert {"regulars", "channel_rate", "rfm_logistic", "past_responses"} == set(found["results"])
    assert found["results"]["regulars"]["auc"] > 0.75
    assert found["intervals"]["auc"]["low"] < found["results"]["regulars"]["auc"] < found["intervals"]["auc"]["high"]
    assert found["version"] == found["champion"] == 1
    assert "as if contacted by mail" in " ".join(words.output.split())


def test_the_bundle_says_what_it_was_learned_from(mailing: Shop, scores: pd.DataFrame) -> None:
    registry = open_registry(mailing.context.home)
    about = read_manifest(Path(registry.fetch(registry.resolve("response"))), kind="response")
    contacts = read_contacts(mailing.context, HORIZON)
    assert about["contacts"] == len(contacts)
    assert about["responded"] == int(contacts[RESPONDED].sum())
    assert about["channel"] == usual_channel(contacts) == "mail"


@pytest.mark.parametrize(
    ("campaigns", "told", "why"),
    [
        ((40, 60, 80), False, "No responses to contacts are loaded"),
        ((250, 255), True, "No contact is 14 days old yet"),
        ((40, 45, 50), True, "The contacts lie too near to one another"),
    ],
)
def test_a_shop_that_cannot_learn_it_is_told_why_and_what_to_log(
    campaigns: tuple[int, ...], told: bool, why: str, tmp_path: Path
) -> None:
    shop = mailing_shop(tmp_path, customers=60, campaigns=campaigns, told=told)
    with pytest.raises(DataError) as refused:
        run_response_backtest(shop.context)
    assert why in str(refused.value)
    assert "Load whom each campaign contacted" in str(refused.value)


def test_a_shop_that_contacts_somebody_every_day_has_features_of_few_moments() -> None:
    from training.response_data import MOST_MOMENTS, _moments

    at = pd.Series(pd.date_range("2024-01-01 10:00", periods=400, freq="D"))
    moments = _moments(at)
    late = at - moments
    assert moments.nunique() <= MOST_MOMENTS
    assert (late >= pd.Timedelta(0)).all()
    assert late.max() < pd.Timedelta(days=11)
