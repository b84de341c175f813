"""The ways into the nodes: real nodes that are not spun, whose callbacks and services are called as DDS would."""

from __future__ import annotations

import functools
import os
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from doors import _scratch, enrolled
from fuzzing import NUMBERS, ODD_NUMBERS, TEXTS, damaged, door
from hypothesis import strategies as st
from rclpy.context import Context
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message

from emgait_msgs.msg import PedestrianArray
from emgait_ros.nodes.gait_recognizer import GaitRecognizerNode
from emgait_ros.nodes.gallery_services import CallBudget
from emgait_ros.nodes.pedestrian_tracker import PedestrianTrackerNode

TEXT = st.one_of(
    st.sampled_from([t for t in TEXTS if t != "\ud800"]), st.text(max_size=70).map(lambda t: t.replace("\ud800", ""))
)
NAMES = st.one_of(st.sampled_from(["Anna", "n1", "n3", "n4", "n5"]), TEXT)


@functools.cache
def recognizer() -> GaitRecognizerNode:
    """An active gait_recognizer with a gallery."""
    os.environ.setdefault("ROS_PYTHON_CHECK_FIELDS", "1")
    place = _scratch() / "node.db"
    enrolled(place, None)
    context = Context()
    rclpy.init(context=context)
    given = [Parameter("gallery.path", value=str(place)), Parameter("autostart", value=False)]
    node = GaitRecognizerNode(context=context, parameter_overrides=given)
    node.trigger_configure()
    node.trigger_activate()
    return node


@functools.cache
def tracker() -> PedestrianTrackerNode:
    context = Context()
    rclpy.init(context=context)
    return PedestrianTrackerNode(context=context, parameter_overrides=[Parameter("autostart", value=False)])


def array_of(draw: Any) -> PedestrianArray:
    """Up to four pedestrians, each sound but for some fields."""
    from live_graph import pedestrian, pedestrians

    odd = st.sampled_from([*ODD_NUMBERS, *(x for x in (3e38, -3e38, 1e-38, 1e4))])
    single = odd.map(lambda x: float(np.float32(x)) if abs(x) < 3.4e38 or not np.isfinite(x) else 3e38)
    unsigned, short = st.sampled_from([n for n in NUMBERS if 0 <= n < 2**32]), st.sampled_from([0, 1, 2, 64, 65535])
    found = []
    for _ in range(draw(st.integers(0, 4))):
        item = pedestrian(draw(st.integers(0, 3)), draw(st.integers(0, 3)))
        for name in draw(st.lists(st.sampled_from(list(item.get_fields_and_field_types())), max_size=3)):
            if name in ("center", "size", "velocity"):
                setattr(getattr(item, name), draw(st.sampled_from("xyz")), draw(odd))
            elif name == "points":
                values = np.frombuffer(item.points, np.float32).copy()[: draw(st.sampled_from([0, 1, 3, 6, 100, 384]))]
                if len(values) and draw(st.booleans()):
                    values[draw(st.integers(0, len(values) - 1))] = draw(single)
                item.points = array("f", values.tobytes())
            elif name == "crop":
                height, width = draw(short), draw(short)
                size = min(height * width * 3, 200_000) + draw(st.sampled_from([0, 0, 1]))
                item.crop_height, item.crop_width, item.crop = height, width, array("B", bytes(size))
            else:
                now = getattr(item, name)
                kind = st.booleans() if isinstance(now, bool) else single if isinstance(now, float) else unsigned
                setattr(
                    item,
                    name,
                    draw(
                        short
                        if name.startswith("crop_") and name.endswith(("t", "h")) and isinstance(now, int)
                        else kind
                    ),
                )
        found.append(item)
    message = pedestrians(draw(st.integers(1, 10)) * 10**8, *found, tracker_id=draw(st.one_of(st.just("test"), TEXT)))
    if draw(st.integers(0, 4)) == 0:
        message.header.stamp.sec = draw(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)]))
        message.header.stamp.nanosec = draw(st.sampled_from([0, 1, 10**9 - 1, 10**9, 2**32 - 1]))
    return message


