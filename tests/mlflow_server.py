"""A real MLflow server on a real PostgreSQL, started on loopback by the very file of `mlflow/`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


@dataclass
class MlflowServer:
    """The server, where its files lie, and the process while it runs."""

    database: str
    port: int
    artifacts: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        told = {
            "MLFLOW_BACKEND_STORE_URI": self.database,
            "MLFLOW_ARTIFACTS_DESTINATION": str(self.artifacts),
            "MLFLOW_PORT": str(self.port),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = "set -a; . mlflow/server.env; set +a; exec python -m mlflow server"
        log = self.artifacts.with_name("mlflow.log")
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                ["sh", "-ec", command], cwd=ROOT, env=os.environ | told, stdout=file, stderr=file
            )
        until = time.monotonic() + 90
        while not self.answers():
            assert self.process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it reads its database now."""
        with suppress(OSError):
            asked = f"{self.url}/api/2.0/mlflow/registered-models/search?max_results=1"
            return urllib.request.urlopen(asked, timeout=2).status == 200
        return False

    def kill(self) -> None:
        """SIGKILL, to the server and its workers."""
        if self.process is None:
            return
        server = psutil.Process(self.process.pid)
        for process in (*server.children(recursive=True), server):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(20)
        self.process = None
