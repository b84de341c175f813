"""Which samples make a window."""

from collections import deque

import numpy as np
import pytest
from made_up_street import STEP_NS, pedestrian

from emgait_ros.config import WindowConfig
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.recognition.windows import TrackWindows
from emgait_ros.samples import Modality, PedestrianFrame


def frame(index, *pedestrians, tracker="a"):
    return PedestrianFrame(1_000_000_000 + index * STEP_NS, "lidar", tracker, pedestrians)


def feed(windows, a_frame):
    """Observe a frame and put placeholder features where the encoder's would go."""
    new = windows.observe(a_frame)
    for window, sample in new:
        window.add(None, sample, keep=False)
    return new


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),  # a good sample
        ({"moving": False}, "standing still"),  # no gait to see
        ({"point_count": 7}, "fewer than 8 LiDAR returns"),  # one below the limit
        ({"point_count": 8}, ""),  # at the limit
        ({"points": None, "point_count": 0}, "no LiDAR returns"),  # the track coasts
        ({"points": np.zeros((0, 3), np.float32)}, "no LiDAR returns"),  # empty message field
        ({"points": np.full((128, 3), np.nan, np.float32)}, "broken points"),  # somebody else's tracker
        ({"points": np.ones((128, 2), np.float32)}, "broken points"),  # not x, y, z
        ({"occlusion": 0.7}, "hidden by something nearer"),  # an arm and half a head
        ({"occlusion": 0.5}, ""),
        ({"center": np.array([np.nan, 0, 0])}, "broken points"),  # nothing to put the points in relation to
    ],
)
def test_samples_left_out(changes, reason):
    windows = TrackWindows(WindowConfig())
    new = windows.observe(frame(0, pedestrian(**changes)))
    assert len(new) == (reason == "")
    assert dict(windows.left_out) == ({reason: 1} if reason else {})
    assert windows.get("a", 1).last_left_out == reason


def test_standing_people_count_when_movement_is_not_required():
    assert len(TrackWindows(WindowConfig(require_moving=False)).observe(frame(0, pedestrian(moving=False)))) == 1


def test_window_keeps_the_newest_samples():
    windows = TrackWindows(WindowConfig(max_samples=12))
    for index in range(20):
        feed(windows, frame(index, pedestrian(range_m=float(index))))
    assert [sample.range_m for sample in windows.get("a", 1).samples] == list(range(8, 20))


def observed_at(stamps_s, crop_of=lambda index: True):
    """Windows that have seen one pedestrian at these times, with a crop in the frames for which ``crop_of`` is true."""
    windows = TrackWindows(WindowConfig(max_samples=300))
    for index, stamp_s in enumerate(stamps_s):
        one = pedestrian() if crop_of(index) else pedestrian(crop=None)
        feed(windows, PedestrianFrame(round(stamp_s * 1e9), "lidar", "a", (one,)))
    return windows


@pytest.mark.parametrize(
    ("rate_hz", "samples"),
    [
        (5, 10),
        (10, 20),  # what the network was trained on
        (20, 20),
        (100, 23),  # a Livox
    ],
)
def test_samples_of_two_seconds_at_any_rate(rate_hz, samples):
    windows = observed_at(np.arange(2 * rate_hz) / rate_hz)
    assert len(windows.get("a", 1).samples) == samples
    assert sum(windows.left_out.values()) == 2 * rate_hz - samples
    assert windows.get("a", 1).last_left_out == ""


@pytest.mark.parametrize(
    ("rate_hz", "jitter_s", "least", "most"),
    [
        (10, 0.005, 200, 200),
        (10, 0.02, 185, 200),  # a LiDAR stamped on arrival, over a busy network
        (20, 0.02, 185, 223),  # and never more than 1 / min_step_s
        (100, 0.02, 185, 223),
    ],
)
def test_stamps_that_jitter_lose_hardly_a_sample(rate_hz, jitter_s, least, most):
    times_s = np.arange(20 * rate_hz) / rate_hz + np.random.default_rng(0).normal(1.0, jitter_s, 20 * rate_hz)
    samples = observed_at(np.sort(times_s)).get("a", 1).samples
    assert least <= len(samples) <= most


@pytest.mark.parametrize("first", [0, 1])
def test_of_a_fast_lidar_the_clouds_with_an_image_are_taken(first):
    """20 Hz and a camera of 10 Hz: whichever cloud came first."""
    windows = observed_at(np.arange(80) / 20, crop_of=lambda index: index % 2 == first)
    samples = windows.get("a", 1).samples
    assert sum(Modality.IMAGE in sample.modalities for sample in samples) == 40
    assert len(samples) == 40 + first


