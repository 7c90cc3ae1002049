"""Settings: defaults, a TOML file, REGULARS_* variables over it; and what is said about each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from features.errors import ConfigError
from features.settings import Settings, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder without any variable set."""
    for name in [*Settings.model_fields, "config"]:
        monkeypatch.delenv(f"REGULARS_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_work_without_a_file(folder: Path) -> None:
    settings = load_settings()
    assert settings.home == Path(".regulars")
    assert settings.horizon_days is None
    assert 1 <= settings.threads <= 8
    assert (settings.memory_limit, settings.seed, settings.port) == ("4GB", 0, 3000)


def test_file_over_defaults_variables_over_file_arguments_over_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "regulars.toml").write_text('home = "/data"\nthreads = 3\nseed = 5\ncurrency = "€"\n', encoding="utf-8")
    monkeypatch.setenv("REGULARS_THREADS", "4")
    monkeypatch.setenv("REGULARS_SEED", "6")
    settings = load_settings(seed=7)
    assert (settings.home, settings.currency) == (Path("/data"), "€")
    assert (settings.threads, settings.seed) == (4, 7)


def test_file_of_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shop.toml").write_text("horizon_days = 14\n")
    monkeypatch.setenv("REGULARS_CONFIG", "shop.toml")
    assert load_settings().horizon_days == 14
    monkeypatch.setenv("REGULARS_CONFIG", "gone.toml")
    with pytest.raises(ConfigError, match=r"REGULARS_CONFIG names gone.toml, which does not exist. Correct it"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("thread = 2", r"Setting 'thread': .*got 2.*regulars.toml or REGULARS_THREAD; settings are: home, threads"),
        ("threads = 0", r"Setting 'threads': .*greater than or equal to 1 \(got 0\)"),
        ('threads = "many"', r"Setting 'threads': .*valid integer.*got 'many'"),
        ("horizon_days = 1000", "Setting 'horizon_days': .*less than or equal to 730"),
        ("port = 70000", "Setting 'port': .*less than or equal to 65535"),
        ('memory_limit = "lots"', r"Setting 'memory_limit': .*got 'lots'"),
        ("seed = -1", "Setting 'seed'"),
        ("threads =", "regulars.toml cannot be read: Invalid value .*Correct it"),
    ],
)
def test_mistake_in_the_file(folder: Path, content: str, said: str) -> None:
    (folder / "regulars.toml").write_text(content)
    with pytest.raises(ConfigError, match=said):
        load_settings()


def test_mistake_in_a_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_HORIZON_DAYS", "month")
    with pytest.raises(ConfigError, match=r"Setting 'horizon_days': .*got 'month'\). Correct it in regulars.toml or"):
        load_settings()


@pytest.mark.parametrize("limit", ["4GB", "512MB", "1.5 GiB", "800KB", "2TiB", "900000B"])
def test_memory_limits_that_duckdb_takes(folder: Path, limit: str) -> None:
    import duckdb

    with duckdb.connect() as con:
        con.execute(f"SET memory_limit='{load_settings(memory_limit=limit).memory_limit}'")


def test_settings_do_not_change(folder: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().seed = 3  # type: ignore[misc]


def test_a_model_may_be_set_apart_and_its_name_is_checked(folder: Path) -> None:
    (folder / "regulars.toml").write_text('[models.churn]\nexclude = ["attribute_*"]\n')
    assert load_settings().models["churn"].exclude == ("attribute_*",)
    (folder / "regulars.toml").write_text('[models.chrun]\nexclude = ["attribute_*"]\n')
    with pytest.raises(ConfigError, match="no model is called chrun; those are churn, propensity, value"):
        load_settings()
    (folder / "regulars.toml").write_text('[models.churn]\nexcluded = ["attribute_*"]\n')
    with pytest.raises(ConfigError, match=r"Setting 'models\.churn\.excluded'"):
        load_settings()


def test_the_thresholds_of_best_customers_stand_in_the_file_and_a_wrong_one_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().best_customers.thresholds == {}
    (folder / "regulars.toml").write_text("[best_customers]\nspend = 250.5\nvisits = 12\n", encoding="utf-8")
    assert load_settings().best_customers.thresholds == {"spend": 250.5, "visits": 12}
    monkeypatch.setenv("REGULARS_BEST_CUSTOMERS", '{"visits": 3}')
    assert load_settings().best_customers.thresholds == {"spend": 250.5, "visits": 3}
    monkeypatch.delenv("REGULARS_BEST_CUSTOMERS")
    for line, told in (
        ("spend = -1", r"'best_customers.spend': .*greater than or equal to 0 \(got -1\).*REGULARS_BEST_CUSTOMERS;"),
        ("visits = 400", r"'best_customers.visits': .*less than or equal to 364"),
        ('categories = "many"', r"'best_customers.categories': .*valid integer"),
        ("spent = 5", r"'best_customers.spent': Extra inputs are not permitted"),
    ):
        (folder / "regulars.toml").write_text(f"[best_customers]\n{line}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=told):
            load_settings()
