"""A detector of the user's on the demo's street: its boxes alone give tracks, an enrolment and names."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs.msg", reason="vision_msgs is optional: topics.boxes needs it")

import yaml
from box_messages import array, box, real
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from live_graph import LiveGraph, header, qos, stamp_of
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from emgait_msgs.msg import PedestrianArray
from emgait_ros.cli.demo import play_live
from emgait_ros.cli.demo_processes import isolate
from emgait_ros.lab.demo.observer import DemoNotes
from emgait_ros.lab.demo.report import judge
from emgait_ros.lab.simulation.recording import LIDAR_FRAME, Recording, record
from emgait_ros.lab.simulation.scene import Scene, WalkPlan, demo_scene

BOXES, FRAME = "/centerpoint/boxes", "base_link"
LATE_S = 0.05
NOISE_M = (0.12, 0.12, 0.06)
MOUNT = Rotation.from_euler("zyx", [180.0, 1.0, 0.5], degrees=True)  # the LiDAR in base_link
PLACE_M = np.array([0.4, -0.1, 1.2])


def somebody_twice_and_a_stranger() -> Scene:
    plans = {(plan.name, plan.is_probe): plan for plan in demo_scene().walks}
    chosen = (("Anna", False, 0.5), ("Anna", True, 11.0), ("", True, 12.0))
    walks = tuple(
        WalkPlan(p.identity, p.walk, p.points, begin_s, p.name, p.is_probe, p.bag)
        for name, is_probe, begin_s in chosen
        for p in [plans[name, is_probe]]
    )
    return Scene("detector", walks, duration_s=22.0, seed=7)


class UserDetector:
    """Boxes of everybody in sight, made from the recording's truth: in base_link, with noise, 50 ms after the cloud."""

    def __init__(self, graph: LiveGraph) -> None:
        self.random, self.sent = np.random.default_rng(11), 0
        self._publisher = graph.node.create_publisher(Detection3DArray, BOXES, qos())
        graph.node.create_subscription(PedestrianArray, "/ground_truth", self._on_truth, qos())
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._static = graph.node.create_publisher(TFMessage, "/tf_static", latched)
        x, y, z, w = MOUNT.as_quat()
        mount = Transform(
            translation=Vector3(x=PLACE_M[0], y=PLACE_M[1], z=PLACE_M[2]), rotation=Quaternion(x=x, y=y, z=z, w=w)
        )
        stamped = TransformStamped(header=header(1, FRAME), child_frame_id=LIDAR_FRAME, transform=mount)
        self._static.publish(TFMessage(transforms=[stamped]))

    def _on_truth(self, message: PedestrianArray) -> None:
        boxes = []
        for person in message.pedestrians:
            if person.point_count < 5:
                continue
            center = np.array([person.center.x, person.center.y, person.center.z])
            place = MOUNT.apply(center + self.random.normal(0, NOISE_M)) + PLACE_M
            score = float(self.random.uniform(0.45, 0.9))
            boxes.append(box(tuple(place), (0.6, 0.7, 1.7), tuple(MOUNT.as_quat()), PEDESTRIAN=score, bicycle=0.1))
        boxes.append(box((-20.0, 4.0, 0.7), (4.2, 1.8, 1.5), car=0.95))
        made = real(array(*boxes, frame_id=FRAME, stamp_ns=stamp_of(message)))
        threading.Timer(LATE_S, self._publisher.publish, [made]).start()
        self.sent += 1


def played(recording: Recording, folder: Path) -> tuple[DemoNotes, dict[str, str], int, str]:
    """What the live nodes said of a recording with these boxes, how many boxes messages there were, and the nodes' log."""
    content = yaml.safe_load(recording.params.read_text(encoding="utf-8"))
    params = folder / "boxes.yaml"
    wanted = {"ros__parameters": {"topics.boxes": BOXES, "boxes.use": "instead", "boxes.max_wait_s": 1.0}}
    params.write_text(yaml.safe_dump({**content, "/**/**/pedestrian_tracker": wanted}), encoding="utf-8")
    graph = LiveGraph()
    try:
        detector = UserDetector(graph)
        notes = play_live(replace(recording, params=params), folder / "gallery.db", folder / "nodes.log")
        values = graph.values("pedestrian_tracker: people in boxes")
    finally:
        graph.close()
    return notes, values, detector.sent, (folder / "nodes.log").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.timeout(1200)
def test_boxes_alone_give_tracks_and_names(tmp_path):
    isolate(os.environ)
    recording = record(somebody_twice_and_a_stranger(), tmp_path / "bag", jpeg=True)
    notes, values, sent, log = played(recording, tmp_path)
    assert [note.name for note in notes.enrollments if note.success] == ["Anna"], log
    verdicts = [judge(walk, notes.sightings) for walk in recording.walks if walk.is_probe]
    found = [(v.expected, v.decided, v.correct) for v in verdicts]
    assert found == [("Anna", "Anna", True), ("unknown", "unknown", True)], log
    assert all(len(v.tracks) == 1 and v.frames > 60 for v in verdicts), verdicts
    assert sent > 200
    assert int(values["clouds_with_boxes"]) > 0.9 * sent, values  # told once a second: the last may be missing
    assert int(values["left out: class 'car'"]) > 0
