"""Fixtures of the gallery tests: a PostgreSQL server, and a gallery of either kind."""

import pytest
from postgres_server import running_server


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server; tests that need it are skipped where it is not installed."""
    yield from running_server()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a new gallery can be: a file, and a database."""
    if request.param == "sqlite":
        yield tmp_path / "folder" / "gallery.db"
        return
    server = request.getfixturevalue("server")
    yield server.url()
    server.clear()
