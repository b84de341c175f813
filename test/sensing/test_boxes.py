"""Boxes of another detector: what is read, carried into the LiDAR's frame, left out, and said about it."""

from dataclasses import replace

import numpy as np
import pytest
from box_messages import array, box

from emgait_ros.config import BoxesConfig, PairingConfig, with_options
from emgait_ros.sensing.boxes import BoxReader, box_pairing, match_problem
from emgait_ros.sensing.pairing import StampPairer

MS, START = 1_000_000, 1_700_000_000 * 10**9
HALF = float(np.sqrt(0.5))
TURNED = (0.0, 0.0, HALF, HALF)  # 90 degrees about z


def matrix(turn_deg=0.0, place=(0.0, 0.0, 0.0)):
    T = np.eye(4)
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    T[:2, :2], T[:3, 3] = [[c, -s], [s, c]], place
    return T


def nowhere(target, source, stamp_ns):
    raise ValueError(f"no transform from '{source}' to '{target}': TF does not connect them")


def read(*boxes, lookup=nowhere, frame_id="lidar", fixed="", dt_s=0.0, **options):
    reader = BoxReader(replace(BoxesConfig(), **options), lookup)
    found, sentences = reader.read(array(*boxes, frame_id=frame_id), "lidar", fixed, START, dt_s)
    return reader, found, sentences


@pytest.mark.parametrize(
    ("scores", "options", "score"),
    [
        ({"pedestrian": 0.7}, {}, 0.7),
        ({"PERSON": 0.7}, {}, 0.7),
        ({"car": 0.9}, {}, None),
        ({"car": 0.9, "person": 0.3}, {}, 0.3),  # the class that is asked for counts, not the best one
        ({"person": 0.2, "pedestrian": 0.6}, {}, 0.6),
        ({"7": 0.5}, {"classes": ("7",)}, 0.5),  # detectors that number their classes
        ({"pedestrian": 0.7}, {"classes": ("7",)}, None),
        ({}, {}, None),
        ({"person": 87.0}, {}, 1.0),
    ],
)
def test_classes_and_scores(scores, options, score):
    reader, found, _ = read(box((5, 0, -1), **scores), **options)
    assert list(found.score) == ([] if score is None else [score])
    assert reader.people == len(found)
    assert sum(reader.others.values()) == 1 - len(found)


@pytest.mark.parametrize(
    ("quaternion", "turn_deg", "size"),
    [
        ((0, 0, 0, 1), 0, (0.4, 0.8, 1.8)),
        (TURNED, 0, (0.8, 0.4, 1.8)),
        ((0, 0, 0, 1), 90, (0.8, 0.4, 1.8)),
        (TURNED, 90, (0.4, 0.8, 1.8)),
        ((0, 0, 0, 0), 0, (0.4, 0.8, 1.8)),  # never set
        ((HALF, 0, 0, HALF), 0, (0.4, 1.8, 0.8)),  # its own axes lie otherwise: the height is along y
    ],
)
def test_boxes_stand_upright_in_the_lidars_frame(quaternion, turn_deg, size):
    T = matrix(turn_deg, (1.0, 2.0, -0.5))
    _, found, _ = read(box((3, 0, 1), (0.4, 0.8, 1.8), quaternion, person=0.9), frame_id="map", lookup=lambda *_: T)
    assert found.size[0] == pytest.approx(size)
    assert found.center[0] == pytest.approx((T @ (3, 0, 1, 1))[:3])


@pytest.mark.parametrize(
    ("frame_id", "fixed", "dt_s", "asked"),
    [
        ("lidar", "", 0.0, []),
        ("/lidar", "", 0.05, []),
        ("map", "", 0.05, [("lidar", "map", START + 50 * MS)]),
        ("lidar", "odom", 0.0, []),
        # the robot has moved between the two stamps
        ("lidar", "odom", 0.05, [("odom", "lidar", START + 50 * MS), ("odom", "lidar", START)]),
        ("base", "odom", -0.02, [("odom", "base", START - 20 * MS), ("odom", "lidar", START)]),
    ],
)
def test_tf_is_asked_at_the_stamp_of_the_boxes(frame_id, fixed, dt_s, asked):
    calls = []

    def lookup(target, source, stamp_ns):
        calls.append((target, source, stamp_ns))
        return matrix(place=((stamp_ns - START) * 1e-9 * 2.0, 0.0, 0.0))  # the robot drives at 2 m/s

    _, found, _ = read(box((5, 0, -1), person=0.9), frame_id=frame_id, fixed=fixed, dt_s=dt_s, lookup=lookup)
    assert calls == asked
    assert found.center[0, 0] == pytest.approx(5.0 + 2.0 * dt_s * bool(asked))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (box((float("nan"), 0, 0), person=0.9), "not finite"),
        (box((5, 0, 0), person=float("nan")), "not finite"),
        (box((5, 0, 0), (0.5, 0.0, 1.7), person=0.9), "size is not positive"),
        (box((5, 0, 0), quaternion=(0, 0, 3, 1), person=0.9), "no unit quaternion"),
    ],
)
def test_a_broken_box_is_left_out_alone(made, words):
    _, found, sentences = read(made, box((6, 0, 0), person=0.8))
    assert list(found.score) == [0.8]
    assert len(sentences) == 1
    assert words in sentences[0]


