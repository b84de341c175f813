"""A gallery's threshold from tracks: what it promises holds on new strangers; longer walks are decided better."""

import numpy as np
import pytest

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.evaluation.gallery_calibration import (
    WalkedTracks,
    calibrate_with_tracks,
    checked_on_strangers,
    embed_tracks,
    gallery_of,
    naming_thresholds,
    strangers_calibration,
)
from emgait_ros.recognition.decision import Weakness
from emgait_ros.recognition.replay import Replay, WalkWindows
from emgait_ros.samples import Modality


def walked(people, seed=0, first=0, walks=2, lengths=(10, 20, 30), noise=4.0):
    """Tracks of made-up people: an embedding is the person's own plus noise that falls with the window's length."""
    random = np.random.default_rng(seed)
    identity = np.repeat(np.arange(first, first + people), walks)
    walk = np.tile(np.arange(walks), people)
    own = np.repeat(random.normal(size=(people, 4, 8)), walks, axis=0)

    def seen(length):
        return own + noise / np.sqrt(length) * random.normal(size=own.shape)

    # Three windows in a row say the same, as the decision asks for.
    windows = np.stack([seen(length) for length in lengths], axis=1).astype(np.float32).repeat(3, axis=1)
    samples = tuple(length + more for length in lengths for more in range(3))
    templates = np.stack([seen(30), seen(10), seen(10)], axis=1).astype(np.float32)
    ranges = random.uniform(8, 40, len(identity)).astype(np.float32)
    returns = np.full(len(identity), 100, np.float32)
    count = len(samples)
    grown = [WalkWindows(rows, (Modality.BOTH,) * count, (Weakness(),) * count, samples) for rows in windows]
    return WalkedTracks(identity, walk, ranges, grown, list(templates), returns)


def half(tracks, seed=0):
    """Half of the people, drawn."""
    people = np.unique(tracks.identity)
    return np.sort(np.random.default_rng(seed).choice(people, len(people) // 2, replace=False))


@pytest.mark.parametrize("rate", [0.05, 0.01])
def test_the_promise_holds_on_new_strangers(rate):
    """Ten repeats: strangers never seen are accepted at most as often as asked for, within the stated interval."""
    rates, covered = [], []
    for seed in range(10):
        tracks = walked(200, seed)
        members = half(tracks, seed)
        calibration, _ = calibrate_with_tracks(tracks, rate, members)
        new = walked(400, seed + 1000, first=10_000, walks=1)
        against = Replay(gallery_of(tracks, members, DecisionConfig()), DecisionConfig(), 0.0)
        check = checked_on_strangers(calibration, naming_thresholds(against, new.windows))
        rates.append(check["rate"])
        assert check["interval"][0] <= check["rate"] <= check["interval"][1]
        low, high = calibration.false_accept_interval
        covered.append(low - 0.01 <= rates[-1] <= high + 0.01)
    assert np.mean(rates) <= rate * 1.3 + 0.002
    assert np.mean(covered) >= 0.8


def test_longer_windows_identify_better_and_figures_are_stated():
    tracks = walked(400)
    calibration, report = calibrate_with_tracks(tracks, 0.01, half(tracks), source="made up")
    found = [entry["dir"] for entry in report["identified_by_samples"].values()]
    assert list(report["identified_by_samples"]) == ["12", "20", "30"]
    assert found[0] <= found[1] < found[2]
    assert calibration.impostor_tracks == 400
    assert calibration.genuine_tracks == 200
    assert calibration.gallery_size == 200
    assert calibration.source == "made up"
    assert (report["members"], report["strangers"]) == (200, 200)
    assert "rests on 400 walks of 200 strangers, compared with 200 identities" in str(calibration)
    assert 8 <= calibration.ranges_m[0] < calibration.ranges_m[1] <= 40
    assert calibration.chance_of(0.2) > 0.9 > 0.1 > calibration.chance_of(5.5)
    assert len(calibration.distances[1]) == 400


def test_too_few_people_or_tracks_are_refused():
    with pytest.raises(
        ValueError, match=r"40 impostor tracks cannot promise a false-accept rate of 0\.01: 99 are needed"
    ):
        calibrate_with_tracks(walked(40), 0.01, half(walked(40)))


def test_strangers_of_a_bag():
    found = strangers_calibration(np.linspace(0.5, 2, 99), 0.01, 7, (10.0, 20.0), "a bag", genuine=[0.2, 0.3, 0.9])
    assert found.threshold == 0.5
    assert found.gallery_size == 7
    assert found.true_accept_rate == pytest.approx(2 / 3)
    assert strangers_calibration(np.ones(99), 0.01, 7, (1.0, 2.0), "").probability is None


class MeanEncoder:
    """Features are the mean of the points; an embedding is the mean feature of a window."""

    sensors = Modality.BOTH

    def encode_frames(self, batch, previous, follows):
        assert len(previous) == len(batch)
        assert follows.tolist() == list(range(-1, len(batch) - 1))
        assert batch.crops.dtype == np.float32
        assert batch.crops.max() <= 1.0
        return batch.points.mean(axis=1)

    def embed(self, windows):
        return np.array([np.mean(window, axis=0) for window in windows], np.float32).reshape(len(windows), 1, 3)


def test_windows_grow_and_templates_are_those_of_an_enrolment():
    frames = [25, 12]
    start = np.concatenate([[0], np.cumsum(frames)])
    points = np.arange(37, dtype=np.float32)[:, None, None] * np.ones((37, 5, 3), np.float32)
    data = SequenceSet(
        start=start,
        identity=np.array([1, 2]),
        walk=np.array([0, 0]),
        view_deg=np.zeros(2, np.float32),
        range_m=np.array([10, 20], np.float32),
        condition=np.array(["normal"] * 2),
        crops=np.full((37, 8, 4, 3), 255, np.uint8),
        points=points,
        point_count=np.full(37, 5),
        has_image=np.ones(37, bool),
        has_points=np.ones(37, bool),
    )
    tracks = embed_tracks(MeanEncoder(), data, WindowConfig(min_samples=10, max_samples=20, min_points=1))
    first, second = tracks.windows
    assert (first.samples, second.samples) == (tuple(range(10, 26)), (10, 11, 12))  # one at every sample
    np.testing.assert_allclose(first.embedding[[0, 10, 15], 0, 0], [4.5, 9.5, 14.5])  # the newest 20 of 25 at last
    np.testing.assert_allclose(second.embedding[:, 0, 0], [29.5, 30, 30.5])
    assert set(first.modalities) == {Modality.BOTH}
    assert first.weak[0] == Weakness(few_returns=5.0)
    np.testing.assert_allclose(tracks.templates[0][:, 0, 0], [14.5, 9.5, 19.5])  # the newest 20, and its halves
    assert len(tracks.templates[1]) == 1
