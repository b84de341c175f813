"""The console's web server: one page, one live connection a browser, and one address for each change.

Knows nothing of ROS: what it shows and whom it asks is a :class:`Robot`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from importlib import resources
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from emgait_ros.config import ConsoleConfig
from emgait_ros.console.access import HEADERS, SESSION_S, Access
from emgait_ros.console.change_requests import ACTIONS, LARGEST_REQUEST, checked, json_of
from emgait_ros.console.changes import Changes
from emgait_ros.console.sensors import Sensors
from emgait_ros.console.view import View
from emgait_ros.gallery.names import normalised_name

MOST_PAGES = 16  # live connections at a time
LIST_EVERY_S = 30.0  # others change the gallery too
HEALTH_EVERY_S = 1.0
WRONG_TOKEN_S = 1.0
TEMPLATE = ("enrolled", "range_m", "samples")  # columns of a person's templates: seconds since 1970, metres, a count
LOOKS = ("people", "picture", "cloud")
FILES = {
    "/": ("index.html", "text/html"),
    "/console.js": ("console.js", "text/javascript"),
    "/drawing.js": ("drawing.js", "text/javascript"),
    "/console.css": ("console.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Robot(Protocol):
    """What the server shows, and whom it asks; ``Bridge`` is the real one."""

    view: View
    sensors: Sensors
    namespace: str

    def watch(self, wanted: Collection[str]) -> None:
        """Listen to these of "people", "picture" and "cloud" only."""

    async def call(self, name: str, fields: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Call a service of the recognizer; the answer holds at least ``success`` and ``message``."""

    def log(self, sentence: str) -> None:
        """Into the robot's log."""


class Page:
    """One browser's live connection. Of each kind of message only the newest waits, so that a slow one sees less, not later."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[str, str | bytes] = {}
        self._news = asyncio.Event()
        self.looks: frozenset[str] = frozenset()

    def put(self, kind: str, content: str | bytes) -> None:
        """Send this instead of what still waits of its kind."""
        self._waiting[kind] = content
        self._news.set()

    async def close(self) -> None:
        """The console ends."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    async def send(self) -> None:
        """Send what waits, until the connection ends."""
        while True:
            await self._news.wait()
            self._news.clear()
            for kind in list(self._waiting):
                content = self._waiting.pop(kind)
                if isinstance(content, bytes):
                    await self._socket.send_bytes(content)
                else:
                    await self._socket.send_str(content)


