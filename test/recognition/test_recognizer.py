"""From pedestrians to names and back: windows, enrolment, the gallery and the decision working together."""

import dataclasses
import json
import threading

import numpy as np
import pytest
from made_up_street import CONFIG, BuildEncoder, Street, body, walk

from emgait_ros.config import RecognitionConfig, RecognizerNodeConfig, options_of, with_options
from emgait_ros.gallery.records import Calibration
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import default_bundle_path, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.recognition.decision import Weakness, Why
from emgait_ros.recognition.enrollments_over_time import EnrollmentState
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.samples import Modality, Status


@pytest.fixture
def gallery(tmp_path):
    with Gallery(tmp_path / "gallery.db") as opened:
        yield opened


@pytest.fixture
def recognizer(gallery):
    return GaitRecognizer(CONFIG, BuildEncoder(), gallery)


def enroll_people(recognizer, names, seed=100):
    street = Street(seed, tracker="enrolment")
    for person, name in enumerate(names, 1):
        walk(recognizer, street, {person: person})
        assert recognizer.enroll(name, person).success
    recognizer.forget_tracks()


def test_enrol_then_recognise_all_at_once_and_leave_strangers_unknown(recognizer):
    enroll_people(recognizer, ["Anna", "Ben", "Cleo"])
    results = walk(recognizer, Street(1), {11: 1, 12: 2, 13: 3, 14: 9})
    assert {track: result.name for track, result in results.items()} == {11: "Anna", 12: "Ben", 13: "Cleo", 14: ""}
    assert [result.status for result in results.values()] == [Status.KNOWN] * 3 + [Status.UNKNOWN]
    assert results[14].decision.vote.why == Why.TOO_FAR
    anna = results[11].decision
    assert anna.candidates[0].name == "Anna"
    assert anna.distance < anna.threshold == 0.12
    assert (anna.samples, anna.samples_needed, anna.modalities) == (30, 10, Modality.BOTH)
    assert results[11].tracker_id == "street"


def test_statuses_as_the_samples_come(recognizer):
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    told = [recognizer.process(street.frame({7: 1}))[0] for _ in range(14)]
    assert [result.status for result in told] == [Status.PENDING] * 11 + [Status.KNOWN] * 3
    few, first = told[3].decision, told[9].decision
    assert (few.vote.why, few.samples, few.samples_needed, few.left_out) == (Why.FEW_SAMPLES, 4, 10, "")
    assert (first.streak, first.agree_windows, first.agree_on, first.vote.nearest) == (1, 3, "Anna", "Anna")
    assert first.distance < first.threshold
    assert np.isnan(few.distance)
    assert few.threshold == 0.12


def test_each_sample_is_encoded_once_and_all_people_in_one_batch(gallery):
    encoder = BuildEncoder()
    recognizer = GaitRecognizer(CONFIG, encoder, gallery)
    walk(recognizer, Street(1), {1: 1, 2: 2, 3: 3}, frames=12)
    assert encoder.batches == [3] * 12
    assert encoder.window_batches == [[10] * 3, [11] * 3, [12] * 3]
    assert recognizer.counters["samples encoded"] == 36
    assert recognizer.counters["embeddings"] == 9
    assert set(recognizer.timings) == {"windows", "encode", "embed", "match", "decide"}


def test_an_empty_frame_is_fine(recognizer):
    assert recognizer.process(Street(1).frame({})) == []


def test_empty_gallery_says_so(recognizer):
    result = walk(recognizer, Street(1), {1: 1})[1]
    assert (result.status, result.decision.vote.why) == (Status.UNKNOWN, Why.NOBODY_ENROLLED)
    assert result.reason == "the gallery is empty: call the enroll service"


def test_without_threshold_everybody_is_unknown(gallery):
    recognizer = GaitRecognizer(RecognitionConfig(), BuildEncoder(), gallery)
    enroll_people(recognizer, ["Anna"])
    result = walk(recognizer, Street(1), {1: 1})[1]
    assert (result.status, result.decision.vote.why) == (Status.UNKNOWN, Why.NO_THRESHOLD)


def test_the_bundles_threshold_is_used(gallery):
    recognizer = GaitRecognizer(RecognitionConfig(), BuildEncoder(threshold=0.12, min_margin=0.02), gallery)
    enroll_people(recognizer, ["Anna"])
    assert walk(recognizer, Street(1), {1: 1})[1].name == "Anna"


