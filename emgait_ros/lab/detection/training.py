"""Trains the scorer on simulated clouds: shards of examples first, then the network, then its ONNX file.

Two series of clouds are learned from one after the other: passes over the everyday ones, then a short time in which a part of
each batch comes from the hard ones (``clutter.hard_cases``). The weights that are kept lie between those before and after that
time: they judge everyday clouds at least as well as before and hard ones nearly as well as after. There are more people among
the hard examples, so that everything looks a little more like one afterwards: this is taken back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
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
LEARNING_RATE, HARD_LEARNING_RATE, WEIGHT_DECAY = 4e-3, 1e-3, 1e-3
HARD_PART = 0.2  # of a batch, once the hard series is learned from
KEPT = 0.7  # of the way that the weights go then
GROUP_WEIGHT = 0.3  # of the loss of groups, beside that of people
FIRST_LOOK_WEIGHT = 10.0  # of a person against anything else
FIRST_LOOK_LOSES = 0.01  # of the people
HELD_OUT = 12  # one shard of so many is not trained on
MOST_LOST = 0.35  # part of the cells of a front view that are dropped at random, in half of the examples
Report = Callable[[str, float], None]
Rows = tuple[Examples, np.ndarray]


@dataclass(frozen=True)
class ScorerTraining:
    """What is trained on, and for how long.

    Attributes:
        clouds: simulated clouds of the everyday series.
        hard_clouds: of the hard series; 0: none.
        shard_clouds: of them in one file.
        epochs: passes over the examples of the everyday series.
        hard_steps: batches of both after them.
        seed: of the training; clouds of both series are numbered from 0.
        processes: that simulate.
    """

    clouds: int = 3750
    hard_clouds: int = 1000
    shard_clouds: int = 25
    epochs: int = 5
    hard_steps: int = 700
    seed: int = 0
    processes: int = os.cpu_count() or 1

    def __post_init__(self) -> None:
        least = LEAST_SHARDS * self.shard_clouds
        if self.clouds < least or self.epochs < 1 or self.processes < 1 or self.hard_steps < 0:
            raise ValueError(
                f"clouds is {self.clouds}, epochs {self.epochs}, processes {self.processes} and hard_steps {self.hard_steps}: "
                f"expected at least {least}, 1, 1 and 0"
            )
        if self.hard_clouds and self.hard_clouds < least:
            raise ValueError(f"hard_clouds is {self.hard_clouds}: expected at least {least}, or 0 for none")


def write_shards(folder: Path, options: ScorerTraining, report: Report) -> tuple[list[Path], list[Path]]:
    """Examples of all clouds, in files: of the everyday and of the hard series; those that are there already are kept.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    everyday, hard = (
        {
            folder / f"{name}{first:06d}-{options.shard_clouds}.npz": range(
                first, min(first + options.shard_clouds, clouds)
            )
            for first in range(0, clouds, options.shard_clouds)
        }
        for name, clouds in (("", options.clouds), ("hard-", options.hard_clouds))
    )
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        running = [
            pool.submit(write_shard, path, seeds, DetectorConfig(), path in hard)
            for path, seeds in (everyday | hard).items()
        ]
        for done, future in enumerate(as_completed(running)):
            future.result()
            report("simulated clouds", (done + 1) / len(running))
    return list(everyday), list(hard)


