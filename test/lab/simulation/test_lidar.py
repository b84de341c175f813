"""The spinning LiDAR against brute-force ray casting, and its imperfections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from emgait_ros.lab.simulation.lidar import LidarModel, LidarScan, RangeImage, cast, cast_mesh, returns
from emgait_ros.lab.simulation.walker import Path, Walker

EXACT = {"noise_m": 0.0, "noise_per_m": 0.0, "dropout": 0.0, "dropout_far": 0.0, "mixed": 0.0}
SMALL = LidarModel(tuple(np.linspace(-20, 20, 21)), 2.0, **EXACT)
BEAMS_64 = replace(LidarModel.beams_64(), **EXACT)


def scan(
    model: LidarModel, height_m: float, start_s: float, movers: Sequence[Walker], rng: np.random.Generator
) -> LidarScan:
    """One turn over level ground (object 0); movers (1, 2, ...) are posed when the beam passes over them."""
    image = RangeImage.empty(model)
    sine = np.sin(np.radians(model.elevations_deg))
    image.distance[sine < 0] = (-height_m / sine[sine < 0])[:, None]
    reflectivity, owners = [np.zeros(0, np.float32)], [np.zeros(0, np.int32)]
    for number, mover in enumerate(movers):
        x, y, _ = mover.position(start_s + 0.5 / model.rate_hz)
        swept_s = start_s + (float(np.arctan2(y, x)) / (2 * np.pi) + 0.5) / model.rate_hz
        vertices = (mover.vertices(swept_s) - [0.0, 0.0, height_m]).astype(np.float32)
        cast_mesh(model, vertices, mover.faces, image, sum(map(len, owners)), closed=True)
        reflectivity.append(mover.face_reflectivity)
        owners.append(np.full(len(mover.faces), number + 1, np.int32))
    return returns(model, image, np.concatenate(reflectivity), np.concatenate(owners), rng)


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
    model = replace(LidarModel.beams_128(0.1), **EXACT)
    counts = []
    for identity in range(8):
        walker = Walker(identity, 0, Path.straight((range_m, 0), (identity % 2) * np.pi / 2), seed=2)
        counts.append((scan(model, 1.8, 0.3, [walker], np.random.default_rng(0)).object_id == 1).sum())
    assert np.mean(counts) == pytest.approx(documented, rel=0.25)


def test_scan_lies_on_ground_and_person() -> None:
    walker = Walker(1, 0, Path.straight((8, 0), np.pi / 2))
    seen = scan(BEAMS_64, 1.7, 0.0, [walker], np.random.default_rng(0))
    person = seen.points[seen.object_id == 1]
    assert np.abs(seen.points[seen.object_id == 0][:, 2] + 1.7).max() < 1e-3
    assert np.linalg.norm(person[:, :2] - walker.position(0.05)[:2], axis=1).max() < 0.9
    assert -1.72 < person[:, 2].min() < -1.5
    assert seen.points.dtype == np.float32
    azimuth = np.degrees(np.arctan2(seen.points[:, 1], seen.points[:, 0]))
    assert np.allclose(seen.time_s, (azimuth + 180) / 3600, atol=2e-4)  # tells the time of the sweep


def test_who_stands_in_front_hides_who_stands_behind() -> None:
    near, far = (Walker(0, 0, Path.straight((d, 0), 0.0), seed=1) for d in (5.0, 9.0))
    alone, together = (scan(BEAMS_64, 1.8, 0.0, who, np.random.default_rng(0)) for who in ([far], [far, near]))
    assert (together.object_id == 1).sum() < 0.3 * (alone.object_id == 1).sum()


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
    walker = Walker(0, 0, Path.straight((8, 0), 0.0))
    first, second, other = (
        scan(LidarModel.beams_64(), 1.8, 0.0, [walker], np.random.default_rng(s)).points for s in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first[:50], other[:50])


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
