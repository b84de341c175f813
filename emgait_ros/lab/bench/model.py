"""What the exact speed-ups bring on this machine: the plain forward against streaming, the CLIP tower and every stage.

All contestants see the same data and take turns in one process, in an order that is reversed every round, so that a
slow moment of the machine falls on all of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from emgait_ros.config import EngineConfig
from emgait_ros.emgaitnet.clip import ImageTower
from emgait_ros.emgaitnet.example_inputs import random_samples
from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.emgaitnet.graphs import export_graph
from emgait_ros.emgaitnet.model import SemanticMining
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.emgaitnet.weights import load_network
from emgait_ros.inference.bundle import Bundle, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.precision import write_int8_graph
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.bench.contest import OUR_TOWER, PLAIN, TOWER, Contenders, Contest, Progress

EXACT = ("torch", "onnxruntime")
STRIDE = 5  # of the contestants that are not exact
# One 10-frame sequence on 2 cores of this kind, from scratch for every window: measured once with their own code, whose
# licence does not let it be shipped. They are not run here.
PEERS_MS = {
    "LidarGait++, 1,024 points, torch": 700.0,
    "GaitBase, silhouettes, torch": 141.0,
    "GaitBase, silhouettes, onnxruntime": 110.0,
}


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
        approximate: measure CLIP in INT8 and with a stride too; they are not exact.
        seed: of weights and inputs.
    """

    clip: str = "ViT-B-16"
    bundle: Path | None = None
    people: tuple[int, ...] = (1, 8)
    frames: int = 10
    threads: int = 2
    rounds: int = 7
    approximate: bool = False
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
        contenders = _contenders(bundle, config, Path(scratch))
        results = []
        people = sorted(set(config.people))
        for turn, count in enumerate(people):
            contest = Contest(contenders, count, config.frames, config.seed + 2)
            span = (0.3 + 0.7 * turn / len(people), 0.7 / len(people))
            results.append(contest.measure(turn == 0, config.rounds, partial(_within, progress, span)))
    return _summary(config, bundle, contenders, results)


def prepared_bundle(config: ModelBenchmark, folder: Path, progress: Progress) -> Bundle:
    """The bundle to measure; a network with random weights is exported first, its batch norms having seen some data."""
    if config.bundle is not None:
        return load_bundle(config.bundle)
    progress(f"exporting EMGaitNet with CLIP {config.clip}, random weights", 0.0)
    return random_bundle(EMGaitNetConfig.paper(config.clip), folder, f"random-{config.clip}", config.seed)


def random_bundle(sizes: EMGaitNetConfig, folder: Path, name: str, seed: int = 0) -> Bundle:
    """A bundle of a network with random weights whose batch norms have seen some data."""
    torch.manual_seed(seed)
    network = FastEMGaitNet(sizes, load_pretrained=False).train()
    with torch.no_grad():
        network.frame.encode(**random_samples(sizes, 16, seed=seed + 1))
    made = Preprocessing(sizes.crop_height, sizes.crop_width, sizes.points, view_coordinates=sizes.view_coordinates)
    return write_bundle(network.eval(), folder, name, made)


def _contenders(bundle: Bundle, config: ModelBenchmark, folder: Path) -> Contenders:
    engine = EngineConfig(threads=config.threads, max_batch=64, clip_stride=1)
    exact = replace(bundle, clip_precision="fp32")
    encoders = {name: GaitEncoder(exact, replace(engine, backend=name)) for name in EXACT}
    network, towers = load_network(bundle), {}
    semantics = network.frame.semantics
    if isinstance(semantics, SemanticMining):
        for name, module in ((TOWER, _PlainTower(semantics.image)), (OUR_TOWER, semantics.image)):
            path = folder / f"{name}.onnx"
            export_graph(module.eval(), {"crops": random_samples(network.config, 2)["crops"]}, path, ("clip",))
            towers[name] = OnnxRuntimeEngine(path, config.threads)
        if config.approximate:
            encoders |= _approximate(bundle, replace(engine, backend="onnxruntime"), folder)
    return Contenders(network, encoders, towers)


