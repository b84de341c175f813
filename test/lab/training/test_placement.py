"""Several processes train one network; figures go to TensorBoard; recorded data sets can be trained on."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.lab.training.figures_log import FiguresLog  # noqa: E402
from emgait_ros.lab.training.loop import Trainer  # noqa: E402
from emgait_ros.lab.training.placement import Placement  # noqa: E402
from emgait_ros.lab.training.recipe import OptimizationConfig, TrainingConfig  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def recipe(steps: int = 4) -> TrainingConfig:
    optimization = OptimizationConfig(
        steps=steps, identities=6, sequences=2, frames=3, warmup_steps=0, checkpoint_every=2, precision="fp32"
    )
    return TrainingConfig("tiny", model=tiny_network_config(use_sga=False, use_semi=False), optimization=optimization)


def train_in_one_of_several(folder: Path) -> None:
    """What each process of torchrun does (this file is its script)."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    placement = Placement.of_environment()
    assert placement.world == 2
    network = FastEMGaitNet(recipe().model)
    own = folder / f"rank{placement.rank}"
    own.mkdir(parents=True)
    log = Trainer(recipe(), made_up_set(), network, own, placement=placement).run()
    weights = torch.cat([value.flatten().double() for value in network.state_dict().values()])
    found = {"sum": float(weights.sum()), "absolute": float(weights.abs().sum()), "losses": [e["loss"] for e in log]}
    (own / "found.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def test_two_processes_hold_the_same_network(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT}/test/helpers"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*command, str(HERE / "test_placement.py"), str(tmp_path)], env=environment, check=True, timeout=120)
    one, other = (json.loads((tmp_path / f"rank{r}" / "found.json").read_text()) for r in (0, 1))
    assert one == other
    assert all(np.isfinite(one["losses"]))
    assert (tmp_path / "rank0" / "checkpoint.safetensors").is_file()
    assert len((tmp_path / "rank0" / "log.jsonl").read_text().splitlines()) == 4
    assert [path.name for path in (tmp_path / "rank1").iterdir()] == ["found.json"]  # the first alone writes


def killed_in_the_middle_of_a_step(folder: Path) -> None:
    """Trains, and dies without warning in its fourth step."""
    torch.set_num_threads(1)
    trainer = made_up_trainer(folder)
    losses = trainer.losses

    def dying(*arguments: object) -> object:
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses(*arguments)

    trainer.losses = dying  # type: ignore[assignment,method-assign]
    trainer.run()


def made_up_trainer(folder: Path) -> Trainer:
    torch.manual_seed(5)
    folder.mkdir(exist_ok=True)
    config = recipe(6)
    steps = dataclasses.replace(config.optimization, checkpoint_every=1)
    return Trainer(
        dataclasses.replace(config, optimization=steps), made_up_set(), FastEMGaitNet(recipe().model), folder
    )


def test_a_kill_loses_nothing_but_the_current_step(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT}/test/helpers"}
    command = [sys.executable, str(HERE / "test_placement.py"), str(tmp_path / "killed"), "kill"]
    assert subprocess.run(command, env=environment, timeout=120).returncode == -signal.SIGKILL
    resumed, straight = made_up_trainer(tmp_path / "killed"), made_up_trainer(tmp_path / "straight")
    resumed.resume()
    assert resumed.step == 3
    resumed.run()
    straight.run()
    for one, other in zip(resumed.learner.parameters(), straight.learner.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    logged = [json.loads(line)["step"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert logged == [1, 2, 3, 4, 5, 6]


def test_shares_of_a_step() -> None:
    chosen = np.arange(12)  # six identities, two sequences each
    shares = [Placement(torch.device("cpu"), rank, 3).share(chosen, 2).tolist() for rank in range(3)]
    assert shares == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    with pytest.raises(ValueError, match=r"optimization\.identities is 6: 4 processes need at least 8"):
        Placement(torch.device("cpu"), 0, 4).share(chosen, 2)
    assert Placement(torch.device("cpu")).share(chosen, 2).tolist() == chosen.tolist()


def test_figures_are_logged_once_and_for_tensorboard(tmp_path: Path) -> None:
    trainer = Trainer(recipe(5), made_up_set(), FastEMGaitNet(recipe().model), tmp_path)
    trainer.run(until=3)
    trainer.run()
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [1, 2, 3, 4, 5]
    assert {"loss", "triplet", "cross_entropy", "learning_rate", "seconds"} <= set(entries[0])
    written = b"".join(path.read_bytes() for path in tmp_path.glob("events.out.tfevents.*"))
    assert b"train/loss" in written


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    log = FiguresLog(tmp_path / "nowhere")
    log.write([])
    with pytest.raises(OSError, match="nowhere"):
        log.write([{"step": 1, "loss": 2.0}])


if __name__ == "__main__":
    (killed_in_the_middle_of_a_step if "kill" in sys.argv else train_in_one_of_several)(Path(sys.argv[1]))
