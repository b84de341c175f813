"""CLIP on every so many-th image, and in INT8: what is computed when, and how near it stays."""

import shutil

import numpy as np
import pytest

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import KEPT, NO_TEXT, GaitEncoder, MinedText, schedule
from emgait_ros.inference.preprocessing import FrameBatch


class Counting:
    """An engine that notes how many rows it was given."""

    def __init__(self, engine):
        self.engine, self.inputs, self.outputs, self.rows = engine, engine.inputs, engine.outputs, []

    def run(self, feeds):
        self.rows.append(len(feeds["crops"]))
        return self.engine.run(feeds)


def counted(bundle, stride):
    encoder = GaitEncoder(bundle, EngineConfig(clip_stride=stride))
    encoder._semantic_encoder = Counting(encoder._semantic_encoder)
    return encoder


def text(age):
    return MinedText(np.zeros((5, 2), np.float32), age)


CASES = [
    # images seen, text kept, row before, stride, source, age
    ([1, 1, 1], [None] * 3, None, 1, [0, 1, 2], [0, 0, 0]),  # exact: everybody is looked at
    ([1, 1, 1, 1], [None] * 4, None, 3, [0, 1, 2, 3], [0, 1, 2, 0]),  # who starts together takes turns afterwards
    ([1, 1], [text(0), text(1)], None, 3, [KEPT, KEPT], [1, 2]),
    ([1, 1], [text(2), text(1)], None, 3, [0, KEPT], [0, 2]),
    ([0, 0], [text(2), None], None, 3, [KEPT, NO_TEXT], [2, 0]),  # without an image nothing ages
    ([1, 1, 1, 1, 1], [None] * 5, [-1, 0, 1, 2, 3], 2, [0, 0, 2, 2, 4], [0, 1, 0, 1, 0]),  # one track after the other
    ([1, 0, 1, 1], [None] * 4, [-1, 0, 1, 2], 3, [0, 0, 0, 0], [0, 0, 1, 2]),
    ([0, 1, 1], [None] * 3, [-1, 0, 1], 4, [NO_TEXT, 1, 1], [0, 0, 1]),
    ([1, 1], [text(1), None], [-1, 0], 3, [KEPT, 1], [2, 0]),  # a sequence that goes on from an earlier batch
    ([1, 1, 1, 1], [None] * 4, [-1, 0, -1, 2], 9, [0, 0, 2, 2], [0, 1, 0, 1]),  # two tracks in a batch
]


@pytest.mark.parametrize(("seen", "kept", "follows", "stride", "source", "age"), CASES)
def test_who_is_looked_at(seen, kept, follows, stride, source, age):
    rows = None if follows is None else np.array(follows)
    found = schedule(np.array(seen, bool), kept, rows, stride)
    assert (found[0].tolist(), found[1].tolist()) == (source, age)


def rows_of(batch, rows):
    return FrameBatch(**{name: value[rows] for name, value in vars(batch).items()})


def all_seen(samples):
    return FrameBatch(samples.crops, samples.points, np.ones(5, bool), np.ones(5, bool))


def test_a_track_is_looked_at_every_few_images_live_and_offline_alike(bundle, samples):
    samples, live, offline, exact = all_seen(samples), counted(bundle, 2), counted(bundle, 2), counted(bundle, 1)
    track = []
    for frame in range(5):
        before = [track[-1] if track else None]
        track += list(live.encode_frames(rows_of(samples, slice(frame, frame + 1)), before))
    whole = offline.encode_frames(samples, follows=np.arange(5) - 1)
    every = exact.encode_frames(samples)
    assert live._semantic_encoder.rows == [1, 1, 1]
    assert offline._semantic_encoder.rows == [3]
    assert exact._semantic_encoder.rows == [5]
    for frame in range(5):
        np.testing.assert_allclose(
            track[frame].arrays["image_features"], whole[frame].arrays["image_features"], atol=1e-5
        )
        near = np.abs(track[frame].arrays["image_features"] - every[frame].arrays["image_features"]).max()
        assert (near < 1e-5) == (frame % 2 == 0)  # exact where CLIP looked, near it between


def test_samples_without_image_cost_no_clip_and_change_nothing(bundle, samples):
    encoder = counted(bundle, 1)
    found = encoder.encode_frames(samples)
    assert encoder._semantic_encoder.rows == [4, 1]  # four images, and once the text of those without
    encoder.encode_frames(samples)
    assert encoder._semantic_encoder.rows == [4, 1, 4]
    whole = {**samples.feeds(), **encoder._semantic_encoder.engine.run(samples.feeds())}
    np.testing.assert_allclose(
        found.arrays["image_features"], encoder._frame_encoder.run(whole)["image_features"], atol=1e-5
    )


def test_the_stride_of_the_bundle_holds_unless_configured(bundle):
    from dataclasses import replace

    other = replace(bundle, clip_stride=4)
    assert GaitEncoder(other).clip_stride == 4
    assert "CLIP on every 4. image" in GaitEncoder(other).description
    assert GaitEncoder(other, EngineConfig(clip_stride=1)).clip_stride == 1


@pytest.fixture(scope="module")
def quantised(bundle, tmp_path_factory):
    pytest.importorskip("torch")
    from emgait_ros.emgaitnet.export import rewrite_bundle

    return rewrite_bundle(bundle.folder, tmp_path_factory.mktemp("models"), "fast", 3, "int8")


def test_a_bundle_rewritten_with_options_is_the_same_network(bundle, quantised, samples):
    assert (quantised.name, quantised.clip_stride, quantised.clip_precision) == ("fast", 3, "int8")
    assert quantised.manifest["options"]["int8_cosine"] >= 0.999
    assert quantised.fingerprint == bundle.fingerprint  # INT8 and stride approximate the same embedding
    assert (quantised.threshold, quantised.min_margin) == (bundle.threshold, bundle.min_margin)
    encoder, exact = GaitEncoder(quantised), GaitEncoder(bundle)
    assert "CLIP in INT8" in encoder.description
    assert encoder.clip_stride == 3
    found, expected = encoder.encode_frames(samples), exact.encode_frames(samples)
    assert 0 < np.abs(found.arrays["image_features"] - expected.arrays["image_features"]).max() < 0.05
    assert "INT8" not in GaitEncoder(quantised, EngineConfig(backend="torch")).description


def test_an_int8_graph_that_disagrees_is_not_used(quantised, tmp_path):
    """The graph of other weights, with a manifest that vouches for it: the gate is the last guard."""
    import json

    torch = pytest.importorskip("torch")
    from emgait_ros.emgaitnet.export import write_bundle
    from emgait_ros.emgaitnet.fast import FastEMGaitNet
    from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
    from emgait_ros.inference.bundle import INT8_GRAPH, file_entry

    torch.manual_seed(9)
    network = FastEMGaitNet(EMGaitNetConfig.from_dict(quantised.network), load_pretrained=False)
    other = write_bundle(network, tmp_path, "other", quantised.preprocessing, clip_precision="int8")
    folder = tmp_path / "mixed"
    shutil.copytree(quantised.folder, folder)
    shutil.copy(other.int8_path, folder / INT8_GRAPH)
    with pytest.raises(ValueError, match=rf"{INT8_GRAPH}.*another bundle"):
        load_bundle(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][INT8_GRAPH] = file_entry(folder / INT8_GRAPH)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=rf"{INT8_GRAPH} gives other results .* use fp32"):
        GaitEncoder(load_bundle(folder), EngineConfig(backend="onnxruntime"))
