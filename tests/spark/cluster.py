"""A real Spark cluster on loopback: a master and workers as processes of their own, each in its own session."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

SPARK = Path(pyspark.__file__).parent
MASTER, WORKER = (f"org.apache.spark.deploy.{name}" for name in ("master.Master", "worker.Worker"))
_WEB = ("--webui-port", "0", "--host", "127.0.0.1")
#: What a worker's log says once it takes work.
REGISTERED = "Successfully registered with master"
#: A worker that says nothing for so long is dead to the master.
LOST_SECONDS = 10
#: One core and little memory for each worker. Java and Spark compile little: there is no time for it to pay.
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
CONF = {
    "spark.driver.extraJavaOptions": _JAVA,
    "spark.executor.extraJavaOptions": _JAVA,
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "768m",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cluster:
    """`workers` are processes that lead a session, in which their executors and Python workers are."""

    folder: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[subprocess.Popen[bytes]]:
        return self.processes[1:]

    def start(self, name: str, what: str, *arguments: str) -> None:
        environment = {
            **os.environ,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_HOME": str(SPARK),
            "SPARK_DAEMON_MEMORY": "192m",
            "SPARK_DAEMON_JAVA_OPTS": f"-Dspark.worker.timeout={LOST_SECONDS} -XX:+UseSerialGC",
            "SPARK_WORKER_DIR": str(self.folder / name),
            "PYSPARK_PYTHON": sys.executable,
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [str(SPARK / "bin" / "spark-class"), what, *arguments]
            self.processes.append(
                subprocess.Popen(
                    command, env=environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
                )
            )

    def start_worker(self) -> str:
        """One more, of one core; the name of its log."""
        name = f"worker{len(self.workers)}"
        self.start(name, WORKER, "--cores", "1", "--memory", "1g", *_WEB, self.url)
        return name

    def wait_for(self, name: str, said: str, *, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            text = (self.folder / f"{name}.log").read_text(errors="replace")
            if re.search(said, text):
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} did not say {said!r}: {text[-2000:]}")

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the worker, its executors and their Python processes at once: the machine is gone."""
        for process in _session_of(worker.pid):
            _signal(process, signal.SIGKILL)
        worker.wait(10)

    def stop(self) -> None:
        for process in reversed(self.processes):
            for one in _session_of(process.pid):
                _signal(one, signal.SIGKILL)
            process.wait(10)


def _session_of(leader: int) -> list[int]:
    """The processes of a session that still run: executors stay in that of their worker, whatever groups they make."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def _signal(process: int, what: signal.Signals) -> None:
    try:
        os.kill(process, what)
    except ProcessLookupError:
        return


def left_over(cluster: Cluster) -> list[int]:
    """The processes of the cluster that still run."""
    return [process for leader in cluster.processes for process in _session_of(leader.pid)]


@contextmanager
def running_cluster(folder: Path, *, workers: int = 2) -> Iterator[Cluster]:
    """A master and its workers, one core each; all of them are gone afterwards, however it ends."""
    cluster = Cluster(folder, free_port())
    try:
        cluster.start("master", MASTER, "--port", str(cluster.port), *_WEB)
        cluster.wait_for("master", "Starting Spark master at")
        for name in [cluster.start_worker() for _ in range(workers)]:
            cluster.wait_for(name, REGISTERED)
        yield cluster
    finally:
        cluster.stop()