def test_another_models_templates_are_not_compared(gallery):
    enroll_people(GaitRecognizer(CONFIG, BuildEncoder(), gallery), ["Anna"])
    other = GaitRecognizer(CONFIG, BuildEncoder("e" * 64), gallery)
    result = walk(other, Street(1), {1: 1})[1]
    assert result.status == Status.UNKNOWN
    assert result.reason == "the gallery's 4 templates are of another model than eeeeeeeeeeee: enrol those people again"
    assert "4 of model ffffffffffff; enrol those people again" in other.gallery_note
    assert other.enroll("Anna", 1).templates == 8  # 4 of each model
    assert walk(other, Street(2, tracker="later"), {1: 1})[1].name == "Anna"


def test_a_restart_keeps_everybody(tmp_path):
    with Gallery(tmp_path / "gallery.db") as gallery:
        enroll_people(GaitRecognizer(CONFIG, BuildEncoder(), gallery), ["Anna", "Ben"])
    with Gallery(tmp_path / "gallery.db") as gallery:
        results = walk(GaitRecognizer(CONFIG, BuildEncoder(), gallery), Street(1), {1: 1, 2: 2})
    assert [results[track].name for track in (1, 2)] == ["Anna", "Ben"]


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (lambda gallery: gallery.rename("Anna", "Annabel"), "Anna", "Annabel"),
        (lambda gallery: gallery.remove("Anna"), "Anna", ""),
        (lambda gallery: gallery.rename("Anna", "Ben"), "Anna", "Ben"),  # merged
    ],
)
def test_changes_by_another_process_are_followed(recognizer, gallery, change, before, after):
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    assert walk(recognizer, street, {1: 1})[1].name == before
    with Gallery(gallery.place) as command_line:
        change(command_line)
    assert walk(recognizer, street, {1: 1}, frames=3)[1].name == after


def test_a_removed_name_is_gone_with_the_next_frame(recognizer, gallery):
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    walk(recognizer, street, {1: 1})
    gallery.remove("Anna")
    result = recognizer.process(street.frame({1: 1}))[0]
    assert (result.status, result.name) == (Status.PENDING, "")
    assert "Anna" not in [candidate.name for candidate in result.decision.candidates]


@pytest.mark.parametrize("others", [["Zoe", "Yan"], ["Zoe"]])  # more changes, and as many
def test_another_gallery_in_its_place_takes_no_name_over(recognizer, gallery, tmp_path, others):
    enroll_people(recognizer, ["Anna"])
    with Gallery(tmp_path / "other.db") as other:
        enroll_people(GaitRecognizer(CONFIG, BuildEncoder(), other), others, seed=7)
    street = Street(1)
    assert walk(recognizer, street, {1: 1})[1].name == "Anna"
    (tmp_path / "other.db").replace(gallery.place)  # there, Anna's number is Zoe's
    result = recognizer.process(street.frame({1: 1}, moving=False))[0]
    assert (result.status, result.name) == (Status.PENDING, "")


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


# Enrolment.


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


# One sensor missing.


def test_lidar_only_walks_match_lidar_only_templates(recognizer):
    street = Street(1)
    walk(recognizer, street, {1: 1}, crop=None)
    enrolled = recognizer.enroll("Anna", 1)
    assert ", from the LiDAR alone" in enrolled.message
    result = walk(recognizer, Street(2, "later"), {1: 1}, crop=None)[1]
    assert (result.status, result.name, result.decision.modalities) == (Status.KNOWN, "Anna", Modality.POINTS)
    assert result.decision.threshold == pytest.approx(0.12 * 0.85)
    assert result.reason.endswith(", from the LiDAR alone")


def test_a_lidar_only_walk_gets_no_name_from_templates_of_both_sensors(recognizer):
    enroll_people(recognizer, ["Anna"])
    result = walk(recognizer, Street(1), {1: 1}, crop=None)[1]
    vote = result.decision.vote
    assert (result.status, result.decision.modalities) == (Status.UNKNOWN, Modality.POINTS)
    assert (vote.why, vote.nearest) == (Why.OTHER_SENSORS, "Anna")
    assert vote.distance < 0.1


# Several trackers, groups, names that look alike.