class ConsoleServer:
    """The aiohttp application.

    Args:
        robot: what is shown.
        access: who may.
        changes: where changes are written down.
        config: rates and patience.
    """

    def __init__(self, robot: Robot, access: Access, changes: Changes, config: ConsoleConfig) -> None:
        self._robot, self._access, self._changes, self._config = robot, access, changes, config
        self._pages: set[Page] = set()
        self._pumps: list[asyncio.Task[None]] = []
        self._last: dict[str, str] = {}
        self._stored: list[tuple[str, int]] = []
        self._list_now = asyncio.Event()
        self._cookie = "emgait_console"
        self.app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_REQUEST)
        for path in FILES:
            self.app.router.add_get(path, self._file)
        self.app.router.add_get("/session", self._session)
        self.app.router.add_post("/session", self._log_in)
        self.app.router.add_get("/live", self._live)
        self.app.router.add_get("/templates", self._templates)
        self.app.router.add_post("/change/{action}", self._change)
        self.app.on_shutdown.append(self._shut_down)

    # Every request.

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        changes = request.method != "GET" or request.path == "/live"
        refusal = self._access.refusal(request.headers, changes)
        try:
            if refusal:
                raise web.HTTPForbidden(text=refusal)
            if request.path.startswith(("/live", "/change", "/templates")) and not self._access.may_enter(
                self._session_of(request)
            ):
                raise web.HTTPUnauthorized(text="open a session with the token first")
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _session_of(self, request: web.Request) -> str | None:
        return request.cookies.get(self._cookie)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name, kind = FILES[request.path]
        content = resources.files("emgait_ros.console").joinpath("static").joinpath(name).read_bytes()
        return web.Response(body=content, content_type=kind, charset="utf-8")

    async def _session(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"open": self._access.may_enter(self._session_of(request))})

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        session = self._access.open_session(checked(await json_of(request), {"token": str})["token"])
        if not session:
            await asyncio.sleep(WRONG_TOKEN_S)
            return web.json_response({"open": not self._access.needs_token})
        response = web.json_response({"open": True})
        secure = request.headers.get("Origin", "").startswith("https:")
        response.set_cookie(
            self._cookie, session, max_age=int(SESSION_S), httponly=True, samesite="Strict", secure=secure
        )
        return response

    # Changes.

    async def _change(self, request: web.Request) -> web.StreamResponse:
        action = request.match_info["action"]
        if action not in ACTIONS:
            raise web.HTTPNotFound(text=f"there is no change '{action}': known are {', '.join(ACTIONS)}")
        fields = checked(await json_of(request), ACTIONS[action])
        address = request.remote or "?"
        try:
            number = self._changes.asked(address, action, fields)
        except OSError as error:
            raise web.HTTPInternalServerError(
                text=f"nothing was changed, it could not be written down: {error}"
            ) from error
        answer = await self._ask(action, fields)
        try:
            self._changes.answered(number, bool(answer["success"]), str(answer["message"]))
        except OSError as error:  # it is done, or refused, all the same: whoever asked must know
            self._robot.log(f"what became of a change could not be written down: {error}")
        outcome = "" if answer["success"] else "refused: "
        self._robot.log(f"console ({address}), {action}: {outcome}{answer['message']}")
        self._list_now.set()
        return web.json_response(answer)

    async def _templates(self, request: web.Request) -> web.StreamResponse:
        """What is stored of one person: ``/templates?name=Anna``."""
        name = checked({"name": request.query.get("name")}, {"name": str})["name"]
        listed = await self._robot.call("list", {"templates_of": name}, self._config.timeout_s)
        if not listed["success"]:
            return web.json_response(listed)
        columns = zip(*(listed[f"template_{key}"] for key in TEMPLATE), strict=True)
        return web.json_response(
            {"success": True, "templates": [dict(zip(TEMPLATE, row, strict=True)) for row in columns]}
        )

    async def _ask(self, action: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The service call of a change. Renaming onto somebody merges two people for the service; here that is asked for."""
        if action not in ("rename", "merge"):
            return await self._robot.call(action, fields, self._config.timeout_s)
        try:
            fields = fields | {name: normalised_name(fields[name]) for name in ("old_name", "new_name")}
        except ValueError as error:
            return {"success": False, "message": str(error)}
        listed = await self._robot.call("list", {}, self._config.timeout_s)
        if not listed["success"]:
            return listed
        new, exists = fields["new_name"], fields["new_name"] in listed["names"]
        if fields["old_name"] == new:
            return {"success": False, "message": f"'{new}' is the name already"}
        if action == "rename" and exists:
            return {"success": False, "message": f"'{new}' is enrolled already: merge the two if they are one person"}
        if action == "merge" and not exists:
            return {"success": False, "message": f"nobody is called '{new}' any more"}
        return await self._robot.call("rename", {"confirm": False, **fields}, self._config.timeout_s)

    # The live connection.

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if len(self._pages) >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already: close one")
        socket = web.WebSocketResponse(max_msg_size=LARGEST_REQUEST, heartbeat=20.0, compress=False, timeout=1.0)
        socket.headers.update(HEADERS)
        await socket.prepare(request)
        page = Page(socket)
        self._pages.add(page)
        sender = asyncio.create_task(page.send())
        self._watch()
        for kind, content in self._last.items():
            page.put(kind, content)
        self._list_now.set()
        try:
            async for message in socket:
                if message.type != WSMsgType.TEXT:
                    break
                try:
                    looks = json.loads(message.data)["look"]
                    page.looks = frozenset(look for look in LOOKS if look in looks)
                except (ValueError, TypeError, KeyError, RecursionError):
                    break
                self._watch()
        finally:
            self._pages.discard(page)
            sender.cancel()
            self._watch()
        return socket

    def _watch(self) -> None:
        """Listen to what is looked at, and work only while somebody looks."""
        self._robot.watch(frozenset().union(*(page.looks for page in self._pages)))
        if self._pages and not self._pumps:
            config = self._config
            jobs = (
                (self._show_people, 1.0 / config.people_hz),
                (self._show_health, HEALTH_EVERY_S),
                (self._show_picture, 1.0 / config.picture_hz),
                (self._show_map, 1.0 / config.map_hz),
                (self._show_gallery, 0.0),
            )
            self._pumps = [asyncio.create_task(self._pump(job, period_s)) for job, period_s in jobs]
        elif not self._pages and self._pumps:
            for pump in self._pumps:
                pump.cancel()
            self._pumps, self._last = [], {}

    async def _pump(self, job: Callable[[], Awaitable[None]], period_s: float) -> None:
        while True:
            try:
                await job()
            except Exception as error:
                self._robot.log(f"the console's {job.__name__} failed: {type(error).__name__}: {error}")
                await asyncio.sleep(1.0)
            await asyncio.sleep(period_s)

    def _tell(self, kind: str, content: dict[str, Any], look: str = "", keep: bool = True) -> None:
        """To all pages (that look at it); what has not changed is not sent again."""
        text = json.dumps({"kind": kind, **content}, ensure_ascii=False)
        if keep and self._last.get(kind) == text:
            return
        if keep:
            self._last[kind] = text
        for page in self._pages:
            if not look or look in page.looks:
                page.put(kind, text)

    async def _show_people(self) -> None:
        view = self._robot.view
        enrollments = view.enrollments()
        self._tell("people", {"heads": view.heads(), "enrollments": enrollments})
        stored = [(item["name"], item["templates"]) for item in enrollments if item["state"] in ("stored", "done")]
        if stored != self._stored:
            self._stored = stored
            self._list_now.set()

    async def _show_health(self) -> None:
        self._tell("health", {"namespace": self._robot.namespace, "entries": self._robot.view.health()})

    async def _show_picture(self) -> None:
        if not any("picture" in page.looks for page in self._pages):
            return
        found = await asyncio.to_thread(self._robot.sensors.picture, self._robot.view.heads())
        if isinstance(found, str):
            self._tell("no-picture", {"why": found})
        elif found is not None:
            self._last.pop("no-picture", None)
            self._send("picture", {"boxes": found.boxes, "why_no_boxes": found.why_no_boxes}, found.jpeg)

    async def _show_map(self) -> None:
        if not any("cloud" in page.looks for page in self._pages):
            return
        sensors = self._robot.sensors
        found = await asyncio.to_thread(sensors.cloud)
        if isinstance(found, str):
            self._tell("no-cloud", {"why": found})
        elif found is not None:
            self._last.pop("no-cloud", None)
            self._send("cloud", {"frame": sensors.frame}, found)

    def _send(self, kind: str, head: dict[str, Any], content: bytes) -> None:
        """A binary message: length of the JSON (4 bytes, little-endian), the JSON, then the picture."""
        text = json.dumps({"kind": kind, **head}).encode()
        message = len(text).to_bytes(4, "little") + text + content
        for page in self._pages:
            if kind in page.looks:
                page.put(kind, message)

    async def _show_gallery(self) -> None:
        self._list_now.clear()
        listed = await self._robot.call("list", {}, self._config.timeout_s)
        people = []
        if listed["success"]:
            columns = zip(listed["names"], listed["templates"], listed["enrolled"], listed["disabled"], strict=True)
            people = [dict(zip(("name", "templates", "enrolled_s", "disabled"), row, strict=True)) for row in columns]
        changes = await asyncio.to_thread(self._changes.newest)
        self._tell("gallery", {**{k: listed[k] for k in ("success", "message")}, "people": people, "changes": changes})
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._list_now.wait(), LIST_EVERY_S)

    async def _shut_down(self, app: web.Application) -> None:
        await asyncio.gather(*(page.close() for page in self._pages))
