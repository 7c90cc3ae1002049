"""Commands for one of several shops, and for all of them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from features.errors import ConfigError
from features.home import Home
from features.settings import current_settings, load_settings, server_settings
from features.tenants import shop_settings
from serving.cli import app as command_line
from serving.console.registry import Registry
from serving.nightly.every_shop import every_shop, worst
from serving.nightly.notice import notice_of
from serving.nightly.record import RunRecord, Status
from serving.nightly.telling import WEBHOOK, channels, secret_of

NAMES = ("north", "south")


def test_what_the_console_starts_as_a_process_works_on_its_own_shop(two_homes: Path, key_of) -> None:
    key_of("south", "retention")
    registry = Registry(Home(two_homes / "south"), tenant="south")
    [made] = json.loads(asyncio.run(registry._run(["keys", "list", "--json"], who="Mia")))
    assert made["scope"] == "retention"


@pytest.fixture
def regulars(two_homes: Path) -> Callable[..., Result]:
    """The command line in that two_homes."""
    return lambda *arguments: CliRunner().invoke(command_line, arguments)


def test_keys_are_made_for_the_shop_that_is_named(regulars, two_homes: Path) -> None:
    made = regulars("keys", "create", "--scope", "site", "--tenant", "south", "--json")
    assert json.loads(made.stdout)["key"].startswith("rg_south_site_")
    assert regulars("--tenant", "north", "keys", "list", "--json").stdout.strip() == "[]"
    assert len(json.loads(regulars("keys", "list", "--json", "--tenant", "south").stdout)) == 1
    assert isinstance(regulars("keys", "list").exception, ConfigError)
    assert "shops are: north, south" in str(regulars("keys", "list", "--tenant", "west").exception)


def test_the_option_lasts_for_its_command_alone(regulars, monkeypatch) -> None:
    assert regulars("keys", "list", "--tenant", "south").exit_code == 0
    with pytest.raises(ConfigError, match="several shops"):
        current_settings()


def test_every_command_has_the_option(regulars) -> None:
    for command in (
        ("train",),
        ("ingest",),
        ("recommend",),
        ("nightly",),
        ("privacy", "erase"),
        ("serve",),
        ("models", "list"),
        ("models", "prune"),
    ):
        assert "--tenant" in regulars(*command, "--help").stdout, command


def test_the_doctor_tells_how_each_shop_stands(regulars, two_homes: Path, key_of) -> None:
    key_of("north")
    file = two_homes / "regulars.toml"
    file.write_text(f'{file.read_text()}west = "west"\neast = "east"\n')
    (two_homes / "east").mkdir()
    found = {f["name"]: f for f in json.loads(regulars("doctor", "--json").stdout)["findings"] if f["area"] == "shops"}
    assert {name: finding["status"] for name, finding in found.items()} == {
        "north": "ok",
        "south": "missing",
        "west": "missing",
        "east": "missing",
    }
    assert found["south"]["do"] == "regulars keys create --tenant south"
    (two_homes / "south" / "regulars.toml").write_text("nonsense = 1")
    broken = regulars("doctor", "--json")
    assert broken.exit_code == 1
    [south] = [f for f in json.loads(broken.stdout)["findings"] if f["name"] == "south"]
    assert south["status"] == "broken"


def test_a_scoring_is_pinned_for_one_shop(regulars) -> None:
    assert "name it by --tenant" in regulars("serve", "--pin", "v1").output


def test_nights_of_all_shops_are_run_in_turn_and_one_that_fails_stops_no_other(two_homes: Path) -> None:
    ran = two_homes / "ran"
    code = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' '); sys.exit(int(sys.argv[2] == 'north'))"
    found = every_shop(server_settings(), command=lambda name: (sys.executable, "-c", code, str(ran), name))
    assert found == {"north": 1, "south": 0}
    assert ran.read_text() == "north south "


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 0], 0), ([0, 3], 3), ([3, 4, 0], 4), ([4, 1, 3], 1), ([0, -9], 1), ([3, 137], 1), ([], 0)],
)
def test_the_worst_night_is_how_all_came_out(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected


def test_nightly_for_all_shops_plans_each_and_says_how_each_ended(regulars, two_homes: Path, capfd) -> None:
    assert regulars("nightly", "--all-tenants", "--dry-run", "--json").exit_code == 0
    assert capfd.readouterr().out.count('"step": "pull"') == 2
    (two_homes / "regulars.toml").write_text("")
    assert "none are named" in str(regulars("nightly", "--all-tenants").exception)


def test_a_notice_says_which_shop_it_is_of_and_goes_to_the_shops_own_hook(two_homes: Path, monkeypatch) -> None:
    notice = notice_of(RunRecord("r", "", {}, result=Status.OK), shop="south")
    assert "for south: all right" in notice.subject
    assert notice.payload["tenant"] == "south"
    monkeypatch.setenv(WEBHOOK, "https://all.example/hook")
    monkeypatch.setenv("REGULARS_TENANT_SOUTH_NIGHTLY_WEBHOOK", "https://south.example/hook")
    north, south = (shop_settings(load_settings(), name) for name in NAMES)
    assert (channels(north), channels(south)) == (["webhook at all.example"], ["webhook at south.example"])
    monkeypatch.setenv("REGULARS_TENANT_SOUTH_NIGHTLY_WEBHOOK", "")
    assert secret_of(south, WEBHOOK) == ""
