"""The streaming gait encoder: each sample is encoded once, windows of features become embeddings.

Everything before the network's spatio-temporal module (before time is pooled, in other architectures) looks at one frame, so a track
keeps the features of its frames and only the small sequence head runs again when one is added: the same embedding as
encoding the whole window anew. CLIP, by far the largest part of a frame, sees the samples that have an image, or with a stride every
so many-th of them: the samples between take the text of the last one it saw.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import FRAME_ENCODER, SEMANTIC_ENCODER, SEQUENCE_HEAD, Bundle, sensors_of
from emgait_ros.inference.engine import BackendUnavailableError, Engine, check_specs
from emgait_ros.inference.preprocessing import FrameBatch, prepare
from emgait_ros.inference.reference import check_parity
from emgait_ros.inference.segmenter import Segmenter, open_segmenter
from emgait_ros.samples import Bool, Float32, Int64, Sample

log = logging.getLogger(__name__)
Engines = dict[str, Engine]


@dataclass(frozen=True)
class MinedText:
    """What CLIP said of a track: text (5, E) float32, and how many images of the track it has served since."""

    text: Float32
    age: int


@dataclass(frozen=True)
class SampleFeatures:
    """What a track keeps of one frame: float32 arrays of the frame encoder by name and, with a CLIP stride, its newest text."""

    arrays: dict[str, Float32]
    mined: MinedText | None = None


@dataclass(frozen=True)
class FrameFeatures:
    """Features of B samples: arrays (B, ...) float32 by name; ``features[i]`` is one sample's own copy."""

    arrays: dict[str, Float32]
    mined: tuple[MinedText | None, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, sample: int) -> SampleFeatures:
        mined = self.mined[sample] if self.mined else None
        return SampleFeatures({name: values[sample].copy() for name, values in self.arrays.items()}, mined)

    def __iter__(self) -> Iterator[SampleFeatures]:
        return (self[sample] for sample in range(len(self)))


