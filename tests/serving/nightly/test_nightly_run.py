"""What a nightly run does when a step fails, holds back, dies, or has been done before: the steps are stand-ins."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.errors import DataError, RegularsError
from features.home import Home
from features.settings import Settings, current_settings, load_settings
from serving.cli import app
from serving.doctor import nights
from serving.nightly.journal import BusyError, Journal
from serving.nightly.night import Done, Night, Step
from serving.nightly.record import EXIT_CODES, RunRecord, Status, StepRecord, run_from_json
from serving.nightly.run import nightly
from serving.nightly.steps import STEPS

AT = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
NAMES = [step.name for step in STEPS]
Act = Callable[[Night], Done]


class Shop:
    """Steps that write down that they were done. What a step is to do otherwise is set in `acts`."""

    def __init__(self, root: Path) -> None:
        self.settings: Settings = load_settings(home=root / "home")
        self.acts: dict[str, Act] = {}
        self.inputs: dict[str, Any] = {}
        self.done: list[str] = []
        self.now = AT

    def steps(self) -> list[Step]:
        return [replace(step, do=self._do(step.name), inputs=self._inputs(step.name)) for step in STEPS]

    def _do(self, name: str) -> Act:
        def do(night: Night) -> Done:
            self.done.append(name)
            found = {"changed": False} if name == "pull" else {}
            return self.acts[name](night) if name in self.acts else Done(found=found)

        return do

    def _inputs(self, name: str) -> Callable[[Night], Mapping[str, Any]]:
        return lambda night: {"of": self.inputs.get(name, 0)}

    def run(self) -> RunRecord:
        self.done.clear()
        self.now += timedelta(minutes=1)
        return nightly(self.settings, clock=lambda: self.now, steps=self.steps()).run

    @property
    def journal(self) -> Journal:
        return Journal(Home(self.settings.home))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def fails(message: str = "it broke") -> Act:
    def act(night: Night) -> Done:
        raise DataError(message)

    return act


def dies(night: Night) -> Done:
    raise KeyboardInterrupt


def left_out(run: RunRecord) -> set[str]:
    return {step.name for step in run.steps.values() if step.status is Status.SKIPPED}


@pytest.mark.parametrize(
    ("broken", "without"),
    [
        ("pull", {"lookback", "train"}),
        ("check", {"features", "score", "drift", "lookback", "train", "gate", "rescore"}),
        ("features", {"score", "drift", "train", "rescore"}),
        ("score", set()),
        ("drift", set()),
        ("train", set()),
        ("gate", set()),
        ("rescore", set()),
    ],
)
def test_where_a_step_fails_only_what_is_safe_goes_on(shop: Shop, broken: str, without: set[str]) -> None:
    shop.acts[broken] = fails()
    run = shop.run()
    assert left_out(run) == without
    assert run.steps[broken].said == ("it broke",)
    assert run.steps[broken].do
    assert shop.done == [name for name in NAMES if name not in without]
    assert EXIT_CODES[run.result] == 1


def test_data_that_are_held_back_are_not_scored_and_exit_with_3(shop: Shop) -> None:
    shop.acts["check"] = lambda night: Done(Status.HELD, ("too few",))
    run = shop.run()
    assert left_out(run) == {"features", "score", "drift", "lookback", "train", "gate", "rescore"}
    assert EXIT_CODES[run.result] == 3


def test_a_version_that_is_held_back_keeps_nothing_else_from_being_done(shop: Shop) -> None:
    shop.acts["gate"] = lambda night: Done(Status.HELD, ("worse",))
    run = shop.run()
    assert shop.done == NAMES
    assert (run.result, EXIT_CODES[run.result]) == (Status.HELD, 3)


def test_what_failed_is_tried_again_and_what_came_through_is_not(shop: Shop) -> None:
    shop.acts["score"] = fails()
    shop.run()
    del shop.acts["score"]
    run = shop.run()
    assert shop.done == ["pull", "score", "notify"]
    assert run.result is Status.OK
    assert not run.nothing_new


def test_with_nothing_new_nothing_is_done_and_the_warning_of_the_run_before_stands(shop: Shop) -> None:
    shop.acts["check"] = lambda night: Done(Status.WARNED, ("old",))
    shop.run()
    run = shop.run()
    assert shop.done == ["pull", "notify"]
    assert run.nothing_new
    assert run.result is Status.WARNED


def test_a_step_whose_inputs_changed_is_done_again(shop: Shop) -> None:
    shop.run()
    shop.inputs["drift"] = 1
    run = shop.run()
    assert shop.done == ["pull", "drift", "notify"]
    assert not run.nothing_new


@pytest.mark.parametrize("died", NAMES)
def test_a_run_that_died_resumes_at_the_step_it_died_in(shop: Shop, died: str) -> None:
    shop.acts[died] = dies
    with pytest.raises(KeyboardInterrupt):
        shop.run()
    del shop.acts[died]
    run = shop.run()
    assert shop.done == NAMES[NAMES.index(died) :]
    assert (run.resumed, run.steps[died].tries) == (1, 2)
    assert run.result is Status.OK


def test_a_finished_step_is_repeated_by_the_resumed_run_where_its_inputs_changed(shop: Shop) -> None:
    shop.acts["gate"] = dies
    with pytest.raises(KeyboardInterrupt):
        shop.run()
    del shop.acts["gate"]
    shop.inputs["features"] = 1
    shop.run()
    assert shop.done == ["features", "gate", "rescore", "prune", "notify"]


def test_a_step_at_which_runs_die_is_given_up_and_the_rest_goes_on(shop: Shop) -> None:
    shop.acts["train"] = dies
    for _ in range(shop.settings.nightly.most_tries):
        with pytest.raises(KeyboardInterrupt):
            shop.run()
    run = shop.run()
    assert shop.done == ["gate", "rescore", "prune", "notify"]
    assert run.steps["train"].status is Status.FAILED
    assert "died here 3 times" in run.steps["train"].said[0]
    assert EXIT_CODES[run.result] == 1


def test_a_run_that_died_too_long_ago_is_put_away_as_failed_and_a_new_one_begins(shop: Shop) -> None:
    shop.acts["drift"] = dies
    with pytest.raises(KeyboardInterrupt):
        shop.run()
    del shop.acts["drift"]
    shop.now += timedelta(hours=13)
    run = shop.run()
    assert (run.resumed, len(list(shop.journal.runs.iterdir()))) == (0, 2)
    assert shop.done[0] == "pull"
    old = min(path.name for path in shop.journal.runs.iterdir())
    assert shop.journal.report(old).steps["drift"].status is Status.FAILED


def test_what_a_step_noted_before_it_died_is_there_when_it_is_resumed(shop: Shop) -> None:
    seen: list[Any] = []

    def act(night: Night) -> Done:
        seen.append(night.found("pull").get("before"))
        night.note({"before": "the lake of yesterday"})
        raise KeyboardInterrupt

    shop.acts["pull"] = act
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shop.run()
    assert seen == [None, "the lake of yesterday"]


def test_nobody_is_named_where_something_fails(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    def unforeseen(night: Night) -> Done:
        raise ValueError(f"customer m{10 + 7} has no orders")  # a traceback quotes this line

    shop.acts["features"] = unforeseen
    shop.acts["pull"] = fails("3 customers have no features, for instance 'm17'. Build them anew.")
    run = shop.run()
    assert run.steps["pull"].said == ("3 customers have no features, for instance '…'. Build them anew.",)
    assert run.steps["features"].said[0].startswith("ValueError at test_nightly_run.py:")
    kept = "".join(path.read_text() for path in shop.journal.root.rglob("*") if path.is_file())
    assert "m17" not in kept
    assert "m17" not in "".join(capsys.readouterr())


def test_only_so_many_reports_are_kept_and_never_fewer(shop: Shop) -> None:
    shop.settings = load_settings(home=shop.settings.home, nightly={"keep_runs": 3})
    runs = [shop.run().run for _ in range(5)]
    assert sorted(path.name for path in shop.journal.runs.iterdir()) == runs[-3:]


def test_a_run_that_failed_does_not_take_away_when_one_last_came_through(shop: Shop) -> None:
    good = shop.run()
    shop.acts["pull"] = fails()
    shop.run()
    summary = shop.journal.last_summary()
    assert summary["succeeded_at"] == good.finished_at
    assert (summary["result"], summary["exit_code"]) == ("failed", 1)


def test_while_one_runs_another_ends_at_once_and_names_it(shop: Shop) -> None:
    def second(night: Night) -> Done:
        with pytest.raises(BusyError, match=f"process {os.getpid()}, since 2026-03-01T"):
            nightly(shop.settings, clock=lambda: shop.now, steps=[])
        return Done()

    shop.acts["check"] = second
    assert shop.run().steps["check"].status is Status.OK
    assert not shop.journal.is_held()


def test_where_nothing_can_be_written_somebody_is_told_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[RunRecord] = []
    monkeypatch.setattr("serving.nightly.telling.send", lambda settings, run: sent.append(run))
    shop.settings.home.mkdir()
    (shop.settings.home / "nightly").write_text("a file where the folder should be")
    with pytest.raises(RegularsError, match="cannot be written"):
        shop.run()
    assert sent[0].result is Status.FAILED
    assert shop.done == []


def test_why_the_data_are_accepted_outlives_the_process_that_was_told(shop: Shop) -> None:
    shop.acts["check"] = dies
    with pytest.raises(KeyboardInterrupt):
        nightly(shop.settings, clock=lambda: shop.now, accepted="closed", steps=shop.steps())
    shop.acts["check"] = lambda night: Done(said=(str(night.run.accepted),))
    assert shop.run().steps["check"].said == ("closed",)
    assert shop.run().accepted is None


def test_a_record_is_the_same_after_a_way_through_a_file_and_another_schema_is_refused() -> None:
    step = StepRecord("pull", Status.HELD, AT.isoformat(), said=("a",), do=("b",), found={"rows": 3})
    run = RunRecord("r", AT.isoformat(), {"pull": step}, result=Status.HELD)
    kept = json.loads(json.dumps(run.as_json()))
    assert run_from_json(kept) == run
    with pytest.raises(ValueError, match="schema 2"):
        run_from_json({**kept, "schema": 2})


def call(shop: Shop, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("REGULARS_HOME", str(shop.settings.home))
    monkeypatch.setattr("serving.nightly.run.STEPS", shop.steps())
    monkeypatch.setattr(nightly, "__kwdefaults__", {**nightly.__kwdefaults__, "steps": shop.steps()})
    current_settings.cache_clear()
    try:
        return CliRunner().invoke(app, ["nightly", *arguments])
    finally:
        current_settings.cache_clear()


def test_the_command_ends_with_the_code_of_the_result_and_shows_the_last_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No nightly run has finished yet" in str(call(shop, monkeypatch, "--status").exception)
    shop.acts["gate"] = lambda night: Done(Status.HELD, ("worse",), ("regulars models value",))
    done = call(shop, monkeypatch)
    assert done.exit_code == 3
    shown = call(shop, monkeypatch, "--status")
    assert shown.exit_code == 0
    assert "What to do: regulars models value" in " ".join(shown.output.split())
    status = json.loads(call(shop, monkeypatch, "--status", "--json").stdout)
    assert (status["last"]["result"], status["going_on"], status["unfinished"]) == ("held", False, None)
    with shop.journal.lock(at=AT):
        busy = call(shop, monkeypatch)
    assert busy.exit_code == 4


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(shop, monkeypatch, "--dry-run", "--json")
    assert done.exit_code == 0
    would = {row["step"]: row["would"] for row in json.loads(done.stdout)}
    assert would["begin"] == "a new run"
    assert would["pull"].startswith("nothing: no source is named")
    assert would["score"].startswith("wait for data: No data is loaded")
    assert not shop.settings.home.exists()


def test_the_doctor_tells_of_the_last_run_and_of_one_that_was_cut_short(shop: Shop) -> None:
    def told() -> dict[str, tuple[str, str]]:
        return {one.name: (one.status, one.found) for one in nights(Home(shop.settings.home))}

    assert told() == {}
    shop.acts["check"] = lambda night: Done(Status.HELD)
    first = shop.run().run
    shop.acts["drift"] = dies
    del shop.acts["check"]
    shop.inputs["check"] = 1
    with pytest.raises(KeyboardInterrupt):
        shop.run()
    found = told()
    assert found["last run"] == ("limited", f"{first}: held")
    assert found["run cut short"][0] == "stale"
