"""The learned judge of the detector: how likely each candidate is a person, from its views.

A small network trained on simulated streets (``emgait train-detector``), run by onnxruntime on one thread for all candidates of a
cloud at once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emgait_ros.samples import Float32
from emgait_ros.sensing.perception.verifier import open_onnx
from emgait_ros.sensing.perception.views import FRONT_SHAPE, READ, TOP_SHAPE, Views
from emgait_ros.shipped import shipped_path

SHIPPED = "models/pedestrian_scorer.onnx"
INPUTS = {"front": FRONT_SHAPE, "top": TOP_SHAPE, "measures": (len(READ),)}


class Scorer:
    """Probability of a person, and of several who cannot be separated, for each candidate.

    Args:
        path: an ONNX file; empty: the one that ships.

    Raises:
        ValueError: no such file, not readable, or made for other inputs; says what was found and expected.
    """

    def __init__(self, path: str = "") -> None:
        path = path or str(shipped_path(SHIPPED))
        self._session = open_onnx(path, "detector.scorer")
        found = {entry.name: tuple(entry.shape[1:]) for entry in self._session.get_inputs()}
        if found != INPUTS:
            raise ValueError(
                f"detector.scorer {Path(path)} takes {found}: expected {INPUTS}; "
                "train it again with this version (emgait train-detector)"
            )

    def score(self, views: Views) -> tuple[Float32, Float32]:
        """(K,) float32 probability 0..1 of a person, and of several people in one."""
        if len(views.front) == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        fed = {"front": views.front, "top": views.top, "measures": views.measures}
        (probability,) = self._session.run(None, fed)
        return probability[:, 0], probability[:, 1]
