"""A PostgreSQL server of one's own: a fresh cluster in a temporary folder, on a free port of this machine only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ACCOUNT = "nobody"  # PostgreSQL refuses to run as root


def folder_of_programs() -> Path | None:
    """Where initdb is: on the PATH, or where Debian puts it; None: PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


class PostgresServer:
    """Starts and stops one; ``url()`` makes an empty database and gives its address.

    Args:
        programs: folder of initdb and pg_ctl.
        options: of the server (``{"fsync": "off"}``).
        host: address it listens on; whoever reaches it may come in.
        prefix: words before every program, which then run as the account they say.

    Raises:
        RuntimeError: it does not start.

    Attributes:
        port: it listens on. log: its log file.
    """

    def __init__(
        self,
        programs: Path,
        options: Mapping[str, object] | None = None,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        self._programs, self._host, self._prefix = programs, host, prefix
        self._options = dict(options or {})
        self._folder = Path(tempfile.mkdtemp(prefix="emgait-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, ACCOUNT)
        self._account: dict[str, Any] = {"user": ACCOUNT} if os.geteuid() == 0 and not prefix else {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._data, self.log, self._count = self._folder / "data", self._folder / "log", 0
        self._names: list[str] = []
        self._run(
            "initdb", "-D", self._data, "-U", "robot", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )
        if host != "127.0.0.1":
            with (self._data / "pg_hba.conf").open("a", encoding="ascii") as stream:
                stream.write("host all robot samenet trust\n")
        self.start()

    def start(self) -> None:
        """Returns when it takes connections."""
        words = [f"-p {self.port} -h {self._host} -k {self._folder}"]
        words += [f"-c {name}={value}" for name, value in self._options.items()]
        self._run("pg_ctl", "-D", self._data, "-l", self.log, "-w", "-o", " ".join(words), "start")

    def stop(self, mode: str = "immediate") -> None:
        """``immediate`` is what a power cut is to the clients."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def processes(self) -> list[int]:
        """The server's process and those it has started."""
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def cpu_s(self) -> float:
        """CPU time of all its processes since it was started, s; those that have ended count."""
        ticks = 0
        for place, process in enumerate(self.processes()):
            try:
                fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended, and counts as a child of the first at the next look
            ticks += sum(map(int, fields[11 : 13 if place else 15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def url(self) -> str:
        """Address of a new empty database."""
        self._count += 1
        name = f"gallery_{self._count}"
        self._administer(f"CREATE DATABASE {name}")
        self._names.append(name)
        return f"postgresql://robot@{self._host}:{self.port}/{name}"

    def clear(self) -> None:
        """Drop the databases made so far."""
        while self._names:
            self._administer(f"DROP DATABASE {self._names.pop()} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        import psycopg

        address = f"postgresql://robot@{self._host}:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload, unused-ignore]  # made here, of no literal

    def close(self) -> None:
        """Stop it and delete everything."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *words: object) -> None:
        command = [*self._prefix, str(self._programs / program), *(str(word) for word in words)]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, check=False, timeout=60, **self._account,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")
