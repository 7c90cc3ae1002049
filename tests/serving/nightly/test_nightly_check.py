"""The floors that data must keep, worked by hand; and which models are due."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.home import Home
from features.ingest import ingest
from features.settings import Settings, load_settings
from serving.nightly import check, models, pull
from serving.nightly.night import Night
from serving.nightly.record import RunRecord, Status, StepRecord, plain
from tests.training.test_lookback import AFTER, LATE
from tests.training.test_lookback import Shop as LookbackShop
from training.protocols import Context
from training.retrain import flag_retrain
from training.said import keep_said

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "id"
customer_id = "who"
product_id = "what"
ordered_at = "at"
quantity = "n"
"""


def days(*orders: int) -> dict[str, int]:
    """Orders by day, from 1 January 2026 on."""
    return {str(date(2026, 1, 1) + timedelta(days=day)): number for day, number in enumerate(orders)}


def test_the_last_week_is_compared_with_the_mean_of_the_four_before() -> None:
    assert check.weekly_ratio(days(*[10] * 28, *[4] * 7)) == pytest.approx(0.4)
    assert check.weekly_ratio(days(*[10] * 14, *[20] * 14, *[15] * 7)) == pytest.approx(1.0)


def test_without_five_weeks_there_is_nothing_to_compare() -> None:
    assert check.weekly_ratio(days(*[10] * 34)) is None
    assert check.weekly_ratio({}) is None
    assert check.weekly_ratio(days(*[0] * 28, *[5] * 7)) is None


def night_of(settings: Settings, *, last: RunRecord | None = None, accepted: str | None = None) -> Night:
    return Night(settings, RunRecord("r", NOW.isoformat(), accepted=accepted), last, lambda: NOW)


def after(night: Night, name: str, done: Any) -> RunRecord:
    return night.run.with_step(StepRecord(name, done.status, "", found=plain(done.found)))


def shop(folder: Path, lines: list[str], **nightly: Any) -> Settings:
    (folder / "orders.csv").write_text("\n".join(["id,who,what,at,n", *lines]))
    (folder / "shop.toml").write_text(MAPPING)
    sources = [{"mapping": folder / "shop.toml"}]
    return load_settings(home=folder / "home", threads=1, nightly={"sources": sources, "most_days_old": 0, **nightly})


def lines(day: date, *, many: int, broken: int = 0) -> list[str]:
    good = [f"{day}-{n},m{n},p,{day} 10:00,1" for n in range(many)]
    return good + [f"{day}-b{n},m{n},p,never,1" for n in range(broken)]


def weeks(*orders_a_day: int) -> list[str]:
    """Lines of weeks with so many orders each day, up to the day before NOW."""
    first = NOW.date() - timedelta(weeks=len(orders_a_day))
    return [
        line
        for week, many in enumerate(orders_a_day)
        for day in range(7)
        for line in lines(first + timedelta(days=7 * week + day), many=many)
    ]


def checked(night: Night) -> tuple[RunRecord, Any]:
    """A night's pull and check."""
    run = after(night, pull.NAME, pull.pull(night))
    night = Night(night.settings, run, night.last, night.clock)
    done = check.check(night)
    return after(night, check.NAME, done), done


def test_a_week_of_half_the_orders_is_held_until_somebody_says_it_is_right(tmp_path: Path) -> None:
    settings = shop(tmp_path, weeks(3, 3, 3, 3, 1))
    run, done = checked(night_of(settings))
    assert done.status is Status.HELD
    assert done.said == ("The last 7 days have 33% of the orders of a usual week, less than 50%.",)
    assert "--accept" in done.do[0]
    accepted, done = checked(night_of(settings, last=run, accepted="closed"))
    assert (done.status, done.found["accepted"]) == (Status.OK, {"orders": "closed"})
    # The night after nobody need say it again.
    _, done = checked(night_of(settings, last=accepted))
    assert (done.status, done.found["accepted"]) == (Status.OK, {"orders": "closed"})
    # A usual week again: what was accepted is forgotten.
    (tmp_path / "orders.csv").write_text("\n".join(["id,who,what,at,n", *weeks(3, 3, 3, 3, 3)]))
    _, done = checked(night_of(settings, last=accepted))
    assert (done.status, done.found["accepted"]) == (Status.OK, {})


