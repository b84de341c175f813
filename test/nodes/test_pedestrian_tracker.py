"""The pedestrian_tracker node over real DDS: good frames, every kind of bad input, and why it is silent."""

from __future__ import annotations

import itertools
import time
from array import array
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from live_graph import T_CAMERA_LIDAR, LiveGraph, NodeProcess, camera_info, cloud, image, qos, stamp_of, street, walk
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from sensor_msgs_py import point_cloud2

from emgait_msgs.msg import Identity, IdentityArray, PedestrianArray
from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig, with_options
from emgait_ros.doctor.findings import Level
from emgait_ros.doctor.live_system import judge_topic
from emgait_ros.doctor.observations import CAMERA_INFO
from emgait_ros.live.probe import watch

pytestmark = pytest.mark.ros

CLOUD, IMAGE, INFO = "/lidar/points", "/camera/image", "/camera/camera_info"
STEP_NS = 100_000_000
NODE = "/pedestrian_tracker"
BAD, PAIRING, CALIBRATION, STATE = (
    f"pedestrian_tracker: {name}" for name in ("bad input", "pairing", "calibration", "state")
)


class Sensors:
    """A LiDAR and a camera that the test plays."""

    def __init__(self, graph: LiveGraph, node: NodeProcess) -> None:
        self.graph, self.node = graph, node
        self.received = graph.collect(PedestrianArray, "/pedestrian_tracker/pedestrians")
        self.now_ns = time.time_ns()

    def tick(self) -> int:
        self.now_ns += STEP_NS
        return self.now_ns

    def good_frame(self, points: np.ndarray | None = None) -> int:
        """Send a cloud with its image; the cloud's stamp."""
        stamp = self.tick()
        self.graph.publish(INFO, camera_info(stamp))
        self.graph.publish(IMAGE, image(stamp + 5_000_000))
        self.graph.publish(CLOUD, cloud(street() if points is None else points, stamp))
        return stamp

    def answer_to(self, stamp: int) -> PedestrianArray | None:
        return next((m for m in reversed(self.received) if stamp_of(m) == stamp), None)

    def goes_on(self) -> bool:
        """Good frames still come through; the last that was sent is answered, so that nothing is on its way any more."""

        def answered():
            stamp = self.good_frame()  # may be lost: best effort, the newest only
            return self.graph.wait(lambda: self.answer_to(stamp), 3.0)

        return bool(self.graph.wait(answered)) and self.node.process.poll() is None


@pytest.fixture(scope="module")
def sensors(graph, start):
    node = start("pedestrian_tracker", camera__T_camera_lidar=T_CAMERA_LIDAR, camera__overlay=True)
    live = Sensors(graph, node)
    assert graph.wait(lambda: graph.node.count_subscribers(CLOUD)), node.output
    return live


def test_an_image_without_camera_info_is_explained(sensors):
    """First of all tests here: no CameraInfo has been sent yet."""
    graph = sensors.graph

    def send():
        stamp = sensors.tick()
        graph.publish(IMAGE, image(stamp))
        graph.publish(CLOUD, cloud(street(), stamp))

    assert graph.wait(lambda: graph.says(BAD, "no CameraInfo on /camera/camera_info yet"), every=send), (
        sensors.node.output
    )
    assert graph.wait(lambda: graph.says(CALIBRATION, "no CameraInfo"))