@pytest.fixture
def heads(recognizer):
    """Two trackers that see the same street, their clocks 10 s apart, their track numbers the same."""
    enroll_people(recognizer, ["Anna", "Ben"])
    first, second = Street(1, "front"), Street(2, "rear")
    second.index = 100
    return first, second


def both(recognizer, heads, tracks, frames):
    """Results of the last frame of both heads, by tracker and track."""
    for _ in range(frames):
        results = [result for head in heads for result in recognizer.process(head.frame(tracks))]
    return {(result.tracker_id, result.track_id): result for result in results}


def test_two_heads_may_see_the_same_person_at_once(recognizer, heads):
    results = both(recognizer, heads, {1: 1, 2: 2}, 20)
    assert {key: result.name for key, result in results.items()} == {
        ("front", 1): "Anna", ("front", 2): "Ben", ("rear", 1): "Anna", ("rear", 2): "Ben"
    }  # fmt: skip


def test_within_one_head_two_people_never_have_one_name(recognizer, heads):
    results = both(recognizer, heads, {1: 1, 2: 1}, 20)
    assert sorted(results[tracker, track].name for tracker in ("front", "rear") for track in (1, 2)) == [
        "", "", "Anna", "Anna"
    ]  # fmt: skip
    assert {results["front", 1].name, results["front", 2].name} == {"", "Anna"}


def test_a_track_of_one_of_two_heads_is_enrolled(recognizer, heads):
    both(recognizer, heads, {0: 1}, 12)
    refused = recognizer.enroll("Cleo", 0, confirm=True)
    assert (refused.success, refused.tracks_in_view, refused.trackers_in_view) == (False, (0, 0), ("front", "rear"))
    enrolled = recognizer.enroll("Cleo", 0, confirm=True, tracker_id="rear")
    assert (enrolled.success, enrolled.track_id, enrolled.tracker_id) == (True, 0, "rear")


def test_enrolling_over_time_at_one_of_two_heads(recognizer, heads):
    both(recognizer, heads, {0: 9}, 3)
    for tracker in ("front", "rear"):
        assert recognizer.enroll_over(f"walker {tracker}", -1, 4.0, True, tracker).tracker_id == tracker
    assert set(recognizer.pending_enrollments) == {("front", 0), ("rear", 0)}
    both(recognizer, heads, {0: 9}, 42)
    news = recognizer.enrollment_news(wait=True)
    for tracker, ahead_s in (("front", 0.0), ("rear", 10.0)):
        mine = [item for item in news if item.tracker_id == tracker]
        assert [item.state for item in mine][-2:] == [EnrollmentState.STORED, EnrollmentState.DONE]
        assert mine[-1].stamp_ns * 1e-9 == pytest.approx(1.0 + ahead_s + 4.3, abs=0.25), "by the head's own clock"


def test_an_enrolment_over_time_ends_when_its_head_falls_silent(recognizer, heads):
    both(recognizer, heads, {0: 9}, 12)
    assert recognizer.enroll_over("Dora", 0, 30.0, tracker_id="rear").success
    walk(recognizer, heads[1], {0: 9}, frames=12)
    walk(recognizer, heads[0], {0: 9}, frames=40)
    news = [item for item in recognizer.enrollment_news(wait=True) if item.state != EnrollmentState.COLLECTING]
    assert [item.state for item in news] == [EnrollmentState.STORED, EnrollmentState.DONE]
    assert recognizer.pending_enrollments == {}


def test_a_group_gets_no_name_and_is_not_enrolled(recognizer):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    assert walk(recognizer, street, {1: 1})[1].name == "Anna"
    assert recognizer.enroll_over("Ben", 1, 9.0, confirm=True).success
    result = walk(recognizer, street, {1: 1}, frames=20, group=True)[1]
    assert (result.status, result.name, result.decision.samples) == (Status.PENDING, "", 0)
    assert result.decision.vote.why == Why.GROUP
    states = [item.state for item in recognizer.enrollment_news(wait=True)]
    assert states == [EnrollmentState.REFUSED, EnrollmentState.DONE]
    for refused in (recognizer.enroll("Ben", 1), recognizer.enroll_over("Ben", -1, 3.0)):
        assert not refused.success
        assert "a group of people who cannot be distinguished" in refused.message
    assert walk(recognizer, street, {1: 1}, frames=12)[1].name == "Anna", "once they have parted"