def test_a_skipped_frame_makes_no_sample_too_soon():
    windows = TrackWindows(WindowConfig())
    for index in range(4):
        one = PedestrianFrame(index * 10**9 // 20, "lidar", "a", (pedestrian(),))
        if index in (0, 2):
            windows.skip(one, "busy")
        else:
            feed(windows, one)
    assert len(windows.get("a", 1).samples) == 2


@pytest.mark.parametrize(
    ("gap_frames", "samples"),
    [
        (15, 6),  # 1.5 s: still the same person
        (16, 1),  # longer: may be somebody else
    ],
)
def test_gap_clears(gap_frames, samples):
    windows = TrackWindows(WindowConfig())
    for index in [*range(5), 4 + gap_frames]:
        feed(windows, frame(index, pedestrian()))
    assert len(windows.get("a", 1).samples) == samples


def test_coasting_is_a_gap_and_standing_is_not():
    windows = TrackWindows(WindowConfig())
    for index in range(5):
        feed(windows, frame(index, pedestrian(1), pedestrian(2)))
    for index in range(5, 30):  # seen all the time: 1 stands, 2 is hidden and only predicted
        feed(windows, frame(index, pedestrian(1, moving=False), pedestrian(2, points=None)))
    feed(windows, frame(30, pedestrian(1), pedestrian(2)))
    assert len(windows.get("a", 1).samples) == 6
    assert len(windows.get("a", 2).samples) == 1


def test_backward_time_forgets_this_tracker_only():
    windows = TrackWindows(WindowConfig())
    for index in range(5):
        feed(windows, frame(index, pedestrian(), tracker="a"))
        feed(windows, frame(index, pedestrian(), tracker="b"))
    feed(windows, frame(2, pedestrian(), tracker="a"))
    assert len(windows.get("a", 1).samples) == 1
    assert len(windows.get("b", 1).samples) == 5


def test_a_frame_that_comes_twice_counts_once():
    windows = TrackWindows(WindowConfig())
    feed(windows, frame(0, pedestrian()))
    assert feed(windows, frame(0, pedestrian())) == []
    assert len(windows.get("a", 1).samples) == 1


def test_a_track_twice_in_one_frame_counts_once():
    windows = TrackWindows(WindowConfig())
    assert len(feed(windows, frame(0, pedestrian(1), pedestrian(1)))) == 1


def test_tracks_out_of_view_are_kept_for_a_while():
    windows = TrackWindows(WindowConfig(keep_s=3.0))
    feed(windows, frame(0, pedestrian(1)))
    feed(windows, frame(30, pedestrian(2)))
    assert [window.track_id for window in windows.kept()] == [1, 2]
    assert [window.track_id for window in windows.in_view()] == [2]
    feed(windows, frame(31))
    assert [window.track_id for window in windows.kept()] == [2]
    assert windows.in_view() == []


def test_too_many_tracks_drop_the_longest_unseen():
    windows = TrackWindows(WindowConfig(max_tracks=3))
    for index in range(5):
        feed(windows, frame(index, pedestrian(index)))
    assert [window.track_id for window in windows.kept()] == [2, 3, 4]


@pytest.mark.parametrize(
    ("with_crop", "modalities"),
    [
        (0, Modality.POINTS),
        (4, Modality.POINTS),  # one short of five
        (5, Modality.BOTH),
        (10, Modality.BOTH),
    ],
)
def test_modalities_of_a_window(with_crop, modalities):
    windows = TrackWindows(WindowConfig())
    for index in range(10):
        changes = {} if index < with_crop else {"crop": None}
        feed(windows, frame(index, pedestrian(**changes)))
    assert windows.get("a", 1).modalities(5) == modalities


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sharpness": 0.02}, ""),
        ({"sharpness": 0.0}, ""),  # not known: another publisher
        ({"sharpness": 0.0005}, "crop not used: blurred"),
        ({"image_dt_s": 0.15}, "crop not used: its image is of another moment"),
        ({"image_dt_s": -0.05}, ""),
        ({"crop_native_height_px": 16.0}, ""),  # at the limit
        ({"crop_native_height_px": 15.9}, "crop not used: too small"),
        ({"crop": np.zeros((128, 64), np.uint8)}, "crop not used: no RGB picture"),  # grey
        ({"crop": np.zeros((128, 64, 3), np.float32)}, "crop not used: no RGB picture"),
    ],
)
def test_crops_left_out_leave_the_points(changes, reason):
    windows = TrackWindows(WindowConfig())
    ((_, sample),) = windows.observe(frame(0, pedestrian(**changes)))
    assert (sample.crop is None) == (reason != "")
    assert sample.points is not None
    assert dict(windows.left_out) == ({reason: 1} if reason else {})


@pytest.mark.parametrize("number", [7, 0])  # trackers that number from 0 are legal
def test_a_track_that_got_its_number_back_keeps_its_window(number):
    windows = TrackWindows(WindowConfig())
    for k in range(5):
        feed(windows, frame(k, pedestrian(number)))
    feed(windows, frame(5, pedestrian(3, previous_track_id=number)))
    window = windows.get("a", 3)
    assert window.track_id == 3
    assert len(window.samples) == 6
    assert windows.get("a", number) is None


def test_a_newcomer_does_not_inherit_the_window_of_track_0():
    windows = TrackWindows(WindowConfig())
    for k in range(5):
        feed(windows, frame(k, pedestrian(0)))
    feed(windows, frame(5, pedestrian(0), pedestrian(1)))
    assert len(windows.get("a", 0).samples) == 6
    assert len(windows.get("a", 1).samples) == 1


