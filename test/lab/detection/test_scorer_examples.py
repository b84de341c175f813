"""What simulated candidates are called, and that they are kept as they were made."""

import numpy as np
import pytest

from emgait_ros.config import DetectorConfig
from emgait_ros.lab.detection.examples import (
    GROUP,
    NEGATIVES,
    NOBODY,
    PERSON,
    examples_of,
    joined,
    kinds,
    packed,
    read_shard,
    write_shard,
)
from emgait_ros.lab.simulation.clutter.people import CHILD, RIDER, SITTING, STANDING, WALKER
from emgait_ros.sensing.perception.candidates import CandidateFinder
from emgait_ros.sensing.perception.views import FRONT_SHAPE, READ, TOP_SHAPE, Views

UNCLEAR = -1


@pytest.mark.parametrize(
    ("place", "people", "returns", "who", "expected"),
    [
        ([(0, 0)], [], [], [], [NOBODY]),
        ([], [(0, 0)], [50], [WALKER], []),
        ([(0.2, 0)], [(0, 0)], [50], [WALKER], [PERSON]),
        ([(0.2, 0)], [(0, 0)], [50], [CHILD], [PERSON]),
        ([(0.5, 0)], [(0, 0)], [50], [WALKER], [UNCLEAR]),  # too far to be the person, too near to be none
        ([(0.7, 0)], [(0, 0)], [50], [WALKER], [NOBODY]),
        ([(0.2, 0)], [(0, 0)], [4], [WALKER], [UNCLEAR]),  # too few returns
        ([(0.2, 0)], [(0, 0)], [50], [SITTING], [UNCLEAR]),  # need not be found
        ([(0.2, 0)], [(0, 0)], [50], [RIDER], [NOBODY]),  # no pedestrian
        ([(0.2, 0), (3, 0)], [(0, 0), (3, 0.1)], [50, 9], [STANDING, RIDER], [PERSON, NOBODY]),
        ([(0.2, 0)], [(0, 0), (0.4, 0)], [50, 50], [WALKER, WALKER], [GROUP]),  # one candidate for two
        ([(0, 0), (0.4, 0)], [(0, 0), (0.4, 0)], [50, 50], [WALKER, WALKER], [GROUP, GROUP]),  # so close that both are
        ([(0, 0), (0.6, 0)], [(0, 0), (0.6, 0)], [50, 50], [WALKER, WALKER], [PERSON, PERSON]),
        ([(0.2, 0)], [(0, 0), (0.4, 0)], [50, 4], [WALKER, WALKER], [PERSON]),  # the other is hardly seen
        ([(0.1, 0)], [(0, 0), (0.4, 0)], [50, 50], [WALKER, SITTING], [PERSON]),
        ([(0.1, 0)], [(0, 0), (0.8, 0)], [50, 50], [WALKER, WALKER], [PERSON]),  # the second one has no candidate
    ],
)
def test_kinds(place, people, returns, who, expected):
    place, people = (np.array(v, float).reshape(-1, 2) for v in (place, people))
    assert kinds(place, people, np.array(returns, np.int64), tuple(who)).tolist() == expected


def test_views_as_bytes():
    random = np.random.default_rng(0)
    front = random.random((3, *FRONT_SHAPE), np.float32)
    front[:, 3] = front[:, 3] * 2 - 1
    top = random.random((3, *TOP_SHAPE), np.float32) * 1.2  # more returns than count
    bytes_front, bytes_top = packed(Views(front, top, np.zeros((3, len(READ)), np.float32)))
    assert bytes_front.dtype == bytes_top.dtype == np.uint8
    others = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(bytes_front[:, others] / 255, front[:, others], atol=0.003)
    np.testing.assert_allclose(bytes_front[:, 3] / 127 - 1.0, front[:, 3], atol=0.006)
    np.testing.assert_allclose(bytes_top / 255, top.clip(0, 1), atol=0.003)


def test_a_shard_is_the_examples_of_its_seeds_and_is_kept(tmp_path):
    path = tmp_path / "shard.npz"
    write_shard(path, range(3, 5), DetectorConfig())
    read = read_shard(path)
    finder = CandidateFinder(DetectorConfig())
    expected = joined([examples_of(seed, finder) for seed in (3, 4)])
    assert len(read) == len(expected) > 20
    for name in ("front", "top", "measures", "kind"):
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name))
    assert (read.kind == NOBODY).sum() <= 2 * NEGATIVES
    assert (read.kind == PERSON).sum() >= 2
    changed = path.stat().st_mtime_ns
    write_shard(path, range(9), DetectorConfig())
    assert path.stat().st_mtime_ns == changed
    assert [p.name for p in tmp_path.iterdir()] == ["shard.npz"]
