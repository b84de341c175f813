"""The page with twelve people and no camera, in a browser and without ROS: at night, on a phone, with names that attack it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

pytest.importorskip("aiohttp", reason="aiohttp is needed by the console alone")

from aiohttp import web
from browser import PHONE, WIDE, Browser
from test_server import GalleryRobot
from test_view import identities, identity

from emgait_ros.config import ConsoleConfig
from emgait_ros.console.access import Access
from emgait_ros.console.changes import Changes
from emgait_ros.console.server import ConsoleServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAMES = (
    "Anna", "Maximiliane-Theodora von und zu Hohenlohe-Waldenburg-Schillingsfürst", "<img src=x onerror=document.title=1>",
    "李小龙", "محمد", "'); alert(1); ('", "</script><script>document.title=1</script>", "A" * 64,
)  # fmt: skip


def crowd():
    people = [identity(i, 2, name, x=9.0 + 5 * i) for i, name in enumerate(NAMES)]
    people += [identity(20 + i, i % 2, "", x=-6.0 + i, reason=NAMES[2] * 3) for i in range(4)]
    return identities(time.time(), *people)


@pytest.fixture
def address(tmp_path):
    """A console in a thread, without sensors."""
    robot, started, found = GalleryRobot(tmp_path / "gallery.db"), threading.Event(), []

    async def serve():
        ended = found_loop["ended"] = asyncio.Event()
        server = ConsoleServer(robot, Access("127.0.0.1"), Changes(tmp_path), ConsoleConfig())
        runner = web.AppRunner(server.app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        found_loop["loop"] = asyncio.get_running_loop()
        started.set()
        while not ended.is_set():
            robot.view.take_identities(crowd())
            await asyncio.sleep(0.2)
        await runner.cleanup()

    found_loop: dict = {}
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(60)
    yield found[0]
    found_loop["loop"].call_soon_threadsafe(found_loop["ended"].set)
    thread.join(30)


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_twelve_people_at_night(address, size, tmp_path):
    page = Browser()
    try:
        page.resize(size, dark=True)
        page.driver.get(address)
        deadline = time.monotonic() + 60
        while len(page.texts("#people > li")) < 12 or "camera" not in page.texts("#picture-note")[0]:
            assert time.monotonic() < deadline, page.texts("body")
            time.sleep(0.2)
        assert page.texts("#count") == ["12 people"]
        assert page.texts("#people .name > span:first-child")[: len(NAMES)] == list(NAMES)
        assert page.texts("#picture-note") == ["The tracker uses no camera."]
        assert page.run("return document.getElementById('stage').hidden")
        assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.run("return document.title") == "emgait console"
        assert page.run("return document.images.length + document.scripts.length") == 1
        page.driver.save_screenshot(str(tmp_path / "page.png"))
        assert page.errors() == []
    finally:
        page.close()


def test_the_gallery_is_changed_by_clicking(address):
    """Rename, merge, disable, delete and undo, each with its dialog, on a real gallery."""
    page, names = Browser(), "#gallery tbody .name"
    try:
        page.resize(WIDE)
        page.driver.get(address)

        def until(happened):
            deadline = time.monotonic() + 60
            while not happened():
                assert time.monotonic() < deadline, page.texts("body")
                time.sleep(0.2)

        def does(button, text="", choice=""):
            page.run("document.querySelector(arguments[0]).click()", button)
            until(lambda: page.run("return document.getElementById('ask').open"))
            if text:
                page.write("#ask-input", text)
            if choice:
                page.run("document.getElementById('ask-select').value = arguments[0]", choice)
            page.click("#ask-go")
            until(lambda: not page.run("return document.getElementById('ask').open"))

        until(page.has(names, "Ben"))
        does("[aria-label='Rename Ben']", text=NAMES[6])
        until(page.has(names, NAMES[6]))
        does("#undo")
        until(page.has(names, "Ben"))
        does("[aria-label='Merge Ben']", choice="Anna")
        until(lambda: "Ben" not in page.texts(names))
        page.run("document.querySelector(\"[aria-label='Disable Anna']\").click()")
        until(page.has("tr.disabled .name", "Anna"))
        does("[aria-label='Delete Anna']")
        until(lambda: page.texts(names) == ["<img src=x onerror=alert(1)>"])
        assert page.run("return document.title") == "emgait console"
        assert page.errors() == []
    finally:
        page.close()
