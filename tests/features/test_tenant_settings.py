"""Which settings a shop has where a server has several, and what is refused before anything is mixed up."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import ConfigError
from features.home import Home
from features.settings import current_settings, load_settings, server_settings
from features.tenants import shop_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two shops, `north` and `south`, and nothing in the environment."""
    for name in ("REGULARS_HOME", "REGULARS_CONFIG", "REGULARS_THREADS", "REGULARS_TENANT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
    (tmp_path / "regulars.toml").write_text('port = 4000\nthreads = 3\n[tenants]\nnorth = "north"\nsouth = "south"\n')
    current_settings.cache_clear()
    yield tmp_path
    current_settings.cache_clear()


def shop(name: str):
    return shop_settings(load_settings(), name)


def test_a_shop_has_its_own_file_and_of_the_server_what_is_the_machines(folder: Path) -> None:
    (folder / "north" / "regulars.toml").write_text('currency = "EUR"\nanswer_ms = 20\n')
    north, south = shop("north"), shop("south")
    assert (north.home, north.tenant, north.tenants) == (folder / "north", "north", {})
    assert (north.currency, north.answer_ms, north.threads, north.port) == ("EUR", 20, 3, 4000)
    assert (south.currency, south.answer_ms, south.threads) == ("", 50, 3)


def test_variables_with_the_name_of_the_shop_win_over_its_file_and_are_no_other_shops(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "regulars.toml").write_text('[tenants]\nnorth = "north"\nsouth-2 = "south"\n')
    (folder / "south" / "regulars.toml").write_text('currency = "EUR"')
    monkeypatch.setenv("REGULARS_TENANT_SOUTH_2_CURRENCY", "CHF")
    monkeypatch.setenv("REGULARS_TENANT_SOUTH_2_DATABASE_URL", "postgresql://host/south")
    assert (shop("south-2").currency, shop("south-2").database_url) == ("CHF", "postgresql://host/south")
    assert (shop("north").currency, shop("north").database_url) == ("", None)


def test_paths_in_a_shops_file_are_relative_to_its_home(folder: Path) -> None:
    (folder / "north" / "regulars.toml").write_text(
        'rules_file = "rules.toml"\n[nightly]\nsources = [{ source = "files", mapping = "shop.toml" }]\n'
    )
    north = shop("north")
    assert north.rules_file == folder / "north" / "rules.toml"
    assert [source.mapping for source in north.nightly.sources] == [folder / "north" / "shop.toml"]


@pytest.mark.parametrize("name", ["North", "-north", "north-", "no rth", "no_rth", "", "n" * 41, "nörth", "a.b"])
def test_a_name_is_lower_case_letters_digits_and_hyphens_within(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a shop: names are lower-case letters"):
        load_settings(tenants={name: "home"})


def test_a_name_that_no_shop_has_is_told_the_names_there_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_TENANT", "west")
    with pytest.raises(ConfigError, match=r"There is no shop 'west'. The shops are: north, south."):
        current_settings()
    (folder / "regulars.toml").write_text("")
    with pytest.raises(ConfigError, match="no shops are named"):
        current_settings()


def test_of_several_shops_none_is_taken_without_being_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"several shops \(north, south\). Say which one:  --tenant NAME"):
        current_settings()
    assert list(server_settings().tenants) == ["north", "south"]
    monkeypatch.setenv("REGULARS_TENANT", "south")
    # The home of the environment is the server's, and no shop's.
    monkeypatch.setenv("REGULARS_HOME", str(folder / "elsewhere"))
    assert current_settings().home == folder / "south"
    assert server_settings() == current_settings()


@pytest.mark.parametrize("setting", ['database_url = "sqlite:///x.db"', 'rules_file = "r.toml"', 'currency = "EUR"'])
def test_a_server_of_several_shops_sets_nothing_that_is_a_shops(folder: Path, setting: str) -> None:
    file = folder / "regulars.toml"
    file.write_text(f"{setting}\n{file.read_text()}")
    with pytest.raises(ConfigError, match=f"'{setting.split()[0]}' is a shop's own.*Move it into regulars.toml of the"):
        server_settings()
    with pytest.raises(ConfigError, match="is a shop's own"):
        shop("north")


@pytest.mark.parametrize("setting", ['home = "../south"', "port = 1", 'log_format = "json"', 'tenant = "south"'])
def test_a_shop_sets_nothing_that_is_the_servers(folder: Path, setting: str) -> None:
    (folder / "north" / "regulars.toml").write_text(setting)
    with pytest.raises(ConfigError, match=f"Shop 'north': setting '{setting.split()[0]}' in .* is the server's"):
        shop("north")
    assert shop("south").home == folder / "south"


@pytest.mark.parametrize("other", ["north", "north/inside", ".", "link"])
def test_homes_that_lie_in_one_another_are_refused(folder: Path, other: str) -> None:
    (folder / "link").symlink_to(folder / "north")
    (folder / "regulars.toml").write_text(f'[tenants]\nnorth = "north"\nsouth = "{other}"\n')
    with pytest.raises(ConfigError, match=r"'north' .* and 'south' .* lie in one another"):
        server_settings()


@pytest.mark.parametrize(
    ("setting", "one", "other"),
    [
        ("database_url", "postgresql://anna:x@host/shop", "postgresql+psycopg://bob@host:5432/shop"),
        ("database_url", "sqlite:///{folder}/north/live/../x.db", "sqlite:///{folder}/north/x.db"),
        ("online_store", "redis://host/1", "redis://:secret@host:6379/1"),
    ],
)
def test_two_shops_that_would_write_to_one_place_are_refused_and_a_third_is_not(
    folder: Path, setting: str, one: str, other: str
) -> None:
    homes = "".join(f'{name} = "{name}"\n' for name in ("north", "south", "west"))
    (folder / "regulars.toml").write_text(f"[tenants]\n{homes}")
    for name, address in (("north", one), ("south", other)):
        (folder / name / "regulars.toml").write_text(f'{setting} = "{address.format(folder=folder)}"')
    for name in ("north", "south"):
        with pytest.raises(ConfigError, match=f"'{setting}' of the shops .* is one address") as refused:
            shop(name)
        assert "secret" not in str(refused.value)
    assert shop("west").home == folder / "west"


def test_the_database_in_anothers_home_is_no_shops_to_name(folder: Path) -> None:
    file = Home(folder / "north").live / "live.db"
    (folder / "south" / "regulars.toml").write_text(f'database_url = "sqlite:///{file}"')
    with pytest.raises(ConfigError, match="is one address"):
        shop("south")


def test_addresses_that_differ_are_different_places(folder: Path) -> None:
    (folder / "north" / "regulars.toml").write_text('database_url = "postgresql://host/north"')
    (folder / "south" / "regulars.toml").write_text(
        'database_url = "postgresql://host/north?options=-csearch_path%3Dsouth"\nonline_store = "redis://host/2"'
    )
    assert shop("south").database_url != shop("north").database_url


def test_what_is_wrong_with_one_shop_is_no_concern_of_another(folder: Path) -> None:
    (folder / "north" / "regulars.toml").write_text("threads =")
    assert shop("south").home == folder / "south"
    with pytest.raises(ConfigError, match=r"Shop 'north': .*north/regulars.toml cannot be read"):
        shop("north")