def test_a_name_that_looks_like_another_asks_to_confirm(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    walk(recognizer, Street(1), {1: 9})
    for refused in (recognizer.enroll("\u0430nna ", 1), recognizer.enroll_over("ANNA", 1, 3.0)):
        assert (refused.success, refused.needs_confirmation) == (False, True)
        assert "looks like 'Anna'" in refused.message
    assert recognizer.enroll("anna", 1, confirm=True).success
    assert recognizer.enroll("anna", 1).success, "from then on it is a name like any other"
    assert [person.name for person in gallery.identities()] == ["Anna", "anna"]


# Options that change while it runs, and the network in the way of nobody.

AT_START = ("engine.", "gallery.", "topics.", "services.", "autostart", "bond_heartbeat_period")
OTHER_VALUES = {
    "window.min_samples": 8, "window.max_samples": 25, "window.min_sharpness": 0.1, "decision.hysteresis": 1.5,
    "decision.threshold": 0.3, "decision.min_margin": 0.01, "decision.one_sensor_factor": 0.5,
}  # fmt: skip


def changed(name, value):
    if isinstance(value, bool):
        return not value
    return OTHER_VALUES.get(
        name, value + 1 if isinstance(value, int) else min(value * 1.2 + 0.1, 0.99) if value < 1 else value * 1.1
    )


LIVE_OPTIONS = {
    name: changed(name, value)
    for name, (value, _) in options_of(RecognizerNodeConfig()).items()
    if not name.startswith(AT_START)
}


@pytest.mark.parametrize("name", LIVE_OPTIONS)
def test_an_option_changes_without_dropping_anything(recognizer, gallery, monkeypatch, name):
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    assert walk(recognizer, street, {1: 1, 2: 9})[1].name == "Anna"
    reads = []
    monkeypatch.setattr(gallery, "templates_for", lambda *_: reads.append(1))
    recognizer.reconfigure(with_options(CONFIG, {name: LIVE_OPTIONS[name]}))
    results = {result.track_id: result for result in recognizer.process(street.frame({1: 1, 2: 9}))}
    assert [results[track].status for track in (1, 2)] == [Status.KNOWN, Status.UNKNOWN]
    assert (results[1].name, results[1].decision.samples) == ("Anna", 25 if name == "window.max_samples" else 30)
    assert reads == []


@pytest.mark.parametrize(
    ("options", "status", "facts"),
    [
        ({"decision.threshold": 1e-6}, Status.UNKNOWN, {"threshold": 1e-6}),  # after three windows
        ({"decision.candidates": 1}, Status.KNOWN, {"candidates": 1}),
        ({"window.min_samples": 5, "window.max_samples": 20}, Status.KNOWN, {"samples": 20, "samples_needed": 5}),
        ({"window.min_samples": 28, "window.max_samples": 28}, Status.KNOWN, {"samples": 28, "samples_needed": 28}),
    ],
)
def test_a_changed_option_counts_from_the_next_frame(gallery, options, status, facts):
    recognizer = GaitRecognizer(CONFIG, BuildEncoder(), gallery)
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    walk(recognizer, street, {1: 1})
    recognizer.reconfigure(with_options(CONFIG, options))
    result = walk(recognizer, street, {1: 1}, frames=3)[1]
    assert result.status == status
    found = {name: getattr(result.decision, name) for name in facts}
    assert found | {"candidates": len(result.decision.candidates)} == facts | {"candidates": facts.get("candidates", 2)}


def test_templates_per_identity_changes_the_distance_at_once(recognizer):
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    three = walk(recognizer, street, {1: 1})[1].decision.distance
    recognizer.reconfigure(with_options(CONFIG, {"decision.templates_per_identity": 1}))
    standing = recognizer.process(street.frame({1: 1}, moving=False))[0]  # the same window
    assert standing.decision.distance < three


def test_options_the_bundle_cannot_take_change_nothing(recognizer):
    with pytest.raises(ValueError, match="takes windows of 1 to 30 samples"):
        recognizer.reconfigure(with_options(CONFIG, {"window.min_samples": 40, "window.max_samples": 50}))
    assert walk(recognizer, Street(1), {1: 1}, frames=1)[1].decision.samples_needed == 10


def test_nothing_but_frames_waits_for_the_network(gallery):
    """The first frame of all can take a minute: kernels are compiled, engines warm up."""
    encoder = BuildEncoder()
    recognizer = GaitRecognizer(CONFIG, encoder, gallery)
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=20)
    entered, release, encode = threading.Event(), threading.Event(), encoder.encode_frames

    def slow(*arguments):
        entered.set()
        assert release.wait(120)
        return encode(*arguments)

    encoder.encode_frames = slow
    frame = threading.Thread(target=recognizer.process, args=(street.frame({1: 1}),))
    frame.start()
    assert entered.wait(60)
    done = threading.Event()

    def ask():
        recognizer.reconfigure(with_options(CONFIG, {"decision.agree_windows": 2}))
        assert recognizer.enroll("Anna", 1).success
        assert recognizer.enroll_over("Ben", 1, 5.0, confirm=True).success
        recognizer.enrollment_news()
        done.set()

    asking = threading.Thread(target=ask)
    asking.start()
    answered = done.wait(60)
    release.set()
    frame.join()
    asking.join()
    assert answered


