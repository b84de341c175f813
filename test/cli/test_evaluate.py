"""`emgait evaluate bag`: the real pipeline over a simulated bag, twice the same, scored against the truth."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from driving import CLOUDS, PEOPLE, write_drive, write_parameters
from galleries import enroll

from emgait_ros.cli.evaluate_bag import copy_gallery, read_walks
from emgait_ros.cli.main import main
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import default_bundle_path, load_bundle
from emgait_ros.lab.simulation.recording import Recording, record
from emgait_ros.lab.simulation.scene import SensorHead, crossing_scene, shortened
from emgait_ros.recordings.annotated_bag import IDENTITIES, MARKERS, OVERLAY
from emgait_ros.recordings.rosbag import Rosbag
from emgait_ros.recordings.serialized_header import stamp_of
from emgait_ros.sensing.conversions import stamp_ns

HEAD = SensorHead(width=640, height=360, focal_px=500.0)


@pytest.fixture(scope="module")
def bundle_folder() -> Path:
    return default_bundle_path()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Seven seconds, two people who cross; Anna's walk is judged too, as if it were her second."""
    scene = replace(shortened(crossing_scene(), 7.0), head=HEAD)
    return record(scene, tmp_path_factory.mktemp("bags") / "walk")


@pytest.fixture(scope="module")
def walks_file(recording: Recording) -> Path:
    walks = [asdict(walk) for walk in recording.walks]
    late = {**walks[0], "is_probe": True, "begin_ns": walks[0]["begin_ns"] + 4_500_000_000}
    path = recording.path.parent / "walks.json"
    path.write_text(json.dumps({"walks": [*walks, late]}))
    return path


def evaluate(recording: Recording, bundle: Path, out: Path, *words: str | Path) -> dict[str, Any]:
    assert (
        main(["evaluate", "bag", str(recording.path), "--bundle", str(bundle), "--json", str(out), *map(str, words)])
        == 0
    )
    return dict(json.loads(out.read_text()))


def without_timings(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "timings"}


