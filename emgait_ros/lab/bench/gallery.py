"""Times the recognizer's search over a gallery of made-up people, and how soon somebody enrolled is found.

The search takes turns with a pass of ViT-B/16, the tower that CLIP has in the paper: what it may cost is told by what the network costs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emgait_ros.config import DecisionConfig
from emgait_ros.gallery.store import Gallery
from emgait_ros.lab.bench.machine import machine
from emgait_ros.recognition.distances import part_distances
from emgait_ros.recognition.matcher import Matcher
from emgait_ros.recognition.view import GalleryView
from emgait_ros.samples import Float32, Modality

NOISE = 0.5  # spread of a person's walks against that of people
MODEL = "0" * 64
ENROLLED = 11
NEAREST = DecisionConfig().templates_per_identity
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class GalleryBenchmark:
    """Sizes of a run; see the options of `emgait bench gallery`."""

    people: int = 10_000
    templates: int = 3
    parts: int = 16
    dimensions: int = 64
    probes: int = 8
    threads: int = 1
    rounds: int = 21
    seed: int = 0


def run_benchmark(config: GalleryBenchmark, progress: Progress = lambda text, done: None) -> dict[str, Any]:
    """All figures; times in ms are medians over the rounds, and the shortest where the name says so.

    Figures of ViT-B/16 are None where torch or open_clip is not installed.

    Raises:
        ValueError: a size is below 1.
    """
    if min(config.people, config.templates, config.parts, config.dimensions, config.probes, config.rounds) < 1:
        raise ValueError("people, templates, parts, dimensions, probes and rounds must be at least 1")
    random = np.random.default_rng(config.seed)
    progress("making up people", 0.0)
    shape = (config.people, config.templates, config.parts, config.dimensions)
    centres = random.standard_normal((config.people, 1, *shape[2:]), np.float32)
    walks = centres + np.float32(NOISE) * random.standard_normal(shape, np.float32)
    matcher = Matcher(NEAREST, config.threads)
    both = np.full(config.templates, int(Modality.BOTH))
    matcher.replace_all([(number, str(number), own, both) for number, own in enumerate(walks, 1)])
    image_pass = _image_pass(config.threads)
    taken, passes, first = [], [], []
    for turn in range(config.rounds + 1):
        asked = random.integers(0, config.people, config.probes)
        probes = centres[asked, 0] + np.float32(NOISE) * random.standard_normal((config.probes, *shape[2:]), np.float32)
        began = time.perf_counter()
        found = matcher.search(probes, [Modality.BOTH] * config.probes, people=config.probes + 2)
        ended = time.perf_counter()
        if image_pass:
            image_pass()
        if turn:  # the first warms up
            taken.append((ended - began) * 1e3)
            passes.append((time.perf_counter() - ended) * 1e3)
        first += (found.identity_id[found.distance.argmin(axis=1)] == asked + 1).tolist()
        progress("timing", 0.1 + 0.5 * turn / config.rounds)
    own = part_distances(probes, walks.reshape(-1, *shape[2:]))
    return {
        **{name: getattr(config, name) for name in config.__dataclass_fields__},
        "search_ms": round(float(np.median(taken)), 2),
        "search_min_ms": round(min(taken), 2),
        "search_max_ms": round(max(taken), 2),
        "vit_b16_ms": round(float(np.median(passes)), 1) if image_pass else None,
        "vit_b16_min_ms": round(min(passes), 1) if image_pass else None,
        "search_over_vit_b16": round(min(taken) / min(passes), 4) if image_pass else None,
        "memory_ratio": round(matcher.nbytes / (walks.size * 2), 3),
        "memory_mib": round(matcher.nbytes / 2**20, 1),
        "rank1": round(float(np.mean(first)), 4),
        "nearest_distance": round(float(own.min()), 3),
        "enrolment_visible_ms": _enrolment(walks, config.threads, random, progress),
        "embeddings": "made up (people with a few walks around a centre); not measured on real walks",
        "machine": machine(),
    }


def _image_pass(threads: int) -> Callable[[], object] | None:
    """One picture of 224 x 224 through a ViT-B/16 with random weights, float32; None without torch or open_clip."""
    try:
        import torch
        from open_clip.transformer import VisionTransformer
    except ImportError:
        return None
    torch.set_num_threads(threads)
    tower = VisionTransformer(224, 16, width=768, layers=12, heads=12, mlp_ratio=4.0, output_dim=512).eval()
    picture = torch.zeros(1, 3, 224, 224)
    return torch.inference_mode()(lambda: tower(picture))


def _enrolment(walks: Float32, threads: int, random: np.random.Generator, progress: Progress) -> float:
    """From the call of enroll on a gallery file of that size until a search finds the person, ms; median."""
    taken = []
    with tempfile.TemporaryDirectory(prefix="emgait-bench-") as folder, Gallery(Path(folder) / "gallery.db") as gallery:

        def enroll(name: str, templates: Float32) -> None:
            samples = [30] * len(templates)
            gallery.enroll(name, templates, MODEL, samples=samples, modalities=Modality.BOTH, median_range_m=10.0)

        for number, group in enumerate(np.array_split(walks.reshape(-1, *walks.shape[2:]), 100)):
            if len(group):  # a hundred people with many templates: the file is filled quickly
                enroll(f"person {number}", group)
            progress("filling a gallery file", 0.6 + 0.3 * number / 100)
        view = GalleryView(gallery, MODEL, NEAREST, threads)
        for turn in range(ENROLLED):
            centre = random.standard_normal((1, *walks.shape[2:]), np.float32)
            own = centre + np.float32(NOISE) * random.standard_normal(walks.shape[1:], np.float32)
            began = time.perf_counter()
            enroll(f"newcomer {turn}", own)
            view.follow()
            taken.append((time.perf_counter() - began) * 1e3)
            found = view.matcher.search(own[:1], [Modality.BOTH])
            expected = np.sort(part_distances(own[:1], own)[0])[:NEAREST].mean()
            if not np.isclose(found.distance[0, found.names.index(f"newcomer {turn}")], expected, rtol=1e-4):
                raise RuntimeError(f"newcomer {turn} was enrolled and is not found with the own templates")
        progress("done", 1.0)
    return round(float(np.median(taken)), 2)