class GaitEncoder:
    """A bundle on the best available backend.

    Args:
        bundle: a verified bundle.
        config: backend, threads, largest batch and CLIP stride.

    Raises:
        ValueError: the backend that was asked for is not available, or no backend is.

    Attributes:
        bundle: the bundle.
        fingerprint: which embeddings may be compared with this encoder's.
        backend: name of the backend that runs.
        description: backend, device and precision in words.
        clip_stride: CLIP looks at every so many-th image of a track; 1 is exact.
        segmenter: makes silhouettes of crops; None: nothing does.
        preprocessing: the bundle's, silhouettes made of points where it learnt from a camera's and no segmenter is configured.
        sensors: which it looks at.
        engines: by graph, in the order they run.
    """

    def __init__(self, bundle: Bundle, config: EngineConfig | None = None) -> None:
        self.bundle = bundle
        self.config = config or EngineConfig()
        self.engines = engines = open_engines(bundle, self.config)
        for name, engine in engines.items():
            check_specs(engine.inputs, bundle.graphs[name].inputs, str(bundle.graphs[name].path))
            check_specs(engine.outputs, bundle.graphs[name].outputs, str(bundle.graphs[name].path))
        self._semantic_encoder = engines.get(SEMANTIC_ENCODER)
        self._frame_encoder, self._sequence_head = engines[FRAME_ENCODER], engines[SEQUENCE_HEAD]
        self.clip_stride = (self.config.clip_stride or bundle.clip_stride) if self._semantic_encoder else 1
        self.backend = self._frame_encoder.backend
        self.description = (self._semantic_encoder or self._frame_encoder).description
        if self.clip_stride > 1:
            self.description += f", CLIP on every {self.clip_stride}. image of a track"
        self._imageless_text: Float32 | None = None  # (5, E), of samples without image
        self._shapes = {s.name: tuple(int(size) for size in s.shape[1:]) for s in self._frame_encoder.outputs}
        self.segmenter = segmenter_for(bundle, self.config)
        self.fingerprint = fingerprint_with(bundle, self.segmenter)
        self.preprocessing, self._warned = bundle.preprocessing, False
        if bundle.preprocessing.silhouettes:
            if self.segmenter is None:
                self.preprocessing = replace(bundle.preprocessing, silhouette_source="points")
            made = f"of crops by {self.segmenter.name}" if self.segmenter else "of projected LiDAR returns"
            self.description += f", silhouettes {made}"
        self.sensors = sensors_of(bundle.inputs, self.preprocessing.silhouette_source)

    def prepare(self, pedestrians: Sequence[Sample]) -> FrameBatch:
        """Tensors of samples as the network takes them (:func:`preprocessing.prepare`), silhouettes by the configured segmenter."""
        if self.preprocessing != self.bundle.preprocessing and not self._warned:
            self._warned = True
            log.warning(
                "bundle '%s' learnt from silhouettes of images, and engine.segmenter names nothing that makes them: "
                "they are made of projected LiDAR returns, which it knows less well",
                self.bundle.name,
            )
        return prepare(pedestrians, self.preprocessing, self.segmenter)

    def encode_frames(
        self, batch: FrameBatch, previous: Sequence[SampleFeatures | None] | None = None, follows: Int64 | None = None
    ) -> FrameFeatures:
        """Encode B samples once, in sub-batches of ``config.max_batch``; B may be 0.

        Args:
            batch: the samples.
            previous: for each, what its track kept of the sample before it, or None where there was none. Only a CLIP
                stride needs it: without it CLIP looks at every image.
            follows: (B,) where several samples are of one track: the row of the one before, above its own row in the
                batch, or -1. Offline evaluation encodes whole sequences at once.

        Raises:
            ValueError: arrays that do not fit the bundle, or are not finite; names the tensor.
        """
        if len({len(array) for array in batch.feeds().values()}) != 1:
            rows_of = ", ".join(f"{name} has {len(array)}" for name, array in batch.feeds().items())
            raise ValueError(f"the arrays of a batch need one row a sample: {rows_of}")
        arrays = {name: np.empty((len(batch), *shape), np.float32) for name, shape in self._shapes.items()}
        text, mined = self._text(batch, previous or [None] * len(batch), follows)
        for start in range(0, len(batch), self.config.max_batch):
            rows = slice(start, start + self.config.max_batch)
            feeds = batch.feeds(rows.start, rows.stop)
            results = self._frame_encoder.run(feeds if text is None else {**feeds, "text": text[rows]})
            for name, values in arrays.items():
                values[rows] = results[name]
        return FrameFeatures(arrays, mined)

    def _text(
        self, batch: FrameBatch, previous: Sequence[SampleFeatures | None], follows: Int64 | None
    ) -> tuple[Float32 | None, tuple[MinedText | None, ...]]:
        """Text (B, 5, E) each sample is aligned to, None without SeMi; and what each track keeps of it, with a stride."""
        if self._semantic_encoder is None or len(batch) == 0:
            return None, ()
        kept = [sample.mined if sample else None for sample in previous]
        source, age = schedule(batch.has_image, kept, follows, self.clip_stride)
        looked_at = np.flatnonzero(source == np.arange(len(batch)))
        text = np.empty((len(batch), *(int(n) for n in self._semantic_encoder.outputs[0].shape[1:])), np.float32)
        for start in range(0, len(looked_at), self.config.max_batch):
            rows = looked_at[start : start + self.config.max_batch]
            text[rows] = self._mine(batch.crops[rows], batch.has_image[rows])
        if not batch.has_image.all():
            text[~batch.has_image] = self._text_without_image(batch.crops[:1])
        if self.clip_stride == 1:
            return text, ()
        mined: list[MinedText | None] = []
        for row, origin in enumerate(source):
            have = kept[row] if origin == KEPT else mined[origin] if 0 <= origin < row else None
            if origin == row:
                have = MinedText(text[row].copy(), 0)
            mined.append(MinedText(have.text, int(age[row])) if have else None)
            if have and batch.has_image[row]:
                text[row] = have.text
        return text, tuple(mined)

    def _mine(self, crops: Float32, has_image: Bool) -> Float32:
        assert self._semantic_encoder is not None  # noqa: S101
        return self._semantic_encoder.run({"crops": crops, "has_image": has_image})["text"]

    def _text_without_image(self, crop: Float32) -> Float32:
        """(5, E): the same for every sample without image, so it is computed once."""
        if self._imageless_text is None:
            self._imageless_text = self._mine(np.zeros_like(crop), np.zeros(1, bool))[0].copy()
        return self._imageless_text

    def embed(self, windows: Sequence[Sequence[SampleFeatures]]) -> Float32:
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

    def _embed(self, windows: Sequence[Sequence[SampleFeatures]], lengths: Int64) -> Float32:
        frame_mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
        feeds = {name: np.zeros((*frame_mask.shape, *shape), np.float32) for name, shape in self._shapes.items()}
        for name, values in feeds.items():
            for row, window in enumerate(windows):
                np.stack([sample.arrays[name] for sample in window], out=values[row, : len(window)])
        return self._sequence_head.run({**feeds, "frame_mask": frame_mask})["embedding"]


