"""Who walks past is enrolled: from which samples, under which name, and why not."""

import json

import numpy as np
import pytest
from made_up_street import CONFIG, BuildEncoder, Street, enroll_people, walk

from emgait_ros.recognition.decision import Why
from emgait_ros.recognition.recognizer import GaitRecognizer


@pytest.mark.parametrize(
    ("frames", "samples", "templates"),
    [
        (10, [10], 1),  # just long enough
        (19, [19], 1),
        (20, [20, 10, 10], 3),  # the whole window and its halves
        (45, [30, 10, 10, 10], 4),  # the window keeps the newest 30
    ],
)
def test_templates_of_an_enrolment(gallery, frames, samples, templates):
    encoder = BuildEncoder()
    recognizer = GaitRecognizer(CONFIG, encoder, gallery)
    walk(recognizer, Street(1), {5: 1}, frames=frames)
    result = recognizer.enroll("Anna", 5)
    assert (result.success, result.track_id, result.samples, result.templates) == (True, 5, samples[0], templates)
    assert result.message == f"enrolled 'Anna' from track 5: {samples[0]} samples, {templates} templates now"
    assert encoder.window_batches[-1] == samples


@pytest.mark.parametrize(
    ("name", "track_id", "said"),
    [
        ("", 1, "empty or only blanks"),
        ("x" * 65, 1, "65 characters"),
        ("Anna\n", 1, "control character"),
        (
            "Anna",
            99,
            "track 99 is unknown: in view are 1 (10 of 10 samples), 2 (10 of 10 samples), 3 (4 of 10 samples)",
        ),
        ("Anna", 3, "track 3 has 4 of 10 samples: let the person walk on and call again"),
        ("Anna", -1, "3 pedestrians are in view, give the track_id of one of them: 1 (10 of 10 samples)"),
    ],
)
def test_enrolments_refused(recognizer, gallery, name, track_id, said):
    street = Street(1)
    walk(recognizer, street, {1: 1, 2: 2}, frames=8)
    walk(recognizer, street, {1: 1, 2: 2, 3: 3}, frames=4)
    result = recognizer.enroll(name, track_id)
    assert not result.success
    assert said in result.message
    assert gallery.identities() == []


def test_enrolling_says_why_samples_are_missing(recognizer):
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=2)
    walk(recognizer, street, {1: 1}, frames=20, moving=False)
    assert (
        recognizer.enroll("Anna").message
        == "track 1 has 2 of 10 samples (standing still): let the person walk on and call again"
    )
    decision = recognizer.process(street.frame({1: 1}, moving=False))[0].decision
    assert (decision.vote.why, decision.samples, decision.left_out) == (Why.FEW_SAMPLES, 2, "standing still")


def test_enrolling_with_nobody_in_view(recognizer):
    said = "no pedestrian is in view: let one person walk past the sensors and call again"
    assert recognizer.enroll("Anna").message == said
    street = Street(1)
    walk(recognizer, street, {1: 1})
    recognizer.process(street.frame({}))
    assert recognizer.enroll("Anna", -1).message == said
    assert recognizer.enroll("Anna", 8).message == "track 8 is unknown: no pedestrian is in view"


@pytest.mark.parametrize(
    ("frames_gone", "success"),
    [
        (30, True),  # 3.0 s
        (31, False),  # longer than window.keep_s
    ],
)
def test_enrolling_right_after_somebody_has_passed(recognizer, frames_gone, success):
    street = Street(1)
    walk(recognizer, street, {1: 1})
    for _ in range(frames_gone):
        recognizer.process(street.frame({}))
    assert recognizer.enroll("Anna", 1).success is success


def test_the_only_pedestrian_in_view(recognizer):
    street = Street(1)
    walk(recognizer, street, {1: 1, 2: 2})
    walk(recognizer, street, {2: 2}, frames=2)
    result = recognizer.enroll("Ben")
    assert (result.success, result.track_id) == (True, 2)


def test_one_track_number_at_two_trackers_is_ambiguous(recognizer):
    for tracker in ("front", "rear"):
        walk(recognizer, Street(1, tracker), {4: 1})
    result = recognizer.enroll("Anna", 4)
    assert not result.success
    assert "track 4 exists at the trackers 'front', 'rear'" in result.message


def test_enrolling_somebody_elses_walk_is_noted(recognizer):
    enroll_people(recognizer, ["Anna"])
    walk(recognizer, Street(1), {1: 1})
    assert "note" not in recognizer.enroll("Anna", 1).message
    result = recognizer.enroll("Anne", 1)
    assert result.success
    assert "note: this walk is like that of 'Anna' (0.0" in result.message


