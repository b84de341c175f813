"""The page in a real browser, on live nodes that watch the demo's street: enrolled by a click, renamed, deleted, undone."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("aiohttp", reason="aiohttp is needed by the console alone")

from browser import PHONE, WIDE, Browser

from emgait_ros.cli.demo_processes import emgait, isolate, running, topics_to_play
from emgait_ros.console.changes import Changes
from emgait_ros.lab.simulation.recording import record
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(900)]

STRANGE = "<img src=x onerror=document.title='broken'>"
START_S, ACT_S = 300.0, 150.0  # a busy machine takes its time


@dataclass
class Console:
    browser: Browser
    address: str
    data: Path
    log: Callable[[], str]

    def wait(self, happened: Callable[[], Any], timeout_s: float = ACT_S) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (found := happened()):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)
        return found

    def gallery(self) -> list[str]:
        return self.browser.texts("#gallery tbody .name")


def street() -> Scene:
    """Two of the demo's people come along the street, one goes: in view for most of 16 s."""
    ways = [((30.0, 1.5), (12.0, 1.0)), ((28.0, -2.5), (10.0, -2.0)), ((11.0, 3.5), (29.0, 4.0))]
    walks = tuple(WalkPlan(number + 1, 0, way, 0.0, "") for number, way in enumerate(ways))
    camera = {"width": 640, "height": 360, "focal_px": 500.0, "camera_rate_hz": 10.0}
    return Scene("console", walks, duration_s=13.0, seed=7, head=replace(SensorHead(), beams=32, **camera))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    window = Browser()
    yield window
    window.close()


@pytest.fixture(scope="module")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("console")
    isolate(os.environ)
    recording = record(street(), folder / "walk", jpeg=True)
    up = emgait("up", "--params", recording.params, "--gallery", folder / "gallery.db", "--use-sim-time")
    play = emgait("play", recording.path, "--topics", *topics_to_play(recording.path), "--clock", "--loop")
    play += ["--wait", str(START_S), "--follow", "/gait_recognizer/identities", "--rate", "0.15"]
    serve = emgait("console", "--port", "0", "--data", folder / "data")
    logs = [folder / name for name in ("up.log", "play.log", "console.log")]

    def log() -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in logs if path.exists())

    with running(up, logs[0]), running(serve, logs[2]):
        made = Console(browser, "", folder / "data", log)
        found = made.wait(lambda: re.search(r"console: (http://127.0.0.1:\d+)", logs[2].read_text()), START_S)
        made.address = found[1]
        with running(play, logs[1]):
            browser.resize(WIDE)
            browser.driver.get(made.address)
            made.wait(browser.has("#people > li"), START_S)
            yield made


DRAWN = """
const from = document.getElementById('map'), into = new OffscreenCanvas(from.width, from.height);
const context = into.getContext('2d', {willReadFrequently: true});
context.drawImage(from, 0, 0);
const data = context.getImageData(0, 0, into.width, into.height).data;
return data.filter((value, i) => i % 4 === 3 && value > 0).length / (data.length / 4);
"""  # part of the map that is not empty


def test_it_loads_and_people_appear(console):
    page = console.browser
    console.wait(page.has("#boxes > div", " m"))
    console.wait(page.has("#summary", "warning"))
    console.wait(lambda: page.texts("#link") == ["connected"])
    assert page.run("return document.getElementById('picture').width") == 640
    assert console.wait(lambda: page.run(DRAWN) > 0.05), "the cloud is drawn"
    console.wait(page.has("#troubles", "The gallery is empty"))
    assert page.errors() == []


def test_a_person_is_enrolled_by_clicking_on_them(console):
    """On the box in the picture; who has not shown enough yet is asked for again, as a user would."""
    page = console.browser
    console.wait(
        lambda: page.run(
            "document.querySelector('#boxes > div')?.click(); return document.getElementById('enroll').open"
        )
    )
    page.write("#enroll-name", "Anna")
    said = console.wait(lambda: _sent(page))
    assert re.search(r"\d+ samples at \d+-\d+ m", said), "what it rests on is said"
    console.wait(page.has("#gallery tbody .name", "Anna"))
    page.run("document.getElementById('changes-panel').open = true")
    console.wait(page.has("#changes", "enroll"))
    entry = Changes(console.data).newest()[0]
    assert (entry["by"], entry["action"], entry["success"], entry["what"]["name"]) == (
        "console",
        "enroll",
        True,
        "Anna",
    )
    assert page.errors() == []


def _sent(page: Browser) -> str:
    """What was said when the enrolment went through; else the dialog is sent, or opened again for somebody in view."""
    if not page.run("return document.getElementById('enroll').open"):
        if "Anna" in (said := " ".join(page.texts("#toast"))):
            return said
        page.run("document.querySelector('#people button')?.click()")
        page.run("document.getElementById('enroll-name').value = 'Anna'")
    elif "Left the view" in " ".join(page.texts("#enroll-state")):
        page.click("#enroll .cancel")
    elif not page.run("return document.getElementById('enroll-go').disabled"):
        page.run("document.getElementById('enroll-go').click()")
    time.sleep(1.0)
    return ""


def test_an_enrolment_over_time_shows_its_progress(console):
    page = console.browser
    console.wait(
        lambda: page.run(
            "document.querySelector('#people button')?.click(); return document.getElementById('enroll').open"
        )
    )
    page.write("#enroll-name", "Boris")
    page.click("input[name=seconds][value='10']")
    page.click("#enroll-go")
    console.wait(page.has("#enrollments > li", "Enrolling Boris"))
    assert page.run("return document.querySelector('#enrollments progress') !== null")
    console.wait(page.has("#enrollments > li", "Enrolling Boris: over"))
    assert page.errors() == []