def test_a_person_is_published_with_points_and_crop(sensors):
    place_m: dict[int, float] = {}
    places = walk()

    def step():
        here = next(places)
        place_m[sensors.good_frame(street(here))] = here
        time.sleep(0.1)

    def seen():
        """The newest answer with a pedestrian that has everything."""
        return next(
            (m for m in reversed(sensors.received) if any(len(p.points) and len(p.crop) for p in m.pedestrians)), None
        )

    message = sensors.graph.wait(seen, every=step)
    assert message, f"nobody found in {len(sensors.received)} frames: {sensors.node.output}"
    person = message.pedestrians[0]
    here = place_m[stamp_of(message)]
    assert message.header.frame_id == "lidar"
    assert message.tracker_id
    assert person.center.x == pytest.approx(here, abs=0.5)
    assert person.range_m == pytest.approx(person.center.x, abs=0.2)
    assert len(person.points) == 128 * 3
    assert (person.crop_height, person.crop_width, len(person.crop)) == (128, 64, 128 * 64 * 3)
    assert person.crop_native_height_px == pytest.approx(200 * 1.75 / person.center.x, rel=0.25)
    assert person.image_dt_s == pytest.approx(0.005, abs=1e-6)


def test_overlay_is_drawn_for_who_looks(sensors):
    pictures = sensors.graph.collect(Image, "/pedestrian_tracker/overlay")
    assert sensors.graph.wait(lambda: pictures, every=sensors.good_frame), sensors.node.output
    assert (pictures[0].width, pictures[0].height, pictures[0].encoding) == (320, 240, "rgb8")
    assert len(pictures[0].data) == 320 * 240 * 3


def test_the_overlay_is_a_jpeg_for_who_asks_for_that(sensors):
    pictures = sensors.graph.collect(CompressedImage, "/pedestrian_tracker/overlay/compressed")
    assert sensors.graph.wait(lambda: pictures, every=sensors.good_frame), sensors.node.output
    assert cv2.imdecode(np.asarray(pictures[0].data, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)


def test_the_returns_on_people_are_a_cloud_for_who_looks(sensors):
    clouds = sensors.graph.collect(PointCloud2, "/pedestrian_tracker/points")
    places = walk()

    def found():
        """A cloud with the person, and the frame it belongs to."""
        frames = {stamp_of(m): m for m in sensors.received if any(p.point_count for p in m.pedestrians)}
        return next(((c, frames[stamp_of(c)]) for c in clouds if c.width and stamp_of(c) in frames), None)

    both = sensors.graph.wait(found, every=lambda: (sensors.good_frame(street(next(places))), time.sleep(0.1)))
    assert both, sensors.node.output
    message, frame = both
    assert message.header == frame.header
    assert [f.name for f in message.fields] == ["x", "y", "z", "track_id"]
    points = point_cloud2.read_points(message)
    for person in frame.pedestrians:
        own = points[points["track_id"] == person.track_id]
        assert len(own) == person.point_count, "all returns, before resampling"
        if len(own):
            assert np.median(own["x"]) == pytest.approx(person.center.x, abs=0.4)
    assert set(points["track_id"]) <= {p.track_id for p in frame.pedestrians}


def _without_z(stamp):
    message = cloud(street(), stamp)
    message.fields = [f for f in message.fields if f.name != "z"]
    return message


def _cut_off(stamp):
    message = cloud(street(), stamp)
    message.data = message.data[:1000]
    return message


def _empty(stamp):
    return cloud(np.empty((0, 3), np.float32), stamp)


_first: list[int] = []


def _repeated(stamp):
    _first.append(stamp)
    return cloud(street(), _first[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_without_z, "the cloud has no field z"),
        (_cut_off, "the cloud's data has 1000 bytes"),
        (_empty, "no finite points"),
        # nothing but NaN: as good as empty
        (lambda stamp: cloud(np.full((500, 3), np.nan, np.float32), stamp), "no finite points"),
        (lambda stamp: cloud(street(), 0), "a cloud on /lidar/points has a stamp of zero"),
        (_repeated, "is not newer than the one before it"),
    ],
)
def test_a_bad_cloud_is_named_and_the_node_goes_on(sensors, make, words):
    sensors.good_frame()
    before = sensors.node.output.count(words)
    # Best effort with depth 1: a cloud may be pushed out by another, so it is sent until it is noticed.
    said = sensors.graph.wait(
        lambda: sensors.graph.says(BAD, words),
        every=lambda: (sensors.graph.publish(CLOUD, make(sensors.tick())), time.sleep(0.2)),
    )
    assert said, (sensors.graph.diagnostics.get(BAD), sensors.node.output)
    assert sensors.node.output.count(words) - before <= 1, "a kind of bad input is logged once, not for each message"
    assert sensors.goes_on(), sensors.node.output


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda stamp: image(stamp, encoding="16UC7"), "image encoding '16UC7' is unknown"),
        (lambda stamp: image(stamp, encoding="rgba8"), "the image's step is 960 bytes"),
        (lambda stamp: image(stamp, width=160), "its CameraInfo is for 320 x 240"),
        (lambda stamp: image(0), "an image on /camera/image has a stamp of zero"),
    ],
)
def test_a_bad_image_is_named_and_the_cloud_goes_on_alone(sensors, make, words):
    sent: list[int] = []

    def send():
        stamp = sensors.tick()
        sent.append(stamp)
        sensors.graph.publish(INFO, camera_info(stamp))
        sensors.graph.publish(IMAGE, make(stamp))
        sensors.graph.publish(CLOUD, cloud(street(), stamp))
        time.sleep(0.1)

    assert sensors.graph.wait(lambda: sensors.graph.says(BAD, words), every=send), (
        sensors.graph.diagnostics.get(BAD),
        sensors.node.output,
    )
    answers = sensors.graph.wait(lambda: [m for m in map(sensors.answer_to, sent) if m is not None])
    assert answers, "clouds with a bad image must still be used"
    assert all(len(p.crop) == 0 for m in answers for p in m.pedestrians)
    assert sensors.goes_on(), sensors.node.output


