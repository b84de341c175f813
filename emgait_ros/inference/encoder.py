"""The streaming gait encoder: each sample is encoded once, windows of features become embeddings.

Everything before the network's spatio-temporal module looks at one frame, so a track keeps the features of its
frames and only the small sequence head runs again when one is added: the same embedding as encoding the whole
window anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import FRAME_ENCODER, SEQUENCE_HEAD, Bundle
from emgait_ros.inference.engine import BackendUnavailableError, Engine, check_specs
from emgait_ros.inference.preprocessing import FrameBatch

log = logging.getLogger(__name__)
Engines = dict[str, Engine]


@dataclass(frozen=True)
class SampleFeatures:
    """What a track keeps of one frame: image (S, d) float32 and point (d,) float32."""

    image: NDArray[np.float32]
    point: NDArray[np.float32]


@dataclass(frozen=True)
class FrameFeatures:
    """Features of B samples: image (B, S, d) float32 and point (B, d) float32; ``features[i]`` is one sample's own copy."""

    image: NDArray[np.float32]
    point: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, sample: int) -> SampleFeatures:
        return SampleFeatures(self.image[sample].copy(), self.point[sample].copy())

    def __iter__(self) -> Iterator[SampleFeatures]:
        return (self[sample] for sample in range(len(self)))


class GaitEncoder:
    """A bundle on the best available backend.

    Args:
        bundle: a verified bundle.
        config: backend, threads and largest batch.

    Raises:
        ValueError: the backend that was asked for is not available, or no backend is.

    Attributes:
        bundle: the bundle.
        fingerprint: which embeddings may be compared with this encoder's.
        backend: name of the backend that runs.
        description: backend, device and precision in words.
    """

    def __init__(self, bundle: Bundle, config: EngineConfig | None = None) -> None:
        self.bundle = bundle
        self.config = config or EngineConfig()
        self.fingerprint = bundle.fingerprint
        engines = open_engines(bundle, self.config)
        for name, engine in engines.items():
            check_specs(engine.inputs, bundle.graphs[name].inputs, str(bundle.graphs[name].path))
            check_specs(engine.outputs, bundle.graphs[name].outputs, str(bundle.graphs[name].path))
        self._frame_encoder, self._sequence_head = engines[FRAME_ENCODER], engines[SEQUENCE_HEAD]
        self.backend = self._frame_encoder.backend
        self.description = self._frame_encoder.description
        image, point = self._frame_encoder.outputs
        self._image_shape = tuple(int(size) for size in image.shape[1:])  # (S, d)
        self._point_shape = tuple(int(size) for size in point.shape[1:])  # (d,)

    def encode_frames(self, batch: FrameBatch) -> FrameFeatures:
        """Encode B samples once, in sub-batches of ``config.max_batch``; B may be 0.

        Raises:
            ValueError: arrays that do not fit the bundle, or are not finite; names the tensor.
        """
        image = np.empty((len(batch), *self._image_shape), np.float32)
        point = np.empty((len(batch), *self._point_shape), np.float32)
        for start in range(0, len(batch), self.config.max_batch):
            rows = slice(start, start + self.config.max_batch)
            results = self._frame_encoder.run(batch.feeds(rows.start, rows.stop))
            image[rows], point[rows] = results["image_features"], results["point_features"]
        return FrameFeatures(image, point)

    def embed(self, windows: Sequence[Sequence[SampleFeatures]]) -> NDArray[np.float32]:
        """Embeddings of B windows of any lengths from ``bundle.min_frames`` to ``bundle.max_frames``.

        Returns:
            (B, parts, d) float32, in the order of the windows.

        Raises:
            ValueError: a window of a length the bundle was not made for.
        """
        lengths = np.array([len(window) for window in windows], np.int64)
        low, high = self.bundle.min_frames, self.bundle.max_frames
        if len(lengths) and not (low <= lengths.min() and lengths.max() <= high):
            raise ValueError(
                f"windows have {lengths.min()} to {lengths.max()} samples: bundle '{self.bundle.name}' takes {low} to {high}"
            )
        embeddings = np.empty((len(windows), *self.bundle.embedding_shape), np.float32)
        by_length = np.argsort(lengths, kind="stable")  # windows of like length share a batch: less padding
        for start in range(0, len(windows), self.config.max_batch):
            rows = by_length[start : start + self.config.max_batch]
            embeddings[rows] = self._embed([windows[row] for row in rows], lengths[rows])
        return embeddings

    def _embed(self, windows: Sequence[Sequence[SampleFeatures]], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        frame_mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
        image = np.zeros((*frame_mask.shape, *self._image_shape), np.float32)
        point = np.zeros((*frame_mask.shape, *self._point_shape), np.float32)
        for row, window in enumerate(windows):
            np.stack([sample.image for sample in window], out=image[row, : len(window)])
            np.stack([sample.point for sample in window], out=point[row, : len(window)])
        feeds = {"image_features": image, "point_features": point, "frame_mask": frame_mask}
        return self._sequence_head.run(feeds)["embedding"]


def open_engines(bundle: Bundle, config: EngineConfig) -> Engines:
    """The two engines of a bundle on the backend the config names; "auto" takes the best available and logs why."""
    openers: dict[str, Callable[[Bundle, EngineConfig], Engines]] = {
        "tensorrt": _open_tensorrt,
        "onnxruntime": _open_onnxruntime,
        "torch": _open_torch,
    }
    if config.backend != "auto":
        if config.backend not in openers:
            raise ValueError(f"unknown inference backend '{config.backend}': known are auto, {', '.join(openers)}")
        engines = openers[config.backend](bundle, config)
        log.info("inference: %s, as configured", engines[FRAME_ENCODER].description)
        return engines
    absent: list[str] = []
    failed: list[str] = []
    for name, opener in openers.items():
        try:
            engines = opener(bundle, config)
        except BackendUnavailableError as error:
            absent.append(str(error))
        except ValueError as error:
            failed.append(f"{name}: {error}")
        else:
            _report(engines[FRAME_ENCODER].description, absent, failed)
            return engines
    raise ValueError(f"no inference backend can run bundle '{bundle.name}': {'; '.join([*absent, *failed])}")


def _report(description: str, absent: list[str], failed: list[str]) -> None:
    """A backend that is not there is worth a word, one that is there and fails is worth a warning."""
    if failed:
        log.warning("inference falls back to %s, because %s", description, "; ".join(failed))
    else:
        log.info("inference: %s, the best available%s", description, f" ({'; '.join(absent)})" if absent else "")


def _open_tensorrt(bundle: Bundle, config: EngineConfig) -> Engines:
    from emgait_ros.inference.tensorrt_engine import tensorrt_engines

    return tensorrt_engines(bundle, config)


def _open_onnxruntime(bundle: Bundle, config: EngineConfig) -> Engines:
    try:
        from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
    except ImportError as error:
        raise BackendUnavailableError(f"onnxruntime is not installed ({error}): pip install onnxruntime") from error
    return {name: OnnxRuntimeEngine(graph.path, config.threads) for name, graph in bundle.graphs.items()}


def _open_torch(bundle: Bundle, config: EngineConfig) -> Engines:
    from emgait_ros.inference.torch_engine import torch_engines

    return dict(torch_engines(bundle, config.threads))
