"""Which track an enrolment means, with one tracker and with several."""

import pytest
from test_windows import feed, frame, pedestrian

from emgait_ros.config import WindowConfig
from emgait_ros.recognition.track_choice import TrackChoiceError, chosen_window
from emgait_ros.recognition.windows import TrackWindows


def seen(**trackers):
    """Windows after one frame of each tracker; the values are the tracks in view."""
    windows = TrackWindows(WindowConfig())
    for tracker, tracks in trackers.items():
        feed(windows, frame(0, *(pedestrian(track) for track in tracks), tracker=tracker))
    return windows


@pytest.mark.parametrize(
    ("trackers", "track", "tracker", "chosen"),
    [
        ({"a": [0, 4]}, 0, "", ("a", 0)),  # numbers from 0 are legal
        ({"a": [0]}, -1, "", ("a", 0)),
        ({"a": [4], "b": [4]}, 4, "b", ("b", 4)),
        ({"a": [4], "b": [4]}, -1, "a", ("a", 4)),  # the only one there
        ({"a": [4], "b": [5]}, 5, "", ("b", 5)),
    ],
)
def test_chosen(trackers, track, tracker, chosen):
    window = chosen_window(seen(**trackers), track, tracker)
    assert (window.tracker_id, window.track_id) == chosen


@pytest.mark.parametrize(
    ("trackers", "track", "tracker", "choices", "said"),
    [
        ({"a": [4], "b": [4]}, 4, "", [("a", 4), ("b", 4)], "give the tracker_id too"),
        ({"a": [4], "b": [5]}, -1, "", [("a", 4), ("b", 5)], "4 of tracker 'a' (1 of 10 samples), 5 of tracker 'b'"),
        ({"a": [4, 0], "b": [5]}, -1, "a", [("a", 0), ("a", 4)], "2 pedestrians are in view"),
        ({"a": [4], "b": [5]}, 5, "a", [("a", 4)], "track 5 is unknown"),
        ({"a": [4], "b": [5]}, 5, "c", [("a", 4), ("b", 5)], "trackers heard are 'a', 'b'"),
        ({}, 5, "c", [], "none was heard"),
    ],
)
def test_refused_with_what_there_is_to_choose_from(trackers, track, tracker, choices, said):
    with pytest.raises(TrackChoiceError) as refusal:
        chosen_window(seen(**trackers), track, tracker)
    assert list(zip(refusal.value.trackers, refusal.value.tracks, strict=True)) == choices
    assert said in str(refusal.value)


@pytest.mark.parametrize("track", [4, -1])
def test_a_group_is_refused(track):
    windows = TrackWindows(WindowConfig())
    feed(windows, frame(0, pedestrian(4, group=True)))
    with pytest.raises(ValueError, match="a group of people who cannot be distinguished"):
        chosen_window(windows, track)