@door(weight=2, needs="rclpy")
def pedestrian_array(draw: Any, folder: Path) -> None:
    """Messages of any tracker: a frame is recognised whatever one pedestrian in it says, and what is published can be sent."""
    node, message = recognizer(), array_of(draw)
    sent: list[Any] = []
    publish, node._identities.publish = node._identities.publish, sent.append
    try:
        node._process(message)
    finally:
        node._identities.publish = publish
    stamp = message.header.stamp
    assert sent or stamp.sec < 0 or stamp.sec + stamp.nanosec == 0 or stamp.nanosec >= 10**9
    for answer in sent:
        serialize_message(answer)
        assert all(np.isfinite([i.position.x, i.size.z, i.range_m]).all() for i in answer.identities)
    node._gallery_services._tell()
    assert len(list(node._statuses()))


@door(Exception, weight=1, needs="rclpy")
def pedestrian_bytes(draw: Any, folder: Path) -> None:
    """Damaged messages as they come from the network: rclpy refuses them, or the node takes them."""
    from live_graph import pedestrian, pedestrians

    sound = serialize_message(pedestrians(10**9, pedestrian(1), pedestrian(2)))
    try:
        message = deserialize_message(draw(damaged(sound)), PedestrianArray)
    except Exception as error:
        raise ValueError(f"rclpy says: {error!r}") from error
    recognizer()._process(message)


def finished(call: Any) -> Any:
    """What a service answers from its thread, without an executor."""
    while True:
        try:
            call.send(None)
        except StopIteration as end:
            return end.value
        time.sleep(0.001)


@door(weight=2, needs="rclpy")
def service(draw: Any, folder: Path) -> None:
    """Any request: an answer that can be sent, with a sentence, and never one about a fault inside the node."""
    node = recognizer()
    if draw(st.booleans()):
        node._process(array_of(draw))
    offered = [s for s in node.services if s.srv_type.__module__.startswith(("emgait_msgs", "std_srvs"))]
    assert len(offered) >= 6
    chosen = draw(st.sampled_from(sorted(offered, key=lambda s: str(s.srv_name))))
    request = chosen.srv_type.Request()
    for name, kind in request.get_fields_and_field_types().items():
        odd: Any = (
            NAMES if kind == "string" else st.booleans() if kind == "boolean" else st.integers(-(2**63), 2**63 - 1)
        )
        if kind == "float":
            odd = st.one_of(st.sampled_from([0.0, 1.0, 60.0, -1.0, float("nan"), float("inf")]), st.floats(width=32))
        elif kind == "int64":
            odd = st.one_of(st.integers(-2, 4), st.sampled_from([n for n in NUMBERS if -(2**63) <= n < 2**63]))
        setattr(request, name, draw(odd))
    node._gallery_services._budget = CallBudget()  # hundreds of calls a second are meant here
    answer = finished(chosen.callback(request, chosen.srv_type.Response()))
    serialize_message(answer)
    assert " " in answer.message
    assert "inside the node" not in answer.message, answer.message


@door(weight=2, needs="rclpy")
def parameter(draw: Any, folder: Path) -> None:
    """Any value for any parameter of either node: taken, or refused with a reason and nothing changed."""
    node: Any = draw(st.sampled_from([recognizer, tracker]))()
    known = node._options._options
    name = draw(st.sampled_from(sorted(known)))
    default = known[name][0]
    values = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.sampled_from(ODD_NUMBERS), TEXT,
        st.lists(st.sampled_from(ODD_NUMBERS), min_size=1, max_size=17), st.lists(TEXT, min_size=1, max_size=3), st.binary(min_size=1, max_size=9),
        st.just(list(default) if isinstance(default, tuple) and default else default or 1),
        st.floats(0, 40), st.integers(0, 40),
    )  # fmt: skip
    before = node._options.config
    given = draw(values)
    if isinstance(given, bytes):
        given = [bytes([b]) for b in given]
    (result,) = node.set_parameters([Parameter(name, value=given)])
    assert result.successful or (" " in result.reason and node._options.config == before), result.reason
    if result.successful:
        now = getattr(getattr(node._options.config, name.split(".")[0]), name.split(".")[1]) if "." in name else None
        assert not isinstance(now, float) or np.isfinite(now), f"{name} is {now}"
        node.set_parameters(
            [
                Parameter(
                    name, value=node._options._plain(name, default) if not isinstance(default, tuple) else list(default)
                )
            ]
        )


def close() -> None:
    """Let go of the nodes."""
    for made in (recognizer, tracker):
        if made.cache_info().currsize:
            made().close()
            made().destroy_node()
            made().context.try_shutdown()
        made.cache_clear()
