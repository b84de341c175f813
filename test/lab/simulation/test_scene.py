"""Scenes: where people are, that both sensors see them there, and that the same description gives the same bytes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from emgait_ros.lab.simulation.scene import (
    SCENES,
    Scene,
    SensorHead,
    WalkPlan,
    crossing_scene,
    crowd_scene,
    demo_scene,
    shortened,
)
from emgait_ros.lab.simulation.simulator import StreetSimulator, Truth

SMALL = SensorHead(width=640, height=360, focal_px=500.0)


@pytest.fixture(scope="module")
def crossing() -> StreetSimulator:
    return StreetSimulator(replace(crossing_scene(), head=SMALL))


@pytest.fixture(scope="module")
def plans() -> list[tuple[WalkPlan, float, float]]:
    """The walks of the demo with their times; tiny images, since only times and places matter."""
    return StreetSimulator(replace(demo_scene(), head=replace(SMALL, width=64, height=36, focal_px=50.0))).plans


def in_box(points: np.ndarray, truth: Truth, row: int, margin_m: float = 0.25) -> np.ndarray:
    low, high = truth.center[row] - truth.size[row] / 2 - margin_m, truth.center[row] + truth.size[row] / 2 + margin_m
    return np.asarray(np.all((points >= low) & (points <= high), axis=1))


@pytest.mark.parametrize("number", [5, 40, 70])
def test_the_lidar_sees_people_where_the_truth_says(crossing: StreetSimulator, number: int) -> None:
    scan, truth = crossing.cloud(number)
    assert 60_000 < len(scan.points) < 140_000
    assert len(truth.identity) >= 1
    for row, identity in enumerate(truth.identity):
        mine = scan.points[scan.object_id == identity]
        assert len(mine) == truth.point_count[row] > 40
        assert in_box(mine, truth, row).mean() > 0.93  # all but the mixed pixels at the edges


def test_points_on_people_at_real_ranges(crossing: StreetSimulator) -> None:
    # KITTI's 64 beams: 412 at 8.6 m, 31 to 104 at 17 to 25 m; between them about 200 at 12 m
    counts = []
    for number in (30, 50, 60):
        _, truth = crossing.cloud(number)
        counts += truth.point_count[np.hypot(truth.center[:, 0], truth.center[:, 1]) < 13].tolist()
    assert 110 < np.median(counts) < 300


@pytest.mark.parametrize("number", [60, 150])
def test_the_camera_sees_people_where_the_truth_says(crossing: StreetSimulator, number: int) -> None:
    image = crossing.image(number).astype(int)
    empty = crossing._empty_image.astype(int)
    truth = crossing.truth(crossing.image_time_s(number))
    changed = np.abs(image - empty).max(axis=2) > 40
    camera = crossing.camera
    inside = np.zeros_like(changed)
    for row in range(len(truth.identity)):
        corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) * truth.size[row] * 1.15 + truth.center[row]
        seen = corners @ camera.T_camera_lidar[:3, :3].T + camera.T_camera_lidar[:3, 3]
        pixels = (seen / seen[:, 2:]) @ camera.K.T
        (left, top), (right, bottom) = pixels[:, :2].min(0).astype(int), pixels[:, :2].max(0).astype(int) + 1
        box = changed[max(top, 0) : bottom, max(left, 0) : right]
        assert box.mean() > 0.08  # the person covers a good part of the box
        inside[max(top, 0) : bottom, max(left, 0) : right] = True
    assert (changed & ~inside).sum() < 0.35 * changed.sum()  # outside: shadows, and edges moved by the noise


def test_stamps_do_not_coincide(crossing: StreetSimulator) -> None:
    clouds = np.array([crossing.cloud_time_s(n) for n in range(crossing.cloud_count)])
    images = np.array([crossing.image_time_s(n) for n in range(crossing.image_count)])
    assert len(clouds) == 100
    assert 295 <= len(images) <= 297
    np.testing.assert_allclose(np.diff(clouds), 0.1)
    assert (np.diff(images) > 0.025).all()
    nearest = np.abs(clouds[:, None] - images[None]).min(axis=1)
    assert nearest.max() <= 0.019
    assert np.median(nearest) > 0.004


def test_the_same_scene_gives_the_same_bytes(crossing: StreetSimulator) -> None:
    again = StreetSimulator(crossing.scene)
    assert crossing.image(100).tobytes() == again.image(100).tobytes()
    one, other = crossing.cloud(33), again.cloud(33)
    assert one[0].points.tobytes() == other[0].points.tobytes()
    assert one[1].center.tobytes() == other[1].center.tobytes()


def test_another_seed_gives_other_people(crossing: StreetSimulator) -> None:
    other = StreetSimulator(replace(crossing_scene(seed=8), head=SMALL))
    assert crossing.truth(3.0).size[0, 2] != other.truth(3.0).size[0, 2]


def test_the_demo_tells_its_story(plans: list[tuple[WalkPlan, float, float]]) -> None:
    scene = demo_scene()
    first, second = [p for p in plans if not p[0].is_probe], [p for p in plans if p[0].is_probe]
    names = {plan.name for plan, _, _ in first}
    assert len(names) == 4
    assert {plan.name for plan, _, _ in second} == names | {""}
    # all first walks are over before the second ones begin, and everything fits into the recording
    assert max(end for _, _, end in first) < scene.probes_from_s < min(begin for _, begin, _ in second)
    assert max(end for _, _, end in second) < scene.duration_s
    assert all(end - begin > 6 for _, begin, end in plans)
    by_name = {plan.name: plan for plan, _, _ in first}
    for plan, _, _ in second:
        if plan.name:
            assert (plan.identity, plan.walk) != (by_name[plan.name].identity, by_name[plan.name].walk)
            assert plan.identity == by_name[plan.name].identity
    # everybody stays in the camera's view (half its angle is 32.6 deg) and within 35 m
    places = np.array([point for plan, _, _ in plans for point in plan.points])
    assert np.abs(np.degrees(np.arctan2(places[:, 1], places[:, 0]))).max() < 31
    assert np.hypot(places[:, 0], places[:, 1]).max() < 35


def test_scenes_can_be_shortened() -> None:
    scene = shortened(SCENES["demo"](7), 3.0)
    assert scene.duration_s == 3.0
    assert [walk.name for walk in scene.walks] == ["Anna", "Boris"]


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda: Scene("x", (), 0.0), "lasts 0.0 s"),
        (lambda: StreetSimulator(Scene("x", (), 1.0, head=SensorHead(beams=7))), "LiDAR of 7 beams is unknown"),
    ],
)
def test_wrong_scenes_are_refused(make: object, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("beams", [32, 64, 128])
def test_a_crowd_is_seen_by_every_lidar(beams: int) -> None:
    scene = crowd_scene()
    simulator = StreetSimulator(
        replace(scene, head=replace(scene.head, beams=beams, width=320, height=180, focal_px=250))
    )
    scan, truth = simulator.cloud(60)
    assert len(truth.identity) >= 10
    assert (truth.point_count > 0).sum() >= 8
    assert len(np.unique(np.round(np.arctan2(scan.points[:, 2], np.hypot(*scan.points[:, :2].T)), 4))) > beams / 2
