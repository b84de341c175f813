"""What tracks of unnamed people say of a place: the traits of their windows, read with the shipped weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emgait_ros.config import EngineConfig, WindowConfig
from emgait_ros.emgaitnet.weights import load_network
from emgait_ros.inference.bundle import Bundle
from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures
from emgait_ros.lab.adaptation.refit import TrackTraits
from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.evaluation.gallery_calibration import growing_windows, sequence_features, window_samples
from emgait_ros.recognition.enrollment import template_embeddings
from emgait_ros.recognition.replay import WalkWindows
from emgait_ros.recognition.track_window import WindowSample
from emgait_ros.samples import Float32, Int64, Modality

PIECE = 15  # samples of a window: half a full one, so that short tracks have two
CALIBRATED_ON = 200  # tracks that are played through the live decision at most


@dataclass(frozen=True)
class ReadTracks:
    """Tracks as the shipped weights read them.

    Attributes:
        seen: traits of consecutive windows of every track.
        seconds: of all tracks together, at 10 samples a second.
        sensors: behind the windows; windows of others are left out.
        left_out: windows that were, because they rest on other sensors than most do.
        templates: (T, 1, width + A + 1) of the first half of some tracks, as enrolment would make them (``TraitReader.embed``).
        walks: the windows of their second half, one at every sample.
        problems: a sentence for each track that could not be read.
    """

    seen: TrackTraits
    seconds: float
    sensors: Modality
    left_out: int
    templates: list[Float32]
    walks: list[WalkWindows]
    problems: tuple[str, ...]


class TraitReader:
    """A bundle up to the linear part of its embedding.

    Args:
        bundle: whose embedding is ``on_sphere`` of one linear map of moments over time.
        threads: of the processor.

    Raises:
        ValueError: its embedding has another form.

    Attributes:
        encoder: what encodes frames. network: of the bundle. used: (width,) outputs of the linear map that hold a trait.
        alone: how many numbers the network has for points alone.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.network = load_network(bundle)
        config = self.network.config
        if not config.use_moments or config.use_hpp:
            raise ValueError(
                f"bundle '{bundle.name}' has no linear part that can be refitted: expected use_moments and no use_hpp in its config.json; "
                "train it on the place's data instead (emgait train)"
            )
        self.encoder = GaitEncoder(bundle, EngineConfig(backend="onnxruntime", threads=threads))
        self.used = self.network.sequence.moments.tell.weight.detach().abs().sum(dim=1).numpy() > 0
        self.alone = config.alone_parts * config.width

    @torch.no_grad()
    def embed(self, windows: Sequence[Sequence[SampleFeatures]]) -> Float32:
        """Windows of samples -> (W, 1, width + A + 1): traits before the sphere, the mean of the network's numbers for points alone
        (A is 0 where it has none), the share of samples they stand for. In the place of ``GaitEncoder.embed``.
        """
        found = []
        for window in windows:
            image = torch.from_numpy(np.stack([sample.arrays["image_features"] for sample in window]))[None]
            traits = self.network.sequence.moments(image, torch.ones(1, len(window), dtype=torch.bool))[0].numpy()
            alone = np.stack([sample.arrays["point_features"] for sample in window])[:, : self.alone]
            share = np.array([(np.abs(alone).sum(axis=1) > 0).mean()])
            found.append(np.concatenate([traits[0], alone.mean(axis=0), share])[None])
        return np.stack(found).astype(np.float32)

    def read(
        self, sources: Iterable[SequenceSource], on_progress: Callable[[int], None] = lambda done: None
    ) -> ReadTracks:
        """Every sequence is a track of somebody: whom its labels name is not looked at.

        Args:
            sources: tracks of recordings or data sets.
            on_progress: told how many tracks are done.
        """
        traits: list[Float32] = []
        owner, sensors, kinds = [], [], []
        halves: list[tuple[Float32, WalkWindows] | None] = []
        problems, done, samples_read, live = [], 0, 0, WindowConfig()
        for number, source in enumerate(sources):
            for row in range(len(source)):
                done += 1
                on_progress(done)
                try:
                    sequence = source[row]
                except (ValueError, FileNotFoundError) as error:
                    problems.append(str(error))
                    continue
                samples = window_samples(sequence, sequence_features(self.encoder, sequence), live)
                if len(samples) < live.min_samples:
                    continue
                samples_read += len(samples)
                pieces = np.array_split(np.arange(len(samples)), max(1, len(samples) // PIECE))
                traits.append(self.embed([[samples[at].features for at in piece] for piece in pieces])[:, 0])
                owner += [len(halves)] * len(pieces)
                sensors += [_sensors(samples, piece) for piece in pieces]
                kinds.append((number, sequence.condition))
                halves.append(self._halves(samples, live) if kinds.count(kinds[-1]) <= CALIBRATED_ON else None)
        if not traits:
            raise ValueError(
                f"nobody is followed for {live.min_samples} samples" + (f"; {problems[0]}" if problems else "")
            )
        common = max(set(sensors), key=sensors.count)
        kept = np.array([found == common for found in sensors])
        rows = np.concatenate(traits)[kept].astype(np.float64)
        width = len(self.used)
        alone = rows[:, width : width + self.alone] if common == Modality.POINTS else np.zeros((len(rows), 0))
        seen = TrackTraits(rows[:, :width][:, self.used], alone, np.array(owner)[kept])
        largest = max(set(kinds), key=kinds.count)
        chosen = [half for half, kind in zip(halves, kinds, strict=True) if half and kind == largest]
        return ReadTracks(
            seen,
            samples_read / 10.0,
            common,
            int((~kept).sum()),
            [templates for templates, _ in chosen],
            [walk for _, walk in chosen],
            tuple(problems),
        )

    def _halves(self, samples: list[WindowSample], live: WindowConfig) -> tuple[Float32, WalkWindows] | None:
        """Templates of the first half and the windows of the second; None when that is too short for a decision."""
        middle = len(samples) // 2
        if middle < live.min_samples + 3:
            return None
        first = [sample.features for sample in samples[max(0, middle - live.max_samples) : middle]]
        templates, _ = template_embeddings(self, first, live.min_samples)  # type: ignore[arg-type]
        return templates, growing_windows(samples[middle:], live, self.embed)


def _sensors(samples: list[WindowSample], rows: Int64) -> Modality:
    with_image = sum(Modality.IMAGE in samples[row].modalities for row in rows)
    return Modality.BOTH if 2 * with_image >= len(rows) else Modality.POINTS
