"""Listens for changes of a gallery in PostgreSQL, in its own thread."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from emgait_ros.gallery.postgres_layout import CHANNEL
from emgait_ros.gallery.schema import OutOfReachError

try:
    import psycopg
except ImportError:  # said in a sentence when a gallery in PostgreSQL is opened
    psycopg = None  # type: ignore[assignment]

RETRY_S = 1.0
"""Between two attempts to reach a lost server, on average: robots that lose it together do not come back together."""
HEARTBEAT_S = 2.0
"""After so long without a notification the server is asked for its newest change."""


class Listener:
    """Knows the number of the newest change, or why it does not.

    Args:
        connect: makes a connection; it may raise ``psycopg.Error``.
        place: of the gallery, for messages.

    Attributes:
        problem: why the server is lost; empty while it answers.
    """

    def __init__(self, connect: Callable[[], Any], place: str) -> None:
        self._connect, self._place = connect, place
        self.problem = ""
        self._newest = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery listener", daemon=True)
        self._thread.start()
        self._heard.wait(5.0)

    def newest(self) -> int:
        """Number of the newest change heard of.

        Raises:
            OutOfReachError: the server is lost.
        """
        if self.problem:
            raise OutOfReachError(self.problem)
        return self._newest

    def take(self, change: int) -> None:
        """A change this process made itself, or heard of."""
        with self._lock:
            self._newest = max(self._newest, change)

    def lose(self, error: Exception) -> None:
        """The server is lost until it answers this thread."""
        text = " ".join(str(error).split()) or type(error).__name__
        self.problem = f"gallery {self._place} is lost ({text}): going on with who was known so far, and trying again"

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                self.lose(error)
            self._heard.set()
            self._end.wait(RETRY_S * random.uniform(0.5, 1.5))  # no secret

    def _listen(self) -> None:
        with self._connect() as connection:
            connection.execute(f"LISTEN {CHANNEL}")  # before asking: what is committed in between is heard
            while not self._end.is_set():
                row = connection.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()
                with self._lock:
                    self._newest = int(row[0])  # also back: a backup may have been put in the database's place
                self.problem = ""
                self._heard.set()
                self._wait(connection)

    def _wait(self, connection: Any) -> None:
        """Until the heartbeat, taking what is heard; ends soon after :meth:`close`."""
        for _ in range(int(HEARTBEAT_S / 0.25)):
            for notice in connection.notifies(timeout=0.25):
                self.take(int(notice.payload) if notice.payload.isdigit() else 0)
            if self._end.is_set():
                return
