"""Passes before several LiDARs at once, and what recordings and trackers do to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.simulated_supervision.nuisances import NuisanceConfig, damaged, prepared_with_nuisances
from emgait_ros.lab.simulated_supervision.passes import MOST_RETURNS, PassesConfig, PassFile, passes_of, write_passes

NONE = NuisanceConfig((0.0, 0.0), 0, (0.0, 0.0), 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
TAKEN = Preprocessing(128, 64, 64, "heading", True)
SMALL = PassesConfig(700_000, identities=2, sensors=2, frames=8, per_file=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_passes(SMALL, tmp_path_factory.mktemp("passes"))


def test_a_pass_is_seen_by_all_sensors_at_once(files: list[Path]) -> None:
    file = PassFile(files[0])
    assert len(file) == 4  # two walks before two sensors
    assert file.arrays["walk"].tolist() == [0, 0, 1, 1]
    assert file.arrays["identity"].tolist() == [700_000] * 4
    speed = [np.linalg.norm(file[row].velocity[:, :2], axis=1) for row in range(4)]
    np.testing.assert_allclose(speed[0], speed[1], atol=1e-4)  # the same steps, from two sides
    np.testing.assert_allclose(speed[2], speed[3], atol=1e-4)
    assert np.abs(speed[0] - speed[2]).max() > 0.01
    for row in range(4):
        seen = file[row]
        assert len(seen.clouds) == SMALL.frames
        assert max(map(len, seen.clouds)) <= MOST_RETURNS
        about = np.concatenate([cloud - at for cloud, at in zip(seen.clouds, seen.truth, strict=True)])
        assert np.abs(about[:, :2]).max() < 1.2
        assert -0.1 < about[:, 2].min() < about[:, 2].max() < 2.4


def test_what_is_written_is_what_was_seen_and_is_not_made_again(files: list[Path]) -> None:
    before = [path.stat().st_mtime_ns for path in files]
    assert write_passes(SMALL, files[0].parent) == files
    assert [path.stat().st_mtime_ns for path in files] == before
    read = PassFile(files[1])
    for row, (_, _, _, _, seen) in enumerate(passes_of(700_001, SMALL.sensors, SMALL.frames)):
        for one, other in zip(seen.clouds, read[row].clouds, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-3)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "000001.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"000001\.npz is no file of passes"):
        PassFile(tmp_path / "000001.npz")
    with pytest.raises(ValueError, match="passes need at least one"):
        PassesConfig(sensors=0)


def test_without_errors_the_clouds_stay(files: list[Path]) -> None:
    seen = PassFile(files[0])[0]
    low = seen.truth[:, None, 2].min()
    for cloud, one in zip(damaged(seen, NONE, np.random.default_rng(0)), seen.clouds, strict=True):
        expected = one[one[:, 2] > low + 0.05]
        found = cloud[cloud[:, 2] > low + 0.05]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "fewer"),
    [
        ({"no_feet": 1.0, "no_feet_m": (0.5, 0.5)}, True),
        ({"thinned": 1.0}, True),
        ({"joined": 1.0}, False),
        ({"neighbour": 1.0}, False),
        ({"strays": 1.0}, False),
    ],
)
def test_errors_take_or_add_returns(files: list[Path], error: dict[str, object], fewer: bool) -> None:
    seen = max((PassFile(files[0])[row] for row in range(4)), key=lambda one: sum(map(len, one.clouds)))
    plain, changed = (
        sum(len(cloud) for seed in range(4) for cloud in damaged(seen, config, np.random.default_rng(seed)))
        for config in (NONE, dataclasses.replace(NONE, **error))  # type: ignore[arg-type]
    )
    assert changed < plain if fewer else changed > plain


@pytest.mark.parametrize("recorded", [0.0, 1.0])
def test_points_come_in_the_axes_of_the_walk(files: list[Path], recorded: float) -> None:
    seen = PassFile(files[0])[0]
    config = dataclasses.replace(NONE, recorded=recorded)
    points = prepared_with_nuisances(seen, TAKEN, config, np.random.default_rng(1))
    assert points.shape == (SMALL.frames, 64, 7)
    assert np.abs(points[..., :2].mean(axis=(0, 1))).max() < 0.05
    assert 1.2 < np.percentile(points[..., 2], 99) < 2.2
    way = np.median(np.diff([cloud[:, :2].mean(axis=0) for cloud in seen.clouds], axis=0), axis=0)
    heading, sight = np.arctan2(way[1], way[0]), np.arctan2(seen.truth[0, 1], seen.truth[0, 0])
    true = np.array([np.cos(sight - heading), np.sin(sight - heading)])
    assert np.linalg.norm(points[:, 0, 5:].mean(axis=0) - true) < 0.45


def test_what_hardly_anybody_sees_is_no_sequence(files: list[Path]) -> None:
    seen = PassFile(files[0])[0]
    few = seen._replace(clouds=[cloud[:5] for cloud in seen.clouds])
    assert prepared_with_nuisances(few, TAKEN, NONE, np.random.default_rng(0)).shape == (0, 64, 7)
