"""The console's own record of changes: who asked for what from where, and what became of it.

The gallery's audit log says that the console asked, not from which browser, and of refused changes nothing; this file does.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

BY = "console"
FILE = "console-changes.jsonl"
LONGEST_READ = 256 * 1024  # bytes at the end of the file that :meth:`Changes.newest` looks at


class Changes:
    """An append-only file of JSON lines, mode 0600. A change is written down before it is asked for, and again with its outcome.

    Args:
        folder: where ``console-changes.jsonl`` lies; made when missing.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE
        self._lock, self._number = threading.Lock(), time.time_ns()
        os.close(self._open())

    def asked(self, address: str, action: str, what: dict[str, Any]) -> int:
        """Write down that a change is asked for; returns its number, for :meth:`answered`.

        Raises:
            OSError: it cannot be written: then nothing must be changed.
        """
        with self._lock:
            self._number += 1
            number = self._number
        self._append({"number": number, "by": BY, "from": address, "action": action, "what": what})
        return number

    def answered(self, number: int, success: bool, message: str) -> None:
        """Write down what became of it.

        Raises:
            OSError: it cannot be written.
        """
        self._append({"number": number, "by": BY, "success": success, "message": message})

    def newest(self, count: int = 50) -> list[dict[str, Any]]:
        """The last changes, newest first, each with ``at``, ``from``, ``action``, ``what``, ``success`` and ``message``."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - LONGEST_READ, 0))
            lines = file.read().split(b"\n")
        found: dict[int, dict[str, Any]] = {}
        for line in lines:
            try:
                entry = json.loads(line)
                number = entry["number"]
            except (ValueError, TypeError, KeyError):
                continue  # the first line may be cut, and a disk that was full leaves half of one
            if "action" in entry:
                found[number] = {**entry, "success": None, "message": "no answer was written down"}
            elif number in found:
                found[number] |= {"success": entry.get("success"), "message": entry.get("message", "")}
        return list(found.values())[: -count - 1 : -1]

    def _append(self, entry: dict[str, Any]) -> None:
        entry = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **entry}
        line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
        descriptor = self._open()
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(f"{self.path} takes no more: the disk is full")
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
