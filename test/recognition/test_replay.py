"""The threshold at which a walk gets a name is that of the live decision, played window by window."""

import dataclasses

import numpy as np
import pytest

from emgait_ros.config import DecisionConfig
from emgait_ros.recognition.decision import Decider, TrackState, Weakness
from emgait_ros.recognition.matcher import Matcher
from emgait_ros.recognition.replay import Replay, WalkWindows
from emgait_ros.samples import Modality, Status

CONFIG = DecisionConfig(templates_per_identity=1)


def gallery():
    """Anna (1) at 0 and Ben (2) at 10, on a line."""
    matcher = Matcher(1)
    rows = [np.array([[[place, 0, 0, 0]]], np.float32) for place in (0.0, 10.0)]
    matcher.replace_all([(1, "Anna", rows[0], np.array([3])), (2, "Ben", rows[1], np.array([3]))])
    return matcher


def walk(*places, weak=(), sensors=Modality.BOTH):
    embedding = np.zeros((len(places), 1, 4), np.float32)
    embedding[:, 0, 0] = places
    weak = tuple(Weakness(dark=row in weak) for row in range(len(places)))
    return WalkWindows(embedding, (sensors,) * len(places), weak, tuple(range(10, 10 + len(places))))


@pytest.mark.parametrize(
    ("windows", "margin", "identity", "expected"),
    [
        (walk(3, 2, 4, 3, 3), 0.0, None, 4.0),  # every three in a row have the 4
        (walk(1, 4, 1, 4, 1), 0.0, None, 4.0),  # the smallest alone gives no name
        (walk(1, 1), 0.0, None, np.inf),  # two windows never do
        (walk(1, 9, 1, 9, 1, 9), 0.0, None, np.inf),  # Anna and Ben by turns
        (walk(1, 1, 1, 9, 9, 9, 9), 0.0, 2, 1.0),
        (walk(4, 4, 4), 3.0, None, np.inf),  # the lead over Ben is 2
        (walk(2, 2, 2), 3.0, None, 2.0),
        (walk(1, 1, 1, 3, weak=(0, 1)), 0.0, None, 3.0),  # two weak windows count one: a fourth is needed
        (walk(), 0.0, None, np.inf),
    ],
)
def test_the_threshold_that_names_a_walk(windows, margin, identity, expected):
    replay = Replay(gallery(), CONFIG, margin)
    found = replay.naming_threshold(windows, identity)
    assert found == pytest.approx(expected)
    if np.isfinite(found):
        assert not replay.is_named(windows, found, identity)
        assert replay.is_named(windows, found * 1.001, identity)


def test_one_sensor_has_the_stricter_limit_and_no_templates_of_its_own_no_name():
    replay = Replay(gallery(), CONFIG, 0.0)
    assert replay.naming_threshold(walk(2, 2, 2, sensors=Modality.POINTS)) == np.inf
    matcher = Matcher(1)
    matcher.replace_all([(1, "Anna", np.zeros((1, 1, 4), np.float32), np.array([int(Modality.POINTS)]))])
    found = Replay(matcher, CONFIG, 0.0).naming_threshold(walk(2, 2, 2, sensors=Modality.POINTS))
    assert found == pytest.approx(2.0 / CONFIG.one_sensor_factor)


def test_it_agrees_with_the_live_decision_on_walks_by_chance():
    """A hundred walks: named live, sample by sample, just when the threshold is above what was found."""
    random = np.random.default_rng(0)
    matcher = gallery()
    replay = Replay(matcher, CONFIG, 0.5)
    for _ in range(100):
        windows = walk(*random.uniform(-4, 14, 25), weak=tuple(random.integers(0, 25, 6)))
        found, threshold = replay.naming_threshold(windows), random.uniform(0.5, 5.0)
        decider = Decider(dataclasses.replace(CONFIG, threshold=threshold), None, 0.5)
        state, named = TrackState(), False
        for row in range(25):
            match = matcher.search(windows.embedding[row : row + 1], [Modality.BOTH], 6)
            [decision] = decider.decide([state], match, [Modality.BOTH], [True], weak=[windows.weak[row]])
            named |= decision.status == Status.KNOWN
        assert named == (threshold > found)
