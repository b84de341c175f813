"""The published test set of simulated people, generated from its seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from emgait_ros.config import SampleConfig
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.plans import plan_protocol
from emgait_ros.lab.datasets.simulated import SimulatedSet
from emgait_ros.lab.simulation import walk_sets
from emgait_ros.shipped import cache_folder

FIRST_IDENTITY = 200_000  # never trained on: training takes 1,000 to 99,999, calibration 100,000 to 199,999
IDENTITIES = 100
FRAMES = 24  # 2.4 s at 10 Hz: two strides
POPULATION = 0


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
        folder = cache_folder(f"simulated-test-{digest}")
    walk_sets.generate(plan, folder, POPULATION, sample, workers)
    return SimulatedSet(folder, preprocessing)


def _simulator_digest() -> str:
    """Hex SHA-256 of the simulator's code and data: another simulator makes another set."""
    digest = hashlib.sha256()
    home = Path(walk_sets.__file__).parent
    for path in sorted([*home.glob("*.py"), *(home / "data").glob("*.npz")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
