"""The peers of `emgait bench perception`, and what is counted for them."""

import sys

import numpy as np
import pytest
from synthetic_clouds import person, scan

from emgait_ros.lab.bench.perception import _counted
from emgait_ros.lab.bench.perception_peers import decoding_figures, peers, people_among
from emgait_ros.samples import CameraModel


@pytest.mark.parametrize(
    ("height", "width", "count", "people"),
    [
        (1.7, 0.5, 100, 1),
        (3.0, 0.5, 100, 0),  # a pole
        (1.7, 2.5, 100, 0),  # a wall
        (1.7, 0.5, 6, 0),  # too few returns
    ],
)
def test_clusters_as_large_as_a_person(height, width, count, people):
    random = np.random.default_rng(0)
    points = random.uniform([10, 0, 0], [10 + width, width, height], (count, 3)).astype(np.float32)
    points[0], points[1] = (10, 0, 0), (10 + width, width, height)
    noise = np.full((5, 3), 50, np.float32)
    label = np.concatenate([np.zeros(count), np.full(5, -1)]).astype(np.int64)
    found = people_among(np.concatenate([points, noise]), label)
    assert len(found) == people
    if people:
        assert found[0] == pytest.approx((10.25, 0.25), abs=0.01)


AHEAD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
CAMERA = CameraModel(640, 480, np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), np.zeros(0), "plumb_bob", AHEAD)


@pytest.mark.parametrize(
    ("people", "places", "hits", "false"),
    [
        ([(10, 0)], [(10.2, 0)], 1, 0),
        ([(10, 0)], [(10.2, 0), (10.3, 0)], 1, 1),  # one to one
        ([(10, 0)], [(10.6, 0), (-10, 0)], 0, 1),  # behind the camera nothing is false
        ([(10, 0), (10.6, 0)], [(10.35, 0), (9.6, 0)], 2, 0),  # the nearest pair first, not the first person
        ([], [(10, 0)], 0, 1),
        ([(10, 0)], [], 0, 0),
    ],
)
def test_people_are_counted_as_the_evaluation_does(people, places, hits, false):
    people, places = (np.array(some, np.float64).reshape(-1, 2) for some in (people, places))
    assert _counted(places, people, CAMERA) == (hits, false)


def test_those_installed_find_a_person_and_the_others_say_why_not():
    found, missing = peers()
    assert set(found) | set(missing) == {"patchwork", "open3d", "sklearn"}
    assert all("not installed" in reason for reason in missing.values())
    cloud = scan(person(10, 0))
    for name, peer in found.items():
        places = peer(cloud)
        assert any(np.hypot(*(p - (10, 0))) < 0.5 for p in places), name


def test_without_patchwork_its_peers_are_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypatchworkpp", None)
    found, missing = peers()
    assert not {"patchwork", "sklearn"} & set(found)
    assert "pypatchworkpp" in missing["patchwork"]


@pytest.mark.ros
def test_decoding_is_compared_with_the_stand_in():
    cloud = scan(person(10, 0), beams=16)
    figures = decoding_figures(cloud, np.zeros((48, 64, 3), np.uint8))
    assert figures["decode_cloud_ms"] > 0
    assert figures["read_points_numpy_ms"] > 0
    assert figures["decode_image_copies"] is False
