"""Who hides whom, and how much of them."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.sensing.perception.occlusion import covered_by_nearer


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(10.0, 0.0)], [0.0]),
        ([(10.0, 0.0), (14.0, 0.0)], [0.0, 0.93]),  # right behind: the head shows over the shadow's edge
        ([(10.0, 0.0), (14.0, 3.0)], [0.0, 0.0]),  # apart
        ([(10.0, 0.0), (10.2, 0.4)], [0.0, 0.0]),  # side by side
        ([(10.0, 0.0), (14.0, 0.35)], [0.0, 0.5]),  # half behind
        ([(-10.0, 0.01), (-14.0, -0.01)], [0.0, 0.93]),  # on the seam of the turn
        ([(14.0, 0.0), (10.0, 0.0)], [0.93, 0.0]),  # the order does not matter
    ],
)
def test_cover(places, expected):
    center = np.array([(x, y, -0.85) for x, y in places])
    size = np.tile([0.5, 0.5, 1.7], (len(places), 1))
    np.testing.assert_allclose(covered_by_nearer(center, size), expected, atol=0.08)


def test_nobody():
    assert covered_by_nearer(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
