"""A real PostgreSQL of Debian's package, on loopback, for as long as the tests run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

USER = "postgres"


@dataclass(frozen=True)
class Server:
    """One cluster: its folder of programs, its data, its port."""

    programs: Path
    data: Path
    port: int

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def run(self, *arguments: str) -> str:
        """Run one of its programs as the cluster's owner: PostgreSQL refuses to run as root."""
        as_owner = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        program, *rest = arguments
        done = subprocess.run(
            [*as_owner, str(self.programs / program), *rest], capture_output=True, text=True, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.data} -c fsync=off"
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.data / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """SIGKILL, to the server and all its processes: as when the machine takes them."""
        server = psutil.Process(int((self.data / "postmaster.pid").read_text().split("\n")[0]))
        family = [*server.children(recursive=True), server]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=20)

    def sql(self, statement: str, database: str = "postgres") -> str:
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database)
        return self.run("psql", *address, "-v", "ON_ERROR_STOP=1", "-qAtc", statement)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of its own, made anew; mark the tests with `needs("postgresql")`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    # Below /tmp itself: pytest's folders are closed to the cluster's owner.
    data = Path("/tmp") / f"regulars-postgres-{os.getpid()}"
    server = Server(programs, data, _free_port())
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(data, USER, USER)
    try:
        server.run("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)
