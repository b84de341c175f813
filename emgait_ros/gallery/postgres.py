"""A gallery in PostgreSQL, shared by several robots: it stores and announces changes; matching is done on the robots.

Two connections: one for statements, and one of a thread that listens. The recognizer asks :meth:`newest_change`, which
never touches the network; when the server is lost it says so, and what is in memory stays in use until it is back.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from emgait_ros.gallery import schema
from emgait_ros.gallery.layout import TABLES
from emgait_ros.gallery.postgres_layout import CHANNEL, LOCK, LOCK_AUDIT, SCHEMA, STEPS, UNLOCK_AUDIT
from emgait_ros.gallery.postgres_listener import Listener, psycopg
from emgait_ros.gallery.schema import GalleryError, OutOfReachError

# What bounds the wait for a server that does not answer; parameters of libpq, s but for tcp_user_timeout (ms).
PATIENCE: dict[str, Any] = {
    "connect_timeout": 2,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 2000,
}
ANSWER_S = 5.0
"""A server that is connected and says nothing for so long is lost: its machine hangs, or something between keeps what is sent."""
_SENTENCES = (  # for classes of psycopg.errors
    (
        "LockNotAvailable DeadlockDetected SerializationFailure",
        "is being changed by another process ({}): nothing was changed, try again",
    ),
    (
        "ReadOnlySqlTransaction InsufficientPrivilege",
        "cannot be written ({}): nothing was changed; check the rights of its user",
    ),
    ("DiskFull OutOfMemory", "has no space left ({}): nothing was changed"),
    ("DataCorrupted IndexCorrupted", "is damaged ({}): put a backup of the database in its place"),
    (
        "InvalidPassword InvalidAuthorizationSpecification InvalidCatalogName",
        "cannot be opened ({}): check its address, user and password (~/.pgpass)",
    ),
    (
        "OperationalError InterfaceError",
        "cannot be reached ({}): nothing was changed; check the server and the network",
    ),
)
_FETCHED = 2000  # rows at a time when everything is copied


class PostgresDatabase:
    """See :class:`emgait_ros.gallery.database.Database`.

    Args:
        url: ``postgresql://user@host:port/name?sslmode=verify-full`` or anything libpq takes; passwords are best left
            to ~/.pgpass.
        create: make the tables where there are none.

    Raises:
        GalleryError: psycopg is missing, the server cannot be reached or refuses the user, or holds a newer layout.
    """

    def __init__(self, url: str, create: bool = True) -> None:
        if psycopg is None:
            raise GalleryError('a gallery in PostgreSQL needs the package psycopg: pip install "psycopg[binary]"')
        self.errors: tuple[type[Exception], ...] = (psycopg.Error,)
        self.notice = ""
        self._url = url
        self.place = without_password(url)
        self._announced = 0
        try:
            self._connection = self._connected()
            self._prepare(create)
        except psycopg.Error as error:
            raise self.say(error) from error
        self._listener = Listener(self._connected, self.place)

    @property
    def in_transaction(self) -> bool:
        status = psycopg.pq.TransactionStatus
        return self._connection.info.transaction_status in (status.ACTIVE, status.INTRANS, status.INERROR)

    def execute(self, statement: str, values: Iterable[Any] = ()) -> Any:
        """Outside of a change, a connection that turns out to be lost is made again once: the server may be back."""
        words, given = statement.replace("?", "%s"), tuple(values)
        if self.in_transaction:
            return self._connection.execute(words, given, binary=True)
        try:
            return self._usable().execute(words, given, binary=True)
        except psycopg.OperationalError:
            if not self._connection.closed:
                raise
        try:
            return self._usable().execute(words, given, binary=True)
        except psycopg.OperationalError as error:
            if self._connection.closed:
                self._listener.lose(error)  # frames do not ask again before it answers the listener
            raise

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), [tuple(row) for row in rows])

    def begin(self) -> None:
        self._announced = 0
        self.execute("BEGIN")
        self._connection.execute(f"SET LOCAL lock_timeout = {int(schema.BUSY_TIMEOUT_S * 1000)}")
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))

    def commit(self) -> None:
        """End a change: on the server's disk when this returns.

        Raises:
            GalleryError: the server was lost before it answered; only looking tells whether the change is in.
        """
        try:
            self._connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not self._connection.closed:
                raise
            raise GalleryError(
                f"gallery {self.place} was lost while it answered: look whether the change is there, else make it again"
            ) from error
        self._listener.take(self._announced)

    def rollback(self) -> None:
        with contextlib.suppress(psycopg.Error):
            if not self._connection.closed and self.in_transaction:
                self._connection.execute("ROLLBACK")

    def newest_change(self) -> int:
        return self._listener.newest()

    def announce(self, change: int) -> None:
        self._connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(change)))
        self._announced = change

    @contextlib.contextmanager
    def audit_unlocked(self) -> Iterator[None]:
        self.execute(UNLOCK_AUDIT)
        yield
        self.execute(LOCK_AUDIT)

    def wipe(self) -> None:
        """Let the space of removed rows be reused; the server's log and backups are up to its administrator."""
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege), self._patient():
            for table in ("templates", "undo", "saved_walks"):
                self.execute(f"VACUUM {SCHEMA}.{table}")

    def rebuild(self) -> None:
        with self._patient():
            for table in TABLES:
                self.execute(f"VACUUM FULL {SCHEMA}.{table}")

    def copy_to(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        copy = schema.connect(path)
        try:
            self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            copy.execute("BEGIN IMMEDIATE")
            for table, columns in TABLES.items():
                marks = ", ".join("?" for _ in columns.split(","))
                insert = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
                with self._connection.cursor(f"copy_{table}", binary=True) as cursor:  # kept by the server
                    cursor.execute(f"SELECT {columns} FROM {table}")  # noqa: S608
                    while rows := cursor.fetchmany(_FETCHED):
                        copy.executemany(insert, rows)
            copy.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            self.rollback()
            copy.close()

    def problems(self) -> list[str]:
        """Whether the server answers; its storage is checked by its administrator (pg_amcheck)."""
        return [self._listener.problem] if self._listener.problem else []

    def close(self) -> None:
        """End the listener and close the connection."""
        self._listener.close()
        self._connection.close()

    def say(self, error: BaseException) -> GalleryError:
        text = " ".join(str(error).split()) or type(error).__name__
        kinds = {kind.__name__ for kind in type(error).__mro__}
        for names, sentence in _SENTENCES:
            if kinds & set(names.split()):
                refused = "FATAL" in text and not re.search(r"is (starting|shutting|not yet)|not accepting", text)
                kind = OutOfReachError if "reached" in sentence and not refused else GalleryError
                return kind(f"gallery {self.place} {sentence.format(text)}")
        return GalleryError(f"gallery {self.place}: {text}")

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        """For statements that may take as long as they do."""
        connection = self._usable()
        connection.answer_s = float("inf")
        try:
            yield
        finally:
            connection.answer_s = ANSWER_S

    def _connected(self) -> Any:
        connection = _connection_kind().connect(self._url, autocommit=True, application_name="emgait", **PATIENCE)
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.execute("SET synchronous_commit TO on")  # answered means on the disk
        return connection

    def _usable(self) -> Any:
        if self._connection.closed or self._connection.broken:
            self._connection.close()
            self._connection = self._connected()
        return self._connection

    def _prepare(self, create: bool) -> None:
        """Make the tables or bring them up to date, in one transaction."""
        self._connection.execute("BEGIN")
        try:
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            found = self._connection.execute("SELECT to_regclass(%s)::text", (f"{SCHEMA}.layout",)).fetchone()
            version = 0
            if found[0] is not None:
                version = self._connection.execute(f"SELECT version FROM {SCHEMA}.layout").fetchone()[0]  # noqa: S608
            elif not create:
                raise GalleryError(
                    f"there is no gallery in {self.place}: enrol somebody first, or give another address"
                )
            if version > len(STEPS):
                raise GalleryError(
                    f"gallery {self.place} has layout {version}, this version knows up to {len(STEPS)}: update emgait_ros"
                )
            if not version:
                self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            with self._patient():
                for step in STEPS[version:]:
                    for statement in step:
                        self._connection.execute(statement)
            if version < len(STEPS):
                self._connection.execute(f"UPDATE {SCHEMA}.layout SET version = %s", (len(STEPS),))  # noqa: S608
            self._connection.execute("COMMIT")
        except BaseException:
            self.rollback()
            self._connection.close()
            raise


class _SilentError(Exception):
    """The server says nothing."""


@functools.cache
def _connection_kind() -> Any:
    """psycopg's connection, which waits ``answer_s`` for a sign of the server, not for ever."""

    class Connection(psycopg.Connection[Any]):
        answer_s = ANSWER_S

        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **more: Any) -> Any:
            try:
                return super().wait(_within(gen, self.answer_s), *args, **more)
            except _SilentError as error:
                self.close()  # what it says later answers nothing that is asked then
                raise psycopg.OperationalError(str(error)) from error

    return Connection


def _within(gen: Generator[Any, Any, Any], answer_s: float) -> Generator[Any, Any, Any]:
    """A generator of psycopg, which is told of every tenth of a second in which nothing came.

    Raises:
        _SilentError: nothing came for so long.
    """
    try:
        wanted, heard = next(gen), time.monotonic()
        while True:
            came = yield wanted
            now = time.monotonic()
            if came:
                heard = now
            elif now - heard > answer_s:
                raise _SilentError(f"no answer for {answer_s:.0f} s")
            wanted = gen.send(came)
    except StopIteration as done:
        return done.value


def without_password(url: str) -> str:
    """An address for messages.

    Raises:
        GalleryError: it is none.
    """
    try:
        parts = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise GalleryError(
            f"the gallery's PostgreSQL address is not understood ({' '.join(str(error).split())}): "
            "expected postgresql://user@host:port/name"
        ) from error
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{user}{parts.get('host') or ''}{port}/{parts.get('dbname') or ''}"
