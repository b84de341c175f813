"""The gait_recognizer node when its network is slow: who is answered, how late, and what goes on meanwhile."""

from __future__ import annotations

import time

import numpy as np
import pytest
from live_graph import pedestrian, pedestrians, stamp_of

from emgait_msgs.msg import IdentityArray
from emgait_msgs.srv import ListIdentities

pytestmark = pytest.mark.ros

TOPIC = "/pedestrian_tracker/pedestrians"
STEP_NS = 100_000_000
SERVICE_S = 0.4


def slow_network(seconds: float) -> str:
    """A prelude of the node: each run of the frame encoder takes so much longer."""
    return (
        "import time\n"
        "from emgait_ros.inference.encoder import GaitEncoder\n"
        "encode = GaitEncoder.encode_frames\n"
        f"GaitEncoder.encode_frames = lambda *a: (time.sleep({seconds}), encode(*a))[1]"
    )


@pytest.fixture
def slow(graph, start, bundle_folder, tmp_path, request):
    node = start(
        "gait_recognizer",
        prelude=slow_network(request.param),
        engine__bundle=str(bundle_folder),
        gallery__path=str(tmp_path / "gallery.db"),
    )
    assert graph.wait(lambda: graph.node.count_subscribers(TOPIC), 60.0), node.output
    yield node
    assert node.stop() == 0, node.output


@pytest.mark.parametrize("slow", [SERVICE_S], indirect=True)
def test_an_overloaded_recognizer_answers_the_newest_frame_of_each_head(graph, slow):
    """Two heads at 10 Hz, a network for 2.5 frames a second: answers are late by the frames in work, not by the queue; a
    track that gets its number back in a skipped frame keeps its window."""
    sent, late_s, answers = {}, {}, graph.collect(IdentityArray, "/gait_recognizer/identities")
    base_ns, offset_ns = time.time_ns(), {"front": 0, "rear": 10**10 + 1}

    def send(index):
        for tracker, ahead_ns in offset_ns.items():
            stamp = base_ns + ahead_ns + index * STEP_NS
            track = pedestrian(7, seed=index)
            if index >= 31:  # as relinked in frame 31 alone
                track = pedestrian(3, seed=index, relinked=index == 31, previous_track_id=7)
            sent[stamp] = (time.monotonic(), tracker, index)
            graph.publish(TOPIC, pedestrians(stamp, track, tracker_id=tracker))

    def note():
        now = time.monotonic()
        for message in answers[len(late_s) :]:
            late_s[stamp_of(message)] = now - sent[stamp_of(message)][0]

    send(0)
    assert graph.wait(lambda: len(answers) == 2, 60.0), slow.output  # warm
    note()
    for index in range(1, 61):
        send(index)
        until = time.monotonic() + STEP_NS * 1e-9
        while time.monotonic() < until:
            note()
            time.sleep(0.01)
    assert graph.wait(lambda: sum(sent[stamp_of(m)][2] == 60 for m in answers) == 2, every=note), slow.output
    note()
    for tracker in offset_ns:
        mine = [
            late_s[stamp] for stamp, (_, who, index) in sent.items() if who == tracker and index and stamp in late_s
        ]
        assert 4 <= len(mine) <= 20, f"{tracker}: {len(mine)} of 60 frames answered"
        assert np.median(mine) < 2.0 * SERVICE_S, f"{tracker}: {[round(s, 2) for s in mine]} s late"
        assert max(mine) < 3.5 * SERVICE_S, "the frame in work, the other head's and its own"
        last = next(m for m in reversed(answers) if sent[stamp_of(m)][1] == tracker).identities[0]
        assert (last.track_id, last.samples) == (3, len(mine) + 1)
    answered, skipped = len(answers), graph.wait(lambda: _skipped(graph) == 122 - len(answers))
    assert skipped, (answered, graph.values("gait_recognizer: worker"), graph.values("gait_recognizer: tracks"))


def _skipped(graph):
    """Frames skipped, once both counts say the same."""
    by_worker = graph.values("gait_recognizer: worker").get("dropped", "")
    by_recognizer = graph.values("gait_recognizer: tracks").get("frames skipped", "-")
    return int(by_worker) if by_worker == by_recognizer else 0


@pytest.mark.parametrize("slow", [6.0], indirect=True)
def test_nothing_waits_while_the_network_warms_up(graph, slow):
    """A parameter change in the middle of the first frame: services, further changes and diagnostics go on."""
    answers = graph.collect(IdentityArray, "/gait_recognizer/identities")
    stamp = time.time_ns()
    graph.publish(TOPIC, pedestrians(stamp, pedestrian(1)))
    time.sleep(0.5)
    assert graph.set_parameter("gait_recognizer", "decision.agree_windows", 2).successful
    assert graph.call(ListIdentities, "/gait_recognizer/list", ListIdentities.Request()).success
    assert graph.set_parameter("gait_recognizer", "window.max_samples", 20).successful
    graph.diagnostics.clear()
    assert graph.wait(lambda: graph.values("gait_recognizer: worker"))
    assert not answers, "all of that while the first frame is in work"
    assert graph.wait(lambda: answers), slow.output
    assert answers[0].identities[0].samples == 1
