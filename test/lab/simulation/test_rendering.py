"""The pinhole camera: where things land, what hides what, and the sensor's imperfections."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.simulation.camera_rendering import Exposure, Light, Surface, expose, pinhole, render, window_matrix
from emgait_ros.sensing.perception.camera import project

FLAT = Light(ambient=1.0)


def square(x: float, y: float, z: float, size: float, color: tuple[int, int, int], closed: bool = False) -> Surface:
    """Facing a camera at the origin that looks along +x."""
    half = size / 2
    vertices = np.array(
        [[x, y + half, z - half], [x, y - half, z - half], [x, y - half, z + half], [x, y + half, z + half]]
    )
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Surface(vertices.astype(np.float32), faces, np.tile(np.array(color, np.uint8), (2, 1)), closed)


def draw(
    surfaces: list[Surface], light: Light = FLAT, width: int = 200, height: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    camera = pinhole(width, height, 60)
    image = np.zeros((height, width, 3), np.uint8)
    return image, render(camera.K, camera.T_camera_lidar, surfaces, image, light)


@pytest.mark.parametrize("point", [(5.0, 0.0, 0.0), (8.0, 1.5, -0.7), (20.0, -6.0, 2.0)])
def test_a_known_point_lands_where_projection_says(point: tuple[float, float, float]) -> None:
    camera = pinhole(640, 480, 70)
    image = np.zeros((480, 640, 3), np.uint8)
    render(camera.K, camera.T_camera_lidar, [square(*point, 0.02 * point[0], (255, 0, 0))], image, FLAT)
    rows, columns = np.nonzero(image[..., 0])
    pixel, _ = project(np.array([point]), camera)
    assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(pixel[0], abs=0.6)


def test_left_is_left_and_up_is_up() -> None:
    image, _ = draw([square(6, 1.5, 0.7, 0.4, (255, 0, 0))])
    rows, columns = np.nonzero(image[..., 0])
    assert columns.mean() < 100
    assert rows.mean() < 50


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_near_hides_far_in_any_order(order: tuple[int, int]) -> None:
    both = [square(4, 0, 0, 1, (255, 0, 0)), square(8, 0, 0, 4, (0, 255, 0))]
    image, depth = draw([both[i] for i in order])
    assert tuple(image[50, 100]) == (255, 0, 0)
    assert depth[50, 100] == pytest.approx(4, abs=1e-3)
    assert np.isinf(depth[0, 0])


def test_area_follows_the_distance() -> None:
    near, far = ((draw([square(d, 0, 0, 1, (9, 9, 9))])[0][..., 0] > 0).sum() for d in (5, 10))
    assert near / far == pytest.approx(4, rel=0.12)


def test_no_seam_between_neighbours() -> None:
    image, _ = draw([square(4, 0, 0, 1, (200, 200, 200))])
    rows, columns = np.nonzero(image[..., 0])
    assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_light_falls_on_the_side_it_shines_on() -> None:
    shades = [
        draw([square(4, 0, 0, 1, (200, 200, 200))], Light(d, 0.3))[0][50, 100, 0] for d in ((-1, 0, 0), (1, 0, 0))
    ]
    assert shades[0] == pytest.approx(200, abs=1)
    assert shades[1] == pytest.approx(60, abs=1)


def test_closed_surfaces_show_their_outside_only() -> None:
    front = square(4, 0, 0, 1, (9, 9, 9), closed=True)
    back = Surface(front.vertices, front.faces[:, ::-1].copy(), front.colors, closed=True)
    drawn = [(draw([s])[0] > 0).any() for s in (front, back)]
    assert sorted(drawn) == [False, True]


def test_a_floor_that_reaches_behind_the_camera_is_cut() -> None:
    vertices = np.array([[-50, -50, -1], [50, -50, -1], [50, 50, -1], [-50, 50, -1]], np.float32)
    floor = Surface(vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.full((2, 3), 80, np.uint8))
    image, depth = draw([floor])
    assert (image[60:, :, 0] == 80).all()
    assert (image[:45] == 0).all()
    assert depth[99, 100] == pytest.approx(1 / ((99.5 - 50) / pinhole(200, 100, 60).K[0, 0]), rel=0.01)


def test_window_equals_the_same_part_of_the_whole() -> None:
    camera = pinhole(200, 100, 60)
    surface = square(5, 0.5, 0.2, 1, (255, 0, 0))
    whole, _ = draw([surface])
    window = np.zeros((40, 50, 3), np.uint8)
    render(window_matrix(camera.K, 60, 20, 1.0), camera.T_camera_lidar, [surface], window, FLAT)
    assert np.array_equal(window, whole[20:60, 60:110])
    double = np.zeros((80, 100, 3), np.uint8)
    render(window_matrix(camera.K, 60, 20, 2.0), camera.T_camera_lidar, [surface], double, FLAT)
    assert (double[..., 0] > 0).sum() == pytest.approx(4 * (window[..., 0] > 0).sum(), rel=0.08)


def test_exposure_darkens_blurs_and_adds_noise_reproducibly() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, 30:] = 200
    plain = expose(image, Exposure(1, 0, 0, 0, 0), np.random.default_rng(0))
    assert np.array_equal(plain, image)
    night = [expose(image, Exposure(0.2, 0, 0, 5, 0.5), np.random.default_rng(s)) for s in (1, 1, 2)]
    assert night[0][:, 35:].mean() == pytest.approx(40, abs=2)
    assert night[0][:, 35:].std() == pytest.approx(np.sqrt(25 + 0.25 * 40), rel=0.15)
    assert np.array_equal(night[0], night[1])
    assert not np.array_equal(night[0], night[2])
    soft = expose(image, Exposure(1, 2.0, 0, 0, 0), np.random.default_rng(0))
    assert 20 < soft[30, 29, 0] < 180


@pytest.mark.parametrize(("width", "fov"), [(0, 60), (100, 0), (100, 180)])
def test_bad_cameras(width: int, fov: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        pinhole(width, 100, fov)
