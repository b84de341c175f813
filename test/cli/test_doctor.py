"""The doctor's findings, on systems that are broken in known ways."""

import io
import json
import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from emgait_ros.cli.main import main
from emgait_ros.config import (
    DetectorConfig,
    EngineConfig,
    GalleryConfig,
    PairingConfig,
    RecognitionConfig,
    TrackerNodeConfig,
)
from emgait_ros.doctor import backends, contents, environment, installation
from emgait_ros.doctor import live_system as live
from emgait_ros.doctor.findings import Level, Page, collect, fail, ok, warn
from emgait_ros.doctor.observations import CAMERA_INFO, CLOUD, IDENTITIES, IMAGE, PEDESTRIANS, LiveSystem, TopicSeen
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.parameter_file import load_parameters
from emgait_ros.samples import CameraModel, Modality
from emgait_ros.transport import PROFILE_VARIABLES, shipped_profile

NOW_NS = 1_795_000_000_000_000_000
T_CAMERA_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)


def text_of(findings):
    return "\n".join(f"{f.level.name} {f.subject}: {f.what} -> {f.fix}" for f in findings)


def worst(findings):
    return max(f.level for f in findings)


# The page


def test_the_page_shows_every_finding_and_its_fix():
    page = Page()
    page.add(
        "Sensors",
        [
            ok("LiDAR", "10 Hz"),
            warn("camera", "dark [night]", "wait for the sun"),
            fail("clock", "stands", "wind it up"),
        ],
    )
    written = io.StringIO()
    page.show(Console(file=written, width=100))
    shown = written.getvalue()
    assert all(words in shown for words in ("Sensors", "LiDAR", "dark [night]", "-> wait for the sun", "-> wind it up"))
    assert "1 broken, 1 to look at, 1 fine" in shown
    assert page.level is Level.FAIL
    assert page.to_dict()["sections"]["Sensors"][2] == {
        "subject": "clock",
        "level": "FAIL",
        "what": "stands",
        "fix": "wind it up",
        "values": {},
    }


def test_headings_are_shown_as_they_are_and_only_with_findings():
    page = Page()
    page.add("Parameters", [])
    page.add("Recording walk [anna].bag", [ok("recording", "793 messages")])
    written = io.StringIO()
    page.show(Console(file=written, width=100))
    assert "Recording walk [anna].bag" in written.getvalue()
    assert "Parameters" not in written.getvalue()
    assert "Parameters" not in page.text()


def test_a_check_that_raises_becomes_a_finding():
    def check():
        yield ok("first", "fine")
        raise RuntimeError("no such library")

    findings = collect(check, "second")
    assert [f.level for f in findings] == [Level.OK, Level.FAIL]
    assert "RuntimeError: no such library" in findings[1].what


# Installation


def test_this_installation_has_what_it_needs():
    findings = list(installation.check_packages())
    assert worst(findings) < Level.FAIL, text_of(findings)


@pytest.mark.ros
def test_the_messages_that_were_built_here_are_those_of_this_code():
    pytest.importorskip("rclpy")
    findings = list(installation.check_ros())
    assert worst(findings) < Level.FAIL, text_of(findings)


def test_a_missing_a_broken_and_an_old_package_are_told_apart(tmp_path, monkeypatch):
    (tmp_path / "broken_binary.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    (tmp_path / "old_one.py").write_text("__version__ = '0.9.1'")
    monkeypatch.syspath_prepend(tmp_path)
    packages = ("not_there_at_all", "broken_binary", "old_one")
    monkeypatch.setattr(installation, "PACKAGES", [installation.Package(name, minimum="0.10") for name in packages])
    missing, broken, old = installation.check_packages()
    assert (missing.level, broken.level, old.level) == (Level.FAIL, Level.FAIL, Level.WARN)
    assert "multiarray" in broken.what
    assert "0.9.1" in old.what


# Transport


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("", Level.OK),
        ("42", Level.OK),
        ("180", Level.WARN),  # its ports may be taken
        ("233", Level.FAIL),  # beyond the port formula
        ("-1", Level.FAIL),
        ("zero", Level.FAIL),
    ],
)
def test_domain(value, level):
    assert environment.check_domain(value).level is level


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({}, Level.OK, "local network"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, Level.OK, "only nodes on this machine"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, Level.FAIL, "no other node is found"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "localhost"}, Level.WARN, "does not know"),
        ({"ROS_LOCALHOST_ONLY": "1"}, Level.WARN, "outdated"),
        ({"ROS_DISCOVERY_SERVER": "10.0.0.1:11811"}, Level.WARN, "10.0.0.1"),
    ],
)
def test_discovery(variables, level, words):
    findings = list(environment.check_discovery(variables))
    assert worst(findings) is level
    assert words in text_of(findings)