def test_a_row_step_of_all_bytes_is_read_and_noted_once(sensors):
    points = street()[: 20 * 400]

    def send():
        message = cloud(points, sensors.tick(), rows=20)
        message.row_step = len(message.data)
        sensors.graph.publish(CLOUD, message)
        time.sleep(0.1)

    def used():
        return sensors.graph.values("pedestrian_tracker: pedestrians").get("points") == str(len(points))

    assert sensors.graph.wait(used, every=send), sensors.graph.values("pedestrian_tracker: pedestrians")
    for _ in range(5):
        send()
    assert sensors.node.prints("read as packed") == 1
    assert sensors.goes_on()


def test_nv12_images_and_coefficients_too_many_are_used(sensors):
    """Crops come of such images; the calibration is noted once, the images not at all."""
    places = walk()
    begun = sensors.now_ns

    def step():
        stamp = sensors.tick()
        info, picture = camera_info(stamp), image(stamp + 5_000_000)
        info.d = [0.01, -0.002, 0.0, 0.0, 0.001, 0.0, 0.0, 0.0]
        picture.encoding, picture.step = "nv12", picture.width
        picture.data = picture.data[: picture.width * picture.height * 3 // 2]
        sensors.graph.publish(INFO, info)
        sensors.graph.publish(IMAGE, picture)
        sensors.graph.publish(CLOUD, cloud(street(next(places)), stamp))
        time.sleep(0.1)

    def with_crop():
        return any(stamp_of(m) > begun and p.crop for m in sensors.received[-20:] for p in m.pedestrians)

    assert sensors.graph.wait(with_crop, every=step), sensors.graph.diagnostics.get(BAD)
    assert sensors.node.prints("8 distortion coefficients for 'plumb_bob'") == 1
    assert not any(words in sensors.node.output for words in ("nv12 image", "nv12 pixels"))
    assert sensors.goes_on()


ZEROS = np.zeros((5000, 3), np.float32)


def _half(number):
    points = street()
    return points[(points[:, 1] > 0) == bool(number % 2)]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (lambda number: ZEROS, "all at the sensor itself (0, 0, 0)"),
        (_half, "the next another part"),
        (lambda number: street() * 1000, "millimetres"),
    ],
)
def test_clouds_that_show_nothing_are_named_and_good_ones_are_not(sensors, points, words):
    numbers = itertools.count()

    def send():
        sensors.graph.publish(CLOUD, cloud(points(next(numbers)), sensors.tick()))
        time.sleep(0.1)

    assert sensors.graph.wait(lambda: sensors.graph.says(BAD, words), every=send), sensors.graph.diagnostics.get(BAD)
    assert sensors.graph.diagnostics[BAD].level == b"\1"
    assert "upside down" not in sensors.graph.diagnostics[BAD].message

    def good():
        sensors.good_frame()
        time.sleep(0.1)

    assert sensors.graph.wait(lambda: not sensors.graph.says(BAD, words), every=good), "named for ever"