@pytest.mark.parametrize("ahead", [-3, 0, 100])  # 10 s
def test_trackers_with_clocks_apart_keep_their_windows(ahead):
    windows = TrackWindows(WindowConfig())
    for k in range(12):
        feed(windows, frame(k, pedestrian(1), tracker="a"))
        feed(windows, frame(k + ahead, pedestrian(1), tracker="b"))
    assert [len(windows.get(tracker, 1).samples) for tracker in "ab"] == [12, 12]
    assert [window.tracker_id for window in windows.in_view()] == ["a", "b"]
    assert windows.trackers == ["a", "b"]


@pytest.mark.parametrize(("frames", "kept"), [(31, True), (32, False)])  # window.keep_s: 3 s
def test_a_silent_tracker_is_forgotten_by_the_clock_of_the_others(frames, kept):
    windows = TrackWindows(WindowConfig())
    feed(windows, frame(500, pedestrian(1), tracker="a"))
    for k in range(frames):
        feed(windows, frame(k, pedestrian(2), tracker="b"))
    window = windows.get("a", 1)
    assert (window is not None, "a" in windows.trackers) == (kept, kept)


def test_a_tracker_that_comes_back_after_a_pause_takes_nothing_from_the_others():
    windows = TrackWindows(WindowConfig())
    feed(windows, frame(0, pedestrian(1), tracker="a"))
    for k in range(12):
        feed(windows, frame(k, pedestrian(1), tracker="b"))
    feed(windows, frame(200, pedestrian(2), tracker="a"))  # 20 s later by its own clock
    assert windows.get("a", 1) is None
    assert len(windows.get("b", 1).samples) == 12


def test_of_too_many_tracks_those_unseen_for_longest_go_whatever_their_clock():
    windows = TrackWindows(WindowConfig(max_tracks=2))
    feed(windows, frame(900, pedestrian(1), tracker="ahead"))
    feed(windows, frame(0, pedestrian(1), tracker="behind"))
    feed(windows, frame(1, pedestrian(2), tracker="behind"))
    assert [(window.tracker_id, window.track_id) for window in windows.kept()] == [("behind", 1), ("behind", 2)]


def test_a_group_has_no_samples_and_whoever_comes_out_of_it_starts_over():
    windows = TrackWindows(WindowConfig())
    for k in range(5):
        feed(windows, frame(k, pedestrian(1)))
    window = windows.get("a", 1)
    window.state.decided = 3
    for k in range(5, 8):
        assert feed(windows, frame(k, pedestrian(1, group=True))) == []
    assert (window.group, len(window.samples), window.state.decided, window.restarts) == (True, 0, None, 1)
    assert windows.left_out["a group of people who cannot be distinguished"] == 3
    feed(windows, frame(8, pedestrian(1)))
    assert (window.group, len(window.samples), window.restarts) == (False, 1, 1)


def test_skipped_frames_leave_tracks_as_they_are_but_for_the_samples():
    windows = TrackWindows(WindowConfig())
    for k in range(5):
        feed(windows, frame(k, pedestrian(7)))
    windows.skip(frame(5, pedestrian(3, previous_track_id=7)), "too late")  # relinked in the very frame
    for k in range(6, 25):
        windows.skip(frame(k, pedestrian(3)), "too late")
    feed(windows, frame(25, pedestrian(3)))
    assert len(windows.get("a", 3).samples) == 6, "a gap of 2 s would have cleared it"
    assert windows.get("a", 7) is None
    assert windows.left_out == {"too late": 20}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"points": None, "point_count": 0}, ""),  # beyond the LiDAR's reach
        ({"points": np.ones((128, 2), np.float32)}, ""),  # nobody looks at them
        ({"crop": None}, "no image, and the model looks at nothing else"),
        ({"crop_native_height_px": 3.0}, "no image, and the model looks at nothing else"),  # too small to show anything
        ({"moving": False}, "standing still"),
    ],
)
def test_a_model_of_images_alone_asks_for_images_alone(changes, reason):
    windows = TrackWindows(WindowConfig(), Modality.IMAGE)
    feed(windows, frame(0, pedestrian(**changes)))
    window = windows.get("a", 1)
    assert window.last_left_out == reason
    assert len(window.samples) == (reason == "")


@pytest.mark.parametrize("sensors", [Modality.IMAGE, Modality.POINTS, Modality.BOTH])
def test_a_sample_counts_for_the_sensors_that_the_model_looks_at(sensors):
    window = TrackWindow("a", 1, deque(maxlen=4))
    window.add(None, pedestrian(), False, sensors)
    assert window.modalities(1) == sensors
    assert np.isfinite(window.samples[0].brightness) == (Modality.IMAGE in sensors)
    window.add(None, pedestrian(crop=None, point_count=2), False, sensors)
    assert window.samples[1].modalities == sensors & Modality.POINTS
    few = pedestrian(point_count=2)
    alone = TrackWindow("a", 2, deque(maxlen=4))
    alone.add(None, few, False, sensors)
    assert bool(alone.weakness(WindowConfig()).few_returns) == (sensors != Modality.IMAGE)
