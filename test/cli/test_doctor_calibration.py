"""`emgait doctor calibration` on a simulated bag: right, turned, late and inverted extrinsics are distinguished."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emgait_ros.cli.main import main
from emgait_ros.doctor.camera_agreement import Agreement, common_shift, judge_agreement
from emgait_ros.doctor.findings import Level
from emgait_ros.lab.simulation.recording import Recording, record
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.simulation.simulator import StreetSimulator

HEAD = SensorHead(width=640, height=360, focal_px=500.0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Seven seconds of two people who walk through the picture in opposite directions."""
    walks = (WalkPlan(1, 0, ((9.0, -4.5), (10.0, 4.5)), 0.0), WalkPlan(2, 0, ((14.0, 6.0), (13.0, -4.5)), 0.0))
    return record(Scene("to and back", walks, duration_s=7.0, seed=7, head=HEAD), tmp_path_factory.mktemp("bags") / "b")


def check(recording: Recording, folder: Path, T: np.ndarray | None = None, **options: float) -> tuple[int, list[dict]]:
    """Exit status and findings with those options."""
    lines = [f"    {name.replace('__', '.')}: {value}" for name, value in options.items()]
    if T is not None:
        lines.append(f"    camera.T_camera_lidar: {[float(v) for v in T.ravel()]}")
    words = ["doctor", "calibration", str(recording.path), "--json", str(folder / "out.json")]
    if lines:
        (folder / "p.yaml").write_text("\n".join(["pedestrian_tracker:", "  ros__parameters:", *lines]) + "\n")
        words += ["--params", str(folder / "p.yaml")]
    status = main(words)
    sections = json.loads((folder / "out.json").read_text())["sections"]
    return status, [finding for findings in sections.values() for finding in findings]


@pytest.fixture(scope="module")
def right() -> np.ndarray:
    scene = Scene("empty", (WalkPlan(1, 0, ((9.0, -4.0), (9.0, 4.0)), 0.0),), duration_s=1.0, head=HEAD)
    return StreetSimulator(scene).camera.T_camera_lidar


def turned(axis: int, degrees: float) -> np.ndarray:
    T, turn = np.eye(4), np.zeros(3)
    turn[axis] = np.radians(degrees)
    T[:3, :3] = cv2.Rodrigues(turn)[0]
    return T


def test_the_recorded_calibration_agrees(recording, tmp_path):
    status, findings = check(recording, tmp_path)
    assert status == 0
    assert [(f["subject"], f["level"]) for f in findings] == [("calibration", "OK"), ("stamps", "OK")], findings
    values = findings[0]["values"]
    assert values["agreement"] > 0.7
    assert values["walkers"] > 50
    assert abs(values["yaw_error_deg"]) < 0.2  # shadows lie to one side
    assert abs(values["pitch_error_deg"]) < 0.3
    assert abs(values["delay_s"]) < 0.015
    assert abs(values["delay_s"]) < values["delay_error_s"] < 0.05


@pytest.mark.parametrize(
    ("axis", "degrees", "value", "expected", "words"),
    [(1, 2.0, "yaw_error_deg", -2.0, "degrees left"), (0, -1.5, "pitch_error_deg", -1.5, "degrees up")],
)
def test_a_turned_camera_is_measured(recording, right, tmp_path, axis, degrees, value, expected, words):
    _, findings = check(recording, tmp_path, turned(axis, degrees) @ right)
    finding = next(f for f in findings if f["subject"] == "calibration")
    assert finding["level"] in ("WARN", "FAIL")
    assert words in finding["fix"]
    assert finding["values"][value] == pytest.approx(expected, abs=0.7)


def test_late_images_are_measured(recording, tmp_path):
    _, findings = check(recording, tmp_path, pairing__image_offset_s=-0.06, pairing__max_dt_s=0.1)
    finding = next(f for f in findings if f["subject"] == "stamps")
    assert "later than their stamps say" in finding["what"]
    assert finding["values"]["delay_s"] == pytest.approx(0.06, abs=0.015)
    assert finding["values"]["delay_error_s"] < 0.05


def walks(*seen: tuple[float, float, float], delay_s: float = 0.0, images: int = 30) -> Agreement:
    """Walks as (speed across the image px/s, height px, how far the walk as a whole looks shifted px)."""
    rng, found = np.random.default_rng(0), Agreement()
    for track, (speed, height, shifted) in enumerate(seen):
        right = shifted + delay_s * speed + rng.normal(0.0, 2.0, images)
        found.shift += [(float(u), 0.0) for u in right]
        found.height += [height] * images
        found.speed += [speed] * images
        found.track += [track] * images
    return found


@pytest.mark.parametrize(
    ("seen", "delay_s", "told"),
    [
        (((70.0, 120.0, -1.5), (-70.0, 150.0, 1.0)), 0.0, False),  # what looked like 18 ms
        (((70.0, 120.0, -0.5), (-70.0, 150.0, 0.5)), 0.05, True),
        (((70.0, 120.0, 1.5), (-70.0, 150.0, -1.0)), -0.06, True),
        (((70.0, 120.0, 0.0), (-70.0, 150.0, 0.0), (90.0, 120.0, -8.0), (-80.0, 140.0, 8.0)), 0.0, False),  # disagree
        (((60.0, 120.0, 0.5), (-60.0, 150.0, -0.5)) * 6, 0.02, True),  # many walks tell less
        (((70.0, 120.0, -1.5), (75.0, 150.0, 1.0)), 0.05, None),  # all one way
        (((70.0, 120.0, -1.5),), 0.05, None),
    ],
)
def test_a_delay_is_told_when_it_is_larger_than_its_error(seen, delay_s, told):
    _, delay = common_shift(walks(*seen, delay_s=delay_s))
    if told is None:
        assert np.isnan(delay.seconds)
        return
    assert abs(delay.seconds - delay_s) < delay.error_s
    assert (abs(delay.seconds) > delay.error_s) == told
    judged = [
        finding.level for finding in judge_agreement(walks(*seen, delay_s=delay_s)) if finding.subject == "stamps"
    ]
    assert judged == [Level.WARN if told else Level.OK]


def test_inverted_extrinsics_are_called_that(recording, right, tmp_path):
    status, findings = check(recording, tmp_path, np.linalg.inv(right))
    assert status == 1
    assert any("it seems to map camera to LiDAR" in f["what"] for f in findings)


def test_too_few_walkers_say_what_to_record(tmp_path):
    scene = Scene("short", (WalkPlan(1, 0, ((9.0, -4.0), (9.0, 4.0)), 0.0),), duration_s=1.5, head=HEAD)
    short = record(replace(scene, name="short"), tmp_path / "short")
    status, findings = check(short, tmp_path)
    assert status == 0
    assert any(f["level"] == "WARN" and "walks both ways" in f["fix"] for f in findings)


def test_a_bag_must_be_named_and_exist(tmp_path, capsys):
    assert main(["doctor", "calibration"]) == 1
    assert "emgait doctor calibration BAG" in capsys.readouterr().err
    assert main(["doctor", "calibration", str(tmp_path / "none")]) == 1
