"""Times exact gallery search against exhaustive numpy and faiss, in one run, on made-up embeddings.

The embeddings are people with several walks each around a centre of their own; half of the probes are new walks of them,
half are strangers. Speed depends on the spread, not on where embeddings come from: how many templates have to be measured
exactly is reported beside the times.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from emgait_ros.config import DecisionConfig
from emgait_ros.gallery.index import TemplateIndex
from emgait_ros.gallery.matcher import Matcher
from emgait_ros.gallery.store import Gallery
from emgait_ros.gallery.view import GalleryView
from emgait_ros.samples import Float32, Int64, Modality

WALKS = 4  # templates of one person
NOISE = 0.5  # spread of a person's walks against that of people
MODEL = "0" * 64
BLOCK = 8192
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class GalleryBenchmark:
    """Sizes of a run; see the options of `emgait bench gallery`."""

    templates: int = 100_000
    parts: int = 16
    dimensions: int = 64
    probes: int = 8
    nearest: int = 5
    threads: int = 1
    rounds: int = 9
    agreement_probes: int = 1000
    seed: int = 0
    store: bool = True


def made_up_embeddings(
    config: GalleryBenchmark, random: np.random.Generator
) -> tuple[Float32, Callable[[int], Float32]]:
    """(N, parts, d) templates and a function that makes so many probes."""
    people = -(-config.templates // WALKS)
    shape = (config.parts, config.dimensions)
    centres = random.standard_normal((people, *shape), np.float32)

    def walks(of: Float32) -> Float32:
        return of + np.float32(NOISE) * random.standard_normal(of.shape, np.float32)

    templates = np.empty((config.templates, *shape), np.float32)
    for start in range(0, config.templates, BLOCK):
        rows = np.arange(start, min(start + BLOCK, config.templates))
        templates[rows] = walks(centres[rows // WALKS])

    def probes(count: int) -> Float32:
        known = count // 2
        strangers = random.standard_normal((count - known, *shape), np.float32)
        return np.concatenate([walks(centres[random.integers(0, people, known)]), walks(strangers)])

    return templates, probes


class Exhaustive:
    """Mean over parts of L2 by numpy and BLAS in float32, templates laid out part by part beforehand."""

    def __init__(self, templates: Float32) -> None:
        self._by_part = np.ascontiguousarray(templates.transpose(1, 0, 2))
        self._norm = np.stack([np.einsum("nd,nd->n", part, part) for part in self._by_part])

    def distances(self, probes: Float32) -> Float32:
        """(B, N) float32."""
        by_part = np.ascontiguousarray(probes.transpose(1, 0, 2))
        own = np.square(by_part).sum(axis=2)[:, :, None]
        found = np.empty((len(probes), self._norm.shape[1]), np.float32)
        for start in range(0, found.shape[1], BLOCK):
            rows = slice(start, start + BLOCK)
            squared = np.matmul(by_part, self._by_part[:, rows].transpose(0, 2, 1))
            squared *= -2.0
            squared += own
            squared += self._norm[:, None, rows]
            np.maximum(squared, 0.0, out=squared)
            found[:, rows] = np.sqrt(squared, out=squared).mean(axis=0)
        return found

    def nearest(self, probes: Float32, count: int) -> Int64:
        """(B, k) rows, nearest first."""
        distance = self.distances(probes)
        near = np.argpartition(distance, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(distance, near, 1), axis=1)
        return np.take_along_axis(near, order, 1)


@njit(nogil=True)
def _read(words):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for word in words:
        total ^= word
    return total


def run_benchmark(config: GalleryBenchmark, progress: Progress = lambda text, done: None) -> dict[str, Any]:
    """All figures; times in ms are the median over the rounds, in which the methods take turns.

    Raises:
        ValueError: faiss or threadpoolctl is not installed, or sizes make no sense.
    """
    try:
        import faiss
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed: pip install -r requirements/dev.txt brings it") from error
    if min(config.templates, config.probes, config.nearest, config.rounds) < 1:
        raise ValueError("templates, probes, nearest and rounds must be at least 1")
    random = np.random.default_rng(config.seed)
    progress("making up embeddings", 0.0)
    templates, make_probes = made_up_embeddings(config, random)
    progress("building the indexes", 0.1)
    index = TemplateIndex(config.parts, config.dimensions, config.threads)
    began = time.perf_counter()
    index.append(templates)
    build_s = time.perf_counter() - began
    exhaustive = Exhaustive(templates)
    flat = faiss.IndexFlatL2(config.parts * config.dimensions)
    flat.add(templates.reshape(len(templates), -1))
    words = templates.reshape(-1).view(np.int64)
    with threadpool_limits(config.threads):
        faiss.omp_set_num_threads(config.threads)
        live = _live_matcher(config, templates)
        times = _take_turns(config, index, live, exhaustive, flat, words, make_probes, progress)
        del live
        agreement = _agreement(config, index, exhaustive, make_probes, progress)
    index.close()
    raw = templates.size * 2
    del exhaustive, flat
    visible = _enrolment(config, templates, random, progress) if config.store else {}
    return {
        **{key: getattr(config, key) for key in ("templates", "parts", "dimensions", "probes", "nearest", "threads")},
        **agreement,
        "ratio_numpy": round(times["numpy_ms"] / times["index_ms"], 2),
        "ratio_faiss": round(times["faiss_ms"] / times["index_ms"], 2),
        "live_ratio_numpy": round(times["numpy_ms"] / times["live_ms"], 2),
        "memory_ratio": round(index.nbytes / raw, 4),
        "memory_mib": round(index.nbytes / 2**20, 1),
        **{name: round(value, 2) for name, value in times.items()},
        "floor_distance": round(times["index_ms"] / times["floor_ms"], 2),
        "floor_means": "index_ms over the time to read the templates once as float32",
        "scanned_mib": round(index.scanned_bytes / 2**20, 1),
        "build_s": round(build_s, 2),
        **visible,
        "embeddings": "made up (people with several walks around a centre); not measured on real walks",
        "machine": machine(),
    }


def _take_turns(
    config: GalleryBenchmark,
    index: TemplateIndex,
    live: Matcher,
    exhaustive: Exhaustive,
    flat: Any,
    words: Int64,
    make_probes: Callable[[int], Float32],
    progress: Progress,
) -> dict[str, float]:
    taken: dict[str, list[float]] = {"index_ms": [], "live_ms": [], "numpy_ms": [], "faiss_ms": [], "floor_ms": []}
    for turn in range(config.rounds + 1):
        probes = make_probes(config.probes)
        joined = probes.reshape(len(probes), -1)
        calls: dict[str, Callable[[], Any]] = {
            "index_ms": partial(index.nearest, probes, config.nearest),
            "live_ms": partial(live.search, probes, [Modality.BOTH] * len(probes), len(probes) + config.nearest),
            "numpy_ms": partial(exhaustive.nearest, probes, config.nearest),
            "faiss_ms": partial(flat.search, joined, config.nearest),
            "floor_ms": partial(_read, words),
        }
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if turn:  # the first round compiles and warms up
                taken[name].append((time.perf_counter() - began) * 1e3)
        progress("timing", 0.2 + 0.3 * turn / config.rounds)
    return {name: float(np.median(values)) for name, values in taken.items()}


def _live_matcher(config: GalleryBenchmark, templates: Float32) -> Matcher:
    """What a recognizer searches: people, each with a few templates, all of both sensors."""
    matcher = Matcher(DecisionConfig().templates_per_identity, config.threads)
    both = np.full(WALKS, int(Modality.BOTH))
    people = range(0, len(templates), WALKS)
    matcher.replace_all(
        [(row + 1, str(row), templates[row : row + WALKS], both[: len(templates[row : row + WALKS])]) for row in people]
    )
    return matcher


def _agreement(
    config: GalleryBenchmark,
    index: TemplateIndex,
    exhaustive: Exhaustive,
    make_probes: Callable[[int], Float32],
    progress: Progress,
) -> dict[str, Any]:
    """How often first place, and all of the nearest, are those of exhaustive search in float32."""
    first = every = asked = 0
    while asked < config.agreement_probes:
        probes = make_probes(min(64, config.agreement_probes - asked))
        found = index.nearest(probes, config.nearest)[1]
        expected = exhaustive.nearest(probes, config.nearest)
        first += int((found[:, 0] == expected[:, 0]).sum())
        every += int((found == expected).all(axis=1).sum())
        asked += len(probes)
        progress("comparing with exhaustive search", 0.5 + 0.3 * asked / config.agreement_probes)
    return {
        "top1_agreement": round(first / asked, 5) if asked else None,
        f"top{config.nearest}_agreement": round(every / asked, 5) if asked else None,
        "agreement_probes": asked,
    }


def _enrolment(
    config: GalleryBenchmark, templates: Float32, random: np.random.Generator, progress: Progress
) -> dict[str, float]:
    """From the call of enrol on a gallery file of that size until a search finds the person: median of eleven."""
    shape = templates.shape[1:]
    taken = []
    with tempfile.TemporaryDirectory(prefix="emgait-bench-") as folder, Gallery(Path(folder) / "gallery.db") as gallery:
        crowd = -(-len(templates) // 100)
        for start in range(0, len(templates), crowd):  # a hundred people with many templates: filled quickly
            rows = templates[start : start + crowd]
            gallery.enroll(
                f"crowd {start}", rows, MODEL, samples=[30] * len(rows), modalities=Modality.BOTH, median_range_m=10.0
            )
            progress("filling a gallery file", 0.8 + 0.15 * start / len(templates))
        view = GalleryView(gallery, MODEL, 3, config.threads)
        for turn in range(11):
            walks = random.standard_normal((WALKS, *shape), np.float32)
            began = time.perf_counter()
            gallery.enroll(
                f"newcomer {turn}", walks, MODEL, samples=[30] * WALKS, modalities=Modality.BOTH, median_range_m=10.0
            )
            view.follow()
            taken.append((time.perf_counter() - began) * 1e3)
            found = view.matcher.search(walks[:1], [Modality.BOTH])
            if found.names[int(found.distance[0].argmin())] != f"newcomer {turn}":
                raise RuntimeError(f"newcomer {turn} was enrolled and is not found")
        progress("done", 1.0)
    return {"enrolment_visible_ms": round(float(np.median(taken)), 2), "enrolment_visible_max_ms": round(max(taken), 2)}


def machine() -> str:
    """Processor and cores, in words."""
    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.is_file():
        lines = [line for line in cpu.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores"
