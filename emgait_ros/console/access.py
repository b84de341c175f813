"""Who may use the console: names and origins a browser may come from, the token, sessions, and the headers of every answer."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

TOKEN_FILE = "console.token"  # noqa: S105
TOKEN_BYTES = 32
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 100
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Decides about requests from their headers alone.

    A page of another site can make a browser send requests here, and with a name that it lets point to this machine
    (DNS rebinding) read the answers. So the Host must be an address or a name that is known to be ours, and whoever
    changes something must come from a page of that same Host.

    Args:
        host: address that is listened on.
        names: further names under which the console is reached.
        token: needed to open a session; empty: nobody has to.
        clock_s: monotonic clock, s.
    """

    def __init__(
        self, host: str, names: Collection[str] = (), token: str = "", clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        own = socket.gethostname().lower()
        ours = {"localhost"} if is_loopback(host) else {"localhost", own, f"{own}.local", host.lower()}
        self._names = ours | {name.lower() for name in names}
        self._only_loopback = is_loopback(host)
        self._token, self._clock_s = token, clock_s
        self._sessions: dict[str, float] = {}

    @property
    def needs_token(self) -> bool:
        """Whether a session has to be opened with the token first."""
        return bool(self._token)

    def refusal(self, headers: Mapping[str, str], changes: bool) -> str:
        """Why a request is refused, in a sentence; empty when it may pass.

        Args:
            headers: of the request.
            changes: it may change something, or opens the live connection: then it must name the page it comes from.
        """
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if not self._is_ours(host):
            return (
                f"the Host '{host}' is not known here: start the console with --allow-host to reach it under this name"
            )
        if origin is None:
            return "an Origin is needed: use the page of the console" if changes else ""
        if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return f"requests from '{origin}' are refused: use the page of the console"
        return ""

    def _is_ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, _ = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.path:
            return False
        if name in self._names:
            return True
        try:  # a number cannot be pointed elsewhere, as a name can
            return ipaddress.ip_address(name).is_loopback or not self._only_loopback
        except ValueError:
            return False

    # Sessions.

    def open_session(self, token: str) -> str:
        """The secret of a new session; empty when the token is wrong."""
        if not self._token or not hmac.compare_digest(token.encode(), self._token.encode()):
            return ""
        now_s = self._clock_s()
        self._sessions = {name: until for name, until in self._sessions.items() if until > now_s}
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda name: self._sessions[name])]
        session = secrets.token_urlsafe(TOKEN_BYTES)
        self._sessions[session] = now_s + SESSION_S
        return session

    def may_enter(self, session: str | None) -> bool:
        """Whether this session is open, or none is needed."""
        return not self._token or self._sessions.get(session or "", 0.0) > self._clock_s()


def kept_token(folder: Path) -> tuple[str, Path, bool]:
    """The token, the file it is kept in (mode 0600), and whether it was made just now.

    Raises:
        ValueError: the file is readable by others, or holds no token.
    """
    path = folder / TOKEN_FILE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        mode, token = stat.S_IMODE(path.stat().st_mode), path.read_text(encoding="ascii", errors="replace").strip()
        if mode & 0o077:
            raise ValueError(
                f"{path} may be read by others (mode {mode:04o}): delete it, a new token is made"
            ) from None
        if len(token) < TOKEN_BYTES:
            raise ValueError(f"{path} holds no token: delete it, a new one is made") from None
        return token, path, False
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token, path, True