def test_time_running_backwards_starts_over(sensors):
    assert sensors.goes_on()
    ids = {p.track_id for m in sensors.received for p in m.pedestrians}
    jumps = int(sensors.graph.now_values(PAIRING)["time_jumps"])
    sensors.now_ns -= 100 * 10**9
    assert sensors.goes_on(), "frames after the jump must come through"
    assert sensors.graph.wait(lambda: int(sensors.graph.values(PAIRING)["time_jumps"]) > jumps)
    count = len(sensors.received)

    def new_tracks():
        return {p.track_id for m in sensors.received[count:] for p in m.pedestrians}

    new = sensors.graph.wait(new_tracks, every=lambda: (sensors.good_frame(), time.sleep(0.1)))
    assert new, sensors.node.output
    assert not new & ids, "tracks from before the jump must not be continued"
    sensors.now_ns += 200 * 10**9


def test_a_silent_camera_is_named_and_clouds_go_on(sensors):
    count = len(sensors.received)

    def send():
        sensors.graph.publish(CLOUD, cloud(street(), sensors.tick()))
        time.sleep(0.1)

    said = sensors.graph.wait(lambda: sensors.graph.says(PAIRING, "clouds go on without one (LiDAR only)"), every=send)
    assert said, sensors.graph.diagnostics.get(PAIRING)
    assert sensors.graph.wait(lambda: len(sensors.received) > count, every=send)
    assert sensors.goes_on()


def test_a_silent_lidar_is_named_and_it_goes_on_when_it_is_back(sensors):
    assert sensors.goes_on()

    def send():
        stamp = sensors.tick()
        sensors.graph.publish(INFO, camera_info(stamp))
        sensors.graph.publish(IMAGE, image(stamp))
        time.sleep(0.1)

    cloud_status = "pedestrian_tracker: cloud"
    assert sensors.graph.wait(lambda: sensors.graph.says(cloud_status, "has stopped sending"), every=send), (
        sensors.graph.diagnostics.get(cloud_status)
    )
    assert sensors.goes_on(), sensors.node.output


def late_images(sensors: Sensors, late_steps: int, count: int) -> None:
    """Clouds with images of the same stamps that come so many frames (0.1 s each) and 20 ms later."""
    waiting: list[int] = []
    for _ in range(count):
        waiting.append(sensors.tick())
        sensors.graph.publish(CLOUD, cloud(street(), waiting[-1]))
        time.sleep(0.02)
        if len(waiting) > late_steps:
            stamp = waiting.pop(0)
            sensors.graph.publish(INFO, camera_info(stamp))
            sensors.graph.publish(IMAGE, image(stamp))
        time.sleep(0.08)


def test_late_images_are_waited_for(sensors):
    """120 ms and whatever a busy machine adds: clouds get their images, and wait for longer than those are late."""
    graph = sensors.graph
    assert sensors.goes_on()
    assert graph.set_parameter("pedestrian_tracker", "pairing.max_wait_s", 1.0).successful
    late_images(sensors, 1, 40)
    before = graph.now_values(PAIRING)

    def paired():
        return int(graph.values(PAIRING)["paired"]) - int(before["paired"]) >= 10

    def said():
        found = graph.diagnostics[PAIRING]
        return "later than clouds with the same stamp" in found.message and found

    assert graph.wait(paired, every=lambda: late_images(sensors, 1, 10)), (before, graph.values(PAIRING))
    status = graph.wait(said, every=lambda: late_images(sensors, 1, 10))
    assert status, graph.diagnostics[PAIRING]
    values = {pair.key: pair.value for pair in status.values}
    lag_ms = float(values["arrival_offset_ms"])
    assert lag_ms >= 100
    assert min(lag_ms + 35, 1000) <= float(values["wait_ms"]) <= 1000
    assert "image_offset_s" not in status.message


