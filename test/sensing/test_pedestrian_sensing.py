"""Sensing end to end: frames in, tracked pedestrians with points and crops out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kitti_frames import load_frame
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.config import SensingConfig, with_options
from emgait_ros.samples import CameraModel, Detections, PedestrianFrame, SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing, load_models
from emgait_ros.sensing.perception.camera import project
from emgait_ros.sensing.perception.detector import Detector, no_detections
from emgait_ros.sensing.perception.overlay import draw_overlay

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
COARSE = {"azimuth_step_deg": 0.4, "beams": 48}


@pytest.fixture(scope="module")
def sensing() -> PedestrianSensing:
    return PedestrianSensing(tracker_id="test")


@pytest.fixture
def fresh(sensing: PedestrianSensing) -> PedestrianSensing:
    sensing.reset()
    return sensing


def camera(width: int = 1280, height: int = 720) -> CameraModel:
    T = np.eye(4)
    T[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    K = np.array([[800.0, 0, width / 2], [0, 800.0, height / 2], [0, 0, 1]])
    return CameraModel(width, height, K, np.zeros(0), "plumb_bob", T)


def walk(sensing: PedestrianSensing, frames: int, **extra) -> list[PedestrianFrame]:
    """A man walks across the view at 1.3 m/s, 12 m ahead."""
    out = []
    for k in range(frames):
        cloud = scan(person(12, -2 + 0.13 * k), seed=k, **COARSE)
        out.append(sensing.process(SensorFrame(START_NS + k * STEP_NS, cloud, **extra), "lidar"))
    return out


def test_a_walker_becomes_samples(fresh):
    last = walk(fresh, 25)[-1]
    assert (last.frame_id, last.tracker_id, last.stamp_ns) == ("lidar", "test", START_NS + 24 * STEP_NS)
    (man,) = last.pedestrians
    assert np.hypot(*(man.center[:2] - (12, -2 + 0.13 * 24))) < 0.15
    assert man.center[2] - man.size[2] / 2 == pytest.approx(-SENSOR_HEIGHT_M, abs=0.06)
    np.testing.assert_allclose(man.velocity, [0, 1.3, 0], atol=0.2)
    assert man.moving
    assert man.points.shape == (SensingConfig().sample.points, 3)
    assert man.points.dtype == np.float32
    assert 20 < man.point_count < 400
    assert (np.abs(man.points[:, :2] - man.center[:2]) < 0.6).all()
    assert man.crop is None
    assert set(fresh.timings) == {"detect", "track", "cut", "total"}


def test_the_same_input_gives_the_same_samples(sensing):
    runs = []
    for _ in range(2):
        runs.append(walk(PedestrianSensing(tracker_id="again"), 8)[-1])
    for a, b in zip(runs[0].pedestrians, runs[1].pedestrians, strict=True):
        for name in (field.name for field in dataclasses.fields(a)):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_hidden_pedestrians_coast_without_points(fresh):
    walk(fresh, 12)
    empty = scan(**COARSE)
    frame = fresh.process(SensorFrame(START_NS + 12 * STEP_NS, empty), "lidar")
    (man,) = frame.pedestrians
    assert man.point_count == 0
    assert man.coasting
    assert man.points is None
    assert man.center[1] == pytest.approx(-2 + 0.13 * 12, abs=0.25)


def test_moving_sensor_with_pose_reports_lidar_coordinates(fresh):
    """The sensor drives and turns; a standing man stays standing, a walking one keeps his speed."""
    for k in range(25):
        angle, place = 0.01 * k, np.array([0.1 * k, 0.02 * k])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        world = {"standing": np.array([14.0, 3.0]), "walking": np.array([12.0, -4 + 0.13 * k])}
        seen = {name: (where - place) @ turn for name, where in world.items()}
        T = np.eye(4)
        T[:2, :2], T[:2, 3], T[2, 3] = turn, place, SENSOR_HEIGHT_M
        cloud = scan([s for where in seen.values() for s in person(*where)], seed=k, **COARSE)
        frame = fresh.process(SensorFrame(START_NS + k * STEP_NS, cloud, T_fixed_lidar=T), "lidar")
    assert len(frame.pedestrians) == 2
    for man in frame.pedestrians:
        name = min(seen, key=lambda n: np.hypot(*(man.center[:2] - seen[n])))
        assert np.hypot(*(man.center[:2] - seen[name])) < 0.2
        assert man.center[2] - man.size[2] / 2 == pytest.approx(-SENSOR_HEIGHT_M, abs=0.06)
        expected = np.array([0, 1.3 if name == "walking" else 0]) @ turn
        np.testing.assert_allclose(man.velocity[:2], expected, atol=0.3)
        assert man.moving == (name == "walking")


@pytest.mark.parametrize("dt_s", [0.0, 0.04, -0.04])
def test_crops_follow_the_walker_to_the_time_of_the_image(fresh, dt_s):
    """The image shows a red man where he is at its stamp; the crop must be centred on him."""
    view = camera()
    for k in range(20):
        y = -2 + 0.13 * k
        image = np.zeros((720, 1280, 3), np.uint8)
        body = np.array([[12.0, y + 1.3 * dt_s + side, z] for side in (-0.2, 0.2) for z in (-1.7, 0.0)])
        pixel, _ = project(body, view)
        (left, top), (right, bottom) = pixel.min(0).astype(int), pixel.max(0).astype(int)
        image[top:bottom, left:right, 0] = 255
        frame = fresh.process(
            SensorFrame(START_NS + k * STEP_NS, scan(person(12, y), seed=k, **COARSE), image, dt_s, view), "lidar"
        )
    (man,) = frame.pedestrians
    assert man.crop.shape == (128, 64, 3)
    assert man.image_dt_s == dt_s
    assert man.crop_native_height_px == pytest.approx(800 * 1.75 / 12, rel=0.12)
    red = man.crop[:, :, 0] > 128
    assert red.any(1).sum() > 90
    columns = np.flatnonzero(red.any(0))
    assert columns.mean() == pytest.approx(31.5, abs=3.5)
    assert not man.crop[:, :, 1:].any()  # RGB stays RGB


@pytest.mark.parametrize(
    "view",
    [
        camera(640, 480),  # calibration of another image size
        dataclasses.replace(camera(), distortion=np.array([0.1, 0.1, 0.0, 0.0]), distortion_model="bent"),
        dataclasses.replace(
            camera(), T_camera_lidar=np.linalg.inv(camera().T_camera_lidar)
        ),  # extrinsics the wrong way round
        None,
    ],
    ids=["size", "model", "inverted", "none"],
)
def test_useless_calibration_means_no_crops_not_no_tracks(fresh, view):
    image = np.zeros((720, 1280, 3), np.uint8)
    frame = walk(fresh, 8, image=image, camera=view)[-1]
    assert len(frame.pedestrians) == 1
    assert frame.pedestrians[0].crop is None or view.width == 1280


@pytest.mark.parametrize(
    "cloud",
    [
        np.zeros((0, 3), np.float32),
        np.ones((3, 3), np.float32),
        np.full((50, 3), np.nan, np.float32),
        np.random.default_rng(0).uniform(-60, 60, (20000, 3)).astype(np.float32),
    ],
    ids=["empty", "three", "nan", "chaos"],
)
def test_bad_clouds_between_good_ones_do_not_harm_the_track(fresh, cloud):
    number = walk(fresh, 10)[-1].pedestrians[0].track_id
    fresh.process(SensorFrame(START_NS + 10 * STEP_NS, cloud), "lidar")
    after = fresh.process(SensorFrame(START_NS + 11 * STEP_NS, scan(person(12, -2 + 0.13 * 11), **COARSE)), "lidar")
    assert [man.track_id for man in after.pedestrians if man.point_count] == [number]


class Own(Detector):
    """A user's detector: knows that somebody stands at (8, 1), with the scores it is given."""

    def __init__(self, scores=(), hides=False, ground_z=None):
        self.scores, self.hidden, self.ground = list(scores), hides, ground_z

    def detect(self, points):
        score = self.scores.pop(0) if self.scores and len(points) == 4 else None
        if score is None:
            return no_detections()
        center, size = np.float32([[8, 1, -0.8]]), np.float32([[0.6, 0.6, 1.8]])
        return Detections(center, size, np.float32([score]), np.arange(4), np.array([0, 4]))

    def hides(self, place):
        return np.full(len(place), self.hidden)

    def ground_z(self, points):
        return None if self.ground is None else np.full(len(points), self.ground)


