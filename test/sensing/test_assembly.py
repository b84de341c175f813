"""Messages of a pair become a frame, and what is said of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from emgait_ros.config import TrackerNodeConfig, with_options
from emgait_ros.sensing.assembly import FrameAssembler
from emgait_ros.sensing.pairing import Pair


def cloud(frame_id: str) -> SimpleNamespace:
    points = np.ones((4, 3), np.float32)
    fields = [SimpleNamespace(name=name, offset=4 * axis, datatype=7, count=1) for axis, name in enumerate("xyz")]
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame_id), height=1, width=4, fields=fields, is_bigendian=False, point_step=12,
        row_step=48, data=points.tobytes(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "fixed", "named"),
    [
        (["left", "right"] * 5, "", True),  # two heads whose drivers publish on one topic
        (["left", "right"] * 5, "odom", False),  # TF joins them
        (["left"] * 10, "", False),
    ],
)
def test_clouds_of_two_lidars_on_one_topic_are_named_once(frames: list[str], fixed: str, named: bool) -> None:
    said: list[str] = []
    config = with_options(TrackerNodeConfig(), {"frames.fixed": fixed})
    assembler = FrameAssembler(config, lambda *_: np.eye(4), lambda sentence, is_lost: said.append(sentence))
    for number, frame_id in enumerate(frames):
        assert assembler.frame(Pair(None, number * 10**8, None, 0.0, False, 0), cloud(frame_id), None) is not None
    assert len(set(said)) == named
    assert all("the frames left and right" in sentence for sentence in said)
