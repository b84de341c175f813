"""The web server without ROS: what it refuses, what it answers, and what it sends only while somebody looks."""

import asyncio
import json
import re
from importlib import resources

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="aiohttp is needed by the console alone")

from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from emgait_ros.config import ConsoleConfig
from emgait_ros.console.access import Access
from emgait_ros.console.change_requests import ACTIONS, LARGEST_REQUEST
from emgait_ros.console.changes import Changes
from emgait_ros.console.sensors import Sensors
from emgait_ros.console.server import FILES, MOST_PAGES, ConsoleServer
from emgait_ros.console.view import View
from emgait_ros.gallery.store import Gallery
from emgait_ros.samples import Modality

TestServer.__test__ = TestClient.__test__ = False


class GalleryRobot:
    """A robot without sensors and with a real gallery."""

    def __init__(self, place):
        self.view, self.sensors, self.namespace = View(), Sensors(lambda raw, kind: raw, 320), "robot1"
        self.gallery = Gallery(place)
        for number, name in enumerate(("Anna", "Ben", "<img src=x onerror=alert(1)>")):
            facts = {"samples": [30], "modalities": Modality.BOTH, "median_range_m": 9.0}
            self.gallery.enroll(name, np.full((1, 2, 4), number, np.float32), "f" * 64, **facts)
        self.watched, self.said, self.asked = [], [], []

    def watch(self, wanted):
        self.watched.append(set(wanted))

    def log(self, sentence):
        self.said.append(sentence)

    async def call(self, name, fields, timeout_s):
        self.asked.append(name)
        try:
            return {"success": True, "message": name, **getattr(self, f"_{name}")(**fields)}
        except ValueError as error:
            return {"success": False, "message": str(error), "needs_confirmation": False}

    def _list(self, templates_of=""):
        people = self.gallery.identities()
        columns = {"names": "name", "templates": "templates", "disabled": "disabled"}
        return {key: [getattr(p, field) for p in people] for key, field in columns.items()} | {
            "enrolled": [p.enrolled_ns * 1e-9 for p in people],
            "template_enrolled": [t.created_ns * 1e-9 for t in self._own(templates_of)],
            "template_range_m": [t.median_range_m for t in self._own(templates_of)],
            "template_samples": [t.samples for t in self._own(templates_of)],
        }

    def _own(self, name):
        return self.gallery.templates_of(name) if name else []

    def _rename(self, old_name, new_name, confirm):
        return {"merged": self.gallery.rename(old_name, new_name, confirm).merged}

    def _remove(self, name):
        return {"templates": self.gallery.remove(name)}

    def _disable(self, name, disabled):
        return {"message": str(self.gallery.set_disabled(name, disabled))}

    def _undo(self):
        return {"message": self.gallery.undo()}

    def _enroll(self, **fields):
        return {"quality": json.dumps(fields)}


@pytest.fixture
def robot(tmp_path):
    return GalleryRobot(tmp_path / "gallery.db")


def using(robot, tmp_path, visit, access=None):
    """Run ``visit(client)`` against a server; returns what it does."""

    async def run():
        server = ConsoleServer(robot, access or Access("127.0.0.1"), Changes(tmp_path), ConsoleConfig(people_hz=20.0))
        async with TestClient(TestServer(server.app)) as client:
            return await asyncio.wait_for(visit(client), 30)

    return asyncio.run(run())


def origin(client):
    return f"http://{client.host}:{client.port}"


def changing(client, action, body, **headers):
    given = {"Origin": origin(client), "Content-Type": "application/json", **headers}
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return client.post(f"/change/{action}", data=data, headers={k: v for k, v in given.items() if v is not None})


