"""Moments of parts over time: what numpy says they are, whatever the order, the gaps and the length of the window."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emgait_ros.emgaitnet.extensions import (  # noqa: E402
    ALONE_LENGTH,
    CODE,
    RADIUS,
    SPREAD_FLOOR,
    AloneBeside,
    MotionMoments,
    PointsAlone,
    on_sphere,
)
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig  # noqa: E402

CONFIG = EMGaitNetConfig(image_height=16, image_width=8, width=8, heads=2, parts=4)
WIDTH = CONFIG.parts * CONFIG.width


def features(windows: int, frames: int) -> torch.Tensor:
    return torch.randn(windows, frames, CONFIG.map_height * CONFIG.map_width, CONFIG.width)


@pytest.mark.parametrize("frames", [2, 5, 30])
def test_moments_are_numpys(frames: int) -> None:
    head, parts = MotionMoments(CONFIG).double(), torch.randn(3, frames, WIDTH).double()
    found = head.moments(parts, torch.ones(3, frames, dtype=torch.bool)).detach().numpy()
    assert found.shape == (3, head.tell.in_features)
    for row, window in zip(found, parts, strict=True):
        code = head.code(window).detach().numpy()
        mean, spread, mean_code, covariance = np.split(row, [WIDTH, 2 * WIDTH, 2 * WIDTH + CODE])
        np.testing.assert_allclose(mean, window.mean(dim=0), atol=1e-12)
        np.testing.assert_allclose(spread, np.sqrt(np.var(window.numpy(), axis=0, ddof=1) + SPREAD_FLOOR), atol=1e-12)
        np.testing.assert_allclose(mean_code, code.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(covariance, np.cov(code.T)[np.triu_indices(CODE)], atol=1e-12)


def test_the_distance_of_two_joints_is_in_the_moments() -> None:
    """A limb that turns keeps its length: |a - b|^2 = sum over axes of (mean difference)^2 + variances - 2 covariance."""
    angle = torch.linspace(0, 5, 40).double()
    parts = torch.zeros(1, 40, WIDTH).double()
    parts[0, :, 0], parts[0, :, 1] = 0.3 + 0.4 * angle.cos(), 0.1 + 0.4 * angle.sin()  # one end; the other is 2 and 3
    parts[0, :, 2], parts[0, :, 3] = 0.3, 0.1
    head = MotionMoments(CONFIG).double()
    with torch.no_grad():
        head.code.weight.copy_(torch.eye(CODE, WIDTH))
        head.code.bias.zero_()
        found = head.moments(parts, torch.ones(1, 40, dtype=torch.bool))[0, 2 * WIDTH :].numpy()
    mean, upper = found[:CODE], np.zeros((CODE, CODE))
    upper[np.triu_indices(CODE)] = found[CODE:] * 39 / 40
    square = sum((mean[a] - mean[b]) ** 2 + upper[a, a] + upper[b, b] - 2 * upper[a, b] for a, b in ((0, 2), (1, 3)))
    assert np.sqrt(square) == pytest.approx(0.4, abs=1e-9)


def test_order_and_missing_frames_do_not_matter() -> None:
    torch.manual_seed(0)
    moments, seen = MotionMoments(CONFIG), features(2, 6)
    whole = moments(seen, torch.ones(2, 6, dtype=torch.bool))
    order = torch.randperm(6)
    torch.testing.assert_close(moments(seen[:, order], torch.ones(2, 6, dtype=torch.bool)), whole)
    padded = torch.cat([seen, 100 * features(2, 3)], dim=1)
    mask = torch.arange(9)[None].expand(2, -1) < 6
    torch.testing.assert_close(moments(padded, mask), whole)


def test_one_frame_has_no_spread() -> None:
    moments = MotionMoments(CONFIG)
    with torch.no_grad():
        found = moments.moments(torch.randn(1, 4, WIDTH), torch.tensor([[False, True, False, False]]))[0]
    mean, spread, mean_code, covariance = found.split([WIDTH, WIDTH, CODE, CODE * (CODE + 1) // 2])
    assert not covariance.any()
    torch.testing.assert_close(spread, torch.full_like(spread, SPREAD_FLOOR**0.5))
    assert bool(mean.any())
    assert bool(mean_code.any())
    assert bool(torch.isfinite(moments(features(1, 1), torch.ones(1, 1, dtype=torch.bool))).all())


def test_bfloat16_features_are_summed_in_full_precision() -> None:
    torch.manual_seed(0)
    moments, seen = MotionMoments(CONFIG), features(2, 5).bfloat16()
    mask = torch.ones(2, 5, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = moments(seen, mask)
    torch.testing.assert_close(found, moments(seen.float(), mask))


def test_all_but_the_first_number_become_a_direction() -> None:
    torch.manual_seed(0)
    embedding = 3 * torch.randn(5, 4, 8)
    found = on_sphere(embedding)
    torch.testing.assert_close(found[..., 0], embedding[..., 0])
    torch.testing.assert_close(found[..., 1:].norm(dim=-1), torch.full((5, 4), RADIUS))
    longer = torch.cat([embedding[..., :1], 7 * embedding[..., 1:]], dim=-1)
    torch.testing.assert_close(on_sphere(longer), found)
    assert bool(torch.isfinite(on_sphere(torch.zeros(1, 8))).all())


ALONE = EMGaitNetConfig(
    image_height=16,
    image_width=8,
    width=8,
    heads=2,
    parts=4,
    use_st=False,
    use_hpp=False,
    use_moments=True,
    alone_parts=3,
)


def alone_head() -> tuple[PointsAlone, AloneBeside]:
    torch.manual_seed(1)
    head = AloneBeside(ALONE)
    head.gain.fill_(0.5)
    return PointsAlone(ALONE), head


def test_vectors_for_points_alone_repeat_the_others_where_there_is_a_picture() -> None:
    tell, head = alone_head()
    seen, embedding = features(10, 1)[:, 0], torch.randn(2, 1, 8)
    frames = tell(seen, torch.zeros(10, dtype=torch.bool)).unflatten(0, (2, 5))
    assert frames.shape == (2, 5, 24)
    found = head(embedding, frames, torch.ones(2, 5, dtype=torch.bool))
    torch.testing.assert_close(found, embedding.expand(2, 4, 8))


def test_points_alone_have_one_length_and_the_gain_scales_all() -> None:
    tell, head = alone_head()
    frames = tell(features(10, 1)[:, 0], torch.ones(10, dtype=torch.bool)).unflatten(0, (2, 5))
    embedding, everything = torch.randn(2, 1, 8), torch.ones(2, 5, dtype=torch.bool)
    found = head(embedding, frames, everything)
    torch.testing.assert_close(found[:, :1], 0.5 * embedding)
    torch.testing.assert_close(found[:, 1:].square().sum(dim=(1, 2)).sqrt(), torch.full((2,), 0.5 * ALONE_LENGTH))
    torch.testing.assert_close(head(embedding, frames[:, torch.randperm(5)], everything), found)
    padded = torch.cat([frames, torch.randn(2, 3, 24)], dim=1)
    torch.testing.assert_close(head(embedding, padded, torch.arange(8)[None].expand(2, -1) < 5), found)


def test_between_pictures_and_points_alone_their_share_mixes() -> None:
    tell, head = alone_head()
    alone = torch.tensor([True, False, False, False])
    frames, embedding = tell(features(4, 1)[:, 0], alone)[None], torch.randn(1, 1, 8)
    assert frames[0, 1:].abs().max() == 0
    mask = torch.ones(1, 4, dtype=torch.bool)
    by_points = head(embedding, frames[:, :1], mask[:, :1])
    torch.testing.assert_close(head(embedding, frames, mask), 0.25 * by_points + 0.75 * embedding.expand(1, 4, 8))


@pytest.mark.parametrize("wrong", [{"use_hpp": True}, {"use_points": False}, {"alone_parts": -1}])
def test_vectors_for_points_alone_need_points_and_no_hpp(wrong: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="alone_parts"):
        dataclasses.replace(ALONE, **wrong)  # type: ignore[arg-type]
