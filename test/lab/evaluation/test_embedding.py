"""Embeddings of a data set by the product's inference: windows, and the same answer as one sequence at a time."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.preprocessing import FrameBatch, scale_crops
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.evaluation.baselines import BASELINES
from emgait_ros.lab.evaluation.embedding import embed_source, windows_of


@pytest.mark.parametrize(
    ("length", "shortest", "longest", "sizes"),
    [(10, 1, 30, [10]), (30, 1, 30, [30]), (31, 1, 30, [16, 15]), (95, 1, 30, [24, 24, 24, 23]), (2, 5, 30, [5])],
)
def test_windows_cover_a_sequence(length: int, shortest: int, longest: int, sizes: list[int]) -> None:
    windows = list(windows_of(length, shortest, longest))
    assert [len(w) for w in windows] == sizes
    assert set(np.concatenate(windows)) == set(range(length))


def test_a_set_is_embedded_as_the_live_encoder_would(repository) -> None:
    encoder = GaitEncoder(load_bundle(repository / "models/emgait-sim"), EngineConfig(backend="onnxruntime"))
    take = encoder.bundle.preprocessing
    rng = np.random.default_rng(0)
    lengths = np.array([3, encoder.bundle.max_frames + 3])
    frames = int(lengths.sum())
    data = SequenceSet(
        identity=np.array([4, 5]),
        walk=np.array([0, 1]),
        view_deg=np.zeros(2, np.float32),
        range_m=np.full(2, 10, np.float32),
        condition=np.array(["normal", "night"]),
        start=np.concatenate([[0], np.cumsum(lengths)]),
        crops=rng.integers(0, 256, (frames, take.crop_height, take.crop_width, 3), dtype=np.uint8),
        points=rng.normal(0, 0.4, (frames, take.points, take.point_values)).astype(np.float32),
        point_count=rng.integers(1, 300, frames),
        has_image=rng.random(frames) < 0.8,
        has_points=np.ones(frames, bool),
    )
    seen: list[int] = []
    found = embed_source(encoder, data, BASELINES, on_progress=seen.append)
    embedding, measured = found.embedding, found.measured
    assert (found.read.tolist(), found.problems, found.frames) == ([True, True], (), frames)
    assert seen == [2]
    for number, sequence in enumerate(data):
        batch = FrameBatch(scale_crops(sequence.crops), sequence.points, sequence.has_image, sequence.has_points)
        features = list(encoder.encode_frames(batch))
        windows = [[features[i] for i in w] for w in windows_of(len(sequence), 1, encoder.bundle.max_frames)]
        assert np.abs(embedding[number] - encoder.embed(windows).mean(axis=0)).max() < 1e-5
    assert set(measured) == set(BASELINES)
    assert all(values.shape[:2] == (2, 1) for values in measured.values())
    assert np.abs(measured["body height"].mean()) < 1e-6


def test_a_stride_keeps_to_its_sequence(repository) -> None:
    bundle = load_bundle(repository / "models/emgait-sim")
    if not any("semantic" in name for name in bundle.graphs):
        pytest.skip("the shipped bundle has no CLIP")
    take, frames = bundle.preprocessing, 4
    rng = np.random.default_rng(0)
    one = dict(
        walk=np.array([0]),
        view_deg=np.zeros(1, np.float32),
        range_m=np.zeros(1, np.float32),
        condition=np.array(["normal"]),
    )
    crops = rng.integers(0, 256, (2 * frames, take.crop_height, take.crop_width, 3), dtype=np.uint8)
    points = rng.normal(0, 0.4, (2 * frames, take.points, take.point_values)).astype(np.float32)
    seen, count = np.ones(2 * frames, bool), np.full(2 * frames, 99)

    def part(rows: slice, sequences: int) -> SequenceSet:
        return SequenceSet(
            identity=np.arange(sequences), start=np.arange(sequences + 1) * frames, crops=crops[rows], points=points[rows],
            point_count=count[rows], has_image=seen[rows], has_points=seen[rows],
            **{name: np.repeat(value, sequences) for name, value in one.items()},
        )  # fmt: skip

    encoder = GaitEncoder(bundle, EngineConfig(backend="onnxruntime", clip_stride=frames))
    both = embed_source(encoder, part(slice(None), 2)).embedding
    first = embed_source(encoder, part(slice(0, frames), 1)).embedding
    assert np.abs(both[0] - first[0]).max() < 1e-5
