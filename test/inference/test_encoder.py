import logging
import subprocess
import sys

import numpy as np
import pytest

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.engine import TensorSpec, check_feeds, check_specs
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.preprocessing import FrameBatch


@pytest.fixture
def encoder(bundle):
    return GaitEncoder(bundle, EngineConfig(max_batch=3))


def test_onnxruntime_and_torch_agree(bundle, samples):
    found = {}
    for backend in ("onnxruntime", "torch"):
        encoder = GaitEncoder(bundle, EngineConfig(backend=backend))
        assert encoder.backend == backend
        features = encoder.encode_frames(samples)
        found[backend] = (
            features.arrays["image_features"],
            features.arrays["point_features"],
            encoder.embed([list(features), list(features)[1:4]]),
        )
    for onnx, torch in zip(*found.values(), strict=True):
        np.testing.assert_allclose(onnx, torch, rtol=0, atol=1e-4)


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_streaming_gives_what_the_plain_forward_gives(bundle, backend):
    """Two people; windows that fill, slide and have gaps, against the paper's forward of exactly their frames."""
    torch = pytest.importorskip("torch")
    from emgait_ros.emgaitnet.example_inputs import random_samples
    from emgait_ros.emgaitnet.fast import plain_of
    from emgait_ros.emgaitnet.weights import load_network

    network, encoder = load_network(bundle), GaitEncoder(bundle, EngineConfig(backend=backend, max_batch=3))
    reference = plain_of(network)
    people, seen, longest = 2, 14, bundle.max_frames
    walks = [random_samples(network.config, seen, seed=person) for person in range(people)]
    tracks = [[] for _ in range(people)]
    for frame in range(seen):
        present = [0] if frame == 9 else list(range(people))  # the second person is hidden for a frame
        new = {name: torch.stack([walks[person][name][frame] for person in present]).numpy() for name in walks[0]}
        before = [tracks[person][-1][1] if tracks[person] else None for person in present]
        for person, features in zip(present, encoder.encode_frames(FrameBatch(**new), before), strict=True):
            tracks[person] = [*tracks[person], (frame, features)][-longest:]
        if frame < 1:
            continue
        embedded = encoder.embed([[features for _, features in track] for track in tracks])
        if frame not in (1, 5, 11, 13):  # fills, fills, full, slid twice
            continue
        for person, track in enumerate(tracks):
            frames = [number for number, _ in track]
            whole = {name: value[frames][None] for name, value in walks[person].items()}
            mask = torch.ones(1, len(frames), dtype=torch.bool)
            with torch.no_grad():
                plain = reference(**whole, frame_mask=mask).embedding[0].numpy()
            np.testing.assert_allclose(embedded[person], plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
def test_batches_above_the_largest_are_split_and_change_nothing(encoder, samples, batch):
    part = FrameBatch(
        samples.crops[:batch], samples.points[:batch], samples.has_image[:batch], samples.has_points[:batch]
    )
    together = encoder.encode_frames(part)
    for row in range(batch):
        alone = encoder.encode_frames(FrameBatch(**{name: value[row : row + 1] for name, value in vars(part).items()}))
        np.testing.assert_allclose(together[row].arrays["image_features"], alone[0].arrays["image_features"], atol=1e-5)
        np.testing.assert_allclose(together[row].arrays["point_features"], alone[0].arrays["point_features"], atol=1e-5)


def test_a_batch_with_too_few_rows_of_something_is_named(encoder, samples):
    with pytest.raises(ValueError, match="crops has 5, points has 3, has_image has 5"):
        encoder.encode_frames(FrameBatch(samples.crops, samples.points[:3], samples.has_image, samples.has_points))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.crops.__setitem__((0, 0, 0, 0), np.nan), "crops of semantic_encoder has 1 values that are not"),
        (lambda b: b.points.__setitem__((0, 0, 0), np.inf), "points of frame_encoder has 1 values that are not"),
    ],
)
def test_a_sample_that_is_not_finite_never_becomes_an_embedding(encoder, samples, change, words):
    change(samples)
    with pytest.raises(ValueError, match=words):
        encoder.encode_frames(samples)


def test_fewer_points_than_the_network_takes_are_refused(encoder, samples):
    with pytest.raises(ValueError, match=r"points of frame_encoder has shape \(3, 20, 7\): axis 1 must be 24"):
        encoder.encode_frames(
            FrameBatch(samples.crops, samples.points[:, :20].copy(), samples.has_image, samples.has_points)
        )


def test_windows_of_any_length_come_back_in_their_order(encoder, samples):
    frames = list(encoder.encode_frames(samples))
    windows = [frames[:2], frames * 2, frames[1:4], frames, frames[2:4]]
    together = encoder.embed(windows)
    assert together.shape == (5, 4, 16)
    assert together.dtype == np.float32
    for row, window in enumerate(windows):
        np.testing.assert_allclose(together[row], encoder.embed([window])[0], atol=1e-5)


