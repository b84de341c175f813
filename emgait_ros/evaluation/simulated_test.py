"""The published test on simulated people: its set, generated from its seed, and the figures drawn from it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from emgait_ros.config import SampleConfig
from emgait_ros.datasets.plans import plan_protocol
from emgait_ros.datasets.simulated import SimulatedSet
from emgait_ros.evaluation.protocols import Comparison, Figure, Labels, Mask
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.samples import Float32, Int64
from emgait_ros.simulation import walk_sets

FIRST_IDENTITY = 200_000  # never trained on: training takes 1,000 to 99,999, calibration 100,000 to 199,999
IDENTITIES = 100
FRAMES = 24  # 2.4 s at 10 Hz: two strides
POPULATION = 0
VERIFIED_M = (10, 30)  # ranges of the open-set figure
PREFIX = {"normal": "D", "night": "N"}


def published_set(
    preprocessing: Preprocessing, folder: Path | None = None, identities: int = IDENTITIES, workers: int = 2
) -> SimulatedSet:
    """The test set, generated when it is not there yet.

    Args:
        preprocessing: sizes and axes the bundle takes.
        folder: where it lies or shall lie; None: a folder of the user's cache named after the plan and the simulator's own
            files, so that another version of the simulator makes its own.
        identities: how many people; fewer than the published 100 for a quick look.
        workers: processes.

    Raises:
        ValueError, OSError: as ``walk_sets.generate``.
    """
    plan = plan_protocol(FIRST_IDENTITY, identities, FRAMES)
    sample = SampleConfig(preprocessing.points, preprocessing.crop_height, preprocessing.crop_width)
    if folder is None:
        digest = hashlib.sha256(repr((plan, sample, POPULATION, _simulator_digest())).encode()).hexdigest()[:12]
        folder = cache_folder() / f"simulated-test-{digest}"
    walk_sets.generate(plan, folder, POPULATION, sample, workers)
    return SimulatedSet(folder, preprocessing)


def cache_folder() -> Path:
    """Where generated sets are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emgait_ros"


def _simulator_digest() -> str:
    """Hex SHA-256 of the simulator's code and data: another simulator makes another set."""
    digest = hashlib.sha256()
    home = Path(walk_sets.__file__).parent
    for path in sorted([*home.glob("*.py"), *(home / "data").glob("*.npz")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compare(embedding: Float32, walk: Int64, labels: Labels) -> Comparison:
    """Walk 0 is the gallery, all other walks are probes; identical views do not count."""
    return Comparison.of(embedding, labels, walk != 0, walk == 0)


def groups(probes: Labels) -> dict[str, Mask]:
    """Which probes each Rank-1 is over: "overall" (D-20 to D-50), "D20", "N30", "clothing", "view 45", ..."""
    step = np.round(probes.range_m / 10).astype(int) * 10
    normal = probes.condition == "normal"
    overall = normal & (step >= 20)
    found: dict[str, Mask] = {"overall": overall}
    for condition, letter in PREFIX.items():
        here = probes.condition == condition
        found |= {f"{letter}{value}": here & (step == value) for value in np.unique(step[here])}
    for condition in np.unique(probes.condition[~np.isin(probes.condition, list(PREFIX))]):
        found[str(condition)] = probes.condition == condition
    sector = np.round(probes.view_deg / 45).astype(int) % 8 * 45
    return found | {f"view {value}": overall & (sector == value) for value in np.unique(sector[overall])}


def figures(comparison: Comparison) -> dict[str, Figure]:
    """Every figure of the test by its key, as in the JSON file."""
    masks = groups(comparison.probes)
    found = {f"rank1_{name.replace(' ', '')}": comparison.rank(1, mask) for name, mask in masks.items()}
    overall = masks["overall"]
    found["rank5_overall"] = comparison.rank(5, overall)
    found["rank1_overall_all_views_enrolled"] = comparison.pooled_rank1(overall)
    found["mAP"], found["mINP"] = comparison.mean_precision(overall)
    verification = comparison.verification(overall)
    found["EER"] = verification.equal_error_rate()
    found["TAR_at_FAR_1pct"] = verification.true_accept_rate(0.01)
    near = (comparison.probes.condition == "normal") & (np.round(comparison.probes.range_m / 10) * 10 <= VERIFIED_M[1])
    found["DIR_at_FAR_1pct"] = comparison.open_set(near)
    found["DIR_at_FAR_1pct_10_enrolled"] = comparison.open_set(
        near, enrolled=min(10, len(np.unique(comparison.gallery.identity)) // 2)
    )
    return found


def as_json(found: dict[str, Figure]) -> dict[str, float | list[float]]:
    """Percent: each figure under its key, its interval under the key with ``_ci95``."""
    values: dict[str, float | list[float]] = {}
    for name, figure in found.items():
        values[name] = round(100 * figure.value, 2)
        values[f"{name}_ci95"] = [round(100 * figure.low, 2), round(100 * figure.high, 2)]
    return values