# Bad input and time.


def test_time_running_backwards_starts_over(recognizer):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    assert walk(recognizer, street, {1: 1})[1].name == "Anna"
    street.index = 0  # the bag loops
    result = recognizer.process(street.frame({1: 2}))[0]
    assert (result.status, result.decision.samples) == (Status.PENDING, 1)


def test_a_gap_forgets_who_it_was(recognizer):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    walk(recognizer, street, {1: 1})
    street.index += 20
    assert recognizer.process(street.frame({1: 1}))[0].status == Status.PENDING


def test_standing_still_keeps_the_name(recognizer):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    walk(recognizer, street, {1: 1})
    assert walk(recognizer, street, {1: 1}, moving=False, frames=50)[1].name == "Anna"


@pytest.mark.parametrize(
    "changes",
    [
        {"points": np.full((128, 3), np.inf, np.float32)},
        {"points": np.zeros((5, 7), np.float32)},
        {"crop": np.zeros((3, 3), np.uint8)},
        {"crop": np.zeros((0, 0, 3), np.uint8)},
        {"center": np.full(3, np.nan)},
        {"velocity": np.full(3, np.nan)},
        {"points": body(1, np.random.default_rng(0), count=9)},  # fewer than the network takes
        {"crop": np.zeros((480, 640, 3), np.uint8)},  # any size
    ],
)
def test_one_odd_pedestrian_never_harms_the_others(recognizer, changes):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    for _ in range(14):
        frame = street.frame({1: 1})
        odd = street.pedestrian(2, 5, **changes)
        results = recognizer.process(dataclasses.replace(frame, pedestrians=(odd, *frame.pedestrians)))
    assert [result.track_id for result in results] == [2, 1]
    assert results[1].name == "Anna"


def test_more_people_than_max_tracks(gallery):
    recognizer = GaitRecognizer(with_options(CONFIG, {"window.max_tracks": 3}), BuildEncoder(), gallery)
    results = list(walk(recognizer, Street(1), {track: track for track in range(5)}, frames=4).values())
    assert [result.decision.samples for result in results] == [4, 4, 4, 0, 0], "the same people, frame by frame"
    assert [result.decision.vote.why for result in results] == [Why.FEW_SAMPLES] * 3 + [Why.NOT_KEPT] * 2
    assert results[4].decision.samples_needed == 10


@pytest.mark.parametrize(
    ("options", "frames", "outcome"),
    [
        ({}, (1, 30), (10, 30)),
        ({"window.max_samples": 60}, (1, 30), (10, 30)),  # the bundle takes no more
        ({"window.min_samples": 2}, (5, 30), (5, 30)),  # nor less
        ({"window.min_samples": 20, "window.max_samples": 10}, (1, 30), "cannot be more than window.max_samples"),
        ({"window.min_samples": 20}, (1, 16), "takes windows of 1 to 16 samples"),
    ],
)
def test_window_options_meet_the_bundle(gallery, options, frames, outcome):
    def make():
        return GaitRecognizer(with_options(CONFIG, options), BuildEncoder(frames=frames), gallery)

    if isinstance(outcome, str):
        with pytest.raises(ValueError, match=outcome):
            make()
    else:
        decision = walk(make(), Street(1), {1: 1}, frames=70)[1].decision
        assert (decision.samples_needed, decision.samples) == outcome