def test_nobody_in_view(encoder, samples):
    empty = FrameBatch(**{name: value[:0] for name, value in vars(samples).items()})
    assert len(encoder.encode_frames(empty)) == 0
    assert encoder.embed([]).shape == (0, 4, 16)


@pytest.mark.parametrize("length", [1, 13])
def test_windows_the_bundle_was_not_made_for_are_refused(encoder, samples, length):
    frames = list(encoder.encode_frames(samples)) * 3
    with pytest.raises(ValueError, match=f"windows have {length} to {length} samples: bundle 'tiny' takes 2 to 12"):
        encoder.embed([frames[:length]])


def test_a_sample_owns_its_features(encoder, samples):
    features = encoder.encode_frames(samples)
    kept = features[0]
    features.arrays["image_features"][:] = 0
    assert kept.arrays["image_features"].any()


BAD = [
    # change of the feeds, words of the sentence
    (lambda f: f.pop("points"), "frame_encoder needs the tensor points"),
    (lambda f: f.update(crops=f["crops"][:, :, :64]), "crops of frame_encoder has shape .* axis 2 must be 128"),
    (lambda f: f.update(crops=f["crops"].astype(np.float64)), "crops of frame_encoder is float64: expected float32"),
    (lambda f: f.update(points=f["points"][:2]), "points of frame_encoder has batch = 2, but crops has 5"),
    (lambda f: f.update(points=f["points"][0]), "points of frame_encoder has shape"),
    (lambda f: f["points"].__setitem__((0, 0, 0), np.nan), "points of frame_encoder has 1 values that are not finite"),
    (lambda f: f.update({name: value[:0] for name, value in f.items()}), "batch must be at least 1"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_feeds_that_do_not_fit_are_named(bundle, samples, change, words):
    engine = OnnxRuntimeEngine(bundle.graphs["frame_encoder"].path)
    feeds = samples.feeds()
    change(feeds)
    with pytest.raises(ValueError, match=words):
        engine.run(feeds)


def test_feeds_a_graph_does_not_ask_for_are_left_out():
    spec = TensorSpec("points", "float32", ("batch", 3))
    assert list(check_feeds([spec], {"points": np.zeros((1, 3), np.float32), "crops": np.zeros(1)}, "graph")) == [
        "points"
    ]


def test_a_result_that_is_not_finite_is_never_passed_on(encoder, samples):
    window = list(encoder.encode_frames(samples))
    window[0].arrays["point_features"][:] = np.inf
    with pytest.raises(ValueError, match="point_features of sequence_head has 16 values that are not finite"):
        encoder.embed([window])


def test_a_graph_of_another_bundle_is_refused(bundle):
    head = OnnxRuntimeEngine(bundle.graphs["sequence_head"].path)
    with pytest.raises(ValueError, match=r"frame\.onnx is not the graph of this bundle"):
        check_specs(head.inputs, bundle.graphs["frame_encoder"].inputs, "frame.onnx")


def test_a_file_that_is_no_graph_is_named(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ValueError, match=r"onnxruntime cannot load .*broken\.onnx"):
        OnnxRuntimeEngine(path)


def test_a_fallback_is_loud(bundle, caplog, monkeypatch):
    def broken(*_):
        raise ValueError("no such thing here")

    monkeypatch.setattr("emgait_ros.inference.encoder._open_onnxruntime", broken)
    with caplog.at_level(logging.INFO):
        assert GaitEncoder(bundle).backend == "torch"
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("falls back to torch" in text and "onnxruntime: no such thing here" in text for text in warnings)
    with pytest.raises(ValueError, match="no such thing here"):  # asked for by name: never replaced by another
        GaitEncoder(bundle, EngineConfig(backend="onnxruntime"))


def test_inference_works_where_torch_is_not_installed(bundle, samples, tmp_path):
    np.savez(tmp_path / "samples.npz", **samples.feeds())
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "open_clip", "safetensors", "rclpy"):
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Absent())
import numpy as np
from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.preprocessing import FrameBatch
bundle = load_bundle({str(bundle.folder)!r})
encoder = GaitEncoder(bundle)
frames = list(encoder.encode_frames(FrameBatch(**np.load({str(tmp_path / "samples.npz")!r}))))
np.save({str(tmp_path / "embedding.npy")!r}, encoder.embed([frames]))
try:
    GaitEncoder(bundle, EngineConfig(backend="torch"))
except ValueError as error:
    assert "requirements/dev.txt" in str(error), error
else:
    raise AssertionError("the torch backend opened without torch")
"""
    root = str(__import__("pathlib").Path(__file__).resolve().parents[2])
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, timeout=120)
    assert result.returncode == 0, result.stderr
    encoder = GaitEncoder(load_bundle(bundle.folder))
    expected = encoder.embed([list(encoder.encode_frames(samples))])
    np.testing.assert_allclose(np.load(tmp_path / "embedding.npy"), expected, atol=1e-6)