def test_images_that_come_too_late_are_named_and_no_offset_is_advised(sensors):
    assert sensors.graph.set_parameter("pedestrian_tracker", "pairing.max_wait_s", 0.25).successful

    def late():
        late_images(sensors, 4, 20)
        assert not sensors.graph.says(PAIRING, "image_offset_s")

    found = sensors.graph.wait(lambda: sensors.graph.says(PAIRING, "pairing.max_wait_s is 0.25 s"), every=late)
    assert found, sensors.graph.diagnostics.get(PAIRING)
    assert "later than clouds on /lidar/points with the same stamp" in found
    assert sensors.goes_on()


def test_only_a_bag_that_starts_over_resets_tracks(sensors):
    """Not an image out of order, nor options that change afterwards."""

    def resets() -> int:
        assert sensors.goes_on()
        return int(sensors.graph.now_values(PAIRING)["time_jumps"])

    def frames(count: int, stray: bool = False) -> None:
        for _ in range(count):
            sensors.good_frame()
            if stray:
                sensors.graph.publish(IMAGE, image(sensors.now_ns - 220_000_000))
            time.sleep(0.1)

    before = resets()
    frames(5, stray=True)
    assert resets() == before
    sensors.now_ns -= 60 * 10**9
    frames(10)
    assert sensors.graph.wait(lambda: resets() > before)
    assert resets() == before + 1
    assert sensors.graph.wait(lambda: not sensors.graph.says(BAD, "time jumped")), "said for 10 s"
    assert sensors.graph.set_parameter("pedestrian_tracker", "pairing.max_dt_s", 0.06).successful
    frames(10)
    assert resets() == before + 1
    assert not sensors.graph.says(BAD, "time jumped")


def test_parameters_change_while_it_runs(sensors):
    graph = sensors.graph
    assert graph.set_parameter("pedestrian_tracker", "pairing.image_offset_s", 0.25).successful
    refused = graph.set_parameter("pedestrian_tracker", "camera.T_camera_lidar", [2.0] * 16)
    assert not refused.successful
    assert "no rigid transform" in refused.reason
    assert not graph.set_parameter("pedestrian_tracker", "detector.max_range_m", 1000.0).successful
    assert not graph.set_parameter("pedestrian_tracker", "topics.cloud", "/other").successful
    assert graph.set_parameter("pedestrian_tracker", "tracker.gate_m", 0.8).successful
    assert graph.set_parameter("pedestrian_tracker", "pairing.image_offset_s", 0.0).successful
    assert sensors.goes_on()


def test_every_topic_has_its_rate_in_diagnostics(sensors):

    def rates():
        found = [sensors.graph.values(f"pedestrian_tracker: {name}") for name in ("cloud", "image", "camera_info")]
        return [float(values.get("rate_hz", 0)) for values in found]

    shown = lambda: all(0.5 < rate < 15 for rate in rates())  # noqa: E731  # sent at 10 Hz at most
    assert sensors.graph.wait(shown, every=lambda: (sensors.good_frame(), time.sleep(0.1))), rates()
    worker = sensors.graph.now_values("pedestrian_tracker: worker")
    assert int(worker["done"]) > 0
    assert int(worker["failed"]) == 0, sensors.node.output


