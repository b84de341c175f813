"""Walking people: feet, path, identity, clothes."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.simulation.appearance import BAGS
from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.walker import Path, Walker

TIMES = np.arange(1.0, 6.0, 0.05)


@pytest.fixture(scope="module")
def walkers() -> list[Walker]:
    return [Walker(identity, 0, seed=11) for identity in range(16)]


def test_feet_touch_the_ground(walkers: list[Walker]) -> None:
    for walker in walkers:
        lowest = np.array([walker.vertices(t)[:, 2].min() for t in TIMES])
        assert lowest.min() > -0.03
        assert lowest.max() < 0.03
        assert abs(lowest.mean()) < 0.008


def test_standing_feet_do_not_slide(walkers: list[Walker]) -> None:
    """Speed of the sole on the ground against the walking speed, median over time."""
    feet = Body.load().foot_vertices
    ratio = []
    for walker in walkers:
        slides = []
        for t in TIMES:
            now, then = walker.vertices(t)[feet], walker.vertices(t + 0.02)[feet]
            low = now[:, 2] < now[:, 2].min() + 0.004
            slides.append(np.linalg.norm((then - now)[low, :2], axis=1).min() / 0.02)
        ratio.append(np.median(slides) / walker.speed_m_s)
    assert np.median(ratio) < 0.15
    assert max(ratio) < 0.45


def test_gait_period_is_the_drawn_one(walkers: list[Walker]) -> None:
    knee = Body.load().bone["LeftLeg"]
    time = np.arange(0, 25, 0.02)
    for walker in walkers[:5]:
        angle = np.array([walker.rotation_vectors(t)[knee, 1] for t in time])
        spectrum = np.abs(np.fft.rfft((angle - angle.mean()) * np.hanning(len(angle)), 8192))
        frequency = np.fft.rfftfreq(8192, 0.02)
        base = 1 / walker.gait.period_s
        near = np.abs(frequency - base) < 0.25 * base
        assert frequency[near][spectrum[near].argmax()] == pytest.approx(base, rel=0.04)


def test_population_walks_like_people() -> None:
    walkers = [Walker(identity, 0, seed=2) for identity in range(60)]
    speed = np.array([w.speed_m_s for w in walkers])
    stride = np.array([w.stride_m for w in walkers])
    assert 1.05 < speed.mean() < 1.40
    assert 0.2 < speed.std() < 0.5
    assert 1.2 < stride.mean() < 1.55


def test_the_same_numbers_give_the_same_walker() -> None:
    first, second = (Walker(5, 2, seed=1, bag="random") for _ in range(2))
    assert np.array_equal(first.vertices(1.3), second.vertices(1.3))
    assert np.array_equal(first.face_colors, second.face_colors)
    assert not np.array_equal(first.vertices(1.3)[:100], Walker(5, 2, seed=2).vertices(1.3)[:100])


def test_identity_keeps_body_and_walk_changes_clothes_and_gait() -> None:
    first, second = Walker(5, 0), Walker(5, 1)
    assert first.stature_m == second.stature_m
    assert first.gait.period_s != second.gait.period_s
    assert not np.array_equal(first.face_colors, second.face_colors)
    assert np.array_equal(Walker(5, 1, clothes=9).face_colors, Walker(5, 2, clothes=9).face_colors)


def test_identities_differ_more_than_walks() -> None:
    """In joint space, two steps long, aligned by phase."""

    def pose(identity: int, walk: int) -> np.ndarray:
        return Walker(identity, walk, seed=4).gait.rotation_vectors(np.linspace(0, 2 * np.pi, 16)).ravel()

    vectors = np.array([[pose(i, w) for w in range(2)] for i in range(15)])
    within = np.linalg.norm(vectors[:, 0] - vectors[:, 1], axis=1).mean()
    others = np.linalg.norm(vectors[:, None, 0] - vectors[None, :, 0], axis=2)
    assert within < 0.85 * others[~np.eye(15, dtype=bool)].mean()


@pytest.mark.parametrize("heading_deg", [0, 90, 200])
def test_walks_along_its_path(heading_deg: float) -> None:
    heading = np.radians(heading_deg)
    walker = Walker(1, 0, Path.straight((3.0, -2.0), heading))
    way = walker.position(8.0) - walker.position(0.0)
    assert np.linalg.norm(way) == pytest.approx(8 * walker.speed_m_s, rel=0.1)
    assert way[:2] / np.linalg.norm(way) == pytest.approx([np.cos(heading), np.sin(heading)], abs=0.03)
    assert np.allclose(walker.position(0.0)[:2], [3.0, -2.0], atol=0.1)
    assert np.linalg.norm(walker.velocity(4.0)) == pytest.approx(walker.speed_m_s, rel=0.2)


def test_turns_a_corner_without_a_jump() -> None:
    walker = Walker(1, 0, Path(np.array([[0, 0], [4, 0], [4, 6]], float)))
    end = walker.time_at(9.0)
    positions = np.array([walker.position(t) for t in np.arange(0, end, 0.02)])
    assert np.linalg.norm(np.diff(positions, axis=0), axis=1).max() / 0.02 < 2.2 * walker.speed_m_s
    assert positions[-1] == pytest.approx([4, 5, 0], abs=0.3)
    assert walker.velocity(end)[1] > 0.8 * np.linalg.norm(walker.velocity(end))


def test_later_times_agree_with_earlier_ones() -> None:
    """Tracing further must not move what was already walked."""
    walker = Walker(3, 0)
    before = walker.vertices(5.0)
    walker.vertices(40.0)
    assert np.abs(walker.vertices(5.0) - before).max() < 2e-3


@pytest.mark.parametrize("bag", BAGS)
def test_bags_hang_on_the_body(bag: str) -> None:
    walker = Walker(2, 0, bag=bag)
    body = Body.load()
    extra = walker.vertices(2.0)[body.vertex_count :]
    assert len(walker.faces) == len(walker.face_colors) == len(walker.face_reflectivity)
    assert walker.faces.max() == len(walker.vertices(2.0)) - 1
    if bag == "none":
        assert len(extra) == 0
    else:
        assert extra[:, 2].min() > 0.1
        assert np.linalg.norm(extra.mean(0)[:2] - walker.position(2.0)[:2]) < 0.6
        plain = Walker(2, 0)
        assert not np.allclose(plain.gait.coefficients, walker.gait.coefficients)


def test_a_coat_is_thicker_than_light_clothes() -> None:
    hips = [np.ptp(Walker(2, 0, outfit=o)._standing()[:, 0]) for o in ("light", "coat")]
    light, coat = (Walker(2, 0, outfit=o).appearance.clothing_m for o in ("light", "coat"))
    assert 0.01 <= light <= 0.022
    assert 0.03 <= coat <= 0.045
    assert hips[1] >= hips[0]


def bad_path(points: object) -> Path:
    return Path(np.asarray(points, float))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Walker(-1), "0 or more"),
        (lambda: Walker(0, bag="suitcase"), "bag is 'suitcase'"),
        (lambda: Walker(0, outfit="toga"), "outfit is 'toga'"),
        (lambda: bad_path([[0, 0]]), "expected"),  # one point only
        (lambda: bad_path([[0, 0], [0, 0]]), "consecutive"),  # goes nowhere
        (lambda: bad_path([[0, 0], [np.nan, 1]]), "finite"),
        (lambda: Walker(0).vertices(1e6), "cycles"),  # a fortnight later
    ],
)
def test_bad_arguments(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
