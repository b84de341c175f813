"""Embeddings of the sequences of a data set, by the product's own inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from emgait_ros.datasets.sequences import Sequence, SequenceSource
from emgait_ros.evaluation.baselines import standardised
from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures
from emgait_ros.inference.preprocessing import FrameBatch, scale_crops
from emgait_ros.samples import Float32, Float64, Int64

SEQUENCES_AT_ONCE = 16


def embed_source(
    encoder: GaitEncoder,
    source: SequenceSource,
    measures: dict[str, Callable[[Sequence], Float64]] | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[Float32, dict[str, Float32]]:
    """Embed every sequence of a data set, reading each once.

    Every frame is encoded once. A sequence longer than the bundle's window is cut into windows of about equal length, the
    embedding is their mean, as enrolment does; one that is too short is repeated.

    Args:
        encoder: a bundle on a backend.
        source: S sequences of crops and points as the bundle's preprocessing makes them.
        measures: further measurements of a sequence, by name (``baselines.BASELINES``).
        on_progress: told how many sequences are done.

    Returns:
        (S, parts, d) float32, and each measure's values as embeddings (S, 1, n), standardised over the sequences.

    Raises:
        ValueError: an empty sequence.
    """
    measures = measures or {}
    embeddings: list[Float32] = []
    measured: dict[str, list[Float64]] = {name: [] for name in measures}
    for start in range(0, len(source), SEQUENCES_AT_ONCE):
        sequences = [source[number] for number in range(start, min(start + SEQUENCES_AT_ONCE, len(source)))]
        for number, sequence in enumerate(sequences, start):
            if not len(sequence):
                raise ValueError(f"sequence {number} (identity {sequence.identity}) has no frame: leave it out")
            for name, measure in measures.items():
                measured[name].append(measure(sequence))
        embeddings += _embed(encoder, sequences)
        on_progress(start + len(sequences))
    return np.stack(embeddings), {name: standardised(np.stack(values)) for name, values in measured.items()}


def _embed(encoder: GaitEncoder, sequences: list[Sequence]) -> list[Float32]:
    features = list(
        encoder.encode_frames(
            FrameBatch(
                scale_crops(np.concatenate([s.crops for s in sequences])),
                np.concatenate([s.points for s in sequences]),
                np.concatenate([s.has_image for s in sequences]),
                np.concatenate([s.has_points for s in sequences]),
            )
        )
    )
    windows: list[list[SampleFeatures]] = []
    owner: list[int] = []
    first = 0
    for number, sequence in enumerate(sequences):
        for rows in windows_of(len(sequence), encoder.bundle.min_frames, encoder.bundle.max_frames):
            windows.append([features[first + row] for row in rows])
            owner.append(number)
        first += len(sequence)
    embedded, owners = encoder.embed(windows), np.array(owner)
    return [embedded[owners == number].mean(axis=0) for number in range(len(sequences))]


def windows_of(length: int, shortest: int, longest: int) -> Iterator[Int64]:
    """Frame numbers of the windows a sequence is cut into: as few as possible, about equally long."""
    frames = np.arange(length) if length >= shortest else np.resize(np.arange(length), shortest)
    yield from np.array_split(frames, -(-len(frames) // longest))