@pytest.mark.parametrize(
    ("action", "body", "headers", "status"),
    [
        ("remove", {"name": "Anna"}, {}, 200),
        # from pages of others, or from no page
        ("remove", {"name": "Anna"}, {"Origin": "http://evil.example"}, 403),
        ("remove", {"name": "Anna"}, {"Origin": "null"}, 403),
        ("remove", {"name": "Anna"}, {"Origin": None}, 403),
        ("remove", {"name": "Anna"}, {"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        # what a form of another page can send without asking
        ("remove", {"name": "Anna"}, {"Content-Type": "text/plain"}, 415),
        ("remove", "name=Anna", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        # what is no request
        ("remove", "{", {}, 400),
        ("remove", "[" * 3000, {}, 400),
        ("remove", b"\xff\xfe", {}, 400),
        ("remove", "{", {"Content-Type": "application/json; charset=none"}, 400),
        ("remove", ["Anna"], {}, 400),
        ("remove", {}, {}, 400),
        ("remove", {"name": "Anna", "all": True}, {}, 400),
        ("remove", {"name": 7}, {}, 400),
        ("remove", {"name": "An\0na"}, {}, 400),
        ("remove", '{"name": "\\ud800"}', {}, 400),
        ("remove", {"name": "A" * 600}, {}, 400),
        ("remove", {"name": "A" * LARGEST_REQUEST}, {}, 413),
        ("undo", {"sure": True}, {}, 400),
        ("disable", {"name": "Anna", "disabled": "yes"}, {}, 400),
        ("enroll", {"name": "A", "track_id": 2**32, "tracker_id": "", "seconds": 0, "confirm": False}, {}, 400),
        ("enroll", {"name": "A", "track_id": True, "tracker_id": "", "seconds": 0, "confirm": False}, {}, 400),
        ("enroll", {"name": "A", "track_id": 1, "tracker_id": "", "seconds": 61, "confirm": False}, {}, 400),
        ("enroll", '{"name": "A", "track_id": 1, "tracker_id": "", "seconds": NaN, "confirm": false}', {}, 400),
        ("list", {}, {}, 404),
        ("../session", {}, {}, 400),
    ],
)  # fmt: skip
def test_changes_are_asked_for_by_this_page_alone(robot, tmp_path, action, body, headers, status):
    async def visit(client):
        response = await changing(client, action, body, **headers)
        assert "Access-Control-Allow-Origin" not in response.headers
        return response.status, await response.text()

    got, said = using(robot, tmp_path, visit)
    assert got == status, said
    assert robot.asked == ([action] if status == 200 else [])
    assert ("Anna" in {person.name for person in robot.gallery.identities()}) is (status != 200)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/", {"Host": "evil.example"}, 403),
        ("GET", "/session", {"Host": "evil.example:8899"}, 403),
        ("GET", "/session", {"Origin": "http://evil.example"}, 403),
        ("OPTIONS", "/change/undo", {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}, 403),
        ("GET", "/change/undo", {}, 405),
        ("GET", "/static/console.js", {}, 404),
        ("GET", "/..%2f..%2fserver.py", {}, 404),
        ("GET", "/live", {}, 403),
        ("GET", "/templates?name=Anna", {"Host": "evil.example"}, 403),
        ("GET", "/templates?name=Anna", {"Origin": "http://evil.example"}, 403),
        ("GET", "/live", {"Origin": "http://evil.example", "Upgrade": "websocket", "Connection": "Upgrade"}, 403),
    ],
)
def test_what_else_is_refused_and_every_answer_is_guarded(robot, tmp_path, method, path, headers, status):
    async def visit(client):
        response = await client.request(method, path, headers=headers)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert not {name for name in response.headers if name.startswith("Access-Control")}
        return response.status

    assert using(robot, tmp_path, visit) == status


def test_without_the_token_only_the_empty_page_is_seen(robot, tmp_path):
    async def visit(client):
        for path in FILES:
            assert (await client.get(path)).status == 200
        assert (await changing(client, "undo", {})).status == 401
        assert (await client.get("/live", headers={"Origin": origin(client)})).status == 401
        assert (await client.get("/templates?name=Anna")).status == 401
        assert await (await client.get("/session")).json() == {"open": False}
        send = {"Origin": origin(client), "Content-Type": "application/json"}
        wrong = await client.post("/session", data='{"token": "no"}', headers=send)
        assert await wrong.json() == {"open": False}
        right = await client.post("/session", data=json.dumps({"token": "t" * 43}), headers=send)
        assert await right.json() == {"open": True}
        cookie = right.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "t" * 43 not in cookie
        value = cookie.split(";")[0]
        async with client.ws_connect("/live", headers={"Origin": origin(client), "Cookie": value}) as socket:
            assert not socket.closed
        return (await changing(client, "remove", {"name": "Ben"}, Cookie=value)).status

    assert using(robot, tmp_path, visit, Access("127.0.0.1", token="t" * 43)) == 200


def test_every_change_is_written_down_with_who_asked(robot, tmp_path):
    requests = [
        ("rename", {"old_name": "Anna", "new_name": "Ben", "confirm": False}, False, "merge the two"),
        ("rename", {"old_name": "Anna", "new_name": " Anne ", "confirm": False}, True, "rename"),
        ("rename", {"old_name": "Anne", "new_name": "Anne", "confirm": False}, False, "already"),
        ("rename", {"old_name": "Anne", "new_name": " ", "confirm": False}, False, "empty"),
        ("merge", {"old_name": "Anne", "new_name": "Nobody"}, False, "nobody is called 'Nobody'"),
        ("merge", {"old_name": "Anne", "new_name": "Ben"}, True, "rename"),
        ("undo", {}, True, "merge"),
        ("disable", {"name": "Ben", "disabled": True}, True, "True"),
        ("remove", {"name": "Nobody"}, False, "Nobody"),
        (
            "enroll",
            {"name": "Cleo", "track_id": 3, "tracker_id": "front", "seconds": 10, "confirm": False},
            True,
            "enroll",
        ),
    ]
    assert {action for action, *_ in requests} == set(ACTIONS)

    async def visit(client):
        return [await (await changing(client, action, body)).json() for action, body, *_ in requests]

    answers = using(robot, tmp_path, visit)
    for answer, (action, _, success, words) in zip(answers, requests, strict=True):
        assert answer["success"] is success, (action, answer)
        assert words in answer["message"], (action, answer)
    written = Changes(tmp_path).newest()[::-1]
    assert [(e["action"], e["success"], e["from"], e["by"]) for e in written] == [
        (action, success, "127.0.0.1", "console") for action, _, success, _ in requests
    ]
    assert len(robot.said) == len(requests)
    assert all(sentence.startswith("console (127.0.0.1), ") for sentence in robot.said)
    assert json.loads(answers[-1]["quality"])["seconds"] == 10.0


def test_templates_of_a_person_by_date_and_range(robot, tmp_path):
    facts = {"samples": [17], "modalities": Modality.BOTH, "median_range_m": 21.5}
    robot.gallery.enroll("Anna", np.ones((1, 2, 4), np.float32), "f" * 64, created_ns=1_700_000_000 * 10**9, **facts)

    async def visit(client):
        answers = [
            await client.get(f"/templates{query}") for query in ("?name=Anna", "?name=Nobody", "", "?name=An%00na")
        ]
        return [(a.status, await a.json() if a.status == 200 else {}) for a in answers]

    (_, anna), (_, nobody), *refused = using(robot, tmp_path, visit)
    assert [(t["range_m"], t["samples"]) for t in anna["templates"]] == [(9.0, 30), (21.5, 17)]
    assert anna["templates"][1]["enrolled"] == 1_700_000_000
    assert (nobody["success"], "Nobody" in nobody["message"]) == (False, True)
    assert [status for status, _ in refused] == [400, 400]
    assert Changes(tmp_path).newest() == [], "looking is no change"


def test_what_cannot_be_written_down_is_not_changed(robot, tmp_path):
    async def visit(client):
        (tmp_path / "console-changes.jsonl").unlink()
        (tmp_path / "console-changes.jsonl").mkdir()
        response = await changing(client, "remove", {"name": "Anna"})
        return response.status, await response.text()

    status, said = using(robot, tmp_path, visit)
    assert status == 500
    assert "nothing was changed" in said
    assert robot.asked == []


def test_a_change_whose_outcome_cannot_be_written_down_is_answered(robot, tmp_path):
    def _remove(name):
        (tmp_path / "console-changes.jsonl").unlink()
        (tmp_path / "console-changes.jsonl").mkdir()
        return {"templates": robot.gallery.remove(name)}

    robot._remove = _remove

    async def visit(client):
        return await (await changing(client, "remove", {"name": "Anna"})).json()

    assert using(robot, tmp_path, visit)["success"]
    assert any("could not be written down" in sentence for sentence in robot.said)


def test_it_listens_only_while_somebody_looks(robot, tmp_path):
    async def visit(client):
        async with client.ws_connect("/live", headers={"Origin": origin(client)}) as one:
            told = {}
            await one.send_str(json.dumps({"look": ["people", "cloud", "secrets"]}))
            while set(told) < {"people", "gallery", "health", "no-cloud"}:
                message = json.loads((await one.receive()).data)
                told[message["kind"]] = message
            async with client.ws_connect("/live", headers={"Origin": origin(client)}) as two:
                await two.send_str('{"look": ["picture"]}')
                while "picture" not in robot.watched[-1]:
                    await asyncio.sleep(0.01)
                assert robot.watched[-1] == {"people", "cloud", "picture"}
            while "picture" in robot.watched[-1]:
                await asyncio.sleep(0.01)
        while robot.watched[-1]:
            await asyncio.sleep(0.01)
        return told

    told = using(robot, tmp_path, visit)
    assert told["people"]["heads"] == []
    assert {entry["level"] for entry in told["health"]["entries"]} == {"stale"}
    assert [person["name"] for person in told["gallery"]["people"]] == ["<img src=x onerror=alert(1)>", "Anna", "Ben"]
    assert robot.watched[-1] == set()


@pytest.mark.parametrize("sent", ["{", "[]", '{"look": 7}', "[" * 3000, "x" * (LARGEST_REQUEST + 1), b"\0\1"])
def test_a_page_that_sends_something_else_is_let_go(robot, tmp_path, sent):
    async def visit(client):
        async with client.ws_connect("/live", headers={"Origin": origin(client)}) as socket:
            await (socket.send_bytes(sent) if isinstance(sent, bytes) else socket.send_str(sent))
            while (message := await socket.receive()).type == WSMsgType.TEXT:
                pass
            return message.type

    assert using(robot, tmp_path, visit) in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)


def test_pages_are_told_when_it_ends(robot, tmp_path):
    async def visit(client):
        socket = await client.ws_connect("/live", headers={"Origin": origin(client)})
        ending = asyncio.create_task(client.server.close())
        while (await socket.receive()).type == WSMsgType.TEXT:
            pass
        await ending
        return socket.close_code

    assert using(robot, tmp_path, visit) in (1001, 1000)  # going away; aiohttp 3.9 says it is over


def test_no_more_pages_than_it_can_serve(robot, tmp_path):
    async def visit(client):
        open_ = [await client.ws_connect("/live", headers={"Origin": origin(client)}) for _ in range(MOST_PAGES)]
        refused = await client.get("/live", headers={"Origin": origin(client)})
        for socket in open_:
            await socket.close()
        return refused.status

    assert using(robot, tmp_path, visit) == 503


def test_the_page_needs_nothing_from_elsewhere_and_sets_names_as_text():
    static = resources.files("emgait_ros.console").joinpath("static")
    assert {name for name, _ in FILES.values()} == {entry.name for entry in static.iterdir()}
    for entry in static.iterdir():
        text = entry.read_text(encoding="utf-8")
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, entry.name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick=", "style="):
            assert word not in text, (entry.name, word)
