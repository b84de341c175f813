"""The spinning LiDAR against brute-force ray casting, and its imperfections."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.simulation.lidar import Lidar, LidarModel, RangeImage, Triangles, cast, cast_ground, returns
from emgait_ros.lab.simulation.walker import Path, Walker

SMALL = LidarModel(tuple(np.linspace(-20, 20, 21)), azimuth_step_deg=2.0).without_noise()


def pose(height: float = 1.8, x: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = [x, 0, height]
    return T


def brute_force(model: LidarModel, corners: np.ndarray) -> np.ndarray:
    """(B, C) nearest distance by Moeller-Trumbore over all rays and triangles."""
    elevation = np.radians(model.elevations_deg)[:, None]
    azimuth = np.radians((np.arange(model.columns) + 0.5) * model.azimuth_step_deg - 180)[None]
    ray = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth],
        axis=-1,
    )
    nearest = np.full(ray.shape[:2], np.inf)
    for a, b, c in corners.astype(float):
        e1, e2 = b - a, c - a
        h = np.cross(ray, e2)
        determinant = h @ e1
        with np.errstate(divide="ignore", invalid="ignore"):
            u = h @ -a / determinant
            q = np.cross(-a, e1)
            v = ray @ q / determinant
            t = q @ e2 / determinant
        hit = (np.abs(determinant) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        nearest = np.where(hit & (t < nearest), t, nearest)
    return nearest


@pytest.mark.parametrize(
    ("seed", "spread", "centre"),
    [
        (0, 1.0, 6.0),  # small triangles far away
        (1, 4.0, 3.0),  # large ones, some behind the sensor
        (2, 9.0, 0.0),  # around the sensor: full turns, the azimuth wraps
    ],
)
def test_equals_brute_force(seed: int, spread: float, centre: float) -> None:
    rng = np.random.default_rng(seed)
    corners = (rng.normal(size=(60, 1, 3)) * centre + rng.normal(size=(60, 3, 3)) * spread).astype(np.float32)
    image = RangeImage.empty(SMALL)
    cast(SMALL, corners, image)
    expected = brute_force(SMALL, corners)
    agree = np.isfinite(image.distance) == np.isfinite(expected)
    assert agree.mean() > 0.9995  # rays exactly through an edge may fall on either side
    both = np.isfinite(image.distance) & np.isfinite(expected)
    assert both.sum() > 50
    assert np.quantile(np.abs(image.distance[both] - expected[both]), 0.999) < 1e-3


def test_sector_equals_the_full_turn() -> None:
    """Also where the sector lies across the seam of the turn."""
    corners = np.random.default_rng(3).normal(size=(30, 3, 3)).astype(np.float32) + np.array([-5, 0, 0], np.float32)
    whole, sector = RangeImage.empty(SMALL), RangeImage.empty(SMALL, SMALL.columns - 10, 20)
    cast(SMALL, corners, whole)
    cast(SMALL, corners, sector)
    assert np.array_equal(sector.distance, np.roll(whole.distance, 10, axis=1)[:, :20])
    assert np.isfinite(sector.distance).sum() > 5


def test_the_nearer_of_two_walls_is_seen() -> None:
    wall = np.array([[[0, -2, -2], [0, 2, -2], [0, 2, 2]], [[0, -2, -2], [0, 2, 2], [0, -2, 2]]], np.float32)
    image = RangeImage.empty(SMALL)
    cast(SMALL, np.concatenate([wall + np.float32([[9, 0, 0]]), wall + np.float32([[4, 0, 0]])]), image)
    middle = image.distance[10, SMALL.columns // 2]
    assert middle == pytest.approx(4.0, abs=0.01)
    assert image.triangle[10, SMALL.columns // 2] in (2, 3)


@pytest.mark.parametrize(("range_m", "documented"), [(10, 477), (20, 118), (30, 54), (50, 20)])
def test_points_on_a_person_by_range(range_m: float, documented: int) -> None:
    lidar = Lidar(LidarModel.beams_128(0.1).without_noise(), pose())
    counts = []
    for identity in range(8):
        walker = Walker(identity, 0, Path.straight((range_m, 0), (identity % 2) * np.pi / 2), seed=2)
        scan = lidar.scan(0.3, [walker], np.random.default_rng(0))
        counts.append((scan.object_id == 1).sum())
    assert np.mean(counts) == pytest.approx(documented, rel=0.25)


def test_scan_lies_on_ground_and_person() -> None:
    walker = Walker(1, 0, Path.straight((8, 0), np.pi / 2))
    scan = Lidar(LidarModel.beams_64().without_noise(), pose(1.7)).scan(0.0, [walker], np.random.default_rng(0))
    person = scan.points[scan.object_id == 1]
    assert np.abs(scan.points[scan.object_id == 0][:, 2] + 1.7).max() < 1e-3
    assert np.linalg.norm(person[:, :2] - walker.position(0.05)[:2], axis=1).max() < 0.9
    assert -1.72 < person[:, 2].min() < -1.5
    assert scan.points.dtype == np.float32


def test_who_stands_in_front_hides_who_stands_behind() -> None:
    near, far = (Walker(0, 0, Path.straight((d, 0), 0.0), seed=1) for d in (5.0, 9.0))
    lidar = Lidar(LidarModel.beams_64().without_noise(), pose())
    alone = lidar.scan(0.0, [far], np.random.default_rng(0), ids=[7])
    together = lidar.scan(0.0, [far, near], np.random.default_rng(0), ids=[7, 8])
    assert (together.object_id == 7).sum() < 0.3 * (alone.object_id == 7).sum()


def test_azimuth_tells_the_time_of_the_sweep() -> None:
    """A walker behind the sensor is swept at the ends of the turn, one in front half-way."""
    lidar = Lidar(LidarModel.beams_32(), pose())
    times = [lidar.sweep_time(Walker(0, 0, Path.straight(p, 0.0)), 0.0) for p in ((8.0, 0.0), (0.0, -8.0), (0.0, 8.0))]
    assert times == pytest.approx([0.05, 0.025, 0.075], abs=0.002)
    scan = lidar.scan(2.0, [], np.random.default_rng(0))
    azimuth = np.degrees(np.arctan2(scan.points[:, 1], scan.points[:, 0]))
    assert np.allclose(scan.time_s, (azimuth + 180) / 3600, atol=2e-4)


def test_noise_and_dropout_grow_with_range() -> None:
    wall = np.array([[[0, -90, -90], [0, 90, -90], [0, 0, 120]]], np.float32)
    model = LidarModel(tuple(np.linspace(-5, 5, 40)), 0.2, mixed=0.0)
    spread, kept = [], []
    for x in (5.0, 50.0):
        image, rng = RangeImage.empty(model, model.columns // 2 - 25, 50), np.random.default_rng(0)
        cast(model, wall + np.array([x, 0, 0], np.float32), image)
        scan = returns(model, image, np.full(1, 0.5, np.float32), np.ones(1, np.int32), rng)
        spread.append(scan.points[:, 0].std())
        kept.append(len(scan.points) / image.distance.size)
    assert spread[0] == pytest.approx(model.noise_m + 5 * model.noise_per_m, rel=0.15)
    assert spread[1] == pytest.approx(model.noise_m + 50 * model.noise_per_m, rel=0.15)
    assert kept[0] > 0.97
    assert 0.85 < kept[1] < 0.95


def test_mixed_pixels_lie_between_two_surfaces() -> None:
    image = RangeImage.empty(SMALL, 0, 2)
    image.distance[:] = [[5.0, 6.0]]
    split = LidarModel(SMALL.elevations_deg, 2.0, noise_m=0, noise_per_m=0, dropout=0, dropout_far=0, mixed=1.0)
    scan = returns(split, image, np.zeros(0, np.float32), np.zeros(0, np.int32), np.random.default_rng(0))
    distance = np.linalg.norm(scan.points, axis=1)
    assert ((distance > 5.001) & (distance < 5.999)).sum() >= len(SMALL.elevations_deg) - 3
    assert (distance > 5.0005).sum() >= 2 * len(SMALL.elevations_deg) - 3


def test_the_same_seed_gives_the_same_scan() -> None:
    lidar = Lidar(LidarModel.beams_64(), pose())
    walker = Walker(0, 0, Path.straight((8, 0), 0.0))
    first, second, other = (lidar.scan(0.0, [walker], np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first.points, second.points)
    assert not np.array_equal(first.points[:50], other.points[:50])


def test_static_walls_hide_the_ground() -> None:
    wall = np.array([[[6, -9, 0], [6, 9, 0], [6, 0, 9]]], np.float32)
    static = Triangles(wall, np.full(1, 0.4, np.float32), np.full(1, 5, np.int32))
    scan = Lidar(LidarModel.beams_64().without_noise(), pose(), static).scan(0.0, [], np.random.default_rng(0))
    ahead = np.abs(np.arctan2(scan.points[:, 1], scan.points[:, 0])) < 0.1
    assert (scan.object_id[ahead] == 5).any()
    assert scan.points[ahead, 0].max() < 6.1


def test_ground_is_where_it_should_be() -> None:
    image = RangeImage.empty(SMALL)
    cast_ground(SMALL, 2.0, image)
    assert image.distance[0, 0] == pytest.approx(2.0 / np.sin(np.radians(20)))
    assert np.isinf(image.distance[-1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1.0,), 0.2), "ascending"),  # a single beam
        (((3.0, 1.0), 0.2), "ascending"),  # wrong order
        (((0.0, 1.0), 0.7), "multiple"),  # does not close the circle
        (((0.0, 1.0), 0.0), "multiple"),
        (((0.0, 1.0), 0.2, 0.0), "rate_hz"),
        (((0.0, 1.0), 0.2, 10.0, 5.0, 4.0), "min_range_m"),
    ],
)
def test_bad_models(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LidarModel(*arguments)


def test_tilted_sensor_has_no_level_ground() -> None:
    T = pose()
    T[:3, :3] = [[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]
    with pytest.raises(ValueError, match="level"):
        Lidar(SMALL, T)
    Lidar(SMALL, T, ground=False)
