"""Auxiliary losses: joints in the frame of the points, traits sorted by variance ratio, distances like theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import tiny_network_config  # noqa: E402

from emgait_ros.config import SampleConfig  # noqa: E402
from emgait_ros.emgaitnet.model import Output  # noqa: E402
from emgait_ros.inference.preprocessing import Preprocessing  # noqa: E402
from emgait_ros.lab.datasets.sequences import SequenceSet  # noqa: E402
from emgait_ros.lab.datasets.simulated import load_simulated  # noqa: E402
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads  # noqa: E402
from emgait_ros.lab.simulated_supervision.poses import PAIRS, Joints, load_joints  # noqa: E402
from emgait_ros.lab.simulated_supervision.traits import Traits, walker_traits  # noqa: E402
from emgait_ros.lab.simulation.walk_sets import PlannedWalk, generate, identity_file  # noqa: E402
from emgait_ros.lab.simulation.walks import JOINTS  # noqa: E402
from emgait_ros.lab.training.losses import LARGEST_RELATION, part_distances, pose_loss, relation_loss  # noqa: E402

PEOPLE = range(50, 62)
HEAD, LEFT_FOOT, RIGHT_FOOT = (JOINTS.index(name) for name in ("Head", "LeftFoot", "RightFoot"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people before the sensors, at 10 m, towards them and passing by."""
    root = tmp_path_factory.mktemp("poses")
    plan = [PlannedWalk(person, 0, 10.0, view, 6) for person in (50, 51) for view in (0.0, 90.0)]
    generate(plan, root, 0, SampleConfig(64, 32, 16), workers=1)
    return root


@pytest.mark.parametrize("points_frame", ["sensor", "ray", "heading"])
def test_joints_lie_among_the_points(folder: Path, points_frame: str) -> None:
    preprocessing = Preprocessing(32, 16, 64, points_frame)
    points = load_simulated(folder, preprocessing).points
    poses, _ = load_joints([identity_file(folder, 50), identity_file(folder, 51)], preprocessing)
    assert poses.shape == (24, len(JOINTS), 3)
    assert np.abs(poses.mean(axis=1) - points.mean(axis=1))[:, :2].max() < 0.25  # the middle of joints and of points, m
    assert np.all((poses[:, HEAD, 2] > 1.2) & (poses[:, HEAD, 2] < 1.9))
    assert np.all((poses[:, LEFT_FOOT, 2] > 0.0) & (poses[:, LEFT_FOOT, 2] < 0.4))
    if points_frame == "heading":  # the left foot is on the left, and each foot is ahead at times
        assert np.mean(poses[:, LEFT_FOOT, 1] - poses[:, RIGHT_FOOT, 1]) > 0.05
        assert np.ptp(poses[:, LEFT_FOOT, 0] - poses[:, RIGHT_FOOT, 0]) > 0.5


def test_places_lie_on_the_body_in_the_crop(folder: Path) -> None:
    preprocessing = Preprocessing(32, 16, 64, "heading")
    data = load_simulated(folder, preprocessing)
    places = load_joints([identity_file(folder, 50), identity_file(folder, 51)], preprocessing).places
    assert np.all((places > 0) & (places < 1))
    assert np.all(places[:, HEAD, 1] < 0.25)  # at the top of the picture
    assert np.all(places[:, LEFT_FOOT, 1] > 0.75)
    for left, right in PAIRS:
        assert np.all(places[:, left, 0] <= places[:, right, 0])
    trunk = data.crops[:, 10:16, 6:10].reshape(24, -1, 3)  # cloth: more even than the picture around it
    assert np.mean(trunk.std(axis=1) < data.crops.reshape(24, -1, 3).std(axis=1)) > 0.6


def test_a_set_without_joints_is_named(tmp_path: Path, folder: Path) -> None:
    with np.load(identity_file(folder, 50)) as whole:
        np.savez(tmp_path / "identity_000050.npz", **{name: whole[name] for name in whole.files if name != "joints"})
    with pytest.raises(ValueError, match=r"identity_000050.npz holds no joints"):
        load_joints([tmp_path / "identity_000050.npz"], Preprocessing(32, 16, 64, "heading"))