def _approximate(bundle: Bundle, engine: EngineConfig, folder: Path) -> dict[str, GaitEncoder]:
    """Encoders that are not exact: CLIP in INT8, on every few images of a track, and both."""
    quantised = replace(bundle, clip_precision="int8")
    if quantised.int8_path is None or not quantised.int8_path.is_file():
        linked = folder / "int8"  # the bundle as it is, with an INT8 graph beside it
        linked.mkdir()
        for file in bundle.folder.iterdir():
            (linked / file.name).symlink_to(file.resolve())
        quantised = replace(quantised, folder=linked)
        assert quantised.int8_path is not None  # noqa: S101
        write_int8_graph(bundle.graphs["semantic_encoder"].path, quantised.int8_path)
    slow = replace(engine, clip_stride=STRIDE)
    exact = replace(bundle, clip_precision="fp32")
    return {
        "onnxruntime INT8": GaitEncoder(quantised, engine),
        f"onnxruntime stride {STRIDE}": GaitEncoder(exact, slow),
        f"onnxruntime INT8 stride {STRIDE}": GaitEncoder(quantised, slow),
    }


class _PlainTower(nn.Module):
    """CLIP's image tower as open_clip computes it."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, E)."""
        return ImageTower.forward(self.tower, crops)


def _within(progress: Callable[[str, float], None], span: tuple[float, float], text: str, part: float) -> None:
    """Report progress of a part of the whole."""
    progress(text, span[0] + part * span[1])


def _summary(
    config: ModelBenchmark, bundle: Bundle, contenders: Contenders, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """All figures; at the top level those of the faster exact backend.

    Speed-up and overhead are of the smallest number of people, ms_per_pedestrian_frame of the largest.
    """
    engines = {name: _figures(name, results) for name in contenders.encoders}
    best = min(EXACT, key=lambda name: results[0]["ms"][f"{name} stream"]["p50"])
    clip = contenders.network.config.clip
    return {
        **engines[best],
        "backend": best,
        "clip": clip.architecture or "own",
        "speedup_torch": engines["torch"]["speedup_plain_over_stream"],
        "weights": "random" if config.bundle is None else str(bundle.folder),
        "bundle": bundle.name,
        "frames": config.frames,
        "threads": config.threads,
        "rounds": config.rounds,
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__},
        "load_average": os.getloadavg()[0],
        "parameters": sum(parameter.numel() for parameter in contenders.network.parameters()),
        "ms_plain_per_identity": results[0]["ms"][PLAIN]["p50"] / results[0]["people"],
        "peers_ms_per_sequence": PEERS_MS,
        "engines": engines,
        "results": results,
    }


def _figures(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one streaming encoder."""
    first, last = results[0], results[-1]
    stream = f"{name} stream"
    return {
        "exact": name in EXACT,
        "speedup_plain_over_stream": first["ms"][PLAIN]["p50"] / first["ms"][stream]["p50"],
        "max_abs_diff": max(result["max_abs_diff"][name] for result in results),
        "overhead_over_clip_tower": _overhead(name, TOWER, first),
        "overhead_over_clip_tower_as_run": _overhead(name, OUR_TOWER, first),
        "overhead_over_clip_tower_by_people": {str(r["people"]): _overhead(name, TOWER, r) for r in results},
        "ms_per_pedestrian_frame": last["ms"][stream]["p50"] / last["people"],
        "ms_per_pedestrian_frame_by_people": {str(r["people"]): r["ms"][stream]["p50"] / r["people"] for r in results},
    }


def _overhead(name: str, tower: str, result: dict[str, Any]) -> float | None:
    """What a new frame costs on top of a CLIP tower on the same runtime, as a share of it; None without one."""
    alone = result["ms"].get(f"{name.split()[0]} {tower}")
    return None if alone is None or name not in EXACT else result["ms"][f"{name} stream"]["p50"] / alone["p50"] - 1
