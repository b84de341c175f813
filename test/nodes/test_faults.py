"""Faults put into the running system, both nodes over real DDS: it recovers, and nothing that was answered is lost.

`EMGAIT_FAULTS=out/faults.json python -m pytest test/nodes/test_faults.py` writes how long each took (docs/operating.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest
from geometry_msgs.msg import Transform, TransformStamped
from live_graph import (
    T_CAMERA_LIDAR,
    NodeProcess,
    camera_info,
    cloud,
    header,
    image,
    pedestrian,
    pedestrians,
    street,
)
from postgres_server import network, running_server
from tf2_msgs.msg import TFMessage

from emgait_msgs.msg import Enrollment, IdentityArray
from emgait_msgs.srv import EnrollIdentity, ListIdentities, RemoveIdentity
from emgait_ros.gallery import last_known
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery

pytestmark = pytest.mark.ros

S = 10**9
TRACKER, RECOGNIZER = "pedestrian_tracker", "gait_recognizer"
MAY_TAKE_S = 120.0  # a node that starts on a busy machine; how long it took is written down, not judged
FIGURES: dict[str, float] = {}
WALK = [pedestrian(1, seed=number) for number in range(10)]


class System:
    """Nodes of one namespace, their sensors, and somebody called Anna whom a tracker of the test's own shows the recognizer."""

    def __init__(self, graph, namespace, **parameters) -> None:
        self.graph, self.namespace, self.parameters = graph, namespace, parameters
        self.nodes: dict[str, NodeProcess] = {}
        # In this order: a node that answers knows of the subscription before.
        self.news = graph.collect(Enrollment, f"/{namespace}/{RECOGNIZER}/enrollments")
        self.answers = graph.collect(IdentityArray, f"/{namespace}/{RECOGNIZER}/identities")
        self.lidar = self.camera = self.odometry = True
        self.shift_ns = self.frame = 0
        self.answered: set[str] = set()
        self.points = [street(8.0 + 0.1 * step) for step in range(10)]
        self.picture = image(1)
        for name in parameters:
            self.start(name)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def start(self, name: str) -> None:
        self.nodes[name] = NodeProcess(name, namespace=self.namespace, **self.parameters[name])

    def run(self) -> None:
        self._thread.start()
        assert self.recovers(), self.output
        if not self.answered:
            assert self.enroll("Anna").success

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        assert [node.stop() for node in self.nodes.values()] == [0] * len(self.nodes), self.output

    @property
    def output(self) -> str:
        return "\n".join(node.output for node in self.nodes.values())

    def _send(self, topic, message) -> None:
        self.graph.publish(f"/{self.namespace}/{topic}", message, "reliable")

    def _play(self) -> None:
        topics = {"lidar/points": TRACKER, "camera/image": TRACKER, f"{TRACKER}/pedestrians": RECOGNIZER}
        for topic, node in topics.items():
            assert node not in self.nodes or self.graph.wait(
                lambda t=topic: self.graph.node.count_subscribers(f"/{self.namespace}/{t}"), 60.0
            ), self.output
        while not self._end.wait(0.1):
            stamp = time.time_ns() + self.shift_ns
            if TRACKER in self.nodes:
                if self.odometry:
                    moved = TransformStamped(
                        header=header(stamp, "odom"), child_frame_id="lidar", transform=Transform()
                    )
                    self.graph.publish("/tf", TFMessage(transforms=[moved]))
                if self.camera:
                    self.picture.header = header(stamp, "camera_optical")
                    self._send("camera/camera_info", camera_info(stamp))
                    self._send("camera/image", self.picture)
                if self.lidar:
                    self._send("lidar/points", cloud(self.points[self.frame % 10], stamp))
            self._send(f"{TRACKER}/pedestrians", pedestrians(stamp, WALK[self.frame % len(WALK)]))
            self.frame += 1

    def _shows(self, since: int) -> bool:
        """A frame that came after the fault is answered for each tracker, Anna by her name once she is enrolled."""
        found = self.answers[since:]
        own = any(
            i.tracker_id == "test" and (i.name == "Anna" or not self.answered) for m in found for i in m.identities
        )
        alive = all(node.process.poll() is None for node in self.nodes.values())
        return own and alive and (TRACKER not in self.nodes or any(self._of_the_tracker(m) for m in found))

    @staticmethod
    def _of_the_tracker(message: IdentityArray) -> bool:
        return not any(i.tracker_id == "test" for i in message.identities)

    def recovers(self, timeout_s: float = MAY_TAKE_S) -> bool:
        since = len(self.answers)
        return bool(self.graph.wait(lambda: self._shows(since), timeout_s))

    def call(self, kind, service, **fields):
        return self.graph.call(kind, f"/{self.namespace}/{RECOGNIZER}/{service}", kind.Request(**fields))

    def enroll(self, name, **more):
        """Ask until the window is long enough; the answer."""

        def asked():
            found = self.call(EnrollIdentity, "enroll", name=name, track_id=1, tracker_id="test", confirm=True, **more)
            return found if found.success or "samples" not in found.message else None

        answer = self.graph.wait(asked, MAY_TAKE_S)
        assert answer, self.output
        if answer.success:
            self.answered.add(name)
        return answer

    def listed(self) -> set[str]:
        return set(self.call(ListIdentities, "list").names)

    def forget(self, *names) -> None:
        """They walk as Anna does, and would be taken for her: seen to be there, and removed."""
        assert self.listed() >= self.answered, self.output
        for name in names:
            assert name not in self.answered or self.call(RemoveIdentity, "remove", name=name).success
        self.answered -= set(names)

    def say(self, node: str, status: str, words: str) -> bool:
        """Whether /diagnostics comes to say it."""
        return bool(self.graph.wait(lambda: self.graph.says(f"{self.namespace}/{node}: {status}", words)))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home of the robot's own; compiled kernels stay where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield patch
    if os.environ.get("EMGAIT_FAULTS"):
        Path(os.environ["EMGAIT_FAULTS"]).write_text(json.dumps(FIGURES, indent=1), encoding="utf-8")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A small file system of the test's own; a folder where none can be mounted."""
    folder = tmp_path_factory.mktemp("disk")
    words = ["mount", "-t", "tmpfs", "-o", "size=6M", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and not subprocess.run(words, check=False, capture_output=True).returncode
    yield folder, mounted
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def system(graph, bundle_folder, disk, home, tmp_path_factory):
    bundle = tmp_path_factory.mktemp("bundle") / "bundle"
    shutil.copytree(bundle_folder, bundle)
    made = System(
        graph,
        "faults",
        pedestrian_tracker={"camera__T_camera_lidar": T_CAMERA_LIDAR, "frames__fixed": "odom"},
        gait_recognizer={"engine__bundle": str(bundle), "gallery__path": str(disk[0] / "gallery.db")},
    )
    made.run()
    yield made
    made.close()


def kill(name):
    """As if it crashed; whoever started it starts it again."""

    def fault(system):
        system.nodes[name].process.kill()
        system.nodes[name].wait()
        system.start(name)

    return fault


def stop_for_a_while(name):
    def fault(system):
        process = system.nodes[name].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(10.0)
        process.send_signal(signal.SIGCONT)

    return fault


def without(part, node, status, words):
    def fault(system):
        setattr(system, part, False)
        said = system.say(node, status, words)
        setattr(system, part, True)
        assert said, system.graph.diagnostics.get(f"{system.namespace}/{node}: {status}")

    return fault


def shifted(*seconds):
    """Stamps jump by so much, one after the other, and back."""

    def fault(system):
        for jump in seconds:
            system.shift_ns = int(jump * S) if jump else 5 * S - time.time_ns()  # 0: five seconds after 1970 began
            time.sleep(1.5)
        system.shift_ns = 0

    return fault


def little_memory(name):
    """The node may not have more than it has now: it goes on with what it has, or ends and is started again."""

    def fault(system):
        process = system.nodes[name].process
        used = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(process.pid, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
        time.sleep(3.0)
        if process.poll() is None:
            resource.prlimit(process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        since = len(system.answers)
        system.graph.wait(lambda: process.poll() is not None or system._shows(since), MAY_TAKE_S)
        if process.poll() is not None:  # maybe a while later
            system.start(name)

    return fault


def clock_steps_while_enrolling(system):
    """The enrolment ends, and what was told of it is in the gallery."""
    for shift_ns in (3600 * S, 0, -3600 * S, 0):
        begun = len(system.news)
        assert system.graph.wait(lambda: system.enroll("Dora", seconds=4.0).success), system.output
        time.sleep(1.5)
        system.shift_ns = shift_ns
        done = system.graph.wait(
            lambda b=begun: next((n for n in system.news[b:] if n.state == Enrollment.STATE_DONE), None)
        )
        assert done, [n.message for n in system.news[begun:]]
        assert bool(done.templates) == ("Dora" in system.listed())
        system.answered &= system.listed() | {"Anna"}
        system.forget("Dora")


def full_disk(system):
    folder = Path(system.parameters[RECOGNIZER]["gallery__path"]).parent
    with (folder / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    answer = system.enroll("Eve")
    with Gallery(folder / "gallery.db") as other, pytest.raises(GalleryError, match="full"):
        other.back_up(folder / "copy.db")
    (folder / "filler").unlink()
    assert not answer.success
    assert "disk is full" in answer.message
    assert system.enroll("Frida").success
    system.forget("Frida")


def read_only_backup(system):
    folder = Path(system.parameters[RECOGNIZER]["gallery__path"]).parent
    with Gallery(folder / "gallery.db") as other, pytest.raises(GalleryError, match=r"/proc/emgait/copy.db"):
        other.back_up(Path("/proc/emgait/copy.db"))


def two_recognizers(system):
    """Both write into one file; each knows what the other enrolled."""
    two = System(system.graph, "faults2", gait_recognizer=system.parameters[RECOGNIZER])
    two.answered = {"Anna"}
    two.run()
    answers = []
    sides = [
        threading.Thread(target=lambda s=side, n=name: answers.append((n, s.enroll(n).success)))
        for side, name in ((system, "Gina"), (two, "Hugo"))
    ]
    [side.start() for side in sides]
    [side.join() for side in sides]
    system.answered |= {name for name, success in answers if success}
    assert two.listed() == system.listed() >= system.answered
    assert len(answers) == 2
    system.forget("Gina", "Hugo")
    two.close()


def bundle_replaced(system):
    """By something broken: what runs goes on, what starts says what is wrong, and starts once it is whole again."""
    folder = Path(system.parameters[RECOGNIZER]["engine__bundle"])
    whole = folder.rename(folder.with_name("whole"))
    shutil.copytree(whole, folder)
    for file in folder.rglob("*.onnx"):
        file.write_bytes(b"broken")
    assert system.recovers()
    system.nodes[RECOGNIZER].process.kill()
    system.nodes[RECOGNIZER].wait()
    system.start(RECOGNIZER)
    assert system.nodes[RECOGNIZER].wait() == 1
    assert str(folder) in system.nodes[RECOGNIZER].output
    shutil.rmtree(folder)
    whole.rename(folder)
    system.start(RECOGNIZER)


FAULTS = {
    "kill -9 of the tracker": kill(TRACKER),
    "kill -9 of the recognizer": kill(RECOGNIZER),
    "the tracker is stopped for 10 s": stop_for_a_while(TRACKER),
    "the recognizer is stopped for 10 s": stop_for_a_while(RECOGNIZER),
    "LiDAR silent": without("lidar", TRACKER, "cloud", "has stopped sending"),
    "camera silent": without("camera", TRACKER, "pairing", "LiDAR only"),
    "TF stops": without("odometry", TRACKER, "bad input", "frames.fixed"),
    "both sensors 1.5 s late": shifted(-1.5),
    "stamps jump by an hour and back": shifted(3600, -3600),
    "stamps of 1970": shifted(0),
    "clock steps by an hour while somebody is enrolled": clock_steps_while_enrolling,
    "disk full while somebody is enrolled, and during a backup": full_disk,
    "a backup that cannot be written": read_only_backup,
    "two recognizers on one gallery file": two_recognizers,
    "bundle replaced by a broken one": bundle_replaced,
    "no more memory for the tracker": little_memory(TRACKER),
    "no more memory for the recognizer": little_memory(RECOGNIZER),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_recovers_and_nothing_answered_is_lost(system, disk, name):
    if "disk" in name and not disk[1]:
        pytest.skip("mounting a file system takes root, and is not allowed here")
    assert system.recovers(), system.output
    FAULTS[name](system)
    began = time.monotonic()
    assert system.recovers(), system.output
    FIGURES[name] = round(time.monotonic() - began, 1)
    assert system.listed() >= system.answered


@pytest.fixture(scope="module")
def shared(graph, bundle_folder, home):
    """A recognizer whose gallery is in PostgreSQL, and the server, in a network of its own where that can be made."""
    for net in network():
        for server in running_server(net.host, net.prefix) if net else running_server():
            made = System(
                graph, "shared", gait_recognizer={"engine__bundle": str(bundle_folder), "gallery__path": server.url()}
            )
            made.server, made.network = server, net
            made.run()
            yield made
            made.close()


def restarted(system):
    system.server.stop()
    answer = system.enroll("Ida")
    assert not answer.success
    assert "nothing was changed" in answer.message
    assert system.recovers(), "who is known is named all the while"
    system.server.start()


def hangs(system):
    """It takes connections and says nothing, as a machine without memory does: recognition goes on while somebody enrols."""
    processes = system.server.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        call = threading.Thread(target=system.enroll, args=("Ida",))
        call.start()
        since = len(system.answers)
        system.graph.wait(lambda: system._shows(since) or not call.is_alive())
        goes_on = system._shows(since)
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    call.join()
    assert goes_on, system.output
    system.forget("Ida")


def cut_off(system):
    """No packet comes or goes: recognition goes on, it is said, and changes work again soon after."""
    if system.network is None:
        pytest.skip("a network namespace takes root and iproute2, and is not allowed here")
    system.network.cut()
    try:
        call = threading.Thread(target=system.enroll, args=("Ida",))
        call.start()
        goes_on = system.recovers()
        said = system.say(RECOGNIZER, "gallery", "is lost")
        call.join()
        assert system.answered == {"Anna"}
    finally:
        system.network.join()
    began = time.monotonic()
    assert goes_on, system.output
    assert said, system.graph.diagnostics
    assert system.graph.wait(lambda: system.enroll("Ida").success, MAY_TAKE_S), system.output
    FIGURES["changes work again after packets to PostgreSQL were dropped"] = round(time.monotonic() - began, 1)
    assert system.graph.wait(lambda: system.listed() >= system.answered), system.output  # refused after slow calls
    system.forget("Ida")


def down_at_the_start(system):
    """It starts from its copy, says so, changes nothing, and takes the server when that is back."""
    copy = last_known.copy_of(system.parameters[RECOGNIZER]["gallery__path"])

    def copied():
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as opened,
        ):
            return opened.execute("SELECT name FROM identities").fetchall() == [("Anna",)]

    assert system.graph.wait(copied, MAY_TAKE_S), system.output
    system.server.stop()
    kill(RECOGNIZER)(system)
    began = time.monotonic()
    assert system.recovers(), system.output
    FIGURES["starts without PostgreSQL"] = round(time.monotonic() - began, 1)
    assert system.say(RECOGNIZER, "gallery", "this robot's copy of")
    assert system.listed() == {"Anna"}
    answer = system.enroll("Ida")
    assert not answer.success
    assert "nothing was changed" in answer.message
    system.server.start()
    assert system.say(RECOGNIZER, "gallery", "1 identities")
    assert system.enroll("Ida").success
    system.forget("Ida")


SHARED = {
    "PostgreSQL restarted": restarted,
    "PostgreSQL hangs while somebody is enrolled": hangs,
    "packets to PostgreSQL are dropped": cut_off,
    "PostgreSQL down when the robot starts": down_at_the_start,
}


@pytest.mark.parametrize("name", SHARED)
def test_a_robot_outlives_its_database(shared, name):
    SHARED[name](shared)
    began = time.monotonic()
    assert shared.recovers(), shared.output
    assert shared.listed() >= shared.answered
    FIGURES[name] = round(time.monotonic() - began, 1)
