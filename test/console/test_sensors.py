"""Which image goes with which answer, and what is said when there is nothing to show."""

import struct
from types import SimpleNamespace as Message

import numpy as np
import pytest

from emgait_ros.console.sensors import KEPT, Picture, Sensors

FORWARD = (0.0, -1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


class Image:
    """Stands for the message class."""


def raw_of(stamp_ns, frame=b"lidar\0"):
    return b"\0\1\0\0" + struct.pack("<iII", stamp_ns // 10**9, stamp_ns % 10**9, len(frame)) + frame


def image_of(raw):
    seconds, nanoseconds = struct.unpack_from("<iI", raw, 4)
    header = Message(stamp=Message(sec=seconds, nanosec=nanoseconds), frame_id="camera")
    pixels = np.zeros((48, 64, 3), np.uint8)
    return Message(
        header=header, encoding="rgb8", width=64, height=48, step=192, data=pixels.tobytes(), is_bigendian=False
    )


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("emgait_ros.console.sensors.time.monotonic", lambda: clock[0])
    return clock


@pytest.fixture
def sensors(now):
    made = Sensors(lambda raw, kind: image_of(raw), 320)
    made.image_topic, made.image_type, made.cloud_topic, made.cloud_type = "/camera", Image, "/points", Image
    return made


def calibrated(sensors):
    sensors.calibrate(lambda target, source, stamp: None, "", "/info", FORWARD)
    roi = Message(x_offset=0, y_offset=0, width=0, height=0)
    k = [50.0, 0, 32, 0, 50, 24, 0, 0, 1]
    info = {"k": k, "d": [], "width": 64, "height": 48, "binning_x": 0, "binning_y": 0, "distortion_model": "plumb_bob"}
    info["p"] = [0.0] * 12
    sensors.take_camera_info(Message(roi=roi, header=Message(frame_id="camera"), **info))


def head(stamp_ns, frame="lidar", velocity=(0.0, 0.0)):
    person = {
        "tracker": "t",
        "track": 1,
        "center": [10.0, 0.0, 0.0],
        "size": [0.6, 0.6, 1.8],
        "velocity": list(velocity),
    }
    return {"tracker": "t", "frame": frame, "stamp_ns": stamp_ns, "people": [person]}


def fill(sensors, now, count=5):
    """Images 100 ms apart, the first at 5 s."""
    for index in range(count):
        sensors.take_image(raw_of(5 * 10**9 + index * 10**8))
        now[0] += 0.1


@pytest.mark.parametrize(
    ("answered_s", "velocity", "offset_s", "left"),
    [
        # that of the answer's time, and not the newest: the person stands where they were then
        (5.2, (0.0, 2.0), 0.0, 0.475),
        # 40 ms apart: 8 cm of walking are made up for, 0.4 px of 64
        (5.24, (0.0, 2.0), 0.0, 0.475 + 0.08 * 50 / 10 / 64),
        # stamps as the tracker corrects them
        (5.1, (0.0, 2.0), -0.1, 0.475),
    ],
)
def test_boxes_are_drawn_in_the_image_of_their_time(sensors, now, answered_s, velocity, offset_s, left):
    calibrated(sensors)
    sensors.image_offset_s = offset_s
    fill(sensors, now)
    found = sensors.picture([head(round(answered_s * 1e9), velocity=velocity)])
    assert isinstance(found, Picture)
    assert found.why_no_boxes == ""
    assert found.boxes[0]["box"][0] == pytest.approx(left, abs=2e-3)
    assert sensors.picture([head(round(answered_s * 1e9))]) is None, "the same image is not sent again"


@pytest.mark.parametrize(
    ("heads", "boxes"),
    [
        ([], 0),
        # an answer of another time: the newest image, without boxes
        ([head(2 * 10**9)], 0),
        ([head(5 * 10**9)], 1),
        # another sensor head, where this camera does not sit
        ([head(5 * 10**9, frame="rear")], 0),
    ],
)
def test_boxes_of_other_times_and_places_are_left_out(sensors, now, heads, boxes):
    calibrated(sensors)
    sensors.take_cloud(raw_of(5 * 10**9))
    fill(sensors, now)
    assert len(sensors.picture(heads).boxes) == boxes


def test_the_picture_is_shown_also_where_nobody_can_be_marked(sensors, now):
    fill(sensors, now, 1)
    assert sensors.picture([head(5 * 10**9)]).why_no_boxes == "it is not known yet where the camera sits"
    calibrated(sensors)
    sensors.take_camera_info(None)
    sensors.forget(images=True, clouds=False)
    fill(sensors, now, 1)
    assert "no CameraInfo on /info yet" in sensors.picture([head(5 * 10**9)]).why_no_boxes


def test_what_is_missing_or_broken_is_a_sentence(sensors, now, monkeypatch):
    assert "no picture comes on /camera" in sensors.picture([])
    assert "no cloud comes on /points" in sensors.cloud()
    sensors.image_topic = ""
    assert sensors.picture([]) == "the tracker uses no camera"
    sensors.image_topic = "/camera"
    fill(sensors, now)
    monkeypatch.setattr(sensors, "_decode", lambda raw, kind: Message(**{**vars(image_of(raw)), "encoding": "32FC1"}))
    assert "/camera: image encoding '32FC1' is a depth image" in sensors.picture([])
    now[0] += 10.0
    assert "no picture comes" in sensors.picture([])


def test_raw_images_do_not_pile_up(sensors, now):
    for index in range(300):
        sensors.take_image(raw_of(index * 10**7))
        now[0] += 0.01
    assert len(sensors._images) <= KEPT + 1
    sensors.forget(images=True, clouds=True)
    assert not sensors._images
