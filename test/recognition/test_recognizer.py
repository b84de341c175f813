"""From pedestrians to names and back: windows, enrolment, the gallery and the decision working together."""

import dataclasses
import threading

import numpy as np
import pytest
from made_up_street import CONFIG, BuildEncoder, Street, body, both, enroll_people, walk

from emgait_ros.config import RecognitionConfig, RecognizerNodeConfig, options_of, with_options
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import default_bundle_path, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.recognition.decision import Why
from emgait_ros.recognition.enrollments_over_time import EnrollmentState
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.samples import Modality, Status


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
