"""Thresholds while people walk: the bundle's, a gallery's own, those of weak windows; and how often names change."""

import dataclasses

import numpy as np
import pytest
from made_up_street import CONFIG, BuildEncoder, Street, enroll_people, walk

from emgait_ros.config import RecognitionConfig, with_options
from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.decision import Weakness
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.samples import Status


def test_a_calibration_that_cannot_be_read_stops_no_frame(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    walk(recognizer, street, {1: 1})
    gallery.set_calibration(recognizer.fingerprint, calibrated(0.5))
    gallery.file.connection.execute('UPDATE calibrations SET content = \'{"of": "a newer version"}\'')
    assert recognizer.process(street.frame({1: 1}))[0].name == "Anna"
    assert "calibration is damaged" in recognizer.gallery_note


def test_a_threshold_that_comes_with_an_enrolment_counts_from_then_on(gallery):
    recognizer = GaitRecognizer(with_options(CONFIG, {"decision.threshold": 0.0}), BuildEncoder(), gallery)
    walk(recognizer, Street(1), {1: 1})
    gallery.set_calibration(recognizer.fingerprint, calibrated(0.5))
    assert recognizer.enroll("Anna", 1).success
    recognizer.process(Street(1, tracker="later").frame({}))
    assert recognizer.threshold == 0.5


def calibrated(threshold=0.1, ranges=(5.0, 20.0), people=5):
    return Calibration(
        threshold, 0.01, (0.0, 0.03), 1, 200, 0.9, (0.8, 1.0), 50, 0.95,
        probability=(200.0, -20.0), ranges_m=ranges, gallery_size=people,
    )  # fmt: skip


def test_a_calibration_is_taken_over_while_running_and_bound_to_its_model(gallery):
    recognizer = GaitRecognizer(RecognitionConfig(), BuildEncoder(threshold=0.12, min_margin=0.02), gallery)
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    assert walk(recognizer, street, {1: 1})[1].decision.threshold == 0.12
    gallery.set_calibration("e" * 64, calibrated(0.01))  # of another model
    assert walk(recognizer, street, {1: 1}, frames=1)[1].decision.threshold == 0.12
    gallery.set_calibration(recognizer.fingerprint, calibrated())
    result = walk(recognizer, street, {1: 1}, frames=1)[1]
    assert (result.decision.threshold, result.name) == (0.1, "Anna")
    assert result.decision.probability > 0.9
    assert recognizer._view.calibration.impostor_tracks == 200


@pytest.mark.parametrize(
    ("range_m", "said"),
    [
        (10.0, ()),
        (21.5, ()),
        (40.0, ("40 m is outside the calibrated 5-20 m",)),
        (3.0, ("3 m is outside the calibrated 5-20 m",)),
    ],
)
def test_a_range_that_was_not_calibrated_is_said(recognizer, gallery, range_m, said):
    gallery.set_calibration(recognizer.fingerprint, calibrated())
    enroll_people(recognizer, ["Anna"])
    assert walk(recognizer, Street(1), {1: 1}, range_m=range_m)[1].decision.outside == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"range_m": 10.0, "point_count": 120}, ()),
        ({"range_m": 20.0, "point_count": 30}, ()),  # as dense, twice as far
        ({"point_count": 400}, ("another LiDAR than calibrated: 400 returns on a person at 10 m, not 80-150",)),
        ({"point_count": 40}, ("another LiDAR than calibrated: 40 returns",)),
        ({"crop": None}, ("calibrated with camera and LiDAR together",)),
        ({"range_m": 40.0, "point_count": 8}, ("weak window: 8 LiDAR returns", "40 m is outside")),
    ],
)
def test_what_leaves_the_calibration_is_a_warning(recognizer, gallery, changes, said):
    known = dataclasses.replace(calibrated(), returns_at_10m=(80.0, 150.0))
    gallery.set_calibration(recognizer.fingerprint, known)
    enroll_people(recognizer, ["Anna"])
    result = walk(recognizer, Street(1), {1: 1}, **changes)[1]
    assert len(result.warnings) == len(said)
    assert all(warning.startswith(start) for warning, start in zip(result.warnings, said, strict=True))
    assert all(warning in result.reason for warning in result.warnings)


def test_a_calibration_of_another_model_is_said(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    gallery.set_calibration("e" * 64, calibrated())
    walk(recognizer, Street(1), {1: 1}, frames=1)
    assert "was calibrated for model eeeeeeeeeeee, not for ffffffffffff" in recognizer.gallery_note


def test_a_gallery_that_outgrew_its_calibration_is_said(recognizer, gallery):
    gallery.set_calibration(recognizer.fingerprint, calibrated(people=2))
    enroll_people(recognizer, ["Anna", "Ben"])
    assert recognizer.gallery_note == ""
    enroll_people(recognizer, ["Cleo"], seed=7)
    assert "calibrated for 2 identities, there are 3 now" in recognizer.gallery_note


@pytest.mark.parametrize(
    ("changes", "weakness"),
    [
        ({"point_count": 12}, Weakness(few_returns=12.0)),
        ({"crop": np.full((128, 64, 3), 9, np.uint8)}, Weakness(dark=True)),
        ({"point_count": 12, "crop": np.zeros((128, 64, 3), np.uint8)}, Weakness(few_returns=12.0, dark=True)),
        ({}, Weakness()),
    ],
)
def test_weak_windows_take_longer(recognizer, changes, weakness):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    told = [recognizer.process(street.frame({1: 1}, **changes))[0] for _ in range(16)]
    first = next(index for index, result in enumerate(told) if result.status == Status.KNOWN)
    assert first == (14 if weakness else 11)  # six windows instead of three
    assert told[-1].decision.weakness == weakness


def test_flicker_is_measured_over_track_minutes(recognizer, gallery):
    enroll_people(recognizer, ["Anna", "Ben"])
    recognizer = GaitRecognizer(CONFIG, BuildEncoder(), gallery)
    assert np.isnan(recognizer.flicker)
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=70)
    assert recognizer.flicker == 0.0
    walk(recognizer, street, {1: 2}, frames=70)  # somebody else under the same number
    assert recognizer._decider.name_changes >= 1
    assert recognizer.flicker == pytest.approx(recognizer._decider.name_changes / (13.0 / 60), rel=0.02)
