"""Simulated sets on disk: the same again, whole or not at all, read as the live system prepares its input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.config import SampleConfig
from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.lab.datasets.plans import PUBLISHED, SHORT, plan_protocol, plan_training
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.datasets.simulated import SimulatedSet, load_simulated, shrink
from emgait_ros.lab.simulation import walk_sets
from emgait_ros.lab.simulation.walk_sets import PlannedWalk, WalkFile, generate
from emgait_ros.lab.simulation.walks import generate_walk

PREPROCESSING = Preprocessing(points_frame="heading")
PLAN = [
    PlannedWalk(7, 0, 10.0, 90.0, 3),
    PlannedWalk(7, 1, 25.0, 180.0, 4),
    PlannedWalk(9, 0, 15.0, 0.0, 3, "night"),
    PlannedWalk(9, 1, 12.0, 45.0, 2, "bag"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("walks")
    for task in _tasks(path):
        walk_sets._write_person(task)
    return path


def _tasks(path: Path) -> list:
    """What ``generate`` would hand its worker processes, done here: starting processes takes seconds."""
    sample = SampleConfig(128, 128, 64)
    walk_sets._describe(path, PLAN, 0, sample)
    people = {walk.identity: [w for w in PLAN if w.identity == walk.identity] for walk in PLAN}
    return [(walk_sets.identity_file(path, name), walks, 0, sample) for name, walks in people.items()]


@pytest.fixture(scope="module")
def data(folder: Path) -> SequenceSet:
    return load_simulated(folder, PREPROCESSING)


def test_sequences_are_those_of_the_plan(data: SequenceSet) -> None:
    assert len(data) == 4
    assert data.frames == 12
    assert [(s.identity, s.walk, len(s), s.condition) for s in data] == [
        (7, 0, 3, "normal"), (7, 1, 4, "normal"), (9, 0, 3, "night"), (9, 1, 2, "bag"),
    ]  # fmt: skip
    assert data.range_m.tolist() == [10, 25, 15, 12]
    assert data.view_deg.tolist() == [90, 180, 0, 45]


def test_points_and_crops_are_what_live_preprocessing_makes(data: SequenceSet) -> None:
    live = prepare(generate_walk(7, 1, 25.0, 180.0, 4), PREPROCESSING)
    found = data[1]
    assert np.abs(found.points - live.points).max() < 0.004  # stored as float16 around the box
    assert np.array_equal(np.moveaxis(found.crops, -1, 1).astype(np.float32) / np.float32(255), live.crops) or (
        np.abs(np.moveaxis(found.crops, -1, 1) / 255 - live.crops).max() < 1e-6
    )
    assert np.array_equal(found.has_points, live.has_points)
    assert np.array_equal(found.has_image, live.has_image)


@pytest.mark.parametrize("points_frame", ["sensor", "ray", "heading"])
def test_one_set_serves_every_points_frame(folder: Path, points_frame: str) -> None:
    frame = Preprocessing(points_frame=points_frame)
    live = prepare(generate_walk(7, 0, 10.0, 90.0, 3), frame)
    assert np.abs(load_simulated(folder, frame)[0].points - live.points).max() < 0.004


def test_negative_and_wrong_numbers(data: SequenceSet) -> None:
    assert data[-1].identity == 9
    with pytest.raises(IndexError, match="sequence 4 of a set of 4"):
        data[4]


def test_selecting_keeps_frames_with_their_sequences(data: SequenceSet) -> None:
    chosen = data.select(np.array([3, 1]))
    assert [s.condition for s in chosen] == ["bag", "normal"]
    assert np.array_equal(chosen[1].points, data[1].points)
    assert np.array_equal(data.select(data.identity == 9)[0].crops, data[2].crops)
    assert len(data.select(np.zeros(4, bool))) == 0


def test_some_people_are_read_alone(folder: Path, data: SequenceSet) -> None:
    found = SimulatedSet(folder, PREPROCESSING).load([9])
    assert found.identity.tolist() == [9, 9]
    assert np.array_equal(found.points, data.select(data.identity == 9).points)


def test_crops_are_shrunk_by_block_means(folder: Path, data: SequenceSet) -> None:
    small = load_simulated(folder, PREPROCESSING, (64, 32)).crops
    expected = data.crops.reshape(12, 64, 2, 32, 2, 3).mean(axis=(2, 4))
    assert small.shape == (12, 64, 32, 3)
    assert np.abs(small - expected).max() <= 0.5
    assert shrink(data.crops, (60, 30)) is data.crops  # no whole factor: the network resizes


def test_a_finished_set_is_not_made_again(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    generate(PLAN, folder, 0)
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}


def test_another_plan_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="made from another plan"):
        generate(PLAN[:2], folder, 0)
    with pytest.raises(ValueError, match="at least one walk"):
        generate([], folder, 0)


@pytest.mark.parametrize(
    ("harm", "kind", "sentence"),
    [
        (lambda f: (f / "set.json").unlink(), FileNotFoundError, "no set.json"),  # not a set
        (lambda f: (f / "identity_000009.npz").unlink(), FileNotFoundError, "lacks 1 .*identity_000009"),  # a person missing
        (lambda f: (f / "identity_000007.npz").write_bytes(b"PK"), ValueError, "identity_000007.npz is damaged"),  # cut off
        (lambda f: np.savez(f / "identity_000007.npz", identity=7), ValueError, "is damaged"),  # something else
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, folder: Path, harm, kind: type[Exception], sentence: str) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    harm(tmp_path)
    with pytest.raises(kind, match=sentence):
        load_simulated(tmp_path, PREPROCESSING)


def test_sets_of_other_sizes_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="generate the set anew"):
        load_simulated(folder, Preprocessing(points=64))


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        walk_sets._write_person(_tasks(tmp_path)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["set.json"]


def test_training_plans_spread_views_and_repeat() -> None:
    plan = plan_training(100, 5, 4, 2, 16, (8.0, 50.0), seed=1)
    assert (
        plan
        == plan_training(100, 5, 4, 2, 16, (8.0, 50.0), seed=1)
        != plan_training(100, 5, 4, 2, 16, (8.0, 50.0), seed=2)
    )
    for identity in range(100, 105):
        own = [walk for walk in plan if walk.identity == identity]
        views = np.sort([walk.view_deg for walk in own])
        assert sorted(walk.walk for walk in own) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert (np.diff(views) > 43).all()  # eight views over the circle
        assert all(8 <= walk.range_m <= 50 for walk in own)


def test_protocol_plans_have_gallery_and_probes() -> None:
    plan = plan_protocol(100, 3, 20, SHORT)
    assert {(w.walk, w.range_m) for w in plan} == {(0, 10.0), (1, 20.0), (1, 30.0), (1, 40.0), (1, 50.0)}
    assert len(plan) == 3 * (4 + 8)
    assert json.dumps([w.view_deg for w in plan if w.walk == 0][:4]) == "[0.0, 90.0, 180.0, 270.0]"


def test_the_published_test_has_the_layout_of_lrgait() -> None:
    plan = plan_protocol(200_000, 100, 24)
    assert plan == plan_protocol(200_000, 100, 24, PUBLISHED, seed=0)  # the same again
    assert {w.range_m for w in plan if w.condition == "night"} == {10.0, 20.0, 30.0, 40.0}
    assert {w.range_m for w in plan if w.condition == "normal" and w.walk == 1} == {10.0, 20.0, 30.0, 40.0, 50.0}
    assert {w.condition for w in plan} == {"normal", "night", "clothing", "bag", "occlusion"}
    one = [w for w in plan if w.identity == 200_050]
    assert [w.view_deg for w in one if w.walk == 0] == [0, 45, 90, 135, 180, 225, 270, 315]
    assert {(w.walk, w.range_m) for w in one if w.walk == 0} == {(0, 10.0)}
    assert len({w.view_deg for w in plan if w.range_m == 50}) == 8  # probes see every view


def test_a_set_read_lazily_is_the_set_read_whole(folder: Path, data: SequenceSet) -> None:
    lazy = SimulatedSet(folder, PREPROCESSING)
    for name in ("identity", "walk", "view_deg", "range_m", "condition"):
        assert np.array_equal(getattr(lazy, name), getattr(data, name))
    for number in (3, 0, 2, -1):
        assert np.array_equal(lazy[number].points, data[number].points)
        assert np.array_equal(lazy[number].crops, data[number].crops)
    with pytest.raises(IndexError):
        lazy[4]


def test_samples_of_a_file_are_those_generated(folder: Path) -> None:
    file = WalkFile.read(walk_sets.identity_file(folder, 9))
    made = generate_walk(9, 1, 12.0, 45.0, 2, condition="bag")
    for row, expected in zip(file.rows(1), made, strict=True):
        sample = file.pedestrian(int(row))
        assert np.abs(sample.points - expected.points).max() < 2e-3  # float16 around the centre
        assert np.array_equal(sample.crop, expected.crop)
        assert sample.point_count == expected.point_count
        assert sample.center == pytest.approx(expected.center, abs=1e-4)


def test_a_foreign_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not a file of a walk set"):
        WalkFile.read(tmp_path / "x.npz")


def test_worker_processes_make_the_same_set(tmp_path: Path, folder: Path) -> None:
    generate(PLAN, tmp_path, 0, workers=2)
    for path in folder.glob("*.npz"):
        one, other = WalkFile.read(path).arrays, WalkFile.read(tmp_path / path.name).arrays
        assert all(np.array_equal(one[name], other[name]) for name in one)
