"""People in images: the forms of ONNX detectors, and how boxes find their returns."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import GRID, red_cells_detector, redness_classifier
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.config import ImageDetectorConfig, SensingConfig, with_options
from emgait_ros.samples import CameraModel, SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.sensing.perception.camera import box_rectangles
from emgait_ros.sensing.perception.detector import ShapeDetector, no_detections
from emgait_ros.sensing.perception.image_detector import OnnxImageDetector, fuse, non_maximum_suppression, overlaps

AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
CAMERA = CameraModel(1280, 720, np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]), np.zeros(0), "plumb_bob", AXES)
GROUND = np.array([-SENSOR_HEIGHT_M])


@pytest.mark.parametrize("form", ["rows", "columns", "objectness"])
@pytest.mark.parametrize("scale", [1, 2])  # the image is shrunk to the input
def test_forms_of_onnx_detectors(tmp_path, form, scale):
    detector = OnnxImageDetector(red_cells_detector(tmp_path / "m.onnx", form), 0.5)
    image = np.full((96 * scale, 160 * scale, 3), 60, np.uint8)
    for column, row in ((5, 4), (15, 7)):
        cell = GRID * scale
        image[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = (255, 0, 0)
    boxes, scores = detector.detect(image)
    assert len(boxes) == len(scores) == 2
    expected = np.array([[40, 24, 48, 48], [120, 48, 128, 72]]) * scale
    np.testing.assert_allclose(boxes[np.argsort(boxes[:, 0])], expected, atol=1e-3)


def test_unusable_detectors_are_named(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        OnnxImageDetector(str(tmp_path / "none.onnx"), 0.5)
    classifier = OnnxImageDetector(redness_classifier(tmp_path / "c.onnx"), 0.5)
    with pytest.raises(ValueError, match="none of the known forms"):
        classifier.detect(np.zeros((64, 32, 3), np.uint8))


def test_overlap_and_suppression():
    boxes = np.array([[0, 0, 10, 20], [1, 0, 11, 20], [30, 0, 40, 20.0]])
    assert overlaps(boxes[:1], boxes)[0] == pytest.approx([1.0, 9 / 11, 0.0])
    assert non_maximum_suppression(boxes, np.array([0.6, 0.9, 0.7])).tolist() == [1, 2]
    assert non_maximum_suppression(boxes[:0], np.zeros(0)).tolist() == []


def box_of(x: float, y: float) -> np.ndarray:
    center = np.array([[x, y, 0.875 - SENSOR_HEIGHT_M]])
    return box_rectangles(center, np.array([[0.6, 0.6, 1.75]]), CAMERA)[0]


@pytest.mark.parametrize("distance", [12.0, 30.0, 50.0])
def test_a_box_without_a_detection_finds_its_returns(distance):
    """A sparse LiDAR: three or four rings on a person, too few for the shape."""
    cloud = scan([*person(distance, 1.0), ("box", (56.0, 57.0, -9.0, 9.0, 0.0, 4.0))], beams=48, azimuth_step_deg=0.3)
    found = fuse(no_detections(), box_of(distance, 1.0), np.array([0.8]), cloud, GROUND, CAMERA)
    assert len(found) == 1
    assert np.hypot(*(found.center[0, :2] - (distance, 1.0))) < 0.4
    assert found.score[0] == pytest.approx(0.8)
    own = cloud[found.members(0)]
    assert (np.hypot(*(own[:, :2] - (distance, 1.0)).T) < 0.5).all()


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (box_of(12.0, 6.0), "nothing stands there"),
        (box_of(25.0, 1.0), "what stands there is far nearer than the box is small"),
        (np.array([[-500.0, 0, -400, 200]]), "outside the image"),
        (np.array([[600.0, 300, 600, 300]]), "no size"),
    ],
)
def test_a_box_without_returns_is_nobody(box, reason):
    cloud = scan(person(12.0, 1.0))
    assert len(fuse(no_detections(), box, np.array([0.9]), cloud, GROUND, CAMERA)) == 0, reason


def test_a_box_confirms_a_detection():
    cloud = scan(person(12.0, 1.0) + person(15.0, -2.0))
    before = ShapeDetector().detect(cloud)
    weaker = type(before)(
        before.center, before.size, before.score * 0 + np.float32(0.5), before.point_index, before.splits, before.occlusion
    )  # fmt: skip
    after = fuse(weaker, box_of(12.0, 1.0), np.array([0.8]), cloud, GROUND, CAMERA)
    assert len(after) == 2
    nearest = int(np.argmin(after.center[:, 0]))
    assert after.score[nearest] == pytest.approx(0.7)
    assert after.score[1 - nearest] == pytest.approx(0.5)
    np.testing.assert_array_equal(after.point_index, before.point_index)


class Seer:
    """An image detector that sees one person at 45 m."""

    def detect(self, image):
        return box_of(45.0, 2.0), np.array([0.9])


def test_sensing_with_an_image_detector_of_ones_own():
    cloud = scan(person(45.0, 2.0), beams=40, azimuth_step_deg=0.3)
    alone, helped = PedestrianSensing(), PedestrianSensing(image_detector=Seer())
    seen = {}
    for name, sensing in (("alone", alone), ("helped", helped)):
        for k in range(6):
            frame = SensorFrame(10**18 + k * 10**8, cloud, np.zeros((720, 1280, 3), np.uint8), 0.0, CAMERA)
            seen[name] = sensing.process(frame, "lidar").pedestrians
    assert [len(seen[name]) for name in ("alone", "helped")] == [0, 1]
    assert seen["helped"][0].point_count >= 3
    assert seen["helped"][0].crop is not None


def test_options_make_one(tmp_path):
    path = red_cells_detector(tmp_path / "m.onnx", "rows")
    config = with_options(SensingConfig(), {"image_detector.model": path})
    assert isinstance(PedestrianSensing(config)._image_detector, OnnxImageDetector)
    with pytest.raises(ValueError, match=r"image_detector.model is '/nowhere.onnx'"):
        PedestrianSensing(SensingConfig(image_detector=ImageDetectorConfig(model="/nowhere.onnx")))
