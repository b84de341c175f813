"""Augmentation: what varies, what must not, and that it is the same for the same generator."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from emgait_ros.lab.training.augment import Batch, augment, drop_modalities, thin_points, vary_crops, vary_points  # noqa: E402
from emgait_ros.lab.training.recipe import AugmentConfig  # noqa: E402

NONE = AugmentConfig(
    mirror=0, grayscale=0, colour=0, shift=0, scale=0, erase=0, yaw_deg=0, offset_m=0, noise_m=0, thin=0, drop_image=0,
    drop_points=0, clip_noise=0,
)  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(sequences: int = 40, frames: int = 5) -> Batch:
    g = generator(9)
    return Batch(
        crops=torch.rand(sequences, frames, 3, 16, 8, generator=g),
        points=torch.randn(sequences, frames, 32, 3, generator=g),
        point_count=torch.full((sequences, frames), 20),
        has_image=torch.ones(sequences, frames, dtype=torch.bool),
        has_points=torch.ones(sequences, frames, dtype=torch.bool),
        clip_features=torch.randn(sequences, frames, 4, generator=g),
    )


def test_the_same_generator_gives_the_same_batch() -> None:
    one, other, third = (augment(batch(), AugmentConfig(), generator(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one.crops, third.crops)


def test_crops_stay_pictures() -> None:
    crops = augment(batch(), AugmentConfig(), generator()).crops
    assert crops.shape == batch().crops.shape
    assert crops.min() >= 0
    assert crops.max() <= 1


def test_mirroring_moves_crop_and_points_together() -> None:
    data = batch()
    mirrored = torch.arange(40) % 2 == 0
    crops = vary_crops(data.crops, mirrored, NONE, generator())
    assert torch.allclose(crops[0], data.crops[0].flip(-1) + (crops[0] - data.crops[0].flip(-1)), atol=0)
    flicker = 0.12  # brightness of single frames
    assert (crops[0] - data.crops[0].flip(-1)).abs().max() < flicker
    assert (crops[1] - data.crops[1]).abs().max() < flicker
    kept = data._replace(point_count=torch.full((40, 5), 1000))
    points = vary_points(kept.points, kept.point_count, mirrored, NONE, generator())
    ordered = lambda p: p[p[:, 2].argsort()]  # noqa: E731
    assert torch.allclose(ordered(points[0, 0]), ordered(data.points[0, 0] * torch.tensor([1.0, -1.0, 1.0])), atol=1e-6)
    assert torch.allclose(ordered(points[1, 0]), ordered(data.points[1, 0]), atol=1e-6)


def test_view_coordinates_change_with_the_mirror_only() -> None:
    whole = batch()
    points = torch.cat([whole.points, torch.rand(40, 5, 32, 4, generator=generator(3))], dim=-1)
    shaking = AugmentConfig(mirror=0, yaw_deg=5, offset_m=0.1, noise_m=0.1, thin=0)
    mirrored = torch.arange(40) < 20
    varied = vary_points(points, whole.point_count, mirrored, shaking, generator())
    assert varied.shape == points.shape
    sign = 1.0 - 2.0 * mirrored.float()[:, None, None]
    for value, factor in (
        (3, sign),
        (4, 1 + 0 * sign),
        (5, 1 + 0 * sign),
        (6, sign),
    ):  # the points come in another order
        torch.testing.assert_close(varied[..., value].sort().values, (factor * points[..., value]).sort().values)
    assert (varied[..., 0].sort().values - points[..., 0].sort().values).abs().max() > 0.05


def test_thinned_clouds_repeat_some_of_their_own_points() -> None:
    data = batch()
    thinned = thin_points(data.points, data.point_count, AugmentConfig(thin=1.0, thin_to=0.3), generator())
    counts = torch.tensor([len(torch.unique(frame, dim=0)) for frame in thinned.flatten(0, 1)])
    assert thinned.shape == data.points.shape
    assert counts.min() >= 8
    assert counts.max() <= 20
    own = {tuple(p) for p in data.points[0, 0].tolist()}
    assert {tuple(p) for p in thinned[0, 0].tolist()} <= own


def test_clouds_with_fewer_returns_than_the_floor_do_not_fail() -> None:
    data = batch()
    none = torch.zeros_like(data.point_count)
    assert thin_points(data.points, none, AugmentConfig(thin=1.0), generator()).isfinite().all()


@pytest.mark.parametrize(("share", "sensor"), [(0.3, "image"), (0.3, "points")])
def test_modalities_are_dropped_at_the_given_share(share: float, sensor: str) -> None:
    present = torch.ones(2000, 3, dtype=torch.bool)
    config = AugmentConfig(**{"drop_image": 0.0, "drop_points": 0.0, f"drop_{sensor}": share})
    image, points = drop_modalities(present, present, config, generator())
    dropped, kept = (image, points) if sensor == "image" else (points, image)
    assert 1 - dropped.float().mean() == pytest.approx(share, abs=0.05)
    assert kept.all()


def test_a_sample_never_loses_both_modalities() -> None:
    rng = generator()
    image = torch.rand(500, 4, generator=rng) < 0.7
    points = ~image | (torch.rand(500, 4, generator=rng) < 0.7)
    left_image, left_points = drop_modalities(image, points, AugmentConfig(drop_image=0.5, drop_points=0.5), rng)
    assert (left_image | left_points).all()
    assert not (left_image & ~image).any()
    assert not (left_points & ~points).any()


def test_dropped_modalities_are_zero() -> None:
    found = augment(batch(200), AugmentConfig(drop_image=0.4, drop_points=0.4), generator())
    assert (~found.has_image).any()
    assert (~found.has_points).any()
    assert not found.crops[~found.has_image].any()
    assert not found.points[~found.has_points].any()


def test_grayscale_takes_all_colour() -> None:
    config = AugmentConfig(mirror=0, grayscale=1.0, colour=0.3, erase=0.0, drop_image=0, drop_points=0)
    crops = augment(batch(), config, generator()).crops
    assert torch.allclose(crops[:, :, 0], crops[:, :, 1])
    assert torch.allclose(crops[:, :, 1], crops[:, :, 2])
