"""Trains the scorer on simulated clouds: shards of examples first, then the network, then its ONNX file."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as _cross_entropy

from emgait_ros.config import DetectorConfig
from emgait_ros.emgaitnet.export import check_graph, export_graph
from emgait_ros.lab.detection.examples import GROUP, NOBODY, Examples, joined, read_shard, write_shard
from emgait_ros.lab.detection.network import FirstLook, Probabilities, ScorerNetwork
from emgait_ros.lab.evaluation.detection_matching import average_precision
from emgait_ros.sensing.perception.scorer import FIRST_LOOK, SCORER
from emgait_ros.whole_files import written_whole

BATCH = 512
LEAST_SHARDS = 2
LEARNING_RATE, WEIGHT_DECAY = 4e-3, 1e-3
GROUP_WEIGHT = 0.3  # of the loss of groups, beside that of people
FIRST_LOOK_WEIGHT = 10.0  # of a person against anything else
FIRST_LOOK_LOSES = 0.007  # of the people
HELD_OUT = 12  # one shard of so many is not trained on
MOST_LOST = 0.35  # part of the cells of a front view that are dropped at random, in half of the examples
Report = Callable[[str, float], None]


@dataclass(frozen=True)
class ScorerTraining:
    """What is trained on, and for how long.

    Attributes:
        clouds: simulated clouds.
        shard_clouds: of them in one file.
        epochs: passes over the examples.
        seed: of the training; clouds are numbered from 0.
        processes: that simulate.
    """

    clouds: int = 3750
    shard_clouds: int = 25
    epochs: int = 5
    seed: int = 0
    processes: int = os.cpu_count() or 1

    def __post_init__(self) -> None:
        if self.clouds < LEAST_SHARDS * self.shard_clouds or self.epochs < 1 or self.processes < 1:
            raise ValueError(
                f"clouds is {self.clouds}, epochs {self.epochs} and processes {self.processes}: "
                f"expected at least {LEAST_SHARDS * self.shard_clouds}, 1 and 1"
            )


def write_shards(folder: Path, options: ScorerTraining, report: Report) -> list[Path]:
    """Examples of all clouds, in files; those that are there already are kept.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        folder / f"{first:06d}-{options.shard_clouds}.npz": range(
            first, min(first + options.shard_clouds, options.clouds)
        )
        for first in range(0, options.clouds, options.shard_clouds)
    }
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        running = [pool.submit(write_shard, path, seeds, DetectorConfig()) for path, seeds in parts.items()]
        for done, future in enumerate(as_completed(running)):
            future.result()
            report("simulated clouds", (done + 1) / len(running))
    return list(parts)


def train(
    shards: list[Path], options: ScorerTraining, report: Report
) -> tuple[FirstLook, ScorerNetwork, dict[str, float]]:
    """Both trained networks, and their figures on the shards that are left out.

    Args:
        shards: files of :func:`write_shards`.
        options: epochs and seed.
        report: called with a text and the part done.
    """
    held_out = shards[::HELD_OUT]
    examples = joined([read_shard(path) for path in shards if path not in held_out])
    unseen = joined([read_shard(path) for path in held_out])
    torch.manual_seed(options.seed)
    random = torch.Generator().manual_seed(options.seed)
    first, network = FirstLook(), ScorerNetwork()
    measures = torch.from_numpy(examples.measures)
    for module in (first, network):
        module.mean.copy_(measures.mean(0))
        module.spread.copy_(measures.std(0) + 1e-3)

    def look_at(rows: np.ndarray) -> Tensor:
        front, top, read = _augmented(*unpacked(examples, rows), network.spread, random)
        person = torch.from_numpy(examples.kind[rows] > NOBODY).float()
        group = torch.from_numpy(examples.kind[rows] == GROUP).float()
        logits = network(front, top, read)
        return (
            _cross_entropy(logits[:, 0], person)
            + GROUP_WEIGHT * _cross_entropy(logits[:, 1], group)
            + _cross_entropy(first(read), person, pos_weight=torch.tensor(FIRST_LOOK_WEIGHT))
        )

    parameters = [*first.parameters(), *network.parameters()]
    steps = max(len(examples) // BATCH, 1)
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=options.epochs * steps, pct_start=0.15
    )
    for epoch in range(options.epochs):
        order, total = torch.randperm(len(examples), generator=random).numpy(), 0.0
        for step in range(steps):
            loss = look_at(np.sort(order[step * BATCH : (step + 1) * BATCH]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            text = f"epoch {epoch + 1} of {options.epochs}, loss {total / (step + 1):.4f}"
            report(text, (epoch + (step + 1) / steps) / options.epochs)
    first.eval()
    network.eval()
    with torch.no_grad():
        people = first(torch.from_numpy(unseen.measures[unseen.kind > NOBODY]))
        first.least.copy_(torch.quantile(people, FIRST_LOOK_LOSES))
    return first, network, figures(first, network, unseen) | asdict(options)


def unpacked(examples: Examples, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Front views, top views and measures of some rows, float32, as the detector makes them."""
    front = torch.from_numpy(examples.front[rows]).float() / 255
    front[:, 3] = front[:, 3] * (255.0 / 127.0) - 1.0
    return front, torch.from_numpy(examples.top[rows]).float() / 255, torch.from_numpy(examples.measures[rows])


def _augmented(
    front: Tensor, top: Tensor, measures: Tensor, spread: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Mirrored, with cells of the front view lost and measures a little off."""
    if torch.rand(1, generator=random) < 0.5:
        front, top = front.flip(3), top.flip(3)
    one = (len(front), 1, 1, 1)
    lost = MOST_LOST * torch.rand(one, generator=random) * (torch.rand(one, generator=random) < 0.5)
    front = front * (torch.rand((len(front), 1, *front.shape[2:]), generator=random) >= lost)
    return front, top, measures + 0.05 * spread * torch.randn(measures.shape, generator=random)


@torch.no_grad()
def figures(first: FirstLook, network: ScorerNetwork, examples: Examples) -> dict[str, float]:
    """Average precision, and at probability 0.5 the part of the people found and of the others taken for people."""
    probable = torch.cat(
        [
            torch.sigmoid(network(*unpacked(examples, np.arange(k, min(k + 2048, len(examples))))))[:, 0]
            for k in range(0, len(examples), 2048)
        ]
    ).numpy()
    probable[first(torch.from_numpy(examples.measures)).numpy() <= 0.0] = 0.0
    person = examples.kind > NOBODY
    return {
        "people": int(person.sum()),
        "others": int((~person).sum()),
        "average_precision": round(average_precision(probable, person, int(person.sum())), 4),
        "found": round(float((probable[person] > 0.5).mean()), 4),
        "looked_at": round(float((probable > 0.0).mean()), 4),
        "false": round(float((probable[~person] > 0.5).mean()), 5),
    }


def export(first: FirstLook, network: ScorerNetwork, examples: Examples, folder: Path) -> None:
    """Write the two ONNX files; onnxruntime must give what torch gives.

    Raises:
        OSError: they cannot be written. ValueError: the two differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = dict(zip(("front", "top", "measures"), unpacked(examples, np.arange(min(64, len(examples)))), strict=True))
    for name, module, read in (
        (FIRST_LOOK, first, {"measures": inputs["measures"]}),
        (SCORER, Probabilities(network).eval(), inputs),
    ):
        with written_whole(folder / name) as fresh:
            export_graph(module, read, fresh, ("probability" if name == SCORER else "logit",))
            check_graph(module, read, fresh)
