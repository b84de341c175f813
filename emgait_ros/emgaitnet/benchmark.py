"""What the exact speed-ups bring on this machine: the plain forward against streaming, the CLIP tower and every stage.

All contestants see the same data and take turns in one process, in an order that is reversed every round, so that a
slow moment of the machine falls on all of them.
"""

from __future__ import annotations

import gc
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
from numpy.typing import NDArray

from emgait_ros.config import EngineConfig
from emgait_ros.emgaitnet.config import EMGaitNetConfig
from emgait_ros.emgaitnet.export import export_graph, random_samples, write_bundle
from emgait_ros.emgaitnet.model import EMGaitNet, FrameEncoder
from emgait_ros.emgaitnet.reference import plain_forward
from emgait_ros.emgaitnet.semantics import SemanticMining
from emgait_ros.emgaitnet.weights import load_network
from emgait_ros.inference.bundle import Bundle, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.preprocessing import FrameBatch, Preprocessing

BACKENDS = ("torch", "onnxruntime")
Progress = Callable[[str, float], None]
Contestant = Callable[[], object]


@dataclass(frozen=True)
class ModelBenchmark:
    """What is measured; see the options of `emgait bench model`.

    Attributes:
        clip: open_clip architecture of a network at the paper's scale with random weights; unused with ``bundle``.
        bundle: folder of a bundle to measure instead.
        people: pedestrians in view; the plain forward is timed for the smallest number (it is linear in it).
        frames: T, length of every window.
        threads: of torch and of onnxruntime.
        rounds: timed turns of every contestant.
        seed: of weights and inputs.
    """

    clip: str = "ViT-B-16"
    bundle: Path | None = None
    people: tuple[int, ...] = (1, 8)
    frames: int = 10
    threads: int = 2
    rounds: int = 7
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.people or min(self.people) < 1 or max(self.people) > 64:
            raise ValueError(f"people is {self.people}: expected one or more numbers from 1 to 64")
        for name, low in (("frames", 1), ("threads", 1), ("rounds", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} is {getattr(self, name)}: expected {low} or more")


def run_benchmark(config: ModelBenchmark, progress: Progress) -> dict[str, Any]:
    """Measure everything; returns plain types for JSON.

    Raises:
        ValueError: an unknown CLIP, a bundle that cannot be read, or windows it does not take.
    """
    torch.set_num_threads(config.threads)
    with tempfile.TemporaryDirectory(prefix="emgait-bench-") as scratch:
        bundle = prepared_bundle(config, Path(scratch), progress)
        if not bundle.min_frames <= config.frames <= bundle.max_frames:
            raise ValueError(
                f"frames is {config.frames}: bundle '{bundle.name}' takes windows of {bundle.min_frames} to {bundle.max_frames}"
            )
        progress("opening the engines", 0.2)
        network = load_network(bundle)
        engine = EngineConfig(threads=config.threads, max_batch=64)
        encoders = {name: GaitEncoder(bundle, EngineConfig(**{**vars(engine), "backend": name})) for name in BACKENDS}
        tower = _tower_engine(network, Path(scratch), config.threads)
        results = []
        people = sorted(set(config.people))
        for turn, count in enumerate(people):
            contest = _Contest(network, encoders, tower, count, config)
            span = (0.3 + 0.7 * turn / len(people), 0.7 / len(people))
            results.append(contest.measure(plain=turn == 0, progress=partial(_within, progress, span)))
    return _summary(config, bundle, network, results)


def prepared_bundle(config: ModelBenchmark, folder: Path, progress: Progress) -> Bundle:
    """The bundle to measure; a network with random weights is exported first, its batch norms having seen some data."""
    if config.bundle is not None:
        return load_bundle(config.bundle)
    progress(f"exporting EMGaitNet with CLIP {config.clip}, random weights", 0.0)
    torch.manual_seed(config.seed)
    network = EMGaitNet(EMGaitNetConfig.paper(config.clip), load_pretrained=False)
    sizes = network.config
    network.train()
    with torch.no_grad():
        network.frame.encode(**random_samples(sizes, 16, seed=config.seed + 1))
    made = Preprocessing(sizes.crop_height, sizes.crop_width, sizes.points)
    return write_bundle(network.eval(), folder, f"random-{config.clip}", made)


def _tower_engine(network: EMGaitNet, folder: Path, threads: int) -> OnnxRuntimeEngine | None:
    """CLIP's image tower alone on onnxruntime; None where the network mines no semantics."""
    semantics = network.frame.semantics
    if not isinstance(semantics, SemanticMining):
        return None
    path = folder / "clip_tower.onnx"
    crops = random_samples(network.config, 2)["crops"]
    export_graph(semantics.image, {"crops": crops}, path, ("clip_features",))
    return OnnxRuntimeEngine(path, threads)


def _within(progress: Callable[[str, float], None], span: tuple[float, float], text: str, part: float) -> None:
    """Report progress of a part of the whole."""
    progress(text, span[0] + part * span[1])


class _Contest:
    """All that is timed for one number of people in view."""

    def __init__(
        self,
        network: EMGaitNet,
        encoders: dict[str, GaitEncoder],
        tower: OnnxRuntimeEngine | None,
        people: int,
        config: ModelBenchmark,
    ) -> None:
        self.network, self.encoders, self.tower, self.people, self.config = network, encoders, tower, people, config
        samples = random_samples(network.config, people * config.frames, seed=config.seed + 2)
        self.windows = {name: value.unflatten(0, (people, config.frames)) for name, value in samples.items()}
        arrays = {name: value[:, -1].numpy() for name, value in self.windows.items()}
        self.new_frames = FrameBatch(**{name: np.ascontiguousarray(array) for name, array in arrays.items()})
        self.crops = self.windows["crops"][:, -1].contiguous()
        # What the tracks hold when the new frame arrives: the features of the frames before it.
        every = FrameBatch(**{name: value.numpy() for name, value in samples.items()})
        features = list(encoders["onnxruntime"].encode_frames(every))
        self.histories = [features[row * config.frames : (row + 1) * config.frames - 1] for row in range(people)]

    def stream(self, backend: str) -> NDArray[np.float32]:
        """One new frame of everybody, as the live node does it: (people, parts, d)."""
        encoder = self.encoders[backend]
        new = encoder.encode_frames(self.new_frames)
        return encoder.embed([[*history, new[row]] for row, history in enumerate(self.histories)])

    @torch.inference_mode()
    def plain(self) -> NDArray[np.float32]:
        """The whole window of everybody from scratch: (people, parts, d)."""
        frame_mask = torch.ones(self.people, self.config.frames, dtype=torch.bool)
        return plain_forward(self.network, **self.windows, frame_mask=frame_mask).numpy()

    def contestants(self, plain: bool) -> dict[str, Contestant]:
        """What takes turns, by name."""
        found: dict[str, Contestant] = {"torch plain": self.plain} if plain else {}
        for backend in BACKENDS:
            found[f"{backend} stream"] = partial(self.stream, backend)
            found[f"{backend} sequence head"] = self._head(backend)
        if self.tower is not None:
            crops = {"crops": self.crops.numpy()}
            tower = self.tower
            found["onnxruntime clip tower"] = lambda: tower.run(crops)
        for name, stage in torch_stages(self.network.frame, {n: v[:, -1] for n, v in self.windows.items()}).items():
            found[f"torch {name}"] = stage
        return found

    def _head(self, backend: str) -> Contestant:
        encoder = self.encoders[backend]
        full = [[*history, history[-1]] for history in self.histories]
        return lambda: encoder.embed(full)

    def measure(self, plain: bool, progress: Progress) -> dict[str, Any]:
        """p50 and p95 (ms) and peak memory (MB) of every contestant, and how far the embeddings are apart."""
        contestants = self.contestants(plain)
        memory, outcome = {}, {}
        for name, call in contestants.items():
            progress(f"{self.people} in view, warming up: {name}", 0.0)
            outcome[name], memory[name] = with_peak_memory(call)
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(self.config.rounds):
            order = list(contestants)[:: 1 if turn % 2 == 0 else -1]
            for step, name in enumerate(order):
                progress(
                    f"{self.people} in view, round {turn + 1}: {name}", (turn + step / len(order)) / self.config.rounds
                )
                start = time.perf_counter()
                contestants[name]()
                taken[name].append(1e3 * (time.perf_counter() - start))
        reference = outcome.get("torch plain")
        if reference is None:  # of the same frames, but not timed: it is linear in the number of people
            progress(f"{self.people} in view: the plain forward, for comparison", 1.0)
            reference = self.plain()
        return {
            "people": self.people,
            "ms": {name: _percentiles(times, memory[name]) for name, times in taken.items()},
            "max_abs_diff": {
                backend: float(np.abs(np.asarray(outcome[f"{backend} stream"]) - reference).max())
                for backend in BACKENDS
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
            stages["clip tower"] = lambda: semantics.image(inputs["crops"])
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


def _percentiles(times: list[float], memory: float) -> dict[str, float]:
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50": float(p50), "p95": float(p95), "peak_mb": memory}


def _summary(
    config: ModelBenchmark, bundle: Bundle, network: EMGaitNet, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """All figures; at the top level those of the faster exact backend for the smallest number of people."""
    first = results[0]
    engines = {backend: _figures(backend, results) for backend in BACKENDS}
    best = min(BACKENDS, key=lambda backend: first["ms"][f"{backend} stream"]["p50"])
    clip = network.config.clip
    return {
        **engines[best],
        "backend": best,
        "clip": clip.architecture or "own",
        "weights": "random" if config.bundle is None else str(bundle.folder),
        "bundle": bundle.name,
        "frames": config.frames,
        "threads": config.threads,
        "rounds": config.rounds,
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
        "load_average": os.getloadavg()[0],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "engines": engines,
        "results": results,
    }


def _figures(backend: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    first = results[0]
    stream = first["ms"][f"{backend} stream"]["p50"]
    tower = first["ms"].get(f"{backend} clip tower", {}).get("p50")
    people = first["people"]
    return {
        "speedup_plain_over_stream": first["ms"]["torch plain"]["p50"] / stream,
        "max_abs_diff": max(result["max_abs_diff"][backend] for result in results),
        "overhead_over_clip_tower": None if tower is None else (stream - tower) / tower,
        "ms_per_pedestrian_frame": {
            str(result["people"]): result["ms"][f"{backend} stream"]["p50"] / result["people"] for result in results
        },
        "ms_plain_per_identity": first["ms"]["torch plain"]["p50"] / people,
    }
