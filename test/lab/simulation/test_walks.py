"""Isolated walks: samples as the live system hands them on, and sets on disk."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.config import SampleConfig
from emgait_ros.lab.simulation.lidar import LidarModel
from emgait_ros.lab.simulation.stations import draw_station
from emgait_ros.lab.simulation.walker import Path as Walk
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.lab.simulation.walks import CONDITIONS, _crop, _placed, _todays, generate_walk


def ray_angle_deg(sample: object) -> float:
    """Angle between the velocity and the way to the sensor."""
    to_sensor, velocity = -sample.center[:2], sample.velocity[:2]  # type: ignore[attr-defined]
    cross = to_sensor[0] * velocity[1] - to_sensor[1] * velocity[0]
    return float(np.degrees(np.arctan2(cross, to_sensor @ velocity)) % 360)


@pytest.mark.parametrize("range_m", [10, 30, 50])
def test_a_sample_looks_like_a_live_one(range_m: float) -> None:
    samples = generate_walk(3, 0, range_m, 90, frames=6, seed=1)
    config = SampleConfig()
    assert len(samples) == 6
    for sample in samples:
        assert sample.points is not None
        assert sample.crop is not None
        assert sample.points.shape == (config.points, 3)
        assert sample.points.dtype == np.float32
        assert sample.crop.shape == (config.crop_height_px, config.crop_width_px, 3)
        assert sample.crop.dtype == np.uint8
        assert sample.range_m == pytest.approx(range_m, abs=1.5)
        assert np.hypot(*sample.center[:2]) == pytest.approx(sample.range_m)
        assert np.linalg.norm(sample.points[:, :2] - sample.center[:2], axis=1).max() < 1.2
        ground = sample.center[2] - sample.size[2] / 2
        assert -2.1 < ground < -1.4  # sensor 1.5 to 2 m up
        assert (sample.points[:, 2] - ground).min() > 0.01  # the ground removal took the lowest returns
        assert 0.4 < np.linalg.norm(sample.velocity) < 2.6


@pytest.mark.parametrize("view", [0, 45, 90, 180, 270])
def test_heading_follows_the_view(view: float) -> None:
    angles = [ray_angle_deg(s) for s in generate_walk(1, 0, 20, view, frames=10, seed=2)]
    difference = (np.array(angles) - view + 180) % 360 - 180
    assert abs(np.median(difference)) < 15


def test_range_changes_along_the_walk() -> None:
    towards = [s.range_m for s in generate_walk(1, 0, 20, 0, frames=20)]
    away = [s.range_m for s in generate_walk(1, 0, 20, 180, frames=20)]
    assert towards[0] > towards[-1] + 0.8
    assert away[0] < away[-1] - 0.8
    assert np.mean(towards) == pytest.approx(20, abs=0.6)


def test_points_thin_out_with_range() -> None:
    lidar = LidarModel.beams_128(0.1)
    count = [
        np.mean([s.point_count for i in range(4) for s in generate_walk(i, 0, r, 45, frames=3, lidar=lidar)])
        for r in (10, 20, 30, 50)
    ]
    for measured, documented in zip(count, (477, 118, 54, 20), strict=True):
        assert measured == pytest.approx(documented, rel=0.35)


@pytest.mark.parametrize("view", [0, 90])
def test_the_crop_shows_the_whole_person(view: float) -> None:
    """The silhouette is what changes when the person is taken away."""
    rng = np.random.default_rng(0)
    station = draw_station(rng, None, None, night=False)
    walker = _placed(_todays(2, 0, "normal", 3, rng), 8.0, view, 2.0, station, rng)
    place = walker.position(1.0) + np.array([0.0, 0.0, walker.stature_m / 2 - station.height_m])
    size = np.array([0.7, 0.7, walker.stature_m])
    with_person, _, native = _crop(walker, station, None, 1.0, place, size, SampleConfig(), np.random.default_rng(1))
    walker.path = Walk.straight((0.0, 400.0), 0.0)
    without, _, _ = _crop(walker, station, None, 1.0, place, size, SampleConfig(), np.random.default_rng(1))
    silhouette = np.abs(with_person.astype(int) - without).sum(-1) > 24
    rows, columns = np.nonzero(silhouette)
    assert 100 < native < 260
    assert 0.04 * 128 < np.quantile(rows, 0.002) < 0.22 * 128  # the head, below the margin
    assert 0.80 * 128 < np.quantile(rows, 0.998) < 0.99 * 128  # the feet, above it
    assert abs(np.median(columns) - 32) < 6
    assert 0.08 < silhouette.mean() < 0.5


def test_deterministic_by_seed() -> None:
    first, second, other = (generate_walk(4, 1, 15, 30, frames=3, seed=s) for s in (5, 5, 6))
    for a, b, c in zip(first, second, other, strict=True):
        assert np.array_equal(a.points, b.points)
        assert np.array_equal(a.crop, b.crop)
        assert np.array_equal(a.center, b.center)
        assert not np.array_equal(a.points, c.points)


def test_order_of_calls_does_not_matter() -> None:
    alone = generate_walk(4, 1, 15, 30, frames=3)[2]
    generate_walk(4, 1, 40, 120, frames=25)
    assert np.array_equal(generate_walk(4, 1, 15, 30, frames=3)[2].points, alone.points)


def test_night_is_dark_and_clothes_change() -> None:
    walks = {c: generate_walk(6, 0, 12, 90, frames=4, condition=c) for c in CONDITIONS}
    brightness = {c: np.mean([s.crop.mean() for s in w if s.crop is not None]) for c, w in walks.items()}
    assert brightness["night"] < 0.6 * brightness["normal"]
    outfits = {c: _walker_of(c).appearance for c in ("normal", "clothing", "bag")}
    assert outfits["clothing"].coat
    assert outfits["bag"].bag != "none"
    assert not np.array_equal(outfits["normal"].colors, outfits["clothing"].colors)


def _walker_of(condition: str) -> Walker:
    rng = np.random.default_rng(0)
    station = draw_station(rng, None, None, night=False)
    return _placed(_todays(6, 0, condition, 0, rng), 12.0, 90.0, 1.0, station, rng)


def test_occlusion_hides_returns() -> None:
    lidar = LidarModel.beams_128(0.1)
    counts = {
        c: np.mean(
            [s.point_count for i in range(6) for s in generate_walk(i, 0, 15, 90, frames=6, lidar=lidar, condition=c)]
        )
        for c in ("normal", "occlusion")
    }
    assert counts["occlusion"] < 0.9 * counts["normal"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"condition": "rain"}, "condition is 'rain'"),
        ({"frames": 0}, "frames 0"),
        ({"range_m": 0.5}, "range 0.5 m"),
        ({"rate_hz": 0}, "rate 0 Hz"),
        ({"identity": -1}, "0 or more"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_walk(**({"identity": 0, "walk": 0, "range_m": 10, "view_deg": 0, "frames": 2} | arguments))
