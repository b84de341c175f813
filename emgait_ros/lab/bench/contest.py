"""What `emgait bench model` times for one number of people in view: everything on the same data, taking turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emgait_ros.emgaitnet.clip import ImageTower
from emgait_ros.emgaitnet.example_inputs import random_samples
from emgait_ros.emgaitnet.fast import plain_of
from emgait_ros.emgaitnet.model import EMGaitNet, FrameEncoder, SemanticMining
from emgait_ros.inference.bundle import FRAME_ENCODER, SEMANTIC_ENCODER
from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.preprocessing import FrameBatch
from emgait_ros.samples import Float32

PLAIN, TOWER, OUR_TOWER = "torch plain", "CLIP tower", "CLIP tower as run"
Contestant = Callable[[], object]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Contenders:
    """What is compared.

    Attributes:
        network: torch network, for the plain forward and its stages.
        encoders: streaming encoders by name ("torch", "onnxruntime", "onnxruntime INT8", ...).
        towers: CLIP's image tower alone on onnxruntime, by name; empty where the network mines no semantics.
    """

    network: EMGaitNet
    encoders: dict[str, GaitEncoder]
    towers: dict[str, OnnxRuntimeEngine]


class Contest:
    """All that is timed for one number of people in view.

    Args:
        contenders: what is compared.
        people: pedestrians in view.
        frames: T, length of their windows.
        seed: of the input.
    """

    def __init__(self, contenders: Contenders, people: int, frames: int, seed: int) -> None:
        self.network, self.encoders, self.towers = contenders.network, contenders.encoders, contenders.towers
        self.plain_network = plain_of(self.network)
        self.people, self.frames = people, frames
        samples = random_samples(self.network.config, people * frames, seed=seed)
        self.windows = {name: value.unflatten(0, (people, frames)) for name, value in samples.items()}
        self.new = {name: value[:, -1].contiguous() for name, value in self.windows.items()}
        self.batch = FrameBatch(**{name: value.numpy() for name, value in self.new.items()})
        every = FrameBatch(**{name: value.numpy() for name, value in samples.items()})
        follows = np.arange(people * frames) - 1
        follows[::frames] = -1
        self.histories = {
            name: self._histories(list(encoder.encode_frames(every, follows=follows)))
            for name, encoder in self.encoders.items()
        }

    def _histories(self, features: list[SampleFeatures]) -> list[list[SampleFeatures]]:
        """What the tracks hold when the new frame arrives: the features of the frames before it."""
        return [features[row * self.frames : (row + 1) * self.frames - 1] for row in range(self.people)]

    def stream(self, name: str) -> Float32:
        """One new frame of everybody, as the live node does it: (people, parts, d).

        With a CLIP stride, so many frames in a row, of which CLIP looks at one.
        """
        encoder, histories = self.encoders[name], [list(history) for history in self.histories[name]]
        for _ in range(encoder.clip_stride):
            new = encoder.encode_frames(self.batch, [history[-1] if history else None for history in histories])
            histories = [[*history, new[row]] for row, history in enumerate(histories)]
            embedding = encoder.embed([history[-self.frames :] for history in histories])
        return embedding

    @torch.inference_mode()
    def plain(self) -> Float32:
        """The whole window of everybody from scratch: (people, parts, d)."""
        frame_mask = torch.ones(self.people, self.frames, dtype=torch.bool)
        return self.plain_network(**self.windows, frame_mask=frame_mask).embedding.numpy()

    def contestants(self, plain: bool) -> dict[str, Contestant]:
        """What takes turns, by name."""
        found: dict[str, Contestant] = {PLAIN: self.plain} if plain else {}
        for name, encoder in self.encoders.items():
            found[f"{name} stream"] = partial(self.stream, name)
            full = [[*history, self._last(name, row)] for row, history in enumerate(self.histories[name])]
            found[f"{name} sequence head"] = partial(encoder.embed, full)
        found |= self._graphs("onnxruntime")
        crops = {"crops": self.batch.crops}
        for name, tower in self.towers.items():
            found[f"onnxruntime {name}"] = partial(tower.run, crops)
        for name, stage in torch_stages(self.network.frame, self.new).items():
            found[f"torch {name}"] = stage
        return found

    def _graphs(self, name: str) -> dict[str, Contestant]:
        """The graphs that see the new frame, alone."""
        feeds: dict[str, NDArray[Any]] = dict(self.batch.feeds())
        found: dict[str, Contestant] = {}
        for graph in (SEMANTIC_ENCODER, FRAME_ENCODER):
            if (engine := self.encoders[name].engines.get(graph)) is not None:
                found[f"{name} {graph.replace('_', ' ')}"] = partial(engine.run, dict(feeds))
                feeds |= engine.run(feeds)
        return found

    def _last(self, name: str, row: int) -> SampleFeatures:
        history = self.histories[name][row]
        return history[-1] if history else self.encoders[name].encode_frames(self.batch)[row]

    def measure(self, plain: bool, rounds: int, progress: Progress) -> dict[str, Any]:
        """p50 and p95 (ms) and peak memory (MB) of every contestant, and how far the embeddings are apart.

        Args:
            plain: time the plain forward too; it is linear in the number of people and slow.
            rounds: timed turns of everything.
            progress: told what is done and which share of it.
        """
        contestants = self.contestants(plain)
        memory, outcome = {}, {}
        for name, call in contestants.items():
            progress(f"{self.people} in view, warming up: {name}", 0.0)
            outcome[name], memory[name] = with_peak_memory(call)
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(rounds):
            order = list(contestants)[:: 1 if turn % 2 == 0 else -1]
            for step, name in enumerate(order):
                progress(f"{self.people} in view, round {turn + 1}: {name}", (turn + step / len(order)) / rounds)
                start = time.perf_counter()
                contestants[name]()
                taken[name].append(1e3 * (time.perf_counter() - start))
        reference = np.asarray(outcome[PLAIN] if plain else self.plain())
        strides = {f"{name} stream": encoder.clip_stride for name, encoder in self.encoders.items()}
        return {
            "people": self.people,
            "ms": {name: _figures(times, memory[name], strides.get(name, 1)) for name, times in taken.items()},
            "max_abs_diff": {
                name: float(np.abs(np.asarray(outcome[f"{name} stream"]) - reference).max()) for name in self.encoders
            },
        }


def torch_stages(encoder: FrameEncoder, inputs: dict[str, torch.Tensor]) -> dict[str, Contestant]:
    """The stages of a frame encoder as calls, on inputs computed before."""
    semantics = encoder.semantics
    stages: dict[str, Callable[[], Any]] = {}
    with torch.inference_mode():
        image, cloud = encoder.encode(**inputs)
        text = semantics(inputs["crops"], inputs["has_image"]) if semantics is not None else None
        if isinstance(semantics, SemanticMining):
            mined = semantics.image(inputs["crops"])
            word = semantics.inversion(mined)
            stages[TOWER] = lambda: ImageTower.forward(semantics.image, inputs["crops"])
            stages[OUR_TOWER] = lambda: semantics.image(inputs["crops"])
            stages["inversion"] = lambda: semantics.inversion(mined)
            stages["prompts"] = lambda: semantics.text(word)
    if encoder.config.use_image:
        stages["ResNet9"] = lambda: encoder.image_encoder(inputs["crops"])
    if encoder.config.use_points:
        stages["PointGNN"] = lambda: encoder.point_encoder(inputs["points"])
    stages["SGA and SCAF"] = lambda: encoder.fuse(image, cloud, text)
    return {name: torch.inference_mode()(stage) for name, stage in stages.items()}


def with_peak_memory(call: Contestant) -> tuple[object, float]:
    """A call's result and how much its peak resident memory was above that before it, MB (NaN where Linux does not say)."""
    gc.collect()
    before = _status("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    except OSError:
        return call(), float("nan")
    result = call()
    return result, _status("VmHWM") - before


def _status(field: str) -> float:
    """A line of /proc/self/status, MB; NaN where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), float("nan"))


def _figures(times: list[float], memory: float, frames: int) -> dict[str, float]:
    """Of one frame, where a call is several."""
    p50, p95 = np.percentile(times, [50, 95]) / frames
    return {"p50": float(p50), "p95": float(p95), "peak_mb": memory}
