"""`emgait doctor calibration` on a simulated bag: right, turned, late and inverted extrinsics are distinguished."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emgait_ros.cli.main import main
from emgait_ros.lab.simulation.recording import Recording, record
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.simulation.simulator import StreetSimulator

HEAD = SensorHead(width=640, height=360, focal_px=500.0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Seven seconds of two people who walk through the picture in opposite directions."""
    walks = (
        WalkPlan(1, 0, ((9.0, -4.5), (10.0, 4.5)), 0.0),
        WalkPlan(2, 0, ((14.0, 6.0), (13.0, -4.5)), 0.0),
    )
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
    (finding,) = findings
    assert (status, finding["subject"]) == (0, "calibration")
    assert finding["level"] in ("OK", "WARN"), finding
    assert finding["values"]["agreement"] > 0.7
    assert finding["values"]["walkers"] > 50
    assert abs(finding["values"]["yaw_error_deg"]) < 0.7  # shadows lie to one side
    assert abs(finding["values"]["pitch_error_deg"]) < 0.3


@pytest.mark.parametrize(
    ("axis", "degrees", "value", "expected", "words"),
    [
        (1, 2.0, "yaw_error_deg", -2.0, "degrees left"),
        (0, -1.5, "pitch_error_deg", -1.5, "degrees up"),
    ],
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
    assert finding["values"]["delay_s"] == pytest.approx(0.06, abs=0.03)


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
