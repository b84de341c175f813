"""The PostgreSQL server of the tests."""

from __future__ import annotations

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
