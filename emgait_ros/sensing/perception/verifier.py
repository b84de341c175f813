"""Does a crop show a person? Optional second opinion of the camera on what the LiDAR takes for one.

No model is shipped. ``verifier.model`` is ``mediapipe`` (the pose model inside Google's mediapipe package, Apache-2.0, run by
ai-edge-litert; the package itself is never imported) or the path of an ONNX classifier of one's own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from emgait_ros.config import VerifierConfig
from emgait_ros.samples import Float64, Sample, UInt8

POSE_MODEL = "modules/pose_landmark/pose_landmark_full.tflite"
DARK = 25.0  # mean gray level of a crop that shows nothing
MEMORY = 0.3  # weight of the newest score in a track's mean


class Verifier(Protocol):
    """Looks at crops. Give ``PedestrianSensing`` your own: anything with this method will do."""

    def scores(self, crops: list[UInt8]) -> Float64:
        """How surely each crop, (H, W, 3) uint8 RGB, shows a person: (N,) 0..1."""
        ...


class PoseVerifier:
    """Presence score of mediapipe's pose landmarks, 16 ms a crop on one core.

    Raises:
        ValueError: mediapipe or ai-edge-litert is not installed; says how to.
    """

    def __init__(self) -> None:
        spec = find_spec("mediapipe")
        folders = [Path(f) for f in spec.submodule_search_locations or ()] if spec else []
        found = [f / POSE_MODEL for f in folders if (f / POSE_MODEL).is_file()]
        if not found:
            raise ValueError(
                f"verifier.model is 'mediapipe', but no installed package holds {POSE_MODEL}: "
                "pip install --no-deps mediapipe==0.10.14, or name an ONNX file"
            )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ValueError("verifier.model 'mediapipe' needs the package ai-edge-litert: pip install it") from error
        self._interpreter: Any = Interpreter(str(found[0]), num_threads=1)
        self._interpreter.allocate_tensors()
        entry = self._interpreter.get_input_details()[0]
        self._input, self._side = entry["index"], int(entry["shape"][1])
        outputs = self._interpreter.get_output_details()
        self._presence = next(o["index"] for o in outputs if int(np.prod(o["shape"])) == 1)

    def scores(self, crops: list[UInt8]) -> Float64:
        """See ``Verifier``."""
        out = np.zeros(len(crops))
        for i, crop in enumerate(crops):
            self._interpreter.set_tensor(self._input, squared(crop, self._side)[None].astype(np.float32) / 255.0)
            self._interpreter.invoke()
            out[i] = float(self._interpreter.get_tensor(self._presence).ravel()[0])
        return np.clip(out, 0.0, 1.0)


class OnnxVerifier:
    """A classifier of the user's: input (N, 3, H, W) float32 RGB 0..1, output (N,), (N, 1) or (N, 2).

    One number is the probability of a person (a logit when outside 0..1); two are logits of [something else, person].

    Args:
        path: the ONNX file.

    Raises:
        ValueError: no such file, or its input or output has another form; says what was found.
    """

    def __init__(self, path: str) -> None:
        self._session = open_onnx(path, "verifier.model")
        entry = self._session.get_inputs()[0]
        height, width = entry.shape[2:4] if len(entry.shape) == 4 else (0, 0)
        if len(entry.shape) != 4 or entry.shape[1] != 3 or not isinstance(height, int) or not isinstance(width, int):
            raise ValueError(
                f"verifier.model {path}: input '{entry.name}' has the shape {entry.shape}: expected (N, 3, H, W)"
            )
        self._name, self._shape = entry.name, (height, width)

    def scores(self, crops: list[UInt8]) -> Float64:
        """See ``Verifier``."""
        if not crops:
            return np.zeros(0)
        height, width = self._shape
        batch = np.stack([cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA) for crop in crops])
        batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        one_by_one = [
            np.asarray(self._session.run(None, {self._name: image[None]})[0], np.float64).ravel() for image in batch
        ]
        values = np.stack(one_by_one)
        if values.shape[1] == 2:
            return np.asarray(1.0 / (1.0 + np.exp(values[:, 0] - values[:, 1])))
        if values.shape[1] != 1:
            raise ValueError(f"verifier.model gives {values.shape[1]} numbers a crop: expected 1 or 2")
        value = values[:, 0]
        inside = (value >= 0).all() and (value <= 1).all()
        return value if inside else np.asarray(1.0 / (1.0 + np.exp(-value)))


def open_onnx(path: str, option: str) -> Any:
    """An onnxruntime session on one thread.

    Raises:
        ValueError: no such file, or not readable as ONNX; names the option.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"{option} is '{path}': there is no such file")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no public base class for what it throws
        raise ValueError(f"{option} {path} cannot be loaded as ONNX: {error}") from error


def make_verifier(config: VerifierConfig) -> Verifier | None:
    """The verifier the options ask for; None when they ask for none.

    Raises:
        ValueError: what it needs is not installed or not readable.
    """
    if not config.model:
        return None
    return PoseVerifier() if config.model == "mediapipe" else OnnxVerifier(config.model)


class TrackVerdicts:
    """Mean verifier score of each track; scores a few crops a frame, the least known tracks first.

    Args:
        config: how many crops a frame, and when a track is dismissed.
        verifier: what looks.
    """

    def __init__(self, config: VerifierConfig, verifier: Verifier) -> None:
        self._config, self._verifier = config, verifier
        self._looks: dict[int, int] = {}
        self._mean: dict[int, float] = {}

    def reset(self) -> None:
        """Forget all tracks."""
        self._looks.clear()
        self._mean.clear()

    def sift(self, pedestrians: tuple[Sample, ...]) -> tuple[Sample, ...]:
        """The pedestrians of one frame without those whose crops have shown no person."""
        here = {p.track_id for p in pedestrians}
        self._looks = {track: count for track, count in self._looks.items() if track in here}
        self._mean = {track: mean for track, mean in self._mean.items() if track in here}
        wanted = sorted(
            (p for p in pedestrians if p.crop is not None and self._worth_a_look(p)),
            key=lambda p: (self._looks.get(p.track_id, 0), p.range_m),
        )[: self._config.crops_per_frame]
        scores = self._verifier.scores([p.crop for p in wanted if p.crop is not None])
        for pedestrian, score in zip(wanted, scores.tolist(), strict=True):
            track = pedestrian.track_id
            mean = self._mean.get(track, score)
            self._mean[track] = mean + max(MEMORY, 1.0 / (self._looks.get(track, 0) + 1)) * (score - mean)
            self._looks[track] = self._looks.get(track, 0) + 1
        return tuple(p for p in pedestrians if not self._rejected(p.track_id))

    def _worth_a_look(self, pedestrian: Sample) -> bool:
        crop = pedestrian.crop
        bright = crop is not None and float(crop[::8, ::8].mean()) >= DARK
        return bright and pedestrian.crop_native_height_px >= self._config.min_height_px and pedestrian.occlusion < 0.5

    def _rejected(self, track: int) -> bool:
        enough = self._looks.get(track, 0) >= self._config.min_looks
        return enough and self._mean.get(track, 1.0) < self._config.reject_below


def squared(crop: UInt8, side: int) -> UInt8:
    """The crop in the middle of a black square, (side, side, 3) uint8."""
    height, width = crop.shape[:2]
    longest = max(height, width)
    top, left = (longest - height) // 2, (longest - width) // 2
    borders = (top, longest - height - top, left, longest - width - left)
    padded = cv2.copyMakeBorder(crop, *borders, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return np.asarray(cv2.resize(padded, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