def test_a_middleware_that_is_not_installed():
    finding = environment.check_middleware("rmw_nothing_cpp", {"AMENT_PREFIX_PATH": "/nowhere"})
    assert finding.level is Level.FAIL
    assert "rmw_nothing_cpp" in finding.what


PROFILE = "<profiles xmlns='http://www.eprosima.com'><d><segment_size>{}</segment_size></d></profiles>"


@pytest.mark.parametrize(
    ("content", "level", "words"),
    [
        (PROFILE.format(33554432), Level.OK, "34 MB"),
        (PROFILE.format(524288), Level.WARN, "0.5 MB"),  # what Fast DDS makes by itself
        ("<profiles/>", Level.WARN, "no shared-memory segment"),
        ("<profiles>", Level.FAIL, "not XML"),
        (None, Level.FAIL, "cannot be read"),
    ],
)
def test_profile_files(tmp_path, content, level, words):
    file = tmp_path / "profile.xml"
    if content is not None:
        file.write_text(content)
    finding = environment.judge_profile(file, "export it")
    assert finding.level is level
    assert words in finding.what


def test_profile_variables():
    old, new = PROFILE_VARIABLES
    path = str(shipped_profile())
    assert worst(environment.check_profile({old: path, new: path})) is Level.OK
    assert "export" in text_of(environment.check_profile({}))
    assert f"only {new} is set" in text_of(environment.check_profile({new: path}))


def test_small_shared_memory(tmp_path, monkeypatch):
    assert next(environment.check_shared_memory(tmp_path / "none")).level is Level.WARN
    for free_blocks, level in ((16_000, Level.WARN), (2_000, Level.FAIL), (1_000_000, Level.OK)):
        state = SimpleNamespace(f_blocks=1_000_000, f_bavail=free_blocks, f_frsize=4096)
        monkeypatch.setattr(environment.os, "statvfs", lambda folder, state=state: state)
        assert next(environment.check_shared_memory(tmp_path)).level is level, free_blocks


# Files


@pytest.mark.parametrize(
    ("yaml", "cloud", "unknown"),
    [
        ("/**:\n  ros__parameters:\n    topics.cloud: /a\n", "/a", []),  # dotted name, any node
        ("pedestrian_tracker:\n  ros__parameters:\n    topics:\n      cloud: /a\n", "/a", []),  # nested groups
        ("/front/pedestrian_tracker:\n  ros__parameters: {topics.cloud: /a}\n", "/a", []),  # full name
        ("front:\n  pedestrian_tracker:\n    ros__parameters: {topics.cloud: /a}\n", "/a", []),  # nested namespace
        ("gait_recognizer:\n  ros__parameters: {window.min_samples: 12}\n", "lidar/points", []),  # the other node's
        ("pedestrian_tracker:\n  ros__parameters: {topics.clud: /a, use_sim_time: true}\n", "lidar/points", ["topics.clud"]),
        ("/**:\n  ros__parameters: {window.min_samples: 12, gallery.file: x}\n", "lidar/points", ["gallery.file"]),
        ("other_node:\n  ros__parameters: {rate: 3}\n", "lidar/points", []),  # not our business
    ],
)  # fmt: skip
def test_parameter_files(tmp_path, yaml, cloud, unknown):
    file = tmp_path / "params.yaml"
    file.write_text(yaml)
    tracker, _, sentences = load_parameters(file)
    assert tracker.topics.cloud == cloud
    assert [s.split("'")[1] for s in sentences] == unknown


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("topics: {cloud: /a}\n", "no ROS parameter file"),
        ("a: [1\n", "not YAML"),
        ("", "no ROS parameter file"),
        ("pedestrian_tracker:\n  ros__parameters: {topics.depth: 0}\n", "topics.depth"),  # out of range
        ("pedestrian_tracker:\n  ros__parameters: {camera.T_camera_lidar: [1.0, 2.0]}\n", "16"),
    ],
)
def test_wrong_parameter_files(tmp_path, yaml, words):
    file = tmp_path / "params.yaml"
    file.write_text(yaml)
    with pytest.raises(ValueError, match=words):
        load_parameters(file)


