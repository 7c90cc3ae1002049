"""What docs/nightly.md gives to copy is as it says: units that systemd accepts, snippets that are Python."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from features.nightly_settings import NightlySettings
from serving.nightly.record import EXIT_CODES
from serving.nightly.steps import STEPS

TEXT = (Path(__file__).parents[3] / "docs" / "nightly.md").read_text(encoding="utf-8")


def snippet(name: str) -> str:
    found = re.search(rf"<!-- {name}: begin -->\s*```\w+\n(.*?)```\s*<!-- {name}: end -->", TEXT, re.DOTALL)
    assert found is not None, name
    return found.group(1)


@pytest.mark.needs("systemd")
def test_systemd_takes_the_units_as_they_stand_there(tmp_path: Path) -> None:
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for name in ("service", "timer"):
        (units / f"regulars-nightly.{name}").write_text(snippet(name))
    command = tmp_path / "srv" / "regulars" / ".venv" / "bin" / "regulars"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    # --root: the command that the unit names is looked for below it. A line it does not know is a warning.
    checked = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={tmp_path}"]
    done = subprocess.run(
        [*checked, units / "regulars-nightly.service", units / "regulars-nightly.timer"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs("systemd")
def test_the_service_is_shut_in_well(tmp_path: Path) -> None:
    unit = tmp_path / "regulars-nightly.service"
    unit.write_text(snippet("service"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scheduler", ["airflow", "dagster", "prefect", "receiver"])
def test_each_snippet_of_a_scheduler_is_python(scheduler: str) -> None:
    ast.parse(snippet(scheduler))


def test_the_page_names_every_step_and_every_exit_code_in_its_table() -> None:
    for step in STEPS:
        assert f"\n| {step.name} |" in TEXT, step.name
    for code in {*EXIT_CODES.values(), 2, 4}:
        assert f"\n| {code} |" in TEXT, code


def test_every_setting_that_the_page_names_with_a_value_is_its_default() -> None:
    named = re.findall(r"`(\w+)` \(([0-9.]+)\)", TEXT)
    assert len(named) == 3
    for name, value in named:
        assert NightlySettings.model_fields[name].default == float(value)