def test_a_load_of_which_too_much_was_set_aside_is_held_and_not_forgotten_the_night_after(tmp_path: Path) -> None:
    day = NOW.date() - timedelta(days=1)
    settings = shop(tmp_path, lines(day, many=8, broken=2))
    run, done = checked(night_of(settings))
    assert done.status is Status.HELD
    assert done.said[0].startswith("order_lines: 20% of the 10 rows read were set aside, more than 10%.")
    run, done = checked(night_of(settings, last=run))  # nothing new is read
    assert done.status is Status.HELD
    (tmp_path / "orders.csv").write_text("\n".join(["id,who,what,at,n", *lines(day, many=10)]))
    _, done = checked(night_of(settings, last=run))
    assert done.status is Status.OK


def test_what_a_process_that_died_had_loaded_is_held_against_the_floor_too(tmp_path: Path) -> None:
    day = NOW.date() - timedelta(days=1)
    settings = shop(tmp_path, lines(day, many=8))
    first = after(night_of(settings), pull.NAME, pull.pull(night_of(settings)))
    before = first.steps["pull"].found["after"]
    (tmp_path / "orders.csv").write_text("\n".join(["id,who,what,at,n", *lines(day, many=12, broken=4)]))
    ingest("files", settings, mapping=tmp_path / "shop.toml", now=NOW.replace(tzinfo=None))
    died = night_of(settings, last=first)
    begun = StepRecord(pull.NAME, Status.RUNNING, "", found={"before": before})
    done = pull.pull(Night(settings, died.run.with_step(begun), first, died.clock))
    # Four gained and four set aside, as the lake tells it.
    assert done.found["read"]["order_lines"] == {"read": 8, "set_aside": 4}
    assert done.found["changed"]


def test_orders_that_grow_old_are_a_warning(tmp_path: Path) -> None:
    settings = shop(tmp_path, lines(date(2026, 2, 20), many=3), most_days_old=3)
    _, done = checked(night_of(settings))
    assert (done.status, done.said[0]) == (Status.WARNED, "The newest order is 9 days old, more than 3.")


def test_a_source_that_fails_does_not_keep_the_others_out(tmp_path: Path) -> None:
    good = shop(tmp_path, lines(date(2026, 2, 20), many=3))
    sources = [{"mapping": tmp_path / "gone.toml"}, {"mapping": tmp_path / "shop.toml"}]
    settings = load_settings(home=good.home, threads=1, nightly={"sources": sources})
    done = pull.pull(night_of(settings))
    assert done.status is Status.FAILED
    assert "gone.toml" in done.said[0]
    assert done.do == (f"regulars ingest --source files --mapping {tmp_path / 'gone.toml'}",)
    assert done.found["after"]["rows"] == {"order_lines": 3}


@dataclass(frozen=True)
class Version:
    """As much of a registered version as says whether another is due."""

    created: datetime
    data_hash: str = "a lake before"
    version: int = 4


@dataclass
class Versions:
    """A registry of these versions."""

    of: dict[str, Version] = field(default_factory=dict)

    def versions(self, model: str) -> list[Version]:
        return [self.of[model]] if model in self.of else []


def due(
    small_shop: Context,
    version: Version | None,
    *,
    alerts: tuple[str, ...] = (),
    home: Path | None = None,
    **nightly: Any,
) -> dict[str, str]:
    settings = load_settings(home=home or small_shop.home.root, nightly={"models": ["churn"], **nightly})
    drift = StepRecord("drift", Status.OK, "", found={"models": {"churn": {"alerts": list(alerts)}}})
    night = Night(settings, RunRecord("r", NOW.isoformat(), {"drift": drift}), None, lambda: NOW)
    return models.due(night, Versions({} if version is None else {"churn": version}))  # type: ignore[arg-type]


def test_a_model_is_due_without_a_version_by_age_and_by_drift(small_shop: Context) -> None:
    new, old = Version(NOW - timedelta(days=8)), Version(NOW - timedelta(days=28))
    assert due(small_shop, None) == {"churn": "it has no version yet"}
    assert due(small_shop, old) == {"churn": "version 4 is 28 days old, due after 28"}
    assert due(small_shop, new) == {}
    assert due(small_shop, new, alerts=("moved",)) == {"churn": "drifted: moved"}