def test_people_are_tracked_enrolled_and_judged_twice_the_same(
    recording: Recording, walks_file: Path, bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (
        evaluate(recording, bundle_folder, tmp_path / f"{n}.json", "--walks", walks_file) for n in ("one", "two")
    )
    assert without_timings(first) == without_timings(second)
    assert first["frames"] == first["with_image"] == 70
    assert not first["problems"]
    truth = first["truth"]
    assert truth["recall"] > 0.85
    assert truth["error_m"] < 0.2
    assert truth["switches"] <= 1
    assert truth["moving_strays"] <= 3
    # each walker is one track, and a track knows who it was
    walkers = {track["walker"]: track for track in first["tracks"] if track["walker"] is not None}
    assert set(walkers) == {walk.identity for walk in recording.walks}
    assert all(track["frames"] > 30 and track["ranges_m"][1] < 16 for track in walkers.values())
    assert {note["name"] for note in first["enrollments"] if note["success"]} == {"Anna", "Boris"}
    (verdict,) = first["walks"]
    assert (verdict["expected"], verdict["frames"] > 10) == ("Anna", True)
    # the very walk she was enrolled on, moments later: any network recognises that
    assert verdict["decided"] == "Anna"
    printed = capsys.readouterr().out
    assert "people x clouds tracked" in printed
    assert "person 1" in printed
    named = [track for track in first["tracks"] if track["names"]]
    assert named
    assert all(0 < track["distance"] < track["threshold"] for track in named)
    threshold = load_bundle(bundle_folder).threshold
    assert {track["threshold"] for track in named} == {round(threshold, 4)}
    assert all(f"{track['distance']:.3f} ({threshold:.3f})" in printed for track in named)


def test_a_copy_of_the_bag_has_the_answers_in_it(
    recording: Recording, bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "seen"
    figures = evaluate(recording, bundle_folder, tmp_path / "f.json", "--mcap", copy)
    with Rosbag(recording.path) as original, Rosbag(copy) as bag:
        for topic in original.topics.values():
            assert bag.topics[topic.name].type == topic.type
            before, after = (list(b.messages([topic.name])) for b in (original, bag))
            same = [(m.log_time_ns, m.raw) for m in before] == [(m.log_time_ns, m.raw) for m in after]
            assert same, topic.name  # not in one line: pytest would look for the difference in gigabytes
        assert bag.latched_topics == original.latched_topics
        added = {name: bag.topics[name].count for name in set(bag.topics) - set(original.topics)}
        assert added == {IDENTITIES: 70, MARKERS: 70, OVERLAY: 70}
        clouds = {stamp_of(m.raw): m.log_time_ns for m in bag.messages(["/lidar/points"])}
        seen = [(bag.deserialize(m), m.log_time_ns) for m in bag.messages([IDENTITIES])]
        # an answer comes after its cloud, and within the wait for its image
        assert all(0 <= at - clouds[stamp_ns(m.header)] < 300_000_000 for m, at in seen)
        frames = sum(track["frames"] for track in figures["tracks"])
        assert sum(len(m.identities) for m, _ in seen) == frames
        markers = [bag.deserialize(m) for m in bag.messages([MARKERS])]
        assert sum(len(m.markers) - 1 for m in markers) == 2 * frames
        jpeg = bag.deserialize(next(bag.messages([OVERLAY]))).data
        assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (HEAD.height, HEAD.width, 3)
    # of a copy, the same is found, and what was added once is not there twice
    main(["evaluate", "bag", str(copy), "--bundle", str(bundle_folder), "--mcap", str(tmp_path / "again")])
    with Rosbag(tmp_path / "again") as bag:
        assert bag.topics[IDENTITIES].count == 70
    assert main(["evaluate", "bag", str(recording.path), "--mcap", str(copy)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_gallery_is_used_and_not_changed(
    recording: Recording, bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "people.db"
    with Gallery(path) as gallery:
        enroll(gallery, "Eva", model="another model")
    before = path.read_bytes()
    figures = evaluate(recording, bundle_folder, tmp_path / "out.json", "--gallery", path)
    assert path.read_bytes() == before
    assert all(not track["names"] for track in figures["tracks"])  # templates of another model are never compared
    assert "walks" not in figures
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["--gallery", "none.db"], "there is no gallery at none.db"),
        (["--params", "none.yaml"], "none.yaml"),
        (["--bundle", "none"], "none"),
    ],
)
def test_missing_files_are_named(
    recording: Recording, capsys: pytest.CaptureFixture[str], words: list[str], phrase: str
) -> None:
    assert main(["evaluate", "bag", str(recording.path), *words]) == 1
    assert phrase in capsys.readouterr().err


def test_no_bag_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "bag", str(tmp_path / "none")]) == 1
    assert "there is no bag at" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"walks": [{"name": "Anna"}]}', '{"scene": 1}'])
def test_a_wrong_walks_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "walks.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="does not say who walks when"):
        read_walks(path)


def test_a_file_that_is_no_gallery_is_named(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    path.write_bytes(b"this is no database, not at all" * 100)
    with pytest.raises(ValueError, match="cannot be read as a gallery"):
        copy_gallery(path, tmp_path / "copy.db", required=True)


def test_the_kind_of_recording_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate"])
    assert "WHAT" in capsys.readouterr().err


def test_a_drive_is_evaluated_and_enrolled_from_in_the_fixed_frame(tmp_path, bundle_folder, capsys):
    """The bag's own /tf places a robot that turns: nobody's number changes, and both walkers can be enrolled."""
    bag = write_drive(tmp_path / "bag")
    words = [str(bag), "--bundle", str(bundle_folder), "--params"]
    right, wrong = (str(write_parameters(tmp_path / f"{fixed}.yaml", fixed)) for fixed in ("odom", "map"))
    out = tmp_path / "out.json"
    assert main(["evaluate", "bag", *words, right, "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["frames"] == CLOUDS
    assert figures["truth"]["switches"] == 0
    assert figures["truth"]["recall"] > 0.9
    gallery = ["--gallery", str(tmp_path / "gallery.db")]
    assert main(["enroll", *words, right, *gallery, "--tracks", "--json", str(out)]) == 0
    assert len(json.loads(out.read_text())["tracks"]) == len([speed for _, _, speed in PEOPLE.values() if speed])
    for command in (["evaluate", "bag", *words, wrong], ["enroll", *words, wrong, *gallery, "--tracks"]):
        assert main(command) == 1
        assert "no transform from 'lidar' to 'map'" in capsys.readouterr().err
