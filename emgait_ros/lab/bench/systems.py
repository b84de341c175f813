"""How long each architecture takes here, all of them in one run: a new frame of a pedestrian, and an identity from scratch.

Random weights at the papers' scale, each exported as a bundle and run by onnxruntime as the live node runs it. All take turns in one
process, in an order that is reversed every round. Beside wall times stand those of the processor: on a busy machine they say more.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

from emgait_ros.config import EngineConfig
from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.inference.bundle import ARCHITECTURES, Bundle
from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures
from emgait_ros.inference.preprocessing import FrameBatch
from emgait_ros.lab.bench.contest import Progress
from emgait_ros.lab.bench.model import random_bundle
from emgait_ros.lab.systems.configs import TITLES, SystemConfig, config_type
from emgait_ros.lab.systems.registry import Network, build, network_of


@dataclass(frozen=True)
class SystemsBenchmark:
    """What is measured; see the options of `emgait bench model`.

    Attributes:
        systems: architectures.
        clip: open_clip architecture of EMGaitNet.
        people: pedestrians in view.
        frames: T, length of every window.
        threads: of onnxruntime.
        rounds: timed turns of every system.
        seed: of weights and inputs.
    """

    systems: tuple[str, ...] = ARCHITECTURES
    clip: str = "ViT-B-16"
    people: tuple[int, ...] = (1, 8)
    frames: int = 10
    threads: int = 2
    rounds: int = 7
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.systems) - set(ARCHITECTURES)):
            raise ValueError(f"systems are {', '.join(unknown)}: known are all, {', '.join(ARCHITECTURES)}")
        if not self.systems or min(self.people, default=0) < 1 or min(self.frames, self.threads, self.rounds) < 1:
            raise ValueError("systems, people, frames, threads and rounds must be at least one")


def run_benchmark(config: SystemsBenchmark, progress: Progress) -> dict[str, Any]:
    """Measure everything; returns plain types for JSON.

    Raises:
        ValueError: an unknown CLIP, or windows that a system does not take.
    """
    torch.set_num_threads(config.threads)
    with tempfile.TemporaryDirectory(prefix="emgait-bench-") as scratch:
        engine = EngineConfig(backend="onnxruntime", threads=config.threads, max_batch=64)
        encoders: dict[str, GaitEncoder] = {}
        networks: dict[str, Network] = {}
        for turn, name in enumerate(config.systems):
            progress(f"exporting {TITLES[name]}, random weights", 0.3 * turn / len(config.systems))
            bundle = prepared_bundle(name, config, Path(scratch))
            encoders[name], networks[name] = GaitEncoder(bundle, engine), network_of(bundle)
        facts = {name: _facts(networks[name], encoders[name].bundle, config.frames) for name in config.systems}
        results = [_measured(encoders, networks, count, config, progress) for count in sorted(set(config.people))]
    return {
        "systems": {name: {**facts[name], **_figures(name, results)} for name in config.systems},
        "clip": config.clip,
        "frames": config.frames,
        "threads": config.threads,
        "rounds": config.rounds,
        "weights": "random",
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
        "load_average": os.getloadavg()[0],
        "results": results,
    }


def prepared_bundle(name: str, config: SystemsBenchmark, folder: Path) -> Bundle:
    """A bundle of an architecture at its paper's scale, random weights, batch norms having seen some data."""
    if name == "emgaitnet":
        return random_bundle(EMGaitNetConfig.paper(config.clip), folder, "random-emgaitnet", config.seed)
    return random_system(name, config_type(name)(), folder, config.seed)  # type: ignore[arg-type]


def random_system(name: str, sizes: SystemConfig, folder: Path, seed: int = 0) -> Bundle:
    """As :func:`prepared_bundle`, of sizes of one's own; EMGaitNet aside."""
    torch.manual_seed(seed)
    network = build(name, sizes).train()
    with torch.no_grad():
        features = network.frame(**network.example_inputs(8, seed + 1))
        features = (features,) if isinstance(features, torch.Tensor) else features
        network.sequence(
            *(value[None].repeat(2, *[1] * value.ndim) for value in features), torch.ones(2, 8, dtype=torch.bool)
        )
    return write_bundle(network.eval(), folder, f"random-{name.replace('+', 'p')}", sizes.preprocessing("ray"))


def example_batch(network: Network, bundle: Bundle, samples: int, seed: int = 0) -> FrameBatch:
    """Random samples as the live system hands them to an encoder; what the network does not look at is empty."""
    made = bundle.preprocessing
    inputs = {name: value.numpy() for name, value in network.example_inputs(samples, seed).items()}
    empty = {
        "crops": np.zeros((samples, 3, made.crop_height, made.crop_width), np.float32),
        "points": np.zeros((samples, made.points, made.point_values), np.float32),
        "has_image": np.ones(samples, bool),
        "has_points": np.ones(samples, bool),
    }
    there = {name: np.ones(samples, bool) for name in inputs if name.startswith("has_")}
    return FrameBatch(**{**empty, **inputs, **there})


