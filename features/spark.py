"""The Spark session: in this process, or on a cluster; and in plain words what is missing where there can be none."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from features import errors
from features.errors import ConfigError, RegularsError
from features.settings import Settings

#: Spark 4 runs on this version of Java and on newer ones.
JAVA = 17
_INSTEAD = 'or set engine = "duckdb", which needs neither'
#: Rows of an Arrow batch between Spark and Python.
BATCH_ROWS = 50_000


def spark_session(settings: Settings) -> Any:
    """The Spark session of this process, started where there is none.

    Raises ConfigError where PySpark or Java is missing, or Spark cannot be reached.
    """
    require_spark()
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    # Workers run the same Python; on other machines `spark.pyspark.python` in spark_conf names theirs.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("regulars").master(master_of(settings))
    for name, value in configuration(settings).items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except (Py4JJavaError, PySparkRuntimeError) as error:
        raise ConfigError(
            f"Spark did not start on {master_of(settings)}: {_reason(error)}. "
            f"Correct spark_master and spark_conf, {_INSTEAD}."
        ) from None
    session.sparkContext.setLogLevel("ERROR")
    return session


def master_of(settings: Settings) -> str:
    """Where Spark runs."""
    return settings.spark_master or f"local[{settings.threads}]"


def configuration(settings: Settings) -> dict[str, str]:
    """Spark's settings: ours, and those of `spark_conf`, which win."""
    ours = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Times are naive UTC everywhere: nothing may turn with the zone of a machine.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    }
    if settings.spark_master is None:
        ours |= {
            "spark.driver.memory": f"{_megabytes(settings.memory_limit)}m",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.shuffle.partitions": str(2 * settings.threads),
        }
    return ours | settings.spark_conf


def _megabytes(limit: str) -> int:
    """A memory_limit as Spark takes it: whole numbers, of 2^20 bytes."""
    number, prefix, binary = re.fullmatch(r"([0-9.]+) ?([KMGT]?)(i?)B", limit).groups()  # type: ignore[union-attr]
    power = " KMGT".index(prefix or " ")
    return int(float(number) * (1024 if binary else 1000) ** power / 2**20)


def require_spark() -> None:
    """Raises ConfigError where PySpark is not installed, or there is no Java, or too old a one."""
    if importlib.util.find_spec("pyspark") is None:
        raise ConfigError(f"engine = \"spark\" needs PySpark: pip install 'regulars[spark]', {_INSTEAD}.")
    home = os.environ.get("JAVA_HOME")
    where = f"JAVA_HOME ({home})" if home else "the PATH"
    java = str(Path(home) / "bin" / "java") if home else "java"
    java_path = shutil.which(java)
    if java_path is None:
        raise ConfigError(
            f'engine = "spark" needs Java {JAVA} or newer, and there is no java in {where}. '
            f"Install one (Debian: apt-get install openjdk-{JAVA}-jre-headless), {_INSTEAD}."
        )
    version = _version(java_path)
    if version is None or version < JAVA:
        told = f"Java {version}" if version else "a java that does not say its version"
        raise ConfigError(
            f'engine = "spark" needs Java {JAVA} or newer, and {told} is in {where}. '
            f"Install a newer one (Debian: apt-get install openjdk-{JAVA}-jre-headless), {_INSTEAD}."
        )


@lru_cache
def _version(java: str) -> int | None:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else None


@contextmanager
def said_plainly() -> Iterator[None]:
    """What stops a job of Spark's, as an error in a sentence; the whole of it is its cause."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        # What our own code says on an executor comes back in a traceback.
        ours = re.search(r"features\.errors\.(\w+): (.+)", str(error))
        if ours is None:
            raise RegularsError(f"Spark could not finish: {_reason(error)}") from error
        raise getattr(errors, ours[1])(ours[2]) from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("An error occurred while calling")), repr(error))


def stop_spark() -> None:
    """End the Spark of this process, its Java too; without one, nothing. The next `spark_session` starts anew."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()
    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    # Java ends when nobody holds its input any more.
    gateway.proc.stdin.close()
    gateway.proc.wait(30)
    SparkContext._gateway = SparkContext._jvm = None
