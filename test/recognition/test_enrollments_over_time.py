"""Enrolments over the next seconds: what is stored when, and what ends them."""

import threading

import pytest
from made_up_street import Street, both, walk

from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.enrollments_over_time import EnrollmentState


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


@pytest.mark.parametrize(
    ("name", "track", "seconds", "said"),
    [("", 1, 5.0, "empty"), ("Anna", 9, 5.0, "track 9 is unknown"), ("Anna", 1, 0.0, "more than 0 and at most 60 s")],
)
def test_enrolling_over_time_refused(recognizer, name, track, seconds, said):
    walk(recognizer, Street(1), {1: 1}, frames=3)
    result = recognizer.enroll_over(name, track, seconds)
    assert not result.success
    assert said in result.message


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