def flops(network: Network, frames: int) -> tuple[float, float]:
    """GFLOP (two a multiplication and addition) of one frame, and of the head on a window of ``frames``; one sample each.

    The network learns no more afterwards: torch's counter refuses learnt parameters that a module returns.
    """
    network.requires_grad_(False)
    inputs = {name: value[:1] for name, value in network.example_inputs(3).items()}
    with torch.no_grad():
        with FlopCounterMode(display=False) as frame:
            found = network.frame(**inputs)
        features = (found,) if isinstance(found, torch.Tensor) else found
        windows = [value[:, None].repeat(1, frames, *[1] * (value.ndim - 1)) for value in features]
        with FlopCounterMode(display=False) as head:
            network.sequence(*windows, torch.ones(1, frames, dtype=torch.bool))
    return frame.get_total_flops() / 1e9, head.get_total_flops() / 1e9


def _facts(network: Network, bundle: Bundle, frames: int) -> dict[str, Any]:
    """What does not depend on the machine."""
    frame, head = flops(network, frames)
    kept = sum(4 * math.prod(int(size) for size in spec.shape[1:]) for spec in bundle.graphs["frame_encoder"].outputs)
    return {
        "title": TITLES[bundle.architecture],
        "sensors": str(bundle.sensors.name).lower(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "gflop_per_frame": frame,
        "gflop_of_window": frames * frame + head,
        "kept_bytes_per_frame": kept,
    }


def _measured(
    encoders: dict[str, GaitEncoder],
    networks: dict[str, Network],
    people: int,
    config: SystemsBenchmark,
    progress: Progress,
) -> dict[str, Any]:
    """p50, p95 and p50 of processor time in ms of every system for one number of people: a new frame of everybody, everybody from scratch."""
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for name, encoder in encoders.items():
        network = networks[name]
        new = example_batch(network, encoder.bundle, people, config.seed + 2)
        whole = example_batch(network, encoder.bundle, people * config.frames, config.seed + 3)
        history = _windows(encoder, whole, people)
        calls[name, "frame"] = partial(_stream, encoder, new, history)
        calls[name, "identity"] = partial(_scratch, encoder, whole, people)
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in calls}
    for call in calls.values():
        call()  # the first run of a session also allocates
    for turn in range(config.rounds):
        order = list(calls)[:: 1 if turn % 2 == 0 else -1]
        for step, key in enumerate(order):
            progress(f"{people} in view, {TITLES[key[0]]}", 0.3 + 0.7 * (turn + step / len(order)) / config.rounds)
            start = time.perf_counter(), time.process_time()
            calls[key]()
            taken[key].append((1e3 * (time.perf_counter() - start[0]), 1e3 * (time.process_time() - start[1])))
    wall = {key: np.percentile([time for time, _ in times], [50, 95]).tolist() for key, times in taken.items()}
    cpu = {key: float(np.median([time for _, time in times])) for key, times in taken.items()}
    return {
        "people": people,
        "ms": {
            name: {
                kind: {"p50": wall[name, kind][0], "p95": wall[name, kind][1], "cpu": cpu[name, kind]}
                for kind in ("frame", "identity")
            }
            for name in encoders
        },
    }


def _windows(encoder: GaitEncoder, whole: FrameBatch, people: int) -> list[list[SampleFeatures]]:
    features = list(encoder.encode_frames(whole))
    frames = len(features) // people
    return [features[row * frames : (row + 1) * frames] for row in range(people)]


def _stream(encoder: GaitEncoder, new: FrameBatch, history: list[list[SampleFeatures]]) -> object:
    """One new frame of everybody, as the live node does it."""
    features = encoder.encode_frames(new)
    return encoder.embed([[*window[1:], features[row]] for row, window in enumerate(history)])


def _scratch(encoder: GaitEncoder, whole: FrameBatch, people: int) -> object:
    """Everybody's whole window."""
    return encoder.embed(_windows(encoder, whole, people))


def _figures(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds a person: of the smallest number of people, and a frame of each number."""
    first = results[0]
    return {
        "ms_per_pedestrian_frame": first["ms"][name]["frame"]["p50"] / first["people"],
        "ms_per_new_identity": first["ms"][name]["identity"]["p50"] / first["people"],
        "cpu_ms_per_pedestrian_frame": first["ms"][name]["frame"]["cpu"] / first["people"],
        "cpu_ms_per_new_identity": first["ms"][name]["identity"]["cpu"] / first["people"],
        "ms_per_pedestrian_frame_by_people": {
            str(result["people"]): result["ms"][name]["frame"]["p50"] / result["people"] for result in results
        },
    }