def train(
    shards: list[Path], hard_shards: list[Path], options: ScorerTraining, report: Report
) -> tuple[FirstLook, ScorerNetwork, dict[str, float]]:
    """Both trained networks, and their figures on the shards that are left out; those of the hard series begin with "hard_".

    Args:
        shards, hard_shards: files of :func:`write_shards`; without hard ones only the others are learned from.
        options: epochs, steps and seed.
        report: called with a text and the part done.
    """
    examples, unseen = _split(shards)
    torch.manual_seed(options.seed)
    random = torch.Generator().manual_seed(options.seed)
    first, network = FirstLook(), ScorerNetwork()
    measures = torch.from_numpy(examples.measures)
    for module in (first, network):
        module.mean.copy_(measures.mean(0))
        module.spread.copy_(measures.std(0) + 1e-3)

    def learn(batches: Iterable[list[Rows]], steps: int, rate: float, name: str) -> None:
        parameters = [*first.parameters(), *network.parameters()]
        optimizer = torch.optim.AdamW(parameters, rate, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
        total = 0.0
        for step, batch in enumerate(batches):
            loss = _loss(first, network, batch, random)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            report(f"{name}, loss {total / (step + 1):.4f}", (step + 1) / steps)

    steps = options.epochs * max(len(examples) // BATCH, 1)
    everyday = islice(_rows(len(examples), BATCH, random), steps)
    learn(([(examples, rows)] for rows in everyday), steps, LEARNING_RATE, "everyday clouds")
    first.eval()
    network.eval()
    left_out = [unseen]
    if hard_shards and options.hard_steps:
        hard, hard_unseen = _split(hard_shards)
        left_out.append(hard_unseen)
        before = [deepcopy(module.state_dict()) for module in (first, network)]
        taken_for_people = _false(network, left_out)
        first.train()
        network.train()
        share = round(HARD_PART * BATCH)
        mixed = zip(_rows(len(examples), BATCH - share, random), _rows(len(hard), share, random), strict=False)
        batches = ([(examples, rows), (hard, hard_rows)] for rows, hard_rows in islice(mixed, options.hard_steps))
        learn(batches, options.hard_steps, HARD_LEARNING_RATE, "hard clouds too")
        networks: tuple[nn.Module, ...] = (first, network)
        for learned, old in zip(networks, before, strict=True):
            learned.eval()
            learned.load_state_dict(
                {
                    name: torch.lerp(old[name].float(), value.float(), KEPT).to(value.dtype)
                    for name, value in learned.state_dict().items()
                }
            )
        _as_doubtful_as_before(network, left_out, taken_for_people)
    with torch.no_grad():
        people = torch.cat([first(torch.from_numpy(e.measures[e.kind > NOBODY])) for e in left_out])
        first.least.copy_(torch.quantile(people, FIRST_LOOK_LOSES))
    found = figures(first, network, unseen)
    if len(left_out) > 1:
        found |= {f"hard_{name}": value for name, value in figures(first, network, left_out[1]).items()}
    return first, network, found | asdict(options)


def _others(network: ScorerNetwork, left_out: list[Examples]) -> np.ndarray:
    """Logits of a person of all examples that are none."""
    return np.concatenate([_logits(network, examples)[examples.kind == NOBODY] for examples in left_out])


def _false(network: ScorerNetwork, left_out: list[Examples]) -> int:
    """How many of those are taken for people at probability 0.5."""
    return int((_others(network, left_out) > 0.0).sum())


def _as_doubtful_as_before(network: ScorerNetwork, left_out: list[Examples], most: int) -> None:
    """Take from the logit of a person so much that ``most`` others are taken for people at probability 0.5."""
    highest = np.sort(_others(network, left_out))[::-1]
    if most < len(highest):
        with torch.no_grad():
            cast(Tensor, network.head[-1].bias)[0] -= float(highest[most])


def _split(shards: list[Path]) -> tuple[Examples, Examples]:
    """What is learned from, and what is left out."""
    held_out = shards[::HELD_OUT]
    return joined([read_shard(p) for p in shards if p not in held_out]), joined([read_shard(p) for p in held_out])


def _rows(count: int, size: int, random: torch.Generator) -> Iterator[np.ndarray]:
    """Rows of one batch after another, without end: every pass in a new order."""
    while True:
        order = torch.randperm(count, generator=random).numpy()
        for step in range(max(count // size, 1)):
            yield np.sort(order[step * size : (step + 1) * size])


def _loss(first: FirstLook, network: ScorerNetwork, batch: list[Rows], random: torch.Generator) -> Tensor:
    """Of both networks on some rows of each of some examples."""
    front, top, read = (torch.cat(parts) for parts in zip(*(unpacked(*rows) for rows in batch), strict=True))
    kind = torch.from_numpy(np.concatenate([examples.kind[rows] for examples, rows in batch]))
    front, top, read = _augmented(front, top, read, network.spread, random)
    person, logits = (kind > NOBODY).float(), network(front, top, read)
    return (
        _cross_entropy(logits[:, 0], person)
        + GROUP_WEIGHT * _cross_entropy(logits[:, 1], (kind == GROUP).float())
        + _cross_entropy(first(read), person, pos_weight=torch.tensor(FIRST_LOOK_WEIGHT))
    )


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
def _logits(network: ScorerNetwork, examples: Examples) -> np.ndarray:
    """(N,) of a person, of all examples."""
    starts = range(0, len(examples), 2048)
    parts = [network(*unpacked(examples, np.arange(k, min(k + 2048, len(examples)))))[:, 0] for k in starts]
    return torch.cat(parts).numpy()


@torch.no_grad()
def figures(first: FirstLook, network: ScorerNetwork, examples: Examples) -> dict[str, float]:
    """Average precision, and at probability 0.5 the part of the people found and of the others taken for people."""
    probable = 1.0 / (1.0 + np.exp(-_logits(network, examples)))
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
