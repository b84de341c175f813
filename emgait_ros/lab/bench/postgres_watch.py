"""What robots that share a gallery cost a PostgreSQL server: CPU time, transactions, statements and connections."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from emgait_ros.lab.bench.postgres_server import PostgresServer

WITH_STATEMENTS = {"shared_preload_libraries": "pg_stat_statements"}
"""Options of a server that counts statements."""
STATEMENTS = "pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database()"


class PostgresWatch:
    """What a server does, over a connection of its own.

    Args:
        url: of the database with the gallery.
        server: this machine's own, whose CPU time counts; None: somebody else's, and statements only where they are counted.

    Raises:
        psycopg.Error: the database cannot be reached.
    """

    def __init__(self, url: str, server: PostgresServer | None) -> None:
        import psycopg

        self._server = server
        self._connection = psycopg.connect(url, autocommit=True)
        self._statements = False
        if server:
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self._statements = bool(self._one("SELECT to_regclass('pg_stat_statements') IS NOT NULL"))

    def __enter__(self) -> PostgresWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _one(self, query: str) -> Any:
        row = self._connection.execute(query).fetchone()  # type: ignore[call-overload, unused-ignore]
        return row[0] if row else None

    def newest_change(self) -> int:
        """Number of the newest change of the gallery."""
        return int(self._one("SELECT max(id) FROM emgait.audit"))

    def _now(self) -> Counter[str]:
        found = Counter(transactions=int(self._one(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        )))  # fmt: skip
        if self._statements:
            found["statements"] = int(self._one(f"SELECT sum(calls) FROM {STATEMENTS}"))  # noqa: S608
            found["templates_read"] = int(self._one(
                f"SELECT coalesce(sum(rows), 0) FROM {STATEMENTS} WHERE query ~ 'SELECT.*embedding.*FROM'"  # noqa: S608
            ))  # fmt: skip
        return found

    def while_(self, action: Callable[[], object]) -> dict[str, Any]:
        """Figures of the server a minute, while something is done."""
        before, cpu_s, began = self._now(), self._server.cpu_s() if self._server else 0.0, time.monotonic()
        action()
        minutes = (time.monotonic() - began) / 60
        spent_s = self._server.cpu_s() - cpu_s if self._server else None
        rates = {f"{name}_per_minute": round((now - before[name]) / minutes) for name, now in self._now().items()}
        return {
            "cpu_s_per_minute": None if spent_s is None else round(spent_s / minutes, 2),
            **rates,
            "connections": self._one("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'emgait'"),
        }

    def forget_statements(self) -> None:
        """Count statements from now on."""
        if self._statements:
            self._connection.execute("SELECT pg_stat_statements_reset()")

    def heaviest(self) -> dict[str, float]:
        """The statements that took most, ms in total since they are counted."""
        if not self._statements:
            return {}
        query = f"SELECT left(query, 70), sum(total_exec_time) FROM {STATEMENTS} GROUP BY 1 ORDER BY 2 DESC LIMIT 6"  # noqa: S608
        return {str(words): float(taken) for words, taken in self._connection.execute(query).fetchall()}  # type: ignore[call-overload, unused-ignore]