def people_walking(days: int) -> SequenceSet:
    """Labels of ``days`` walks of every person; nothing of what sensors saw."""
    identity = np.repeat(np.array(PEOPLE, np.int64), days)
    count = len(identity)
    return SequenceSet(
        identity=identity, walk=np.tile(np.arange(days), len(PEOPLE)), view_deg=np.zeros(count, np.float32),
        range_m=np.full(count, 10, np.float32), condition=np.full(count, "normal"),
        start=np.arange(count + 1), crops=np.zeros((count, 4, 4, 3), np.uint8),
        points=np.zeros((count, 8, 3), np.float32), point_count=np.full(count, 8),
        has_image=np.ones(count, bool), has_points=np.ones(count, bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def traits() -> Traits:
    return walker_traits(people_walking(days=2), population=0)[0]


def test_traits_tell_people_apart_better_than_days(traits: Traits) -> None:
    assert np.all(np.diff(traits.variance_ratio) <= 0)  # the most personal first
    today = (traits.today * np.sqrt(traits.variance_ratio)).reshape(len(PEOPLE), 2, -1)
    apart = np.linalg.norm(today[:, 0][:, None] - today[:, 1][None], axis=-1)
    assert np.mean(apart.argmin(axis=1) == np.arange(len(PEOPLE))) > 0.9
    distance = traits.distance(np.arange(2 * len(PEOPLE)))
    assert distance[0, 1] == pytest.approx(0, abs=1e-5)  # the same person on another day
    assert 0.5 < distance[::2, ::2][np.triu_indices(len(PEOPLE), 1)].mean() < 2.0


def test_one_day_each_is_not_enough() -> None:
    with pytest.raises(ValueError, match="nobody walks on two days"):
        walker_traits(people_walking(days=1), population=0)


def test_a_few_people_are_told_in_the_axes_of_many(traits: Traits) -> None:
    everybody = people_walking(days=2)
    _, axes = walker_traits(everybody, population=0)
    few = everybody.select(np.array([6, 7, 2]))
    predicted, kept = walker_traits(few, population=0, axes=axes)
    assert kept is axes
    np.testing.assert_allclose(predicted.today, traits.today[[6, 7, 2]], atol=1e-5)
    np.testing.assert_allclose(predicted.person, traits.person[[6, 7, 2]], atol=1e-5)
    lone, _ = walker_traits(few.select(np.array([2])), population=0, axes=axes)  # one day of one person
    np.testing.assert_allclose(lone.today[0], traits.today[2], atol=1e-5)


def test_relations_cost_what_distances_miss() -> None:
    torch.manual_seed(0)
    embedding = torch.randn(4, 3, 8)
    labels = torch.tensor([0, 0, 1, 1])
    wanted = part_distances(embedding).mean(0).clamp(max=LARGEST_RELATION)
    assert relation_loss(embedding * 0.01, torch.zeros(4, 4), labels) < 0.01
    assert relation_loss(embedding * 0.01, wanted, labels) > 0.5


def test_frames_without_a_pose_do_not_count() -> None:
    predicted, true = torch.zeros(2, 1, 5, 3), torch.zeros(2, 1, 5, 3)
    true[0], true[1] = 1.0, torch.nan
    assert pose_loss(predicted, true) == pytest.approx(0.85)
    assert pose_loss(predicted, torch.full_like(true, torch.nan)) == 0


def test_a_teacher_asks_for_what_it_knows(traits: Traits) -> None:
    torch.manual_seed(0)
    poses = np.random.default_rng(0).normal(size=(24, 5, 3)).astype(np.float32)
    output = Output(torch.randn(4, 2, 8), torch.randn(4, 2, 8), torch.zeros(4, 2, 0), torch.randn(4, 3, 2, 8))
    sequences, frames = np.array([0, 1, 2, 3]), np.arange(12).reshape(4, 3)
    labels = torch.tensor([0, 0, 1, 1])
    for known_poses, known_traits in ((poses, None), (None, traits), (poses, traits)):
        joints = None if known_poses is None else Joints(known_poses, known_poses[..., :2])
        config = tiny_network_config(parts=2)
        losses = AuxiliaryHeads(config, joints, known_traits)(output, sequences, frames, labels)
        assert (losses.poses > 0) == (known_poses is not None)
        assert (losses.traits > 0) == (losses.relations > 0) == (known_traits is not None)