def test_a_frame_without_tf_is_named_until_it_comes():
    reader = BoxReader(BoxesConfig(), nowhere)
    message = array(box((5, 0, 0), person=0.9), frame_id="map")
    with pytest.raises(ValueError, match="'map' to 'lidar'"):
        reader.read(message, "lidar", "", START, 0.0)
    assert ["'map'" in sentence for sentence in reader.problems()] == [True]
    reader.read(replace_frame(message), "lidar", "", START, 0.0)
    assert list(reader.problems()) == []


def replace_frame(message):
    message.header.frame_id = "lidar"
    return message


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([], ""),
        ([box((5, 0, 0), car=0.9), box((6, 0, 0), **{"9": 0.4})], "boxes.classes is pedestrian, person, the boxes are 'car' (1), '9' (1)"),
        ([box((5, 0, 0), car=0.9), box((6, 0, 0), person=0.4)], ""),
        ([box((5, 0, 0), person=0.0)], "no person has a score over 0.00"),
    ],
)  # fmt: skip
def test_boxes_of_no_use_are_explained(boxes, words):
    said = "; ".join(read(*boxes)[0].problems())
    assert words in said if words else said == ""


# Matching: clouds at 10 Hz, boxes of each of them


def played(stamp_error_s, late_s, config=None, clock_error_s=0.0, frames=60):
    """Clouds with their boxes, and the health of the pairing, after some seconds."""
    config = config or BoxesConfig()
    pairer, out, events = StampPairer(box_pairing(config), "clouds", "/boxes"), [], []
    for i in range(frames):
        stamp = START + i * 100 * MS
        events.append((stamp, pairer.add_cloud, stamp))
        boxes = stamp + round((stamp_error_s + clock_error_s) * 1e9)
        events.append((stamp + round(late_s * 1e9), pairer.add_image, boxes))
    events += [(START + i * 10 * MS, None, 0) for i in range(frames * 10)]
    for now_ns, add, stamp in sorted(events, key=lambda e: (e[0], e[1] is None)):
        if add is not None:
            add(stamp, stamp, now_ns)
        out += pairer.poll(now_ns)
    return out, match_problem(pairer.health(START + frames * 100 * MS), config, "/boxes")


@pytest.mark.parametrize(
    ("stamp_error_s", "late_s", "options"),
    [
        (0.0, 0.0, {}),
        (0.0, 0.05, {}),
        (0.0, 0.2, {}),
        (0.04, 0.04, {}),  # stamped when they were made
        (0.0, 0.4, {"boxes.max_wait_s": 0.5}),
    ],
)
def test_late_boxes_are_waited_for(stamp_error_s, late_s, options):
    pairs, problem = played(stamp_error_s, late_s, with_options_of(options))
    assert problem == ""
    assert [p.image_dt_s for p in pairs[10:] if p.image is not None] == pytest.approx([stamp_error_s] * len(pairs[10:]))


def with_options_of(options):
    from emgait_ros.config import SensingConfig

    return with_options(SensingConfig(), options).boxes


@pytest.mark.parametrize(
    ("played_with", "words"),
    [
        ({"stamp_error_s": 0.0, "late_s": 0.4}, "0.40 s after the clouds with the same stamp, boxes.max_wait_s is 0.25 s"),
        ({"stamp_error_s": 0.0, "late_s": 0.05, "clock_error_s": -3600.0}, "3600.1 s behind those of the clouds"),
        ({"stamp_error_s": 0.04, "late_s": 0.05, "config": BoxesConfig(max_dt_s=0.02)}, "0.040 s later than those of the nearest clouds"),
    ],
)  # fmt: skip
def test_boxes_that_never_match_are_explained(played_with, words):
    pairs, problem = played(**played_with)
    assert all(p.image is None for p in pairs[5:])
    assert words in problem


def test_one_boxes_message_of_zero_stamp_is_called_what_it_is():
    pairer = StampPairer(PairingConfig(), "clouds", "/boxes", image="a message")
    assert pairer.add_image(0, None, START).startswith("a message on /boxes has a stamp of zero")