def test_a_gallery_that_fails_while_running_is_said_and_survived(recognizer, gallery):
    enroll_people(recognizer, ["Anna"])
    street = Street(1)
    walk(recognizer, street, {1: 1})
    gallery.file.connection.close()
    assert recognizer.process(street.frame({1: 1}))[0].name == "Anna"
    assert "changes of the gallery are not seen" in recognizer.gallery_note


def test_a_damaged_template_is_left_out_and_said_and_the_others_are_named(recognizer, gallery):
    enroll_people(recognizer, ["Anna", "Ben"])
    street = Street(1)
    walk(recognizer, street, {1: 1, 2: 2})
    gallery.file.connection.execute("UPDATE templates SET checksum = 1 WHERE identity_id = 1")
    with gallery.file.change() as connection:
        connection.execute(
            "INSERT INTO audit (at_ns, action, identity_id, name, detail) VALUES (0, 'enroll', 1, 'Anna', '')"
        )
    assert [result.name for result in recognizer.process(street.frame({1: 1, 2: 2}))] == ["", "Ben"]
    assert "a template of 'Anna' is damaged" in recognizer.gallery_note


def test_process_and_enroll_from_two_threads(recognizer, gallery):
    errors, street, stop = [], Street(1), threading.Event()

    def process():
        try:
            while not stop.is_set():
                recognizer.process(street.frame({1: 1, 2: 2}))
        except Exception as error:
            errors.append(error)

    walk(recognizer, street, {1: 1, 2: 2})
    worker = threading.Thread(target=process)
    worker.start()
    answers = [recognizer.enroll(f"n{index}", 1 + index % 2) for index in range(20)]
    gallery.remove("n0")
    stop.set()
    worker.join()
    assert errors == []
    assert all(answer.success for answer in answers)
    assert len(gallery.identities()) == 19


# The network that is shipped.


@pytest.fixture(scope="module")
def shipped_encoder():
    if not (default_bundle_path() / "manifest.json").is_file():
        pytest.skip(f"no bundle at {default_bundle_path()}")
    return GaitEncoder(load_bundle())


def test_the_shipped_network_recognises_the_same_samples(shipped_encoder, gallery):
    """Bodies of very different build, as a check of the joints, not of accuracy."""
    config = with_options(
        RecognitionConfig(), {"window.min_samples": 4, "window.max_samples": 8, "decision.threshold": 1e3}
    )
    recognizer = GaitRecognizer(config, shipped_encoder, gallery)
    for person in (1, 2):
        walk(recognizer, Street(person, f"enrol {person}"), {person: person}, frames=8)
        assert recognizer.enroll(f"n{person}", person).success
    recognizer.forget_tracks()
    [first], [second] = (
        [result.decision for result in walk(recognizer, again, {person: person}, frames=8).values()]
        for person, again in ((person, Street(person, f"again {person}")) for person in (1, 2))
    )
    assert (first.candidates[0].name, second.candidates[0].name) == ("n1", "n2")  # same seeds: the same samples
    assert first.distance < 0.5 * first.candidates[1].distance
    assert (
        gallery.templates_for(shipped_encoder.fingerprint).embedding.shape[1:] == shipped_encoder.bundle.embedding_shape
    )


# A gallery's own calibration, weak windows, flicker.


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


# Quality and consistency of what is enrolled.


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


def test_enrolling_over_the_next_seconds(recognizer, gallery):
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=3)
    begun = recognizer.enroll_over("Anna", -1, 6.5)
    assert (begun.success, begun.track_id) == (True, 1)
    assert gallery.identities() == []
    walk(recognizer, street, {1: 1}, frames=40)
    assert recognizer.pending_enrollments == {("street", 1): ("Anna", 10)}  # a full window was stored after 30
    walk(recognizer, street, {1: 1}, frames=30)
    news = recognizer.enrollment_news(wait=True)
    told = [item.state for item in news if item.state != EnrollmentState.COLLECTING]
    assert told == [EnrollmentState.STORED] * 2 + [EnrollmentState.DONE]  # five samples more are too few
    assert [item.remaining_s for item in news[:3]] == pytest.approx([6.4, 5.4, 4.4])
    assert news[2].message == "21 of 30 samples"
    assert news[-1].message == "'Anna' is enrolled: 60 samples of this walk, 8 templates now"
    assert [person.templates for person in gallery.identities()] == [8]
    assert (recognizer.pending_enrollments, recognizer.enrollment_news()) == ({}, [])
    gallery.undo()
    assert gallery.identities() == []