def test_templates_are_listed_by_date_and_range(console):
    page = console.browser
    page.run("document.querySelector(\"button[aria-label='Templates of Anna']\").click()")
    console.wait(lambda: page.run("return document.getElementById('templates').open"))
    rows = page.texts("#templates-list tbody tr")
    assert [str(len(rows))] == page.texts("button[aria-label='Templates of Anna']")
    assert all(re.search(r"\d{4}.* \d+ m \d+$", " ".join(row.split())) for row in rows), rows
    page.click("#templates button")
    assert page.errors() == []


def test_renamed_disabled_deleted_and_undone(console):
    page = console.browser

    def ask(button: str, text: str = "") -> None:
        page.run("document.querySelector(arguments[0]).click()", button)
        if text:
            page.write("#ask-input", text)
        page.run("document.getElementById('ask-go').click()")
        console.wait(lambda: not page.run("return document.getElementById('ask').open"))

    ask("button[aria-label='Rename Anna']", STRANGE)
    console.wait(lambda: STRANGE in console.gallery())
    assert page.run("return document.title") == "emgait console", "a name is text, whatever it holds"
    assert page.run("return document.images.length") == 0
    ask("#undo")
    console.wait(lambda: "Anna" in console.gallery())
    page.run("document.querySelector(\"button[aria-label='Disable Anna']\").click()")
    console.wait(page.has("tr.disabled .tag", "not named"))
    page.run("document.querySelector(\"button[aria-label='Enable Anna']\").click()")
    console.wait(lambda: not page.texts("tr.disabled"))
    ask("button[aria-label='Delete Anna']")
    console.wait(lambda: "Anna" not in console.gallery())
    page.run("document.getElementById('undo').click(); document.getElementById('ask-go').click()")
    console.wait(lambda: Changes(console.data).newest(1)[0]["action"] == "undo")
    assert "Anna" not in console.gallery(), "a deletion is final"
    page.run("document.getElementById('ask').close()")
    assert [e["action"] for e in Changes(console.data).newest(6)] == [
        "undo",
        "remove",
        "disable",
        "disable",
        "undo",
        "rename",
    ]
    assert page.errors() == []


RATIO = """
const rgb = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = (c) => rgb(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
return [...document.querySelectorAll('h1, h2, p, li span, button:enabled, a, td, th, summary, label, legend')]
  .filter(e => e.offsetParent && e.innerText.trim() && !e.closest('#boxes')).map(e => {
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 80)]; })
  .filter(([ratio]) => ratio < 4.5);
"""
NAMELESS = """
const named = (e) => e.innerText?.trim() || e.ariaLabel || e.labels?.length || e.getAttribute('aria-labelledby');
return [...document.querySelectorAll('button, input:not([hidden]), select, [role=img], dialog, section, nav')]
  .filter(e => !named(e)).map(e => e.outerHTML.slice(0, 120));
"""


@pytest.mark.parametrize("size", [WIDE, PHONE, (768, 1024)])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_legible_in_every_size_and_color(console, size, dark):
    page = console.browser
    page.resize(size, dark)
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    console.wait(page.has("#people > li"))
    assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0, "nothing to scroll sideways"
    assert page.run(RATIO) == []
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) < 60) is dark
    assert page.run(NAMELESS) == []
    assert page.errors() == []


def test_with_the_keyboard_alone(console):
    """Tab reaches the skip link, the navigation and a person's button; Enter opens the dialog, Escape closes it, focus returns."""
    page = console.browser
    page.resize(WIDE)
    page.driver.get(console.address)
    console.wait(page.has("#people > li"))
    keys = page.driver.switch_to.active_element
    seen = []
    for _ in range(12):
        keys.send_keys("\ue004")
        keys = page.driver.switch_to.active_element
        seen.append(page.run("const e = document.activeElement; return e.ariaLabel || e.innerText || e.id"))
        if seen[-1].startswith("Enrol"):
            break
    assert seen[:4] == ["Skip to the people in view", "Live", "Gallery", "Health"]
    assert seen[-1].startswith("Enrol"), seen
    keys.send_keys("\ue007")
    console.wait(lambda: page.run("return document.activeElement.id") == "enroll-name")
    page.driver.switch_to.active_element.send_keys("\ue00c")
    console.wait(lambda: not page.run("return document.getElementById('enroll').open"))


def test_only_who_has_the_token_gets_in(console, tmp_path):
    words = emgait("console", "--port", "0", "--data", tmp_path, "--token")
    with running(words, tmp_path / "log"):
        said = console.wait(lambda: re.search(r"token: (\S+) .*\nconsole: (\S+)", (tmp_path / "log").read_text()))
        page = console.browser
        page.driver.get(said[2])
        console.wait(lambda: page.run("return document.getElementById('login').open"))
        page.write("#token", "wrong")
        page.click("#login [type=submit]")
        console.wait(page.has("#login-answer", "not the token"))
        page.write("#token", said[1])
        page.click("#login [type=submit]")
        console.wait(page.has("#link", "connected"))
        assert page.errors() == []


def test_it_ends_when_asked_to(tmp_path, repository):
    process = subprocess.Popen(
        emgait("console", "--port", "0", "--data", tmp_path), cwd=repository, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("console: http://127.0.0.1:")
    process.terminate()
    assert process.wait(60) == 0