def test_life_cycle_and_tracks_start_over(sensors):
    """Runs on the node of the tests above, whose tracks and model must be gone when it is activated again."""
    graph = sensors.graph
    assert graph.state(NODE) == "active"
    assert sensors.goes_on()
    ids = {p.track_id for m in sensors.received for p in m.pedestrians}
    assert graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    assert graph.wait(lambda: not graph.node.count_subscribers(CLOUD)), "an inactive node costs no copy of a cloud"
    assert graph.wait(lambda: graph.says(STATE, "inactive: activate it"))
    count = len(sensors.received)
    for _ in range(10):
        sensors.good_frame()
        time.sleep(0.05)
    assert len(sensors.received) == count
    assert graph.change_state(NODE, Transition.TRANSITION_CLEANUP)
    assert graph.set_parameter("pedestrian_tracker", "image_detector.model", "/nowhere.onnx").successful
    assert not graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    assert graph.state(NODE) == "unconfigured"
    assert graph.wait(lambda: graph.says(STATE, "/nowhere.onnx")), graph.diagnostics.get(STATE)
    assert graph.set_parameter("pedestrian_tracker", "image_detector.model", "").successful
    assert graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    assert graph.state(NODE) == "inactive"
    assert not graph.node.count_subscribers(CLOUD)
    assert graph.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    assert sensors.goes_on()
    places = walk()

    def seen():
        return {p.track_id for m in sensors.received[count:] for p in m.pedestrians}

    assert graph.wait(seen, every=lambda: (sensors.good_frame(street(next(places))), time.sleep(0.1)))
    assert sensors.received[-1].tracker_id != sensors.received[count - 1].tracker_id or not seen() & ids
    assert graph.wait(lambda: graph.says(STATE, "active") == "active")


def test_a_model_that_is_not_there_ends_the_process_with_its_name(start):
    node = start("pedestrian_tracker", namespace="broken", image_detector__model="/nowhere.onnx")
    assert node.wait() == 1, node.output
    assert "pedestrian_tracker cannot start" in node.output
    assert "/nowhere.onnx" in node.output
    assert "Traceback" not in node.output


def test_silence_is_explained_by_its_cause(graph, start):
    """A reliable subscription to a best-effort publisher, an image of another type, no extrinsics, no clock."""
    topics = {"topics__cloud": "/quiet/points", "topics__image": "/quiet/image", "topics__camera_info": "/quiet/info"}
    start("pedestrian_tracker", namespace="quiet", topics__reliability="reliable", use_sim_time=True, **topics)
    publisher = graph.node.create_publisher(PointCloud2, "/quiet/points", qos("best_effort"))
    graph.node.create_publisher(CompressedImage, "/quiet/image", qos())
    name = "quiet/pedestrian_tracker"

    def all_said():
        return (
            graph.says(f"{name}: cloud", "QoS mismatch on /quiet/points")
            and graph.says(f"{name}: image", "carries sensor_msgs/msg/CompressedImage")
            and graph.says(f"{name}: camera_info", "nobody publishes /quiet/info")
            and graph.says(
                f"{name}: calibration", "from TF" if find_spec("tf2_msgs") else "camera.T_camera_lidar is empty"
            )
            and graph.says(f"{name}: time", "use_sim_time is on but nothing has come on /clock")
        )

    assert graph.wait(all_said), graph.diagnostics
    assert "the publisher offers best_effort" in graph.diagnostics[f"{name}: cloud"].message
    assert "topics.image_compressed to true" in graph.diagnostics[f"{name}: image"].message
    graph.node.destroy_publisher(publisher)
    fitting = graph.node.create_publisher(PointCloud2, "/quiet/points", qos())
    assert graph.wait(lambda: graph.says(f"{name}: cloud", "it has sent nothing yet")), graph.diagnostics
    graph.node.destroy_publisher(fitting)