def test_drift_alone_brings_no_training_soon_after_another_nor_where_it_is_off(small_shop: Context) -> None:
    yesterday = Version(NOW - timedelta(days=1))
    assert due(small_shop, yesterday, alerts=("moved",)) == {}
    assert due(small_shop, yesterday, alerts=("moved",), drift_rest_days=0) == {"churn": "drifted: moved"}
    assert due(small_shop, Version(NOW - timedelta(days=9)), alerts=("moved",), retrain_when_drifted=False) == {}


def test_a_list_that_did_not_come_as_promised_makes_its_model_due_and_no_later_one(
    small_shop: Context, tmp_path: Path
) -> None:
    shutil.copytree(small_shop.home.lake, tmp_path / "lake")
    (tmp_path / "lookback").mkdir()

    def judged(day: str, verdict: str, version: int) -> None:
        one = {"model": "churn", "version": version, "verdict": verdict, "why": "auc 0.6"}
        found = {"as_of": f"{day}T00:00:00", "judged_at": f"{day}T09:00:00", "models": [one]}
        (tmp_path / "lookback" / f"{day}.json").write_text(json.dumps(found))

    new = Version(NOW - timedelta(days=8))
    judged("2026-01-05", "as promised", 4)
    assert due(small_shop, new, home=tmp_path) == {}
    judged("2026-01-12", "worse than promised", 4)
    why = "its scores as of 2026-01-12 were worse than promised: auc 0.6"
    assert due(small_shop, new, home=tmp_path) == {"churn": why}
    assert due(small_shop, new, home=tmp_path, retrain_when_drifted=False) == {}
    assert due(small_shop, Version(NOW - timedelta(days=1)), home=tmp_path) == {}
    # Another version was made since then, whether it was promoted or refused.
    assert due(small_shop, Version(NOW - timedelta(days=8), version=5), home=tmp_path) == {}
    judged("2026-01-19", "as promised", 4)
    assert due(small_shop, new, home=tmp_path) == {}


def test_the_step_judges_each_scoring_once_and_tells_how_it_stood(tmp_path: Path) -> None:
    shop = LookbackShop(tmp_path)
    keep_said(shop.home, shop.score(promised={"churn": {"auc": 0.97, "auc_low": 0.96, "auc_high": 0.98}}))
    shop.load(*AFTER, *LATE)
    night = night_of(shop.settings)
    assert models.lookback_inputs(night)["due"] == ["2024-06-01"]
    done = models.lookback(night)
    assert done.found["judged"]["2024-06-01"]["churn"]["verdict"] == "worse than promised"
    assert any(text.startswith("churn, scores as of 2024-06-01: worse than promised. auc 0.900") for text in done.said)
    assert models.lookback_inputs(night)["due"] == []
    again = models.lookback(night)
    assert again.said == ("The horizon of no scoring has passed since.",)


def test_what_has_learned_from_this_very_lake_is_not_due(small_shop: Context) -> None:
    assert due(small_shop, Version(NOW - timedelta(days=99), data_hash=small_shop.lake.version)) == {}


def test_a_model_that_learned_from_somebody_erased_since_is_due(small_shop: Context, tmp_path: Path) -> None:
    shutil.copytree(small_shop.home.lake, tmp_path / "lake")
    flag_retrain(Home(tmp_path), at=NOW - timedelta(days=2))
    older, newer = (Version(NOW - timedelta(days=ago), data_hash=small_shop.lake.version) for ago in (3, 1))
    assert due(small_shop, older, home=tmp_path) == {"churn": "version 4 learned from somebody erased since"}
    assert due(small_shop, newer, home=tmp_path) == {}


def test_what_is_older_than_the_shop_keeps_goes_each_night(tmp_path: Path) -> None:
    settings = shop(tmp_path, lines(date(2026, 2, 20), many=3) + lines(date(2025, 1, 1), many=2))
    pull.pull(night_of(settings))
    limited = load_settings(
        home=settings.home, threads=1, nightly={"sources": settings.nightly.sources}, privacy={"keep_orders_days": 99}
    )
    done = pull.pull(night_of(limited))
    assert done.status is Status.OK
    assert done.found["retained"] == {"order_lines": 2}
    assert done.found["after"]["rows"] == {"order_lines": 3}


def test_the_settings_of_a_home_without_anything_name_no_source(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home")
    assert pull.asked_of(settings) == []
    assert not Home(settings.home).root.exists()
