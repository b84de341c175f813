"""The learned judge of the detector: how likely each candidate is a person, from its views.

A small network trained on simulated streets (``emgait train-detector``), run by onnxruntime on one thread for all candidates of a
cloud at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32
from emgait_ros.sensing.perception.verifier import open_onnx
from emgait_ros.sensing.perception.views import FRONT_SHAPE, READ, TOP_SHAPE, Views
from emgait_ros.shipped import shipped_path

SHIPPED = "models/pedestrian-scorer"
FIRST_LOOK, SCORER = "first_look.onnx", "scorer.onnx"
INPUTS: dict[str, dict[str, tuple[int, ...]]] = {
    FIRST_LOOK: {"measures": (len(READ),)},
    SCORER: {"front": FRONT_SHAPE, "top": TOP_SHAPE, "measures": (len(READ),)},
}


class Scorer:
    """Probability of a person, and of several who cannot be separated, for each candidate.

    Args:
        folder: of ``emgait train-detector``; empty: the one that ships.

    Raises:
        ValueError: no such files, not readable, or made for other inputs; says what was found and expected.
    """

    def __init__(self, folder: str = "") -> None:
        path = Path(folder).expanduser() if folder else shipped_path(SHIPPED)
        self._first, self._second = (_session(path / name, INPUTS[name]) for name in (FIRST_LOOK, SCORER))

    def promising(self, measures: Float32) -> NDArray[np.bool_]:
        """(K,) which candidates are worth views, from their measures (K, M) alone: nearly all people, and half of the rest."""
        if len(measures) == 0:
            return np.zeros(0, bool)
        return np.asarray(self._first.run(None, {"measures": measures})[0] > 0.0, np.bool_)

    def score(self, views: Views) -> tuple[Float32, Float32]:
        """(K,) float32 probability 0..1 of a person, and of several people in one."""
        if len(views.front) == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        fed = {"front": views.front, "top": views.top, "measures": views.measures}
        (probability,) = self._second.run(None, fed)
        return probability[:, 0], probability[:, 1]


def _session(path: Path, inputs: dict[str, tuple[int, ...]]) -> Any:
    session = open_onnx(str(path), "detector.scorer")
    found = {entry.name: tuple(entry.shape[1:]) for entry in session.get_inputs()}
    if found != inputs:
        raise ValueError(
            f"detector.scorer: {path} takes {found}, expected {inputs}: train it again with this version (emgait train-detector)"
        )
    return session