def test_a_camera_info_sent_once_before_the_start_is_used_and_a_remapped_name_says_what_is_rectified(graph, start):
    publisher = graph.node.create_publisher(CameraInfo, "/kept/info", qos(depth=1, durability="transient_local"))
    publisher.publish(camera_info(time.time_ns()))
    topics = {"topics__cloud": "/kept/points", "topics__image": "raw", "topics__camera_info": "/kept/info"}
    remap = "raw:=/kept/image_rect"
    start("pedestrian_tracker", namespace="kept", remap=remap, camera__T_camera_lidar=T_CAMERA_LIDAR, **topics)
    name = "kept/pedestrian_tracker"

    def send():
        stamp = time.time_ns()
        graph.publish("/kept/image_rect", image(stamp))
        graph.publish("/kept/points", cloud(street(), stamp))
        time.sleep(0.1)

    paired = graph.wait(lambda: int(graph.values(f"{name}: pairing").get("paired", 0)) > 20, every=send)
    assert paired, graph.diagnostics
    assert graph.wait(lambda: graph.says(f"{name}: calibration", "images are rectified"), every=send), graph.diagnostics
    assert graph.wait(lambda: graph.says(f"{name}: camera_info", "messages on /kept/info"), every=send), (
        graph.diagnostics
    )
    tracker = with_options(
        TrackerNodeConfig(), {"topics.camera_info": "/kept/info", "topics.image": "/kept/image_rect"}
    )
    system = watch(tracker, RecognizerNodeConfig(), 4.0)
    findings = list(judge_topic(system.topics[CAMERA_INFO], system))
    assert ([finding.level for finding in findings], system.topics[CAMERA_INFO].last.width) == ([Level.OK], 320), (
        findings
    )
    graph.node.destroy_publisher(publisher)


def test_array_is_what_rclpy_sends_fast():
    """float32[] and uint8[] fields must be given an array.array: a numpy array takes 700 times longer."""
    from emgait_ros.nodes.messages import byte_array, float_array

    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert float_array(values) == array("f", itertools.chain(*values.tolist()))
    assert byte_array(np.array([[1, 255]], np.uint8)) == array("B", [1, 255])


def test_the_recognizer_can_give_a_lost_track_its_number_back(graph, start):
    """Somebody walks, is gone for longer than re-linking by place allows, comes back, and is recognised both times."""
    topics = {"topics__cloud": "/gait/points", "topics__image": "", "topics__identities": "/gait/identities"}
    node = start("pedestrian_tracker", namespace="gait", **topics)
    received = graph.collect(PedestrianArray, "/gait/pedestrian_tracker/pedestrians")
    assert graph.wait(lambda: graph.node.count_subscribers("/gait/points")), node.output
    now_ns, frames = time.time_ns(), 0

    def frame(place: float):
        nonlocal frames
        frames += 1
        graph.publish("/gait/points", cloud(street(place), now_ns + frames * STEP_NS))
        time.sleep(0.1)

    def newest():
        """The newest message with somebody in it."""
        return next((m for m in reversed(received) if m.pedestrians), None)

    def tell():
        seen = newest()
        answer = Identity(
            track_id=seen.pedestrians[0].track_id, tracker_id=seen.tracker_id, status=Identity.STATUS_KNOWN, name="Anna"
        )
        graph.publish("/gait/identities", IdentityArray(header=seen.header, identities=[answer]))

    def walks_and_is_named():
        """Told again and again: when the tracker hears of it beside its clouds is not known."""
        frame(next(places))
        tell()

    places = walk(step_m=0.1, steps=120)
    assert graph.wait(newest, every=lambda: frame(next(places))), node.output
    first, since = newest().pedestrians[0].track_id, len(received)
    assert graph.wait(lambda: len(received) >= since + 5, every=walks_and_is_named), node.output
    now_ns += 6 * 10**9  # nobody was seen for six seconds
    since = len(received)

    def linked():
        return next((p for m in received[since:] for p in m.pedestrians if p.relinked), None)

    found = graph.wait(linked, every=walks_and_is_named)
    assert found, node.output
    assert found.track_id == first
