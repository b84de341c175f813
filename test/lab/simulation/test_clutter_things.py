"""Props, vehicles, plants, people and the kernels that draw them."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.simulation.clutter import buildings, furniture, hard_cases, vehicles
from emgait_ros.lab.simulation.clutter.greenery import GREENERY
from emgait_ros.lab.simulation.clutter.kernels import cast_ground_surface, cast_leaves, drops_in_the_air, see_glass
from emgait_ros.lab.simulation.clutter.layout import Ground, Layout
from emgait_ros.lab.simulation.clutter.meshes import Mesh, merged
from emgait_ros.lab.simulation.clutter.people import KINDS, person
from emgait_ros.lab.simulation.clutter.props import INDOORS, STREET
from emgait_ros.lab.simulation.clutter.sensors import NAMES, draw_scanner
from emgait_ros.lab.simulation.clutter.vehicles import MOTOR, TWO_WHEELED
from emgait_ros.lab.simulation.lidar import LidarModel, RangeImage, cast_mesh

MODEL = LidarModel(tuple(np.linspace(-20, 20, 61)), 0.25, noise_m=0, noise_per_m=0, dropout=0, dropout_far=0, mixed=0)
ELEVATIONS, STEP = np.radians(np.asarray(MODEL.elevations_deg)), np.radians(0.25)
CATALOG = STREET | INDOORS | GREENERY | MOTOR | TWO_WHEELED
OTHERS = {
    "front": lambda rng: buildings.front(8.0, 6.0, rng),
    "fence": lambda rng: buildings.fence(6.0, rng),
    "stairs": buildings.stairs,
    "ramp": buildings.ramp,
    "ceiling": lambda rng: buildings.ceiling(-2, 6, -3, 3, 2.6, rng),
    "dog": furniture.dog,
    "pram": furniture.pram,
    "suitcase": furniture.suitcase,
    "wheelchair": vehicles.wheelchair,
    "doorway": hard_cases.doorway,
    "low roof": hard_cases.low_roof,
    "round bush": hard_cases.round_bush,
    "clumps": hard_cases.clumps,
}
MAKERS = {name: make for name, (make, _) in CATALOG.items()} | OTHERS


def draw(mesh: Mesh, x: float, height: float) -> RangeImage:
    """The thing ``x`` m ahead of a sensor at a height, panes and leaves included."""
    image, place = RangeImage.empty(MODEL), np.array([x, 0, -height])
    for vertices, faces in (merged(mesh.parts), merged(mesh.glass)):
        cast_mesh(MODEL, vertices + place.astype(np.float32), faces, image)
    leaves = np.array(mesh.leaves, np.float64).reshape(-1, 7)
    leaves[:, :3] += place
    numbers = np.arange(len(leaves))
    cast_leaves(leaves, numbers, ELEVATIONS, STEP, MODEL.columns, 0, image.distance, image.triangle, 1)
    return image


@pytest.mark.parametrize("name", MAKERS)
def test_things_stand_on_the_ground_and_are_seen(name: str) -> None:
    for seed in range(5):
        mesh = MAKERS[name](np.random.default_rng(seed))
        low, high = mesh.bounds()
        assert np.isfinite([low, high]).all()
        assert -0.65 < low[2] < (0.35 if name not in ("ceiling", "low roof") else 3), "nothing floats or is buried"
        assert 0.1 < high[2] < 15
        assert max(high[:2] - low[:2]) < 20
        seen = np.isfinite(draw(mesh, 5.0, 1.0).distance)
        assert seen.sum() > 4, f"seed {seed}"
        assert all(faces.max() < len(vertices) for vertices, faces in (*mesh.parts, *mesh.glass))


@pytest.mark.parametrize(
    ("name", "length", "height"),
    [
        ("car", (3.4, 5.2), (1.3, 2.0)),
        ("van", (4.5, 7.0), (1.8, 2.9)),
        ("bicycle", (1.4, 2.2), (0.9, 1.3)),
        ("litter bin", (0.3, 1.2), (0.6, 1.5)),
        ("hydrant", (0.2, 0.4), (0.6, 1.1)),
        ("pram", (0.8, 1.1), (0.9, 1.1)),
        ("mannequin", (0.2, 0.9), (1.4, 1.9)),
        ("doorway", (0.05, 2.0), (2.0, 3.5)),
        ("round bush", (0.3, 1.4), (0.7, 2.3)),
    ],
)
def test_sizes_of_things(name: str, length: tuple[float, float], height: tuple[float, float]) -> None:
    for seed in range(20):
        low, high = MAKERS[name](np.random.default_rng(seed)).bounds()
        assert length[0] < high[0] - low[0] < length[1]
        assert height[0] < high[2] < height[1]


@pytest.mark.parametrize(
    ("kind", "height", "length"),
    [
        ("walker", (1.38, 2.35), 1.6),
        ("standing", (1.38, 2.35), 1.2),
        ("child", (0.9, 1.75), 1.3),
        ("sitting", (1.0, 1.65), 1.3),
        ("rider", (1.4, 2.15), 2.4),
        ("wheelchair", (1.1, 1.7), 1.5),
        ("pushing", (1.3, 2.1), 1.5),
        ("carrying", (1.3, 2.3), 1.5),
        ("leaning", (1.35, 2.3), 1.4),
        ("crouching", (0.7, 1.75), 1.4),
    ],
)
def test_sizes_of_people(kind: str, height: tuple[float, float], length: float) -> None:
    for seed in range(6):
        low, high = person(np.random.default_rng(seed), kind).box()
        assert abs(low[2]) < 0.03, "feet or wheels are on the ground"
        assert height[0] < high[2] < height[1]
        assert 0.3 < high[0] - low[0] < length + 0.35
        assert 0.3 < high[1] - low[1] < 1.5


@pytest.mark.parametrize("make", [hard_cases.doorway, hard_cases.low_roof])
def test_people_fit_under_what_hangs_low(make) -> None:
    for seed in range(8):
        layout = Layout(Ground((0, 0), (1e6, -1e6, 0), np.zeros((4, 4), np.float32)), np.random.default_rng(seed))
        assert layout.put("overhead", make(layout.rng), 8, 1, np.pi)
        someone = person(layout.rng, "walker", alone=False)
        assert layout.settle(someone, 8, 1, 0.0, margin=-0.08), f"seed {seed}"


@pytest.mark.parametrize("stature", [0.95, 1.2])
def test_a_child_has_the_stature_that_is_asked_for(stature: float) -> None:
    for seed in range(4):
        child = person(np.random.default_rng(seed), "child", stature_m=stature, larger_head=0.0)
        assert 0.9 * stature < np.ptp(child.vertices[:, 2]) < 1.08 * stature


def test_every_kind_of_person_has_a_size() -> None:
    table = next(mark for mark in test_sizes_of_people.pytestmark if mark.name == "parametrize").args[1]
    assert {row[0] for row in table} == set(KINDS)


def ground_image(slope: tuple, kerb: tuple, bumps: np.ndarray, turn: np.ndarray | None = None) -> RangeImage:
    image = RangeImage.empty(MODEL)
    turn = np.eye(3) if turn is None else turn
    cast_ground_surface(
        ELEVATIONS, STEP, 0, turn, np.array([0, 0, 1.5]), np.array(slope), np.array(kerb), bumps, 0.5, image.distance
    )
    return image


def points_of(image: RangeImage, turn: np.ndarray | None = None) -> np.ndarray:
    azimuth = (np.arange(MODEL.columns) + 0.5) * STEP - np.pi
    e, a = np.meshgrid(ELEVATIONS, azimuth, indexing="ij")
    rays = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1)
    hit = np.isfinite(image.distance)
    points = image.distance[hit][:, None] * rays[hit]
    return points @ (np.eye(3) if turn is None else turn).T + (0, 0, 1.5)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.05, -0.03)])
def test_ground_lies_on_its_plane(slope: tuple[float, float]) -> None:
    tilt = np.radians(3)
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    for pose in (np.eye(3), turn):
        image = ground_image(slope, (1e6, -1e6, 0.0), np.zeros((4, 4), np.float32), pose)
        points = points_of(image, pose)
        assert len(points) > 5000
        assert np.abs(points[:, 2] - points[:, :2] @ slope).max() < 1e-4


def test_kerb_is_a_step() -> None:
    points = points_of(ground_image((0.0, 0.0), (4.0, -5.0, 0.15), np.zeros((4, 4), np.float32)))
    road = (points[:, 1] < 3.99) & (points[:, 1] > -4.99)
    walk = (points[:, 1] > 4.01) | (points[:, 1] < -5.01)
    assert np.abs(points[road, 2]).max() < 1e-3
    assert np.abs(points[walk, 2] - 0.15).max() < 1e-3
    face = points[~road & ~walk]
    assert len(face) > 5
    assert face[:, 2].min() > -1e-3
    assert face[:, 2].max() < 0.151


def test_bumps_lift_the_ground() -> None:
    bumps = np.full((4, 4), 0.04, np.float32)
    points = points_of(ground_image((0.0, 0.0), (1e6, -1e6, 0.0), bumps))
    assert np.abs(points[:, 2] - 0.04).max() < 2e-3


@pytest.mark.parametrize(("density", "share"), [(0.2, (0.1, 0.4)), (1.0, (0.5, 0.8)), (20.0, (0.95, 1.0))])
def test_leaves_are_hit_inside_their_ellipsoid_as_often_as_dense(density: float, share: tuple[float, float]) -> None:
    image = RangeImage.empty(MODEL)
    leaves = np.array([[8.0, 1.0, 0.5, 1.0, 1.0, 0.7, density]])
    cast_leaves(leaves, np.array([7]), ELEVATIONS, STEP, MODEL.columns, 0, image.distance, image.triangle, 0)
    points = points_of(image) - (0, 0, 1.5)
    assert (np.square((points - leaves[0, :3]) / leaves[0, 3:6]).sum(1) < 1.001).all()
    assert set(image.triangle[np.isfinite(image.distance)]) == {7}
    solid = RangeImage.empty(MODEL)
    cast_mesh(MODEL, *merged(Mesh().ball(leaves[0, :3], leaves[0, 3:6]).parts), solid)
    assert share[0] < len(points) / np.isfinite(solid.distance).sum() < share[1] + 0.1


def test_panes_let_most_beams_through() -> None:
    image, panes = RangeImage.empty(MODEL), RangeImage.empty(MODEL)
    image.distance[:], panes.distance[:, ::2], panes.triangle[:] = 9.0, 4.0, 3
    see_glass(image.distance, image.triangle, panes.distance, panes.triangle, 0.2, 5)
    assert (image.distance[:, 1::2] == 9.0).all()
    assert 0.17 < (image.distance[:, ::2] == 4.0).mean() < 0.23
    assert ((image.triangle == 3) == (image.distance == 4.0)).all()


def test_drops_end_few_rays_nearby() -> None:
    image = RangeImage.empty(MODEL)
    image.distance[:] = 30.0
    drops_in_the_air(image.distance, image.triangle, 0.05, 4.0, 9, 5)
    wet = image.triangle == 9
    assert 0.04 < wet.mean() < 0.06
    assert image.distance[wet].min() > 0.7
    assert 2.5 < np.median(image.distance[wet]) < 5


def test_what_stands_takes_its_place() -> None:
    layout = Layout(Ground((0, 0), (1e6, -1e6, 0), np.zeros((4, 4), np.float32)), np.random.default_rng(0))
    block, roof = Mesh().box((-1, -0.5, 0), (1, 0.5, 1)), Mesh().box((-1, -1, 2.2), (1, 1, 2.3))
    assert layout.put("block", block, 5, 0)
    assert not layout.put("block", block, 6.5, 0.2)
    assert layout.put("block", block, 5, 1.3)
    assert layout.put("block", block, 7.0, 0, np.pi / 2)
    assert layout.put("roof", roof, 5, 0), "what hangs overhead needs no place"
    someone = person(np.random.default_rng(0), "standing", alone=False)
    assert not layout.settle(someone, 5.5, 0.3, 0.0)
    assert layout.settle(someone, 3.3, 0.0, 0.0)
    assert not layout.settle(someone, 3.5, 0.0, 0.0)
    assert [name for name, _ in layout.things][:4] == ["block", "block", "block", "roof"]


def test_scanners_are_of_every_kind() -> None:
    drawn = [draw_scanner(np.random.default_rng(seed), seed % 2 == 0, seed % 3 == 0) for seed in range(200)]
    assert {scanner.name for scanner in drawn} == set(NAMES)
    assert all(0.4 < scanner.height_m < 3.2 for scanner in drawn)
    assert max(np.degrees(np.hypot(*scanner.tilt)) for scanner in drawn) < 4.01
    assert {scanner.beams for scanner in drawn if scanner.name == "two 32 dense"} == {64}
    assert all(np.ptp(scanner.sector) <= np.radians(121) for scanner in drawn if scanner.name == "solid state")
