"""The training loop: the same after a restart, the loss falls, checkpoints are whole and of this recipe."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig  # noqa: E402
from emgait_ros.emgaitnet.weights import read_weights  # noqa: E402
from emgait_ros.inference.bundle import default_bundle_path  # noqa: E402
from emgait_ros.lab.datasets.sequences import SequenceSet  # noqa: E402
from emgait_ros.lab.evaluation.metrics import closed_set, distance_matrix  # noqa: E402
from emgait_ros.lab.training import checkpoint  # noqa: E402
from emgait_ros.lab.training.loop import Interrupted, Trainer, learning_rate  # noqa: E402
from emgait_ros.lab.training.measurement import embed, whole_sequences  # noqa: E402
from emgait_ros.lab.training.recipe import AugmentConfig, OptimizationConfig, TrainingConfig  # noqa: E402

MILD = AugmentConfig(mirror=0.0, grayscale=0.0, colour=0.05, drop_image=0.05, drop_points=0.05, thin=0.2)


def recipe(**changes: object) -> TrainingConfig:
    steps = {
        "steps": 6, "identities": 5, "sequences": 3, "frames": 3, "warmup_steps": 2, "checkpoint_every": 1,
        "milestones": (4,), "precision": "fp32",
    }  # fmt: skip
    return TrainingConfig(
        "tiny", model=tiny_network_config(), augment=MILD, optimization=OptimizationConfig(**{**steps, **changes})
    )  # type: ignore[arg-type]


def trainer(folder: Path, data: SequenceSet, config: TrainingConfig) -> Trainer:
    torch.manual_seed(5)
    features = np.random.default_rng(0).normal(0, 1, (data.frames, 8)).astype(np.float32)
    folder.mkdir(exist_ok=True)
    return Trainer(config, data, FastEMGaitNet(tiny_network_config()), folder, features)


def test_three_steps_and_three_resumed_are_six(tmp_path: Path, small_set: SequenceSet) -> None:
    straight = trainer(tmp_path / "a", small_set, recipe())
    straight.run()
    trainer(tmp_path / "b", small_set, recipe()).run(until=3)
    torch.manual_seed(99)  # a new process begins elsewhere
    resumed = trainer(tmp_path / "b", small_set, recipe())
    resumed.resume()
    assert resumed.step == 3
    resumed.run()
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert len((tmp_path / "b" / "log.jsonl").read_text().splitlines()) == 6


def test_no_convolution_takes_channels_last(tmp_path: Path, small_set: SequenceSet) -> None:
    """oneDNN's backward pass of them writes beyond its memory on CPUs without AVX-512."""
    running = trainer(tmp_path / "a", small_set, recipe())
    running.clip_features = None  # CLIP's image tower takes part
    taken: dict[str, bool] = {}
    for name, module in running.network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda layer, inputs, _output, name=name: taken.update(
                    {name: inputs[0].is_contiguous() and layer.weight.is_contiguous()}
                )
            )
    running.train_step()
    assert len(taken) > 9
    assert all(taken.values()), taken


STEPS = """
import json, sys
from pathlib import Path
sys.path[:0] = ["test/helpers", "test/lab/training"]
from made_up_sets import made_up_set
from test_loop import recipe, trainer
log = trainer(Path(sys.argv[1]), made_up_set(), recipe()).run()
print(json.dumps([entry["loss"] for entry in log]))
"""


def test_steps_are_the_same_and_safe_without_avx512(tmp_path: Path, repository: Path) -> None:
    """With glibc's heap checks, where it brings them; on other processors than x86-64 both runs are alike."""
    losses = []
    for name, limits in (("plain", {}), ("avx2", {"DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"})):
        environment = {**os.environ, **limits, "OMP_NUM_THREADS": "1"}
        environment |= {"LD_PRELOAD": "libc_malloc_debug.so.0", "GLIBC_TUNABLES": "glibc.malloc.check=3"}
        words = [sys.executable, "-c", STEPS, str(tmp_path / name)]
        ended = subprocess.run(words, cwd=repository, env=environment, capture_output=True, text=True, timeout=240)
        assert ended.returncode == 0, ended.stderr[-2000:]
        losses.append(json.loads(ended.stdout.splitlines()[-1]))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_a_stop_request_ends_the_step_and_keeps_it(tmp_path: Path, small_set: SequenceSet) -> None:
    running = trainer(tmp_path / "a", small_set, recipe(steps=10_000, checkpoint_every=10_000))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(Interrupted, match="--resume"):
        running.run()
    again = trainer(tmp_path / "a", small_set, recipe(steps=10_000, checkpoint_every=10_000))
    again.resume()
    assert again.step == running.step > 0


def test_ten_identities_are_overfitted(tmp_path: Path) -> None:
    data = made_up_set(frames=5)
    running = trainer(
        tmp_path / "a", data, recipe(steps=70, learning_rate=5e-3, checkpoint_every=70, milestones=(), frames=4)
    )
    log = running.run()
    first, last = (np.mean([entry["loss"] for entry in part]) for part in (log[:5], log[-5:]))
    assert last < 0.75 * first
    embedding = embed(running.network, data, whole_sequences(data))
    own = np.eye(len(data), dtype=bool)
    assert closed_set(distance_matrix(embedding, embedding), data.identity, data.identity, own).rank1.value > 0.9