def test_a_bundle_that_is_none(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    config = RecognitionConfig(engine=EngineConfig(bundle=str(tmp_path)))
    (finding,) = backends.check_model(config)
    assert finding.level is Level.FAIL
    assert str(tmp_path) in finding.what


def test_the_shipped_bundle_runs():
    findings = list(backends.check_model(RecognitionConfig()))
    assert worst(findings) < Level.FAIL, text_of(findings)
    inference = next(f for f in findings if f.subject == "inference")
    assert 0 < inference.values["sample_ms"] < 5000


@pytest.mark.parametrize(
    ("content", "mode", "level", "words"),
    [
        (None, None, Level.OK, "first enrolment creates it"),
        (b"", 0o600, Level.FAIL, "empty"),
        (b"walk " * 100, 0o600, Level.FAIL, "not an SQLite file"),
        ("whole", 0o600, Level.OK, "1 people"),
        ("whole", 0o644, Level.WARN, "could be read by others"),
        ("damaged", 0o600, Level.FAIL, "Anna"),
    ],
)
def test_galleries(tmp_path, content, mode, level, words):
    path = tmp_path / "gallery.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        embedding = np.arange(12, dtype=np.float32).reshape(3, 4)
        with Gallery(path) as gallery:
            fingerprint = load_bundle("").fingerprint
            gallery.enroll("Anna", embedding, fingerprint, samples=[10], modalities=Modality.BOTH, median_range_m=12.0)
        if content == "damaged":
            whole = path.read_bytes()
            assert whole.count(embedding.tobytes()) == 1
            path.write_bytes(whole.replace(embedding.tobytes(), embedding[::-1].tobytes()))
    if mode is not None:
        path.chmod(mode)
    findings = list(backends.check_gallery(RecognitionConfig(gallery=GalleryConfig(path=str(path)))))
    assert worst(findings) is level, text_of(findings)
    assert words in text_of(findings)


# A live system


def cloud_message(points=None, names="xyz", frame="lidar"):
    points = np.random.default_rng(0).uniform(2, 30, (500, 3)).astype(np.float32) if points is None else points
    fields = [SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate(names)]
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame, stamp=SimpleNamespace(sec=0, nanosec=0)),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(points),
        data=points.tobytes(),
    )


def image_message(pixels=None, encoding="rgb8", frame="camera"):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8) if pixels is None else pixels
    height, width, _ = pixels.shape
    header = SimpleNamespace(frame_id=frame)
    return SimpleNamespace(
        header=header, height=height, width=width, encoding=encoding, step=width * 3, data=pixels.tobytes()
    )


def info_message(width=160, height=120, frame="camera"):
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame),
        width=width,
        height=height,
        k=[100.0, 0, width / 2, 0, 100.0, height / 2, 0, 0, 1],
        d=[],
        distortion_model="plumb_bob",
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )


def seen(role, message, count=50, period_s=0.1, age_s=0.03, first_s=0.0, **changes):
    """A topic that runs well, unless told otherwise."""
    arrivals = first_s + np.arange(count) * period_s
    clock = NOW_NS + np.round(arrivals * 1e9).astype(np.int64)
    topic = TopicSeen(
        role,
        f"/{role}",
        f"topics.{role}",
        publishers=("/driver (best_effort, volatile)",),
        arrivals_s=arrivals.tolist(),
        stamps_ns=(clock - round(age_s * 1e9)).tolist(),
        clock_ns=clock.tolist(),
        sizes=[1_000_000] * count,
        last=message,
    )
    for name, value in changes.items():
        setattr(topic, name, value)
    return topic


def healthy(**replaced):
    topics = {
        CLOUD: seen(CLOUD, cloud_message()),
        IMAGE: seen(IMAGE, image_message(), count=150, period_s=0.0333),
        CAMERA_INFO: seen(CAMERA_INFO, info_message(), count=150, period_s=0.0333),
        PEDESTRIANS: seen(PEDESTRIANS, None),
        IDENTITIES: seen(IDENTITIES, None),
    } | {name: value for name, value in replaced.items() if isinstance(value, TopicSeen)}
    others = {name: value for name, value in replaced.items() if not isinstance(value, TopicSeen)}
    system = LiveSystem(5.0, topics, ("/gait_recognizer", "/pedestrian_tracker"), {"/gait_recognizer": "active"})
    system.T_camera_lidar, system.extrinsics_from = T_CAMERA_LIDAR, "camera.T_camera_lidar"
    for name, value in others.items():
        setattr(system, name, value)
    return system