def test_enrolling_over_time_ends_when_the_person_leaves(recognizer, gallery):
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=3)
    assert recognizer.enroll_over("Anna", 1, 20.0).success
    walk(recognizer, street, {1: 1}, frames=12)
    for _ in range(7):
        recognizer.process(street.frame({}))
    stored, done = recognizer.enrollment_news(wait=True)[-2:]
    assert (stored.state, done.state) == (EnrollmentState.STORED, EnrollmentState.DONE)
    assert "15 samples" in stored.message
    assert recognizer.pending_enrollments == {}


def test_enrolling_over_time_ends_where_it_may_be_somebody_else(recognizer, gallery):
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=3)
    assert recognizer.enroll_over("Anna", 1, 20.0).success
    again = recognizer.enroll_over("Ben", 1, 20.0)
    assert "is being enrolled as 'Anna' already" in again.message
    street.index += 16  # a hole of 1.6 s
    walk(recognizer, street, {1: 2}, frames=40)
    news = recognizer.enrollment_news(wait=True)
    assert news[-1].message == "nothing of this walk was stored as 'Anna'"
    assert (gallery.identities(), recognizer.pending_enrollments) == ([], {})


def test_frames_do_not_wait_for_the_gallery(recognizer, gallery):
    """The gallery is held by somebody else: frames go on, the enrolment is stored when it is free."""
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=3)
    assert recognizer.enroll_over("Anna", 1, 3.0).success
    held, release = threading.Event(), threading.Event()

    def hold():
        with gallery.file.lock:
            held.set()
            release.wait(120)

    recognizer._view.try_to_follow = lambda: False  # this test holds the lock that following takes too
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    walk(recognizer, street, {1: 1}, frames=40)
    assert all(item.state == EnrollmentState.COLLECTING for item in recognizer.enrollment_news())
    release.set()
    holder.join()
    assert recognizer.enrollment_news(wait=True)[-1].state == EnrollmentState.DONE
    assert [person.templates for person in gallery.identities()] == [4]


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
    ("name", "track", "seconds", "said"),
    [("", 1, 5.0, "empty"), ("Anna", 9, 5.0, "track 9 is unknown"), ("Anna", 1, 0.0, "more than 0 and at most 60 s")],
)
def test_enrolling_over_time_refused(recognizer, name, track, seconds, said):
    walk(recognizer, Street(1), {1: 1}, frames=3)
    result = recognizer.enroll_over(name, track, seconds)
    assert not result.success
    assert said in result.message


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


@pytest.mark.parametrize("take_back", [Gallery.undo, lambda gallery: gallery.remove("Anna")])
def test_what_is_taken_back_in_the_middle_of_an_enrolment_stays_away(recognizer, gallery, take_back):
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=3)
    assert recognizer.enroll_over("Anna", 1, 20.0).success
    walk(recognizer, street, {1: 1}, frames=32)
    recognizer.enrollment_news(wait=True)
    take_back(gallery)
    walk(recognizer, street, {1: 1}, frames=40)
    recognizer.enrollment_news(wait=True)
    walk(recognizer, street, {1: 1}, frames=2)
    assert (gallery.identities(), recognizer.pending_enrollments) == ([], {})


def test_an_enrolment_that_is_taken_back_says_so(recognizer, gallery):
    street = Street(1)
    walk(recognizer, street, {1: 1}, frames=3)
    assert recognizer.enroll_over("Anna", 1, 20.0).success
    walk(recognizer, street, {1: 1}, frames=32)
    recognizer.enrollment_news(wait=True)
    gallery.undo()
    walk(recognizer, street, {1: 1}, frames=40)
    refused, done = recognizer.enrollment_news(wait=True)[-2:]
    assert (refused.state, done.state) == (EnrollmentState.REFUSED, EnrollmentState.DONE)
    assert "was taken back" in refused.message
    assert done.message == "nothing of this walk was stored as 'Anna'"