def test_a_full_or_locked_store_is_an_answer(recognizer, gallery):
    walk(recognizer, Street(1), {1: 1})
    gallery.file.connection.execute(
        f"PRAGMA max_page_count = {gallery.file.connection.execute('PRAGMA page_count').fetchone()[0]}"
    )
    answers = [recognizer.enroll("Anna", 1) for _ in range(100)]
    assert not answers[-1].success
    assert "the disk is full" in answers[-1].message
    assert recognizer.process(Street(9, "other").frame({1: 1}))  # and recognising goes on


def test_a_name_that_looks_like_another_asks_to_confirm(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    walk(recognizer, Street(1), {1: 9})
    for refused in (recognizer.enroll("\u0430nna ", 1), recognizer.enroll_over("ANNA", 1, 3.0)):
        assert (refused.success, refused.needs_confirmation) == (False, True)
        assert "looks like 'Anna'" in refused.message
    assert recognizer.enroll("anna", 1, confirm=True).success
    assert recognizer.enroll("anna", 1).success, "from then on it is a name like any other"
    assert [person.name for person in gallery.identities()] == ["Anna", "anna"]


def line(index, step=0.13):
    """Box centre on a straight walk across the view."""
    return np.array([10.0, -2.0 + step * index, 0.9])


def test_quality_of_an_enrolment_is_told_and_kept(recognizer, gallery):
    street = Street(1)
    for index in range(30):
        recognizer.process(street.frame({1: 1}, center=line(index), range_m=10.0 + index / 10))
    result = recognizer.enroll("Anna", 1)
    assert (
        result.quality
        == "30 samples at 10-13 m, 120 points, 100% with image, 3.3 m walked, straightness 1.00, seen from the side"
    )
    stored = json.loads(gallery.templates_of("Anna")[0].quality)
    assert stored["samples"] == 30
    assert stored["view_deg"] == pytest.approx(90, abs=10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"point_count": 11}, "the walk has 11 LiDAR points a sample, enrolling takes 12 (enrollment.min_points)"),
        ({"to_and_fro": True}, "the walk is not straight (0."),
    ],
)
def test_walks_that_are_not_good_enough(recognizer, gallery, changes, said):
    street, turning = Street(1), changes.pop("to_and_fro", False)
    for index in range(30):
        center = line(abs(index % 20 - 10) if turning else index)
        recognizer.process(street.frame({1: 1}, center=center, **changes))
    result = recognizer.enroll("Anna", 1)
    assert not result.success
    assert said in result.message
    assert gallery.identities() == []


def test_a_walk_unlike_the_persons_others_asks_to_confirm(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    walk(recognizer, Street(1), {1: 9})
    result = recognizer.enroll("Anna", 1)
    assert not result.success
    assert "this walk is unlike the other templates of 'Anna'" in result.message
    assert "call again with confirm" in result.message
    assert recognizer.enroll("Anna", 1, confirm=True).success


def test_a_walk_nearer_to_somebody_else_asks_to_confirm(recognizer, gallery):
    enroll_people(recognizer, ["Anna", "Ben"])
    walk(recognizer, Street(1), {1: 2})
    result = recognizer.enroll("Anna", 1)
    assert not result.success
    assert "this walk is nearer to 'Ben' (0.0" in result.message
    confirmed = recognizer.enroll("Anna", 1, confirm=True)
    assert confirmed.success
    assert "this walk is like that of 'Ben'" in confirmed.message


def test_a_disabled_person_is_not_enrolled(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    gallery.set_disabled("Anna", True)
    walk(recognizer, Street(1), {1: 1})
    assert "'Anna' is disabled" in recognizer.enroll("Anna", 1).message
    assert "'Anna' is disabled" in recognizer.enroll_over("Anna", 1, 2.0).message


def test_choices_and_confirmation_are_given_as_data(recognizer):
    enroll_people(recognizer, ["Anna", "Ben"])
    walk(recognizer, Street(1), {11: 1, 12: 2})
    assert recognizer.enroll("Cleo").tracks_in_view == (11, 12)
    assert recognizer.enroll_over("Cleo", 99, 3.0).tracks_in_view == (11, 12)
    unlike = recognizer.enroll("Anna", 12)
    assert (unlike.success, unlike.needs_confirmation) == (False, True)
    assert recognizer.enroll("Anna", 12, confirm=True).success


@pytest.mark.parametrize(
    ("name", "confirm", "said"),
    [
        ("Anna", False, "track 1 is being enrolled as 'Anna' already"),
        ("Anna", True, "track 1 is being enrolled as 'Anna' already"),
        ("anna", False, "looks like 'Anna'"),
        ("anna", True, ""),
        ("Ben", False, ""),
    ],
)
def test_two_people_in_view_are_not_enrolled_as_one(recognizer, name, confirm, said):
    walk(recognizer, Street(1), {1: 1, 2: 2}, frames=3)
    assert recognizer.enroll_over("Anna", 1, 5.0).success
    result = recognizer.enroll_over(name, 2, 5.0, confirm)
    assert (result.success, said in result.message) == (not said, True)
    assert result.needs_confirmation == ("looks like" in said)