def seen_with(detector: Detector, frames: int) -> list[PedestrianFrame]:
    own = PedestrianSensing(detector=detector)
    cloud = np.float32([[8, 1, z] for z in (-1.5, -1.0, -0.5, 0.0)])
    return [own.process(SensorFrame(START_NS + k * STEP_NS, cloud), "lidar") for k in range(frames)]


@pytest.mark.parametrize(
    ("then", "hides", "frames"),
    [
        (0.9, False, (46, 53)),
        (0.4, False, (46, 53)),  # doubtful, from tracker.weak_score on: carries the track on
        (0.15, False, (20, 24)),  # less than that: as if nobody were seen, reported for tracker.report_unseen_s
        (None, False, (20, 24)),
        (None, True, (48, 52)),  # hidden: up to tracker.max_hidden_s
    ],
)
def test_a_detector_of_ones_own_is_asked_all_that_ours_is(then, hides, frames):
    """Somebody is seen surely for 2 s, then otherwise: how many frames they are followed in all."""
    answers = seen_with(Own([0.9] * 20 + [then] * 33, hides), 53)
    followed = sum(bool(frame.pedestrians) for frame in answers)
    assert frames[0] <= followed <= frames[1], followed
    measured = sum(bool(frame.pedestrians and frame.pedestrians[0].point_count) for frame in answers)
    assert (measured > 45) == (then in (0.9, 0.4)), measured