def segmenter_for(bundle: Bundle, config: EngineConfig) -> Segmenter | None:
    """The configured segmenter, where the bundle learnt from silhouettes of images; ValueError when it cannot be opened."""
    made = bundle.preprocessing
    return open_segmenter(config.segmenter) if config.segmenter and made.silhouettes_of_images else None


def fingerprint_with(bundle: Bundle, segmenter: Segmenter | None) -> str:
    """The bundle's fingerprint; another one where silhouettes are not those of its training: a gallery must not mix them."""
    if not bundle.preprocessing.silhouettes_of_images:
        return bundle.fingerprint
    made_by = segmenter.sha256 if segmenter else "points"
    return hashlib.sha256(f"{bundle.fingerprint} {made_by}".encode()).hexdigest()


KEPT, NO_TEXT = -1, -2


def schedule(
    has_image: Bool, kept: Sequence[MinedText | None], follows: Int64 | None, stride: int
) -> tuple[Int64, Int64]:
    """Which image CLIP looks at.

    Args:
        has_image: (B,) samples.
        kept: the text each sample's track has so far.
        follows: (B,) row of the sample before in the same track or -1; None: every sample is of another track.
        stride: CLIP looks at every so many-th image of a track. Tracks that start together take turns after that.

    Returns:
        (B,) for each sample, the row whose image gives the newest text of its track (its own: CLIP looks at it), ``KEPT``
        for the text the track has, or ``NO_TEXT``; and (B,) the age of that text, in images.
    """
    source, age = np.full(len(has_image), NO_TEXT), np.zeros(len(has_image), np.int64)
    for row, (seen, text) in enumerate(zip(has_image, kept, strict=True)):
        before = -1 if follows is None else int(follows[row])
        if before >= 0:
            source[row], age[row] = source[before], age[before]
        elif text is not None:
            source[row], age[row] = KEPT, text.age
        if not seen:
            continue
        fresh = source[row] == NO_TEXT
        if fresh or age[row] + 1 >= stride:
            source[row] = row
            age[row] = row % stride if fresh and follows is None else 0
        else:
            age[row] += 1
    return source, age


def open_engines(bundle: Bundle, config: EngineConfig) -> Engines:
    """The engines of a bundle on the backend the config names; "auto" takes the best available and logs why."""
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
    paths = {name: graph.path for name, graph in bundle.graphs.items()}
    int8 = bundle.int8_path if OnnxRuntimeEngine.on_cpu() else None
    if int8 is not None:
        paths[SEMANTIC_ENCODER] = int8
    engines: Engines = {name: OnnxRuntimeEngine(path, config.threads) for name, path in paths.items()}
    if int8 is not None:
        engine = engines[SEMANTIC_ENCODER]
        engine.description += ", CLIP in INT8"
        check_parity(engine, bundle.reference(), int8, config.max_batch)  # INT8 differs between CPUs
    return engines


def _open_torch(bundle: Bundle, config: EngineConfig) -> Engines:
    from emgait_ros.inference.torch_engine import torch_engines

    return dict(torch_engines(bundle, config.threads))
