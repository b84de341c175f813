"""Moments of a code over time: what numpy says they are, whatever the order, the gaps and the length of the window."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emgait_ros.emgaitnet.config import EMGaitNetConfig  # noqa: E402
from emgait_ros.emgaitnet.motion_moments import CODE, MOMENTS, MotionMoments  # noqa: E402

CONFIG = EMGaitNetConfig(image_height=16, image_width=8, width=8, heads=2, parts=4)


def features(windows: int, frames: int) -> torch.Tensor:
    return torch.randn(windows, frames, CONFIG.map_height * CONFIG.map_width, CONFIG.width)


@pytest.mark.parametrize("frames", [2, 5, 30])
def test_moments_are_numpys(frames: int) -> None:
    code = torch.randn(3, frames, CODE).double()
    found = MotionMoments(CONFIG).double().moments(code, torch.ones(3, frames, dtype=torch.bool)).numpy()
    assert found.shape == (3, MOMENTS)
    for row, window in zip(found, code.numpy(), strict=True):
        np.testing.assert_allclose(row[:CODE], window.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(row[CODE:], np.cov(window.T)[np.triu_indices(CODE)], atol=1e-12)


def test_the_distance_of_two_joints_is_in_the_moments() -> None:
    """A limb that turns keeps its length: |a - b|^2 = sum over axes of (mean difference)^2 + variances - 2 covariance."""
    angle = torch.linspace(0, 5, 40).double()
    code = torch.zeros(1, 40, CODE).double()
    code[0, :, 0], code[0, :, 1] = (
        0.3 + 0.4 * angle.cos(),
        0.1 + 0.4 * angle.sin(),
    )  # one end; the other is code 2 and 3
    code[0, :, 2], code[0, :, 3] = 0.3, 0.1
    found = MotionMoments(CONFIG).double().moments(code, torch.ones(1, 40, dtype=torch.bool))[0].numpy()
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
    found = moments.moments(torch.randn(1, 4, CODE), torch.tensor([[False, True, False, False]]))
    assert not found[0, CODE:].any()
    assert bool(found[0, :CODE].any())
    assert bool(torch.isfinite(moments(features(1, 1), torch.ones(1, 1, dtype=torch.bool))).all())


def test_bfloat16_features_are_summed_in_full_precision() -> None:
    torch.manual_seed(0)
    moments, seen = MotionMoments(CONFIG), features(2, 5).bfloat16()
    mask = torch.ones(2, 5, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = moments(seen, mask)
    torch.testing.assert_close(found, moments(seen.float(), mask))
