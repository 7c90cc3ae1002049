"""The Spark session: in this process, or on a cluster; and in plain words what is missing where there can be none."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from features.errors import ConfigError
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
    require_pyspark()
    require_java()
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
            f"Spark did not start on {master_of(settings)}: {_first_line(error)}. "
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
            "spark.driver.memory": re.sub(r"i?B$", "", settings.memory_limit.replace(" ", "")).lower(),
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.shuffle.partitions": str(2 * settings.threads),
        }
    return ours | settings.spark_conf


def require_pyspark() -> None:
    """Raises ConfigError where the extra is not installed."""
    if importlib.util.find_spec("pyspark") is None:
        raise ConfigError(f"engine = \"spark\" needs PySpark: pip install 'regulars[spark]', {_INSTEAD}.")


def require_java() -> None:
    """Raises ConfigError where there is no Java, or too old a one."""
    home = os.environ.get("JAVA_HOME")
    where = f"JAVA_HOME ({home})" if home else "the PATH"
    java = str(Path(home) / "bin" / "java") if home else "java"
    if shutil.which(java) is None:
        raise ConfigError(
            f'engine = "spark" needs Java {JAVA} or newer, and there is no java in {where}. '
            f"Install one (Debian: apt-get install openjdk-{JAVA}-jre-headless), {_INSTEAD}."
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        told = f"Java {version[1]}" if version else f"a java that says {said.strip()[:80]!r}"
        raise ConfigError(
            f'engine = "spark" needs Java {JAVA} or newer, and {told} is in {where}. '
            f"Install a newer one (Debian: apt-get install openjdk-{JAVA}-jre-headless), {_INSTEAD}."
        )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines()[1:2] if line.strip()), str(error).splitlines()[0])


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
