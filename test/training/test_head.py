"""The head alone: the same output as the whole network, a loss that falls, frames left as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.datasets.sequences import SequenceSet  # noqa: E402
from emgait_ros.emgaitnet.model import EMGaitNet  # noqa: E402
from emgait_ros.training.config import AugmentConfig, HeadConfig, OptimisationConfig, TrainingConfig  # noqa: E402
from emgait_ros.training.evaluate import embed, whole_sequences  # noqa: E402
from emgait_ros.training.head import HeadTrainer, head_recipe  # noqa: E402

STILL = AugmentConfig(
    mirror=0, grayscale=0, colour=0, shift=0, scale=0, erase=0, yaw_deg=0, offset_m=0, noise_m=0, thin=0, drop_image=0,
    drop_points=0, clip_noise=0,
)  # fmt: skip


def recipe(steps: int) -> TrainingConfig:
    optimisation = OptimisationConfig(precision="fp32", checkpoint_every=1, warmup_steps=2)
    head = HeadConfig(steps=steps, identities=5, sequences=3, frames=4, learning_rate=5e-3)
    return TrainingConfig("tiny", model=tiny_network_config(), augment=STILL, optimisation=optimisation, head=head)


def trainer(folder: Path, data: SequenceSet, steps: int = 30) -> HeadTrainer:
    torch.manual_seed(5)
    folder.mkdir(exist_ok=True)
    return HeadTrainer(recipe(steps), data, EMGaitNet(tiny_network_config()), folder)


def test_the_recipe_is_the_heads() -> None:
    found = head_recipe(recipe(100)).optimisation
    assert (found.steps, found.identities, found.sequences, found.frames) == (100, 5, 3, 4)
    assert found.milestones == (70, 90)


def test_the_same_embedding_as_the_whole_network(tmp_path: Path) -> None:
    data = made_up_set()
    running = trainer(tmp_path / "a", data)
    running.network.eval()
    whole = embed(running.network, data, whole_sequences(data)[:3])
    frames = np.stack(whole_sequences(data)[:3])
    torch.testing.assert_close(running.output(frames).embedding, torch.from_numpy(whole), rtol=0.02, atol=0.02)


def test_the_loss_falls_and_frames_are_encoded_as_before(tmp_path: Path) -> None:
    running = trainer(tmp_path / "a", made_up_set())
    before = {name: value.clone() for name, value in running.network.frame.named_parameters()}
    log = running.run()
    first, last = (np.mean([entry["loss"] for entry in part]) for part in (log[:4], log[-4:]))
    assert last < 0.7 * first
    assert all(torch.equal(value, before[name]) for name, value in running.network.frame.named_parameters())


def test_two_steps_and_two_resumed_are_four(tmp_path: Path) -> None:
    data = made_up_set()
    straight = trainer(tmp_path / "a", data, 4)
    straight.run()
    trainer(tmp_path / "b", data, 4).run(until=2)
    resumed = trainer(tmp_path / "b", data, 4)
    resumed.resume()
    resumed.run()
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
