"""The gait_recognizer node when its network is slow: who is answered, how late, and what goes on meanwhile."""

from __future__ import annotations

import itertools
import time

import pytest
from live_graph import pedestrian, pedestrians, stamp_of

from emgait_msgs.msg import IdentityArray
from emgait_msgs.srv import ListIdentities

pytestmark = pytest.mark.ros

TOPIC = "/pedestrian_tracker/pedestrians"
STEP_NS = 100_000_000
SERVICE_S = 0.4


def slow_network(wait: str) -> str:
    """A prelude of the node: each run of the frame encoder waits before, by a statement."""
    return (
        "import os, time\n"
        "from emgait_ros.inference.encoder import GaitEncoder\n"
        "encode = GaitEncoder.encode_frames\n"
        "def slow(*arguments):\n"
        f"    {wait}\n"
        "    return encode(*arguments)\n"
        "GaitEncoder.encode_frames = slow"
    )


@pytest.fixture
def slow(graph, start, bundle_folder, tmp_path, request):
    node = start(
        "gait_recognizer",
        prelude=slow_network(request.param.format(done=tmp_path / "done")),
        engine__bundle=str(bundle_folder),
        gallery__path=str(tmp_path / "gallery.db"),
    )
    assert graph.wait(lambda: graph.node.count_subscribers(TOPIC)), node.output
    yield node
    assert node.stop() == 0, node.output


@pytest.mark.parametrize("slow", [f"time.sleep({SERVICE_S})"], indirect=True)
def test_an_overloaded_recognizer_answers_the_newest_frame_of_each_head(graph, slow):
    """Two heads at 10 Hz, a network for 2.5 frames a second: no more is answered than there was time for, so nothing has
    queued up; a track that gets its number back in a skipped frame keeps its window."""
    sent, received = {}, graph.collect(IdentityArray, "/gait_recognizer/identities")
    base_ns, offset_ns = time.time_ns(), {"front": 0, "rear": 10**10 + 1}

    def send(index):
        for tracker, ahead_ns in offset_ns.items():
            stamp = base_ns + ahead_ns + index * STEP_NS
            track = pedestrian(7, seed=index)
            if index >= 31:  # as relinked in frame 31 alone
                track = pedestrian(3, seed=index, relinked=index == 31, previous_track_id=7)
            sent[stamp] = (tracker, index)
            graph.publish(TOPIC, pedestrians(stamp, track, tracker_id=tracker))

    def answers():
        """By head, those to frames of this test in their order."""
        mine = [message for message in list(received) if stamp_of(message) in sent]
        return {who: [m for m in mine if sent[stamp_of(m)][0] == who] for who in offset_ns}

    heard = itertools.count(1)  # until the node knows of the subscription to its answers, they are lost
    first = lambda: graph.publish(TOPIC, pedestrians(next(heard) * STEP_NS, tracker_id="first"))  # noqa: E731
    assert graph.wait(lambda: received, every=first), slow.output
    send(0)
    assert graph.wait(lambda: all(answers().values())), slow.output
    before, begun_s = _skipped(graph.now_values("gait_recognizer: worker")), time.monotonic()
    for index in range(1, 61):
        send(index)
        time.sleep(STEP_NS * 1e-9)
    sent_s = time.monotonic() - begun_s
    last = lambda: all(found and sent[stamp_of(found[-1])][1] == 60 for found in answers().values())  # noqa: E731
    assert graph.wait(last), slow.output
    found = answers()
    counts = {who: len(messages) for who, messages in found.items()}
    # Two before, one in work at the end, and the newest of each head.
    assert sum(counts.values()) <= 2 + sent_s / SERVICE_S + 1 + 2, (counts, sent_s)
    assert min(counts.values()) >= 3, counts
    for messages in found.values():
        stamps = [stamp_of(message) for message in messages]
        assert stamps == sorted(stamps)
        identity = messages[-1].identities[0]
        assert (identity.track_id, identity.samples) == (3, len(messages))
    skipped = 122 - sum(counts.values())
    said = lambda name: _skipped(graph.values(f"gait_recognizer: {name}")) - before == skipped  # noqa: E731
    assert graph.wait(lambda: said("worker") and said("tracks")), (before, counts, graph.diagnostics)


def _skipped(values):
    """As the worker or the recognizer counts them."""
    return int(values.get("dropped", values.get("frames skipped", 0)))


@pytest.mark.parametrize("slow", ["while not os.path.exists('{done}'): time.sleep(0.05)"], indirect=True)
def test_nothing_waits_while_the_network_warms_up(graph, slow, tmp_path):
    """A parameter change in the middle of the first frame: services, further changes and diagnostics go on."""
    answers = graph.collect(IdentityArray, "/gait_recognizer/identities")
    stamp = time.time_ns()
    graph.publish(TOPIC, pedestrians(stamp, pedestrian(1)))
    worker = "gait_recognizer: worker"
    assert graph.wait(lambda: graph.now_values(worker).get("submitted") == "1"), slow.output
    assert graph.set_parameter("gait_recognizer", "decision.agree_windows", 2).successful
    assert graph.call(ListIdentities, "/gait_recognizer/list", ListIdentities.Request()).success
    assert graph.set_parameter("gait_recognizer", "window.max_samples", 20).successful
    assert graph.now_values(worker)["done"] == "0", "all of that while the first frame is in work"
    assert not answers
    (tmp_path / "done").touch()
    assert graph.wait(lambda: answers), slow.output
    assert answers[0].identities[0].samples == 1