@pytest.mark.parametrize(("ground_z", "expected"), [(-3.0, -3.0), (None, -SENSOR_HEIGHT_M)])
def test_the_ground_of_ones_own_detector_carries_the_boxes_of_the_image(ground_z, expected):
    """Somebody only the camera sees: where they stand comes from the detector, else it is estimated from the cloud."""

    class Eyes:
        def detect(self, image):
            return np.array([[600.0, 290.0, 680.0, 410.0]]), np.array([0.95])

    own = PedestrianSensing(detector=Own(ground_z=ground_z), image_detector=Eyes())
    image = np.zeros((720, 1280, 3), np.uint8)
    for k in range(8):
        cloud = scan(person(12, 0), seed=k, **COARSE)
        frame = own.process(SensorFrame(START_NS + k * STEP_NS, cloud, image, 0.0, camera()), "lidar")
    (man,) = frame.pedestrians
    assert man.center[2] - man.size[2] / 2 == pytest.approx(expected, abs=0.1)


def test_a_detector_that_lacks_a_part_is_refused_at_once():
    class Partial:
        def detect(self, points):
            return no_detections()

    with pytest.raises(AttributeError, match="ground_z"):
        PedestrianSensing(detector=Partial())


def test_models_are_loaded_once(tmp_path):
    """What the options name is loaded when they are read, and again only when they change."""
    onnx = pytest.importorskip("onnx")
    entry = onnx.helper.make_tensor_value_info("crops", onnx.TensorProto.FLOAT, ["N", 3, 8, 4])
    result = onnx.helper.make_tensor_value_info("person", onnx.TensorProto.FLOAT, ["N", 3, 1, 1])
    node = onnx.helper.make_node("GlobalAveragePool", ["crops"], ["person"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "verifier", [entry], [result]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "verifier.onnx")
    config = with_options(SensingConfig(), {"verifier.model": str(tmp_path / "verifier.onnx")})
    models = load_models(config)
    (tmp_path / "verifier.onnx").unlink()  # whoever loads it again fails
    sensing = PedestrianSensing(config, models=models)
    assert sensing._verdicts is not None
    other = load_models(with_options(config, {"tracker.gate_m": 0.7}), models)
    assert other.verifier is models.verifier
    with pytest.raises(ValueError, match="there is no such file"):
        load_models(with_options(config, {"verifier.min_looks": 9}), models)


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (np.eye(3), ""),
        (np.diag([1.0, -1.0, -1.0]), "upside down"),
        (np.array([[0, -1.0, 0], [0, 0, -1.0], [1.0, 0, 0]]), "in other axes"),  # a cloud in the camera's frame
    ],
    ids=["upright", "upside down", "optical"],
)
def test_which_way_up_the_sensor_is(fresh, turn, words):
    cloud = (scan(person(12, 0), **COARSE) @ turn.T).astype(np.float32)
    other = PedestrianSensing(tracker_id="turned")
    other.process(SensorFrame(START_NS, cloud), "lidar")
    assert any(words in sentence for sentence in other.problems) if words else not other.problems


