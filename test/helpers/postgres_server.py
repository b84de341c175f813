"""The PostgreSQL server of the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from emgait_ros.lab.bench.postgres_server import PostgresServer, folder_of_programs


def running_server(host: str = "127.0.0.1", prefix: Sequence[str] = ()) -> Iterator[PostgresServer]:
    """For a fixture; skips where PostgreSQL or its client is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: requirements/runtime.txt")
    programs = folder_of_programs()
    if programs is None:
        pytest.skip(
            "PostgreSQL is not installed: apt-get install postgresql (Debian 12 has 15); .ci/run does it as root"
        )
    server = PostgresServer(programs, {"fsync": "off"}, host, prefix)  # the folder does not outlive the tests
    yield server
    server.close()


class Network:
    """A network namespace of the tests' own, whose packets can be dropped without a word.

    Attributes:
        host: address of a server in it. prefix: words before a program that shall run in it.
    """

    def __init__(self) -> None:
        number = os.getpid()
        self._name, outside = f"eg{number}", f"eg{number}o"
        net = f"10.{200 + number // 250 % 50}.{number % 250}"
        self.host = f"{net}.2"
        self.prefix = f"ip netns exec {self._name} setpriv --reuid=nobody --regid=nogroup --clear-groups".split()
        self._ip(f"netns add {self._name}")
        self._ip(f"link add {outside} type veth peer name inside netns {self._name}")
        self._ip(f"addr add {net}.1/30 dev {outside}")
        self._ip(f"link set {outside} up")
        self._ip(f"-n {self._name} addr add {self.host}/30 dev inside")
        self._ip(f"-n {self._name} link set lo up")
        self.join()

    def cut(self) -> None:
        self._ip(f"-n {self._name} link set inside down")

    def join(self) -> None:
        self._ip(f"-n {self._name} link set inside up")

    def close(self) -> None:
        self._ip(f"netns del {self._name}")

    @staticmethod
    def _ip(words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)


def network() -> Iterator[Network | None]:
    """For a fixture; None where a namespace cannot be made: that takes root and iproute2."""
    made = None
    if shutil.which("ip") and shutil.which("setpriv"):
        with contextlib.suppress(subprocess.CalledProcessError):
            made = Network()
    yield made
    if made:
        made.close()
