"""What `engine = "spark"` needs, and what is said where it is missing. Spark itself is tried in tests/spark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from features.engine import connect
from features.errors import ConfigError
from features.settings import Settings, load_settings
from features.spark import configuration, master_of


def java_saying(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2018-01-16' >&2\n")
    java.chmod(0o755)
    return java


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings that name Spark, where no Java is."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return Settings(home=tmp_path, engine="spark")


def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_ENGINE", "hive")
    with pytest.raises(ConfigError, match=r"Setting 'engine': Input should be 'duckdb' or 'spark' \(got 'hive'\)"):
        load_settings()


def test_without_java_it_is_said_what_to_install(asked: Settings) -> None:
    with pytest.raises(ConfigError, match=r"needs Java 17 or newer, and there is no java in the PATH.*openjdk-17"):
        connect(asked)


def test_java_home_is_where_java_is_sought(asked: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"there is no java in JAVA_HOME \(.*nowhere\)"):
        connect(asked)


@pytest.mark.parametrize(("version", "told"), [("11.0.2", "Java 11"), ("1.8.0_292", "Java 8")])
def test_a_java_too_old_is_named(
    version: str, told: str, asked: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(java_saying(tmp_path / "bin", version).parent))
    with pytest.raises(ConfigError, match=f"needs Java 17 or newer, and {told} is in the PATH"):
        connect(asked)


def test_without_pyspark_the_extra_is_named(asked: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.delitem(sys.modules, "features.spark_backend", raising=False)
    monkeypatch.delitem(sys.modules, "ibis.backends.pyspark", raising=False)
    with pytest.raises(ConfigError, match=r"needs PySpark: pip install 'regulars\[spark\]'"):
        connect(asked)


def test_spark_runs_here_with_the_memory_and_threads_set_unless_a_master_is_named(tmp_path: Path) -> None:
    here = Settings(home=tmp_path, engine="spark", threads=3, memory_limit="1.5 GiB")
    assert (master_of(here), configuration(here)["spark.driver.memory"]) == ("local[3]", "1536m")
    away = here.model_copy(update={"spark_master": "spark://host:7077"})
    assert (master_of(away), "spark.driver.memory" in configuration(away)) == ("spark://host:7077", False)


def test_settings_of_sparks_own_win(tmp_path: Path) -> None:
    zone = {"spark.ui.enabled": "true", "spark.executor.memory": "8g"}
    found = configuration(Settings(home=tmp_path, engine="spark", spark_conf=zone))
    assert {name: found[name] for name in zone} == zone
    assert found["spark.sql.session.timeZone"] == "UTC"