class Street(Detector):
    """Poles all round, and what moves before them: a robot that drives, or walkers who are faster and slower."""

    def __init__(self, drives):
        self.frame, self.drives = -3, drives  # looks at a cloud of construction first
        self.poles = np.array([[x, y] for x in (6.0, 12.0, 18.0) for y in (-8.0, -3.0, 3.0, 8.0)])

    def detect(self, points):
        self.frame += 1
        places = self.poles - [0.1 * self.frame, 0.0] if self.drives else self.poles
        if not self.drives:
            speed = np.linspace(0.8, 1.8, 20)[:, None] * [1.0, 0.0]
            start = np.array([[x, y] for x in (-9.0, -6.0, 3.0, 9.0) for y in (-10.0, -6.0, 0.0, 5.5, 10.0)])
            places = np.concatenate([places[:3], start + 0.1 * self.frame * speed])
        center = np.column_stack([places, np.full(len(places), -0.8)]).astype(np.float32)
        size = np.tile(np.float32([0.6, 0.6, 1.8]), (len(center), 1))
        none = np.zeros(len(center) + 1, np.int64)
        return Detections(center, size, np.full(len(center), 0.9, np.float32), np.zeros(0, np.int64), none)


@pytest.mark.parametrize(("drives", "pose", "said"), [(True, False, True), (True, True, False), (False, False, False)])
def test_a_sensor_that_moves_without_a_fixed_frame_is_said(drives, pose, said):
    own = PedestrianSensing(detector=Street(drives))
    for k in range(70):
        T = np.eye(4)
        T[0, 3] = 0.1 * k
        cloud = np.float32([[8, 1, z] for z in (-1.5, -1.0, -0.5, 0.0)])
        own.process(SensorFrame(START_NS + k * STEP_NS, cloud, T_fixed_lidar=T if pose else None), "lidar")
    assert any("set frames.fixed" in sentence for sentence in own.problems) == said, own.problems


def test_inverted_extrinsics_are_said(fresh):
    view = dataclasses.replace(camera(), T_camera_lidar=np.linalg.inv(camera().T_camera_lidar))
    walk(fresh, 60, image=np.zeros((720, 1280, 3), np.uint8), camera=view)
    assert "it seems to map camera to LiDAR" in fresh.calibration_problem
    assert fresh.calibration_problem in fresh.problems
    walk(fresh, 5, image=np.zeros((720, 1280, 3), np.uint8), camera=camera())
    assert fresh.calibration_problem == ""


def test_static_clutter_never_becomes_a_sequence():
    """A dummy shaped like a person: seen, never said to walk; left out once the background is learned."""
    config = SensingConfig(detector=dataclasses.replace(SensingConfig().detector, static_sensor=True, learn_s=4.0))
    sensing = PedestrianSensing(config, "static")
    seen = []
    for k in range(60):
        cloud = scan(person(9, 3) + person(12, -4 + 0.13 * k), seed=k, **COARSE)
        frame = sensing.process(SensorFrame(START_NS + k * STEP_NS, cloud), "lidar")
        seen.append({"dummy" if np.hypot(*(p.center[:2] - (9, 3))) < 0.5 else "walker": p for p in frame.pedestrians})
    assert not any(found["dummy"].moving for found in seen if "dummy" in found)
    assert any("dummy" in found for found in seen)
    assert "dummy" not in seen[-1]
    assert seen[-1]["walker"].moving


