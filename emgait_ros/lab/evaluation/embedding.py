"""Embeddings of the sequences of a data set, by the product's own inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures
from emgait_ros.inference.preprocessing import FrameBatch
from emgait_ros.lab.datasets.sequences import Sequence, SequenceSource, batch_of
from emgait_ros.lab.evaluation.baselines import standardised
from emgait_ros.samples import Bool, Float32, Float64, Int64

SEQUENCES_AT_ONCE = 16


@dataclass(frozen=True)
class Embedded:
    """Embeddings of a data set.

    Attributes:
        embedding: (S, parts, d) float32; zeros where a sequence could not be read.
        measured: further measurements as embeddings (S, 1, n), standardised over the sequences that were read.
        read: (S,) bool.
        problems: a sentence for each sequence that could not be read.
        frames: how many were encoded.
    """

    embedding: Float32
    measured: dict[str, Float32]
    read: Bool
    problems: tuple[str, ...]
    frames: int


def embed_source(
    encoder: GaitEncoder,
    source: SequenceSource,
    measures: dict[str, Callable[[Sequence], Float64]] | None = None,
    skip_damaged: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Embedded:
    """Embed every sequence of a data set, reading each once.

    Every frame is encoded once. A sequence longer than the bundle's window is cut into windows of about equal length, the
    embedding is their mean, as enrolment does; one that is too short is repeated.

    Args:
        encoder: a bundle on a backend.
        source: S sequences of crops and points as the bundle's preprocessing makes them.
        measures: further measurements of a sequence, by name (``baselines.BASELINES``).
        skip_damaged: leave out what cannot be read, and say so, instead of raising.
        on_progress: told how many sequences are done.

    Raises:
        ValueError, FileNotFoundError: a sequence that cannot be read, or none that can.
    """
    measures = measures or {}
    shape = encoder.bundle.embedding_shape
    embedding, read = np.zeros((len(source), *shape), np.float32), np.zeros(len(source), bool)
    values: dict[str, list[Float64]] = {name: [] for name in measures}
    problems: list[str] = []
    frames = 0
    for start in range(0, len(source), SEQUENCES_AT_ONCE):
        stop = min(start + SEQUENCES_AT_ONCE, len(source))
        sequences: list[Sequence] = []
        for number in range(start, stop):
            try:
                sequences.append(_checked(source[number], number))
                read[number] = True
            except (ValueError, FileNotFoundError) as error:
                if not skip_damaged:
                    raise
                problems.append(str(error))
        for sequence in sequences:
            frames += len(sequence)
            for name, measure in measures.items():
                values[name].append(measure(sequence))
        if sequences:
            embedding[start:stop][read[start:stop]] = _embed(encoder, sequences)
        on_progress(stop)
    if not read.any():
        raise ValueError(f"no sequence can be read; the first: {problems[0] if problems else 'the data set is empty'}")
    measured = {name: np.zeros((len(source), 1, len(rows[0])), np.float32) for name, rows in values.items()}
    for name, rows in values.items():
        measured[name][read] = standardised(np.stack(rows))
    return Embedded(embedding, measured, read, tuple(problems), frames)


def _checked(sequence: Sequence, number: int) -> Sequence:
    if not len(sequence):
        raise ValueError(f"sequence {number} (identity {sequence.identity}) has no frame: leave it out")
    return sequence


def _embed(encoder: GaitEncoder, sequences: list[Sequence]) -> list[Float32]:
    batches = [batch_of(sequence) for sequence in sequences]
    whole = FrameBatch(
        *(np.concatenate([getattr(batch, item.name) for batch in batches]) for item in fields(FrameBatch))
    )
    features = list(encoder.encode_frames(whole, follows=_follows([len(s) for s in sequences])))
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


def _follows(lengths: list[int]) -> Int64:
    """For each frame of sequences put one after another, the row of the frame before it; -1 for the first of each."""
    follows = np.arange(sum(lengths)) - 1
    follows[np.cumsum([0, *lengths[:-1]])] = -1
    return follows


def windows_of(length: int, shortest: int, longest: int) -> Iterator[Int64]:
    """Frame numbers of the windows a sequence is cut into: as few as possible, about equally long."""
    frames = np.arange(length) if length >= shortest else np.resize(np.arange(length), shortest)
    yield from np.array_split(frames, -(-len(frames) // longest))
