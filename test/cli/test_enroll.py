"""`emgait enroll`: somebody out of a simulated bag into a gallery, through the real pipeline."""

import json
from dataclasses import replace

import galleries
import pytest

from emgait_ros.cli.main import main
from emgait_ros.gallery.store import Gallery
from emgait_ros.lab.simulation.recording import record
from emgait_ros.lab.simulation.scene import SensorHead, crossing_scene, shortened


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Five seconds, two people who cross."""
    scene = replace(shortened(crossing_scene(), 5.0), head=SensorHead(width=640, height=360, focal_px=500.0))
    return record(scene, tmp_path_factory.mktemp("bags") / "walk").path


def enroll(bag, folder, *words):
    """Exit status and the --json answer."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    gallery = ["--gallery", str(folder / "gallery.db")]
    status = main(["enroll", str(bag), *gallery, "--json", str(answer), *words])
    return status, json.loads(answer.read_text()) if answer.exists() else None


def test_the_walkers_are_listed_and_one_of_them_enrolled(bag, tmp_path, capsys):
    status, answer = enroll(bag, tmp_path, "--tracks")
    assert status == 0
    tracks = answer["tracks"]
    assert len(tracks) >= 2
    assert all(track["walking"] >= 10 for track in tracks)
    assert answer["problems"] == []
    assert not (tmp_path / "gallery.db").exists()

    assert enroll(bag, tmp_path, "--name", "Anna") == (1, None)
    said = capsys.readouterr().err
    assert f"{len(tracks)} people walk in this bag, say whom with --track: " in said
    assert f"{tracks[0]['track_id']} (" in said

    longest = max(tracks, key=lambda track: track["walking"])["track_id"]
    status, answer = enroll(bag, tmp_path, "--name", "Anna", "--track", str(longest))
    assert status == 0, capsys.readouterr()
    assert answer["templates"] >= 3
    assert "samples at" in capsys.readouterr().out
    with Gallery(tmp_path / "gallery.db") as gallery:
        assert [(p.name, p.templates) for p in gallery.identities()] == [("Anna", answer["templates"])]
        gallery.undo()
        assert gallery.identities() == []


def test_why_no_picture_is_used_is_said(bag, tmp_path, capsys):
    """Templates without pictures do not match people whom the camera sees: what was forgotten must show here."""
    params = tmp_path / "params.yaml"
    params.write_text("pedestrian_tracker: {ros__parameters: {topics: {image: ''}}}")
    status, answer = enroll(bag, tmp_path, "--tracks", "--params", str(params))
    assert (status, len(answer["problems"])) == (0, 1)
    assert "LiDAR alone" in answer["problems"][0]
    assert answer["problems"][0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "Anna", "--track", "77"], "there is no track 77 that walks long enough in this bag: "),
        (["--name", " "], "empty or only blanks"),
        (["--name", "Anna", "--key-file", "/none"], "/none"),
    ],
)
def test_refused_in_a_sentence(bag, tmp_path, capsys, words, said):
    if "--key-file" in words:
        words += ["--track", str(enroll(bag, tmp_path, "--tracks")[1]["tracks"][0]["track_id"])]
    assert enroll(bag, tmp_path, *words) == (1, None)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "gallery.db").exists()


def test_a_name_that_looks_like_another_is_confirmed(bag, tmp_path, capsys):
    with Gallery(tmp_path / "gallery.db") as gallery:
        galleries.enroll(gallery, "Anna")
    track = max(enroll(bag, tmp_path, "--tracks")[1]["tracks"], key=lambda track: track["walking"])["track_id"]
    words = ["--name", "anna", "--track", str(track)]
    assert enroll(bag, tmp_path, *words) == (1, None)
    assert "looks like 'Anna'" in capsys.readouterr().err
    assert enroll(bag, tmp_path, *words, "--confirm")[0] == 0
    with Gallery(tmp_path / "gallery.db") as gallery:
        assert [person.name for person in gallery.identities()] == ["Anna", "anna"]


def test_a_threshold_from_a_recording_of_strangers(bag, tmp_path, capsys):
    tracks = enroll(bag, tmp_path, "--tracks")[1]["tracks"]
    longest = max(tracks, key=lambda track: track["walking"])["track_id"]
    assert enroll(bag, tmp_path, "--name", "Anna", "--track", str(longest))[0] == 0
    gallery, answer = tmp_path / "gallery.db", tmp_path / "answer.json"
    words = ["gallery", "calibrate", "--gallery", str(gallery), "--bags", str(bag), "--json", str(answer)]
    capsys.readouterr()
    assert main([*words, "--far", "0.01"]) == 1
    assert "impostor tracks cannot promise a false-accept rate of 0.01: 99 are needed" in capsys.readouterr().err
    assert main([*words, "--far", "0.45", "--preview"]) == 0
    assert not json.loads(answer.read_text())["stored"]
    assert main([*words, "--far", "0.45"]) == 0
    figures = json.loads(answer.read_text())
    assert figures["stored"]
    [calibration] = figures["calibrations"]
    assert calibration["gallery_size"] == 1
    assert calibration["impostor_tracks"] >= 2
    with Gallery(gallery) as opened:
        assert opened.calibration(figures["model"]).threshold == calibration["threshold"]
        assert opened.history.audit()[-1].action == "calibrate"