@pytest.mark.parametrize("trackers", [("/pedestrian_tracker",), ("/pedestrian_tracker", "/rear/pedestrian_tracker")])
def test_nothing_is_wrong_with_a_healthy_system(trackers):
    """One recognizer serves any number of trackers."""
    heads = seen(PEDESTRIANS, None, publishers=trackers)
    findings = list(live.judge(healthy(pedestrians=heads), TrackerNodeConfig()))
    assert worst(findings) is Level.OK, text_of(findings)
    assert {"/cloud", "/image", "pairing", "calibration", "pedestrian_tracker"} <= {f.subject for f in findings}


NAN_CLOUD = np.full((10, 3), np.nan, np.float32)


@pytest.mark.parametrize(
    ("replaced", "level", "subject", "words"),
    [
        # who is there
        ({"nodes": ("/gait_recognizer",)}, Level.WARN, "pedestrian_tracker", "does not run"),
        ({"nodes": ("/gait_recognizer", "/pedestrian_tracker", "/pedestrian_tracker")}, Level.FAIL, "pedestrian_tracker", "2 times"),
        ({"nodes": ("/robot1/gait_recognizer", "/robot1/pedestrian_tracker")}, Level.WARN, "pedestrian_tracker", "--namespace 'robot1'"),
        ({"namespace": "/robot1"}, Level.WARN, "pedestrian_tracker", "not as /robot1/pedestrian_tracker"),
        ({"states": {"/gait_recognizer": "inactive"}}, Level.FAIL, "/gait_recognizer", "activate"),
        ({"states": {"/pedestrian_tracker": "unconfigured"}}, Level.FAIL, "/pedestrian_tracker", "activate"),
        # topics
        ({"cloud": seen(CLOUD, None, 0, why_silent="nobody publishes it")}, Level.FAIL, "/cloud", "nobody publishes it"),
        ({"cloud": seen(CLOUD, None, 0, refused=("/driver: best effort",))}, Level.FAIL, "/cloud", "QoS mismatch"),
        ({"cloud": seen(CLOUD, cloud_message(), 10, 0.5)}, Level.WARN, "/cloud", "2.0 Hz"),
        ({"cloud": seen(CLOUD, cloud_message(), silent_s=3.0)}, Level.FAIL, "/cloud", "then nothing for 3.0 s"),
        (
            {"cloud": seen(CLOUD, cloud_message(), silent_s=3.0, why_silent="it stopped, or the segment is small")},
            Level.FAIL,
            "/cloud",
            "it stopped, or the segment is small",
        ),
        ({"cloud": seen(CLOUD, cloud_message(), publishers=("/a", "/b"))}, Level.WARN, "/cloud", "2 publishers"),
        ({"image": seen(IMAGE, image_message(), arrivals_s=[0.0, 0.03, 0.06, 0.09, 0.12, 4.0], count=6)}, Level.WARN, "/image", "lost"),
        (
            {"image": seen(IMAGE, image_message(), 150, 0.0333, lost_share=0.6, loss_advice="the segment is small")},
            Level.WARN,
            "/image",
            "60% of its messages are lost on the way",
        ),
        # stamps
        ({"cloud": seen(CLOUD, cloud_message(), stamps_ns=[0] * 50)}, Level.FAIL, "/cloud stamps", "50 of 50 are zero"),
        ({"cloud": seen(CLOUD, cloud_message(), age_s=2.5)}, Level.WARN, "/cloud stamps", "2.50 s behind this machine's clock"),
        ({"cloud": seen(CLOUD, cloud_message(), age_s=-0.5)}, Level.WARN, "/cloud stamps", "0.500 s ahead"),
        ({"cloud": seen(CLOUD, cloud_message(), age_s=3e7)}, Level.WARN, "/cloud stamps", "347 days"),
        ({"cloud": seen(CLOUD, cloud_message(), stamps_ns=[NOW_NS, NOW_NS - 10**9] * 25)}, Level.WARN, "/cloud stamps", "backwards 25 times"),
        ({"cloud": seen(CLOUD, cloud_message(), stamps_ns=[NOW_NS] * 50)}, Level.WARN, "/cloud stamps", "49 of 50 repeat"),
        # contents
        ({"cloud": seen(CLOUD, cloud_message(names="xyi"))}, Level.FAIL, "/cloud content", "no field z"),
        ({"cloud": seen(CLOUD, cloud_message(frame=""))}, Level.FAIL, "/cloud content", "frame_id is empty"),
        ({"cloud": seen(CLOUD, cloud_message(frame="cam_optical_frame"))}, Level.WARN, "/cloud content", "z forward"),
        ({"cloud": seen(CLOUD, cloud_message(points=NAN_CLOUD))}, Level.FAIL, "/cloud content", "0 finite"),
        ({"image": seen(IMAGE, image_message(encoding="32FC1"))}, Level.FAIL, "/image content", "32FC1"),
        ({"image": seen(IMAGE, image_message(np.full((120, 160, 3), 7, np.uint8)))}, Level.WARN, "/image content", "one colour"),
        # together
        ({"camera_info": seen(CAMERA_INFO, info_message(1280, 720))}, Level.FAIL, "calibration", "1280 x 720"),
        ({"camera_info": seen(CAMERA_INFO, info_message(frame="rear"))}, Level.WARN, "calibration", "'rear'"),
        ({"T_camera_lidar": None, "extrinsics_problem": "no extrinsics"}, Level.FAIL, "calibration", "T_camera_lidar"),
        ({"complaints": ((2, "gait_recognizer: gallery", "the disk is full"),)}, Level.FAIL, "gait_recognizer: gallery", "disk is full"),
        ({"complaints": ((1, "tracker: image", "dark"),)}, Level.WARN, "tracker: image", "dark"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_live_system(replaced, level, subject, words):
    findings = [f for f in live.judge(healthy(**replaced), TrackerNodeConfig()) if f.subject == subject]
    assert worst(findings) is level, text_of(findings)
    assert words in text_of(f for f in findings if f.level is level)


@pytest.mark.parametrize(
    ("namespace", "heard"), [("/", {"gait_recognizer: gallery"}), ("/robot1", {"robot1/gait_recognizer: gallery"})]
)
def test_another_robots_complaints_are_not_judged(namespace, heard):
    complaints = tuple(
        (2, f"{robot}gait_recognizer: gallery", "the disk is full") for robot in ("", "robot1/", "robot2/")
    )
    findings = live.judge(healthy(complaints=complaints, namespace=namespace), TrackerNodeConfig())
    assert {f.subject for f in findings if "disk is full" in f.what} == heard


def _zeros():
    return cloud_message(points=np.zeros((500, 3), np.float32))


def _without_row_step():
    message = cloud_message()
    message.row_step = 0
    return message


@pytest.mark.parametrize(
    ("messages", "level", "words"),
    [
        ([cloud_message() for _ in range(20)], Level.OK, "500 points"),
        ([_zeros() for _ in range(20)], Level.FAIL, "(0, 0, 0)"),
        ([_without_row_step()], Level.WARN, "row_step is 0 bytes"),
    ],
)
def test_what_clouds_contain(messages, level, words):
    found, _ = contents.judge_cloud(seen(CLOUD, messages[-1], recent=messages), DetectorConfig())
    assert worst(found) is level, text_of(found)
    assert words in text_of(found)


def test_our_own_topics_may_be_silent_while_our_nodes_do_not_run():
    silent = TopicSeen(PEDESTRIANS, "/pedestrians", "topics.pedestrians", why_silent="nobody publishes it")
    findings = list(live.judge(healthy(pedestrians=silent), TrackerNodeConfig()))
    assert worst(findings) is Level.OK, text_of(findings)


@pytest.mark.parametrize(
    ("image_age_s", "period_s", "level", "words"),
    [
        (0.03, 0.0333, Level.OK, "100 %"),
        (0.15, 0.0333, Level.OK, "arrive 120 ms later than clouds with the same stamp, and are waited for"),
        (0.43, 0.0333, Level.WARN, "raise pairing.max_wait_s (now 0.25 s) to 0.45"),
        (0.03, 0.2, Level.WARN, "51 %"),  # the camera is slower than the LiDAR: every other cloud
        (0.03, 1.0, Level.FAIL, "12 %"),  # much slower
        (8.03, 0.0333, Level.FAIL, "pairing.image_offset_s to 8.000"),  # its clock is behind
        (37.03, 0.0333, Level.FAIL, "more than pairing.image_offset_s can correct"),  # in UTC, the LiDAR's in TAI
        (-4.97, 0.0333, Level.FAIL, "pairing.image_offset_s to -5.000"),
    ],
)
def test_pairing(image_age_s, period_s, level, words):
    cloud = seen(CLOUD, None, 50)
    image = seen(IMAGE, None, round(5 / period_s), period_s, image_age_s)
    (finding,) = contents.judge_pairing(cloud, image, PairingConfig())
    assert finding.level is level, finding
    assert words in f"{finding.what} {finding.fix}"
    assert ("image_offset_s" in finding.fix) == (abs(image_age_s) > 1), "a lag is no offset"


@pytest.mark.parametrize(
    ("lost_share", "words"), [(0.0, "set pairing.image_offset_s to 0.020"), (0.3, "while messages are lost")]
)
def test_an_offset_is_advised_where_it_is_constant_and_nothing_is_lost(lost_share, words):
    cloud, image = seen(CLOUD, None, 50), seen(IMAGE, None, 50, age_s=0.05, lost_share=lost_share)
    (finding,) = contents.judge_pairing(cloud, image, PairingConfig(max_dt_s=0.01))
    assert words in finding.fix
    assert ("image_offset_s" in finding.fix) == (lost_share == 0)


@pytest.mark.parametrize(
    ("T_camera_lidar", "level", "words"),
    [
        (T_CAMERA_LIDAR, Level.OK, "falls into the image"),
        (np.linalg.inv(T_CAMERA_LIDAR), Level.FAIL, "it seems to map camera to LiDAR"),
        (np.diag([-1.0, -1, 1, 1]) @ T_CAMERA_LIDAR @ np.diag([-1.0, -1, 1, 1]), Level.FAIL, "look at its axes"),  # looks back
    ],
)  # fmt: skip
def test_projection(T_camera_lidar, level, words):
    points = np.random.default_rng(1).normal((20, 0, 0), (2, 2, 1), (500, 3)).astype(np.float32)
    camera = CameraModel(
        160, 120, np.array([[100.0, 0, 80], [0, 100, 60], [0, 0, 1]]), np.empty(0), "plumb_bob", T_camera_lidar
    )
    finding = contents.judge_projection(camera, points, "a test")
    assert finding.level is level, finding
    assert words in f"{finding.what} {finding.fix}"


def test_unreadable_contents_leave_the_other_checks_going():
    config = DetectorConfig()
    found, points = contents.judge_cloud(seen(CLOUD, cloud_message(names="abc")), config)
    assert points is None
    assert len(found) == 1


# The command


def test_the_command_without_ros_graph(tmp_path, capsys):
    params, report = tmp_path / "params.yaml", tmp_path / "report.json"
    params.write_text("pedestrian_tracker:\n  ros__parameters: {topics.clud: /a}\n")
    (tmp_path / "gallery.db").write_bytes(b"")
    arguments = ["doctor", "--params", str(params), "--gallery", str(tmp_path / "gallery.db"), "--json", str(report)]
    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert "topics.clud" in shown
    written = json.loads(report.read_text())
    assert written["level"] == "FAIL"
    assert written["sections"]["Gallery"][-1]["level"] == "FAIL"
    assert any("topics.clud" in finding["what"] for finding in written["sections"]["ROS"])


BLOCKED = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {blocked} else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from emgait_ros.cli.main import main
sys.exit(main(["doctor", "--gallery", "none.db", "--params", "params.yaml"]))
"""


@pytest.mark.parametrize("blocked", [{"rclpy", "emgait_msgs"}, {"cv2", "rich"}, {"numpy", "onnxruntime", "yaml"}])
def test_the_page_comes_on_a_broken_installation(tmp_path, repository, blocked):
    (tmp_path / "params.yaml").write_text("pedestrian_tracker:\n  ros__parameters: {topics.cloud: /a}\n")
    code = BLOCKED.replace("{blocked}", repr(blocked))
    environ = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for name in blocked - {"emgait_msgs"}:
        assert re.search(rf"FAIL\s+{name}", done.stdout), done.stdout
    assert re.search(r"\d+ broken, \d+ to look at, \d+ fine", done.stdout)


def test_a_live_check_that_is_too_short(capsys):
    assert main(["doctor", "--live", "1"]) == 1
    assert "--live is 1 s" in capsys.readouterr().err


def test_a_middleware_that_ends_processes_is_not_started(tmp_path, monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_nothing_cpp")
    assert main(["doctor", "--live", "8", "--json", str(tmp_path / "report.json")]) == 1
    assert "was not watched" in findings_of(tmp_path / "report.json")["live system", "FAIL"]["what"]


@pytest.mark.ros
def test_the_command_on_a_live_system(tmp_path):
    """A LiDAR that works, an image of another size than its CameraInfo, a stamp of zero, a QoS that does not fit."""
    pytest.importorskip("rclpy")
    from live_graph import SpunNode
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

    drivers = SpunNode("drivers")
    node = drivers.node
    clouds = node.create_publisher(PointCloud2, "/doctor/points", qos_profile_sensor_data)
    images = node.create_publisher(Image, "/doctor/image", qos_profile_sensor_data)
    infos = node.create_publisher(CameraInfo, "/doctor/info", 10)
    points = cloud_message()
    cloud = PointCloud2(height=1, width=points.width, point_step=12, row_step=points.row_step)
    cloud.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    cloud.data, cloud.header.frame_id = points.data, "lidar"
    image = Image(height=120, width=160, encoding="rgb8", step=480, data=image_message().data)
    info = CameraInfo(
        height=720, width=1280, k=[100.0, 0.0, 640.0, 0.0, 100.0, 360.0, 0.0, 0.0, 1.0], distortion_model="plumb_bob"
    )

    def publish():
        cloud.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
        clouds.publish(cloud)
        images.publish(image)
        infos.publish(info)

    node.create_timer(0.1, publish)
    drivers.start()
    try:
        report = tmp_path / "report.json"
        topics = ["--cloud", "/doctor/points", "--image", "/doctor/image", "--camera-info", "/doctor/info"]
        assert main(["doctor", "--live", "8", *topics, "--json", str(report)]) == 1
        cloud.data = bytes(len(points.data))
        zeros = tmp_path / "zeros.json"
        assert main(["doctor", "--live", "8", *topics, "--json", str(zeros)]) == 1
        reliable = tmp_path / "params.yaml"
        reliable.write_text("pedestrian_tracker:\n  ros__parameters: {topics.reliability: reliable}\n")
        refused = tmp_path / "refused.json"
        assert main(["doctor", "--live", "8", "--params", str(reliable), *topics, "--json", str(refused)]) == 1
    finally:
        drivers.close()
    found = findings_of(report)
    assert found["/doctor/points", "OK"]["values"]["rate_hz"] == pytest.approx(10, rel=0.5)
    assert "/drivers (best_effort, volatile)" in found["/doctor/points", "OK"]["what"]
    assert ("/doctor/points stamps", "OK") in found
    assert "500 points" in found["/doctor/points content", "OK"]["what"]
    assert "are zero" in found["/doctor/image stamps", "FAIL"]["what"]
    assert (
        "T_camera_lidar" in found["calibration", "FAIL"]["fix"] or "1280 x 720" in found["calibration", "FAIL"]["what"]
    )
    assert ("pedestrian_tracker", "WARN") in found
    assert "(0, 0, 0)" in findings_of(zeros)["/doctor/points content", "FAIL"]["what"]
    found = findings_of(refused)
    assert "reliable" in found["/doctor/points", "FAIL"]["what"] + found["/doctor/points", "FAIL"]["fix"]


def findings_of(report):
    sections = json.loads(report.read_text())["sections"]
    live_section = next(findings for name, findings in sections.items() if name.startswith("Live"))
    return {(f["subject"], f["level"]): f for f in reversed(live_section)}


@pytest.mark.ros
def test_watching_takes_no_longer_than_asked():
    graph_probe = pytest.importorskip("emgait_ros.live.probe")
    from emgait_ros.config import RecognizerNodeConfig

    start = time.monotonic()
    system = graph_probe.watch(TrackerNodeConfig(), RecognizerNodeConfig(), 3.0, namespace="robot1", namespaced_tf=True)
    assert 3.0 <= time.monotonic() - start < 60.0
    assert system.topics[CLOUD].arrivals_s == []
    assert "nobody publishes /robot1/lidar/points" in system.topics[CLOUD].why_silent
    assert (system.topics[IDENTITIES].topic, system.namespace) == ("/robot1/gait_recognizer/identities", "/robot1")
