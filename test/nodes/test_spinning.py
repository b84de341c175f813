"""How a node's process ends: at once, whatever it is busy with."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live_graph import PATIENCE_S, ROOT

pytest.importorskip("rclpy")

import rclpy
from rclpy.context import Context
from std_msgs.msg import String

from emgait_ros.nodes.spinning import LastingExecutor
from emgait_ros.stop_signals import STOP_WITHIN_S, StopSignals

pytestmark = pytest.mark.ros
ENDS_S = 15.0  # it takes 1.6 s at most; machines that run tests are busy


def stopped(words: list[str], sign: str, after_s: float, number: int, log: Path) -> tuple[int, float]:
    """Start a process, send it a signal some time after it has printed a sign; its exit status, and how long it took.

    Without a sign, some time after its own code has begun to run: before that, a signal is Python's business.
    """
    environment = dict(os.environ, PYTHONUNBUFFERED="1", NUMBA_CACHE_DIR=str(log.parent / "numba"))
    with log.open("w") as output:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60.0
    began = (lambda: sign in log.read_text()) if sign else (lambda: catches(process.pid, signal.SIGTERM))
    while process.poll() is None and not began() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(after_s)
    begun = time.monotonic()
    process.send_signal(number)
    try:
        return process.wait(60.0), time.monotonic() - begun
    finally:
        process.kill()


def catches(process: int, number: int) -> bool:
    """Whether a running process has a handler of its own for a signal."""
    found = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(found) and bool(int(found[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("sign", "after_s"),
    [("", 1.0), ("configuring", 0.5), ("configuring", 3.0)],
    ids=["importing", "compiling", "compiling later"],
)
def test_the_tracker_ends_while_kernels_are_compiled(tmp_path, sign, after_s, number):
    words = [sys.executable, "-m", "emgait_ros.nodes.entry", "pedestrian_tracker"]
    status, took_s = stopped(words, sign, after_s, number, tmp_path / "log")
    said = (tmp_path / "log").read_text()
    assert status == 0, said
    assert took_s < ENDS_S
    assert "Traceback" not in said
    assert "kernels were compiled" not in said, "the test came too late to show anything"


@pytest.mark.parametrize(("sign", "after_s"), [("", 1.0), ("", 3.0)], ids=["importing", "loading"])
def test_the_recognizer_ends_while_it_loads(tmp_path, sign, after_s):
    gallery = ["-p", f"gallery.path:={tmp_path / 'gallery.db'}"]
    words = [sys.executable, "-m", "emgait_ros.nodes.entry", "gait_recognizer", "--ros-args", *gallery]
    status, took_s = stopped(words, sign, after_s, signal.SIGINT, tmp_path / "log")
    assert status == 0, (tmp_path / "log").read_text()
    assert took_s < ENDS_S


def test_emgait_up_ends_with_both(tmp_path):
    words = [sys.executable, "-m", "emgait_ros", "up", "--gallery", str(tmp_path / "gallery.db")]
    status, took_s = stopped(words, "configuring", 1.0, signal.SIGINT, tmp_path / "log")
    said = (tmp_path / "log").read_text()
    assert status == 0, said
    assert took_s < ENDS_S
    assert "Traceback" not in said
    assert "killed" not in said


def test_a_main_thread_that_hangs_is_not_waited_for(tmp_path):
    """As an engine that is built: a call that does not come back, in which no handler of Python runs."""
    hangs = (
        "import ctypes\nfrom rclpy.node import Node\nfrom emgait_ros.nodes.spinning import end_process, run_node\n"
        "class Builds(Node):\n"
        "    def __init__(self):\n"
        "        super().__init__('builds')\n"
        "        print('begun', flush=True)\n"
        "        ctypes.CDLL(None).poll(None, 0, 60000)\n"
        "        while True: ctypes.CDLL(None).poll(None, 0, 60000)\n"
        "end_process(run_node(Builds))\n"
    )
    status, took_s = stopped([sys.executable, "-c", hangs], "begun", 0.2, signal.SIGINT, tmp_path / "log")
    assert status == 0, (tmp_path / "log").read_text()
    assert took_s < ENDS_S


@pytest.mark.parametrize("where", ["in the callback", "before it"])
def test_an_error_of_one_message_does_not_end_its_topic(monkeypatch, where):
    """Before it: there is no memory for the message, and rclpy by itself would never take another."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("lasts", namespace="spinning", context=context)
    fails, heard = [True], []

    def short_of_memory(self, **fields):
        if fails:
            fails.clear()
            raise MemoryError
        filled(self, **fields)

    def on_message(message):
        heard.append(message.data)
        assert where == "before it" or len(heard) > 1

    node.create_subscription(String, "said", on_message, 10)
    publisher = node.create_publisher(String, "said", 10)
    executor = LastingExecutor(node, context=context)
    words = [String(data=str(number)) for number in range(3)]
    filled = String.__init__
    if where == "before it":
        monkeypatch.setattr(String, "__init__", short_of_memory)
    deadline = time.monotonic() + PATIENCE_S
    for word in words:
        publisher.publish(word)
    while words[-1].data not in heard and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    assert heard == (["0", "1", "2"] if where == "in the callback" else ["1", "2"])
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def test_who_plays_a_bag_goes_on_after_a_signal_and_has_its_handlers_back():
    """Playing happens in processes that are no nodes: a signal ends the playing, not the process."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for asked in (True, False):
        with StopSignals() as stop:
            if asked:
                os.kill(os.getpid(), signal.SIGINT)
                assert stop.asked.wait(60.0)
        assert stop.asked.is_set() == asked
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    time.sleep(STOP_WITHIN_S + 0.3)  # and nothing ends it later
