"""Learning to see bodies: the poses' error falls, a stopped run goes on, and text adds nothing at first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.lab.datasets.sequences import SequenceSet  # noqa: E402
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads  # noqa: E402
from emgait_ros.lab.simulated_supervision.pose_pretraining import LOWEST_RATE, PosePretrainer, initialize_small  # noqa: E402
from emgait_ros.lab.simulated_supervision.poses import Joints  # noqa: E402
from emgait_ros.lab.training.loop import Trainer  # noqa: E402
from emgait_ros.lab.training.recipe import AugmentConfig, OptimizationConfig, PosePretrainingConfig, TrainingConfig  # noqa: E402

STILL = AugmentConfig(
    mirror=0, grayscale=0, colour=0, shift=0, scale=0, erase=0, yaw_deg=0, offset_m=0, noise_m=0, thin=0, drop_image=0.1,
    drop_points=0.1, clip_noise=0,
)  # fmt: skip


def recipe(steps: int, **switches: object) -> TrainingConfig:
    return TrainingConfig(
        "tiny",
        model=tiny_network_config(**switches),
        augment=STILL,
        pose_pretraining=PosePretrainingConfig(steps=steps, frames=48, learning_rate=1e-2, warmup_steps=2),
        optimization=OptimizationConfig(precision="fp32", checkpoint_every=1),
    )


def trainer(folder: Path, data: SequenceSet, config: TrainingConfig) -> PosePretrainer:
    """Joints that follow from each frame's points, and places that follow from its picture."""
    torch.manual_seed(5)
    folder.mkdir(exist_ok=True)
    rows = np.linspace(0.1, 0.9, 3, dtype=np.float32)
    bright = np.asarray(data.crops.mean(axis=(1, 2, 3)) / 255, np.float32)
    places = np.stack([np.repeat(bright[:, None], 3, axis=1), np.repeat(rows[None], data.frames, axis=0)], axis=-1)
    poses = np.stack([data.points.mean(axis=1), data.points.max(axis=1), data.points.min(axis=1)], axis=1)
    auxiliary = AuxiliaryHeads(config.model, Joints(poses.astype(np.float32), places.astype(np.float32)), None)
    return PosePretrainer(config, data, FastEMGaitNet(config.model), folder, None, auxiliary)


MODALITIES = [
    {"use_sga": False, "use_semi": False, "use_image": False},
    {"use_sga": False, "use_semi": False, "use_points": False},
    {},
]


@pytest.mark.parametrize("switches", MODALITIES)
def test_the_error_of_poses_and_places_falls(tmp_path: Path, switches: dict[str, object]) -> None:
    running = trainer(tmp_path / "a", made_up_set(), recipe(60, **switches))
    log = running.run()
    assert len(log) == 60
    first, last = (np.mean([entry["poses"] for entry in part]) for part in (log[:5], log[-5:]))
    assert last < 0.8 * first
    if switches.get("use_image", True):
        assert np.mean([e["places"] for e in log[-5:]]) < 0.9 * np.mean([e["places"] for e in log[:5]])


@pytest.mark.parametrize("stop", [3, 7])  # before and after the text joins: its layers have been stepped once by then
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path: Path, stop: int) -> None:
    data = made_up_set()
    straight = trainer(tmp_path / "a", data, recipe(8))
    straight.run()
    trainer(tmp_path / "b", data, recipe(8)).run(until=stop)
    resumed = trainer(tmp_path / "b", data, recipe(8))
    resumed.resume()
    assert resumed.step == stop
    resumed.run()
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_a_longer_recipe_is_another_one_but_later_steps_are_free(tmp_path: Path) -> None:
    data, config = made_up_set(), recipe(6)
    trainer(tmp_path / "a", data, config).run(until=2)
    with pytest.raises(ValueError, match=r"pose_pretraining\.steps was 6 and is now 9"):
        trainer(tmp_path / "a", data, recipe(9)).resume()
    later = dataclasses.replace(config, optimization=dataclasses.replace(config.optimization, learning_rate=0.5))
    trainer(tmp_path / "a", data, later).resume()


def test_the_rate_rises_and_falls(tmp_path: Path) -> None:
    running = trainer(tmp_path / "a", made_up_set(), recipe(100))
    rates = [running.learning_rate(step) for step in (0, 2, 50, 100)]
    assert rates[0] == pytest.approx(0.5e-2, rel=0.01)
    assert rates[1] == pytest.approx(1e-2, rel=0.01)
    assert rates[2] == pytest.approx(1e-2 * (1 + LOWEST_RATE) / 2)
    assert rates[3] == pytest.approx(1e-2 * LOWEST_RATE)


def test_text_adds_nothing_at_first() -> None:
    torch.manual_seed(0)
    network = FastEMGaitNet(tiny_network_config()).eval()
    initialize_small(network.frame)
    data = made_up_set()
    crops = torch.from_numpy(data.crops[:8]).permute(0, 3, 1, 2).float() / 255
    seen = network.frame.encode(crops, torch.from_numpy(data.points[:8]), torch.ones(8).bool(), torch.ones(8).bool())
    without, _ = network.frame.fuse(*seen, None)
    read, _ = network.frame.fuse(*seen, torch.randn(8, 5, 8))
    torch.testing.assert_close(read, without)


def test_text_joins_late(tmp_path: Path) -> None:
    running = trainer(tmp_path / "a", made_up_set(), recipe(10))  # text_after 0.7: steps 7, 8 and 9
    initialize_small(running.network.frame)
    layer = running.network.frame.sga_image.to_output.weight
    running.run(until=7)
    assert not layer.any()
    running.run(until=8)
    assert bool(layer.any())


def test_identities_follow_with_what_was_seen(tmp_path: Path) -> None:
    """The same learner goes on: weights and readings of the first part are those the second begins with."""
    data, config = made_up_set(), recipe(3)
    pose_pretraining = trainer(tmp_path / "a", data, config)
    pose_pretraining.run()
    after = Trainer(config, data, pose_pretraining.network, tmp_path / "a", None, pose_pretraining.auxiliary)
    assert after.step == 0
    assert after.learner["auxiliary"] is pose_pretraining.auxiliary
