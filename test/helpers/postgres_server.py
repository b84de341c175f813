"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on a free port of this machine only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ACCOUNT = "nobody"  # PostgreSQL refuses to run as root


def folder_of_programs() -> Path | None:
    """Where initdb is: on the PATH, or where Debian puts it."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


class PostgresServer:
    """Starts and stops one; ``url(name)`` makes an empty database and gives its address."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="emgait-postgres-"))
        self._account = {"user": ACCOUNT} if os.geteuid() == 0 else {}
        if self._account:
            shutil.chown(self._folder, ACCOUNT)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._data, self._count = self._folder / "data", 0
        self._names: list[str] = []
        self._run(
            "initdb", "-D", self._data, "-U", "robot", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -c fsync=off"  # the folder does not outlive the tests
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """``immediate`` is what a power cut is to the clients."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def processes(self) -> list[int]:
        """The server's process and those it has started."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def url(self) -> str:
        self._count += 1
        name = f"gallery_{self._count}"
        self._administer(f"CREATE DATABASE {name}")
        self._names.append(name)
        return f"postgresql://robot@127.0.0.1:{self.port}/{name}"

    def clear(self) -> None:
        """Drop the databases made so far."""
        while self._names:
            self._administer(f"DROP DATABASE {self._names.pop()} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        import psycopg

        address = f"postgresql://robot@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *words: object) -> None:
        command = [str(self._programs / program), *(str(word) for word in words)]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, check=False, timeout=60, **self._account,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")


def running_server() -> Iterator[PostgresServer]:
    """For a fixture; skips where PostgreSQL or its client is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: requirements/runtime.txt")
    programs = folder_of_programs()
    if programs is None:
        pytest.skip(
            "PostgreSQL is not installed: apt-get install postgresql (Debian 12 has 15); .ci/run does it as root"
        )
    server = PostgresServer(programs)
    yield server
    server.close()