def test_quality_of_samples(fresh):
    """Somebody walks in front of somebody else: the one behind is said to be hidden; a blurred image is said to be."""
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3)).astype(np.uint8)
    blurred = np.full((720, 1280, 3), 90, np.uint8)
    blurred[:, :640] = 120
    for k in range(14):
        cloud = scan(person(8, 0) + person(13, 0.45), seed=k)
        image = noise if k < 13 else blurred
        frame = fresh.process(SensorFrame(START_NS + k * STEP_NS, cloud, image, 0.0, camera()), "lidar")
        if k == 12:
            sharp = min(frame.pedestrians, key=lambda p: p.range_m).sharpness
    near, far = sorted(frame.pedestrians, key=lambda p: p.range_m)
    assert near.occlusion < 0.15
    assert far.occlusion > 0.2
    assert sharp > 0.01 > near.sharpness > 0.0


def test_a_lost_pedestrian_is_linked_by_gait(fresh):
    @dataclasses.dataclass
    class Answer:
        track_id: int
        status: int
        name: str

    (man,) = walk(fresh, 12)[-1].pedestrians
    fresh.recognized([Answer(man.track_id, 2, "Anna")])
    for k in range(12, 60):
        fresh.process(SensorFrame(START_NS + k * STEP_NS, scan(**COARSE)), "lidar")
    for k in range(60, 70):
        later = fresh.process(SensorFrame(START_NS + k * STEP_NS, scan(person(13, 0.1 * k - 5), **COARSE)), "lidar")
    (again,) = later.pedestrians
    assert again.track_id != man.track_id
    assert fresh.recognized([Answer(again.track_id, 2, "Anna")]) == [(again.track_id, man.track_id)]
    last = fresh.process(SensorFrame(START_NS + 70 * STEP_NS, scan(person(13, 2.0), **COARSE)), "lidar")
    assert [(p.track_id, p.previous_track_id) for p in last.pedestrians] == [(man.track_id, again.track_id)]


def test_the_robot_turns_between_cloud_and_image(fresh):
    """Crops are cut where the man is in the image, though the sensor has turned by 3 degrees since the cloud."""
    view, angle = camera(), np.radians(3.0)
    T = np.eye(4)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    body = np.array([[12.0, side, z, 1.0] for side in (-0.2, 0.2) for z in (-1.7, 0.0)]) @ np.linalg.inv(turned).T
    pixel, _ = project(body[:, :3], view)
    image = np.zeros((720, 1280, 3), np.uint8)
    (left, top), (right, bottom) = pixel.min(0).astype(int), pixel.max(0).astype(int)
    image[top:bottom, left:right, 0] = 255
    for k in range(6):
        frame = SensorFrame(START_NS + k * STEP_NS, scan(person(12, 0), seed=k, **COARSE), image, 0.03, view, T, turned)
        seen = fresh.process(frame, "lidar")
    columns = np.flatnonzero((seen.pedestrians[0].crop[:, :, 0] > 128).any(0))
    assert columns.mean() == pytest.approx(31.5, abs=3.5)


def test_overlay_draws_boxes_on_a_copy(fresh):
    view, image = camera(), np.full((720, 1280, 3), 50, np.uint8)
    frame = walk(fresh, 10, image=image, camera=view)[-1]
    cloud = scan(person(12, -0.8), **COARSE)
    picture = draw_overlay(image, view, frame.pedestrians, {frame.pedestrians[0].track_id: "Anna"}, cloud, 0.012)
    assert picture.shape == image.shape
    assert (image == 50).all()
    changed = (picture != 50).any(2)
    pixel, _ = project(frame.pedestrians[0].center[None], view)
    u, v = pixel[0].astype(int)
    assert changed[v - 80 : v + 80, u - 60 : u + 60].sum() > 500


def test_real_man_is_cut_out(fresh, shared_data):
    data = load_frame(shared_data, "000000")
    for k in range(5):
        frame = fresh.process(SensorFrame(START_NS + k * STEP_NS, data.points, data.image, 0.0, data.camera), "lidar")
    man = min(frame.pedestrians, key=lambda p: np.hypot(*(p.center[:2] - data.people[0])))
    assert np.hypot(*(man.center[:2] - data.people[0])) < 0.3
    assert man.point_count > 300
    assert man.crop_native_height_px == pytest.approx(165, rel=0.1)  # the label's box in the image is 165 px high
    shirt = man.crop[30:55, 24:40].reshape(-1, 3).mean(0)
    assert shirt.min() > 120  # white shirt before a dark bush