def test_learning_rate_warms_up_and_falls_at_milestones() -> None:
    steps = OptimizationConfig(learning_rate=1.0, warmup_steps=4, milestones=(10, 20), gamma=0.1)
    assert [learning_rate(steps, s) for s in (0, 3, 9, 10, 20)] == pytest.approx([0.25, 1, 1, 0.1, 0.01])


def test_classes_must_be_the_identities_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 classes, the data 9 identities"):
        trainer(tmp_path / "a", made_up_set(identities=9), recipe())


def test_resuming_another_recipe_names_the_difference(tmp_path: Path, small_set: SequenceSet) -> None:
    trainer(tmp_path / "a", small_set, recipe()).run(until=1)
    with pytest.raises(ValueError, match=r"optimization\.learning_rate was 0\.001 and is now 0\.5"):
        trainer(tmp_path / "a", small_set, recipe(learning_rate=0.5)).resume()
    moved = dataclasses.replace(recipe(), runs="elsewhere", threads=1)  # where it runs may change
    again = trainer(tmp_path / "a", small_set, moved)
    again.resume()
    assert again.step == 1


@pytest.mark.parametrize(
    ("was", "is_now", "refused"),
    [("no licence", "", True), ("", "no licence", False), ("no licence", "none is stated", False)],
)
def test_weights_that_stay_here_go_on_as_such(
    tmp_path: Path, small_set: SequenceSet, was: str, is_now: str, refused: bool
) -> None:
    trainer(tmp_path, small_set, dataclasses.replace(recipe(), local_only=was)).run(until=1)
    again = trainer(tmp_path, small_set, dataclasses.replace(recipe(), local_only=is_now))
    with pytest.raises(ValueError, match="local_only was 'no licence' and is now ''") if refused else nullcontext():
        again.resume()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:100], "is damaged"),  # cut off in the header
        (lambda data: data[:-50], "is damaged"),  # cut off in the tensors
        (lambda data: b"", "is damaged"),  # empty
    ],
)
def test_damaged_checkpoints_are_named(tmp_path: Path, small_set: SequenceSet, damage, sentence: str) -> None:
    running = trainer(tmp_path / "a", small_set, recipe())
    running.run(until=1)
    running.checkpoint.write_bytes(damage(running.checkpoint.read_bytes()))
    with pytest.raises(ValueError, match=sentence):
        running.resume()


def test_other_safetensors_files_are_no_checkpoints(tmp_path: Path, small_set: SequenceSet) -> None:
    from safetensors.torch import save_file

    running = trainer(tmp_path / "a", small_set, recipe())
    save_file({"x": torch.zeros(1)}, str(running.checkpoint))
    with pytest.raises(ValueError, match="no checkpoint of emgait train"):
        running.resume()
    running.checkpoint.unlink()
    with pytest.raises(FileNotFoundError, match="without --resume"):
        running.resume()


def test_a_failed_write_keeps_the_checkpoint_before(
    tmp_path: Path, small_set: SequenceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = trainer(tmp_path / "a", small_set, recipe())
    running.run(until=1)
    before = running.checkpoint.read_bytes()

    def full_disk(tensors: dict, path: str, metadata: dict) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="is the disk full"):
        running.run(until=2)
    assert running.checkpoint.read_bytes() == before
    assert not list((tmp_path / "a").glob(".*"))


def test_checkpoints_leave_frozen_clip_out(tmp_path: Path, small_set: SequenceSet) -> None:
    running = trainer(tmp_path / "a", small_set, recipe())
    running.run(until=1)
    from safetensors import safe_open

    with safe_open(str(running.checkpoint), "pt") as file:
        names = list(file.keys())
        assert json.loads(file.metadata()["recipe"])["name"] == "tiny"
    assert not any("semantics.image." in name or "semantics.text." in name for name in names)
    assert any("semantics.inversion" in name for name in names)


def test_another_run_goes_on_from_what_one_has_learnt(tmp_path: Path, small_set: SequenceSet) -> None:
    first = trainer(tmp_path / "a", small_set, recipe())
    first.run(until=1)
    torch.manual_seed(3)
    other = FastEMGaitNet(dataclasses.replace(tiny_network_config(), classes=7))  # other people
    anew = checkpoint.start_from(first.checkpoint, torch.nn.ModuleDict({"network": other}))
    assert anew == ["network.neck.classifier"]
    assert torch.equal(other.sequence.part_weight, first.network.sequence.part_weight)
    with pytest.raises(FileNotFoundError, match=r"start_from is .*elsewhere"):
        checkpoint.start_from(tmp_path / "elsewhere", other)
    with pytest.raises(ValueError, match="not one weight in it fits"):
        checkpoint.start_from(first.checkpoint, torch.nn.Linear(2, 2))


def test_another_run_goes_on_from_a_bundle() -> None:
    bundle = default_bundle_path()
    sizes = EMGaitNetConfig(
        use_image=False, use_sga=False, use_semi=False, heads=2, scaf_layers=1, view_coordinates=True
    )
    network = FastEMGaitNet(sizes)
    anew = checkpoint.start_from(bundle, torch.nn.ModuleDict({"network": network}))
    places = {".".join(name.split(".")[1:3]) for name in anew}
    assert places == {"sequence.part_weight", "sequence.space_time", "frame.scaf_points"}  # which the bundle has not
    there = read_weights(bundle / "weights.safetensors")["frame.point_encoder.embed.weight"]
    assert torch.equal(network.frame.point_encoder.embed.weight, there)
