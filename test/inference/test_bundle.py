import json
import os
import shutil

import pytest

from emgait_ros.inference.bundle import default_bundle_path, fingerprint_of, load_bundle
from emgait_ros.samples import Modality


def test_a_bundle_says_what_it_is(bundle):
    assert bundle.name == "tiny"
    assert (bundle.threshold, bundle.min_margin) == (1.5, 0.25)
    assert (bundle.min_frames, bundle.max_frames) == (2, 12)
    assert bundle.embedding_shape == (4, 16)
    assert [spec.name for spec in bundle.graphs["frame_encoder"].inputs] == [
        "crops",
        "points",
        "has_image",
        "has_points",
        "text",
    ]
    assert list(bundle.graphs) == ["semantic_encoder", "frame_encoder", "sequence_head"]
    assert (bundle.clip_stride, bundle.clip_precision, bundle.int8_path) == (1, "fp32", None)
    assert bundle.graphs["sequence_head"].inputs[0].shape == ("batch", "frames", 32, 16)
    assert bundle.fingerprint == load_bundle(bundle.folder).fingerprint == fingerprint_of(bundle.manifest)
    assert sorted(os.listdir(bundle.folder)) == sorted([*bundle.manifest["files"], "manifest.json", "MODEL_CARD.md"])
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in bundle.folder.iterdir())


def flip_a_byte(folder):
    path = folder / "frame_encoder.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_manifest(change):
    def edit(folder):
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


DAMAGE = [
    # (what happened, file named, words of the sentence)
    (flip_a_byte, "frame_encoder.onnx", "does not have the SHA-256"),
    (lambda f: (f / "sequence_head.onnx").unlink(), "sequence_head.onnx", "is missing"),
    (lambda f: os.truncate(f / "weights.safetensors", 100), "weights.safetensors", "has 100 bytes"),
    (lambda f: (f / "config.json").write_text("{}"), "config.json", "truncated or belongs to another bundle"),
    (
        lambda f: (f / "sequence_head.onnx").write_bytes((f / "frame_encoder.onnx").read_bytes()),
        "sequence_head.onnx",
        "another bundle",
    ),
    (lambda f: (f / "manifest.json").unlink(), "", "has no manifest.json"),
    (lambda f: (f / "manifest.json").write_text("{"), "manifest.json", "not JSON"),
    (edit_manifest(lambda m: m.update(format=99)), "manifest.json", "reads format 2"),
    (edit_manifest(lambda m: m.update(format=1)), "manifest.json", "`emgait export .* --to bundle` writes it again"),
    (lambda f: (f / "reference.npz").unlink(), "reference.npz", "is missing"),
    (edit_manifest(lambda m: m["options"].update(clip_stride=0)), "manifest.json", "damaged: clip_stride is 0"),
    (
        edit_manifest(lambda m: m["options"].update(clip_precision="int8")),
        "manifest.json",
        "'semantic_encoder.int8.onnx' is missing",
    ),
    (edit_manifest(lambda m: m.pop("graphs")), "manifest.json", "'graphs' is missing"),
    (edit_manifest(lambda m: m["decision"].update(threshold=[])), "manifest.json", "damaged"),
    *(
        (
            edit_manifest(lambda m, s=s: m["graphs"]["sequence_head"]["outputs"][0].update(shape=s)),
            "manifest.json",
            "damaged",
        )
        for s in (["batch", [], 64], ["batch", 0, 64], ["batch", 2.5, 64], ["batch", "parts", 64], ["batch", 64], 7)
    ),
    (edit_manifest(lambda m: m["graphs"]["sequence_head"].update(outputs=[])), "manifest.json", "makes nothing"),
    (edit_manifest(lambda m: m["window"].update(min_frames=0)), "manifest.json", "window is 0 to 12"),
    (edit_manifest(lambda m: m["preprocessing"].update(points_frame="moon")), "", "allowed are sensor, ray, heading"),
    (edit_manifest(lambda m: m["preprocessing"].update(points=25)), "manifest.json", "contradicts itself"),
]


@pytest.mark.parametrize(("damage", "file", "words"), DAMAGE)
def test_a_damaged_bundle_is_refused_by_the_name_of_its_file(copy, damage, file, words):
    damage(copy)
    with pytest.raises((ValueError, OSError), match=words) as caught:
        load_bundle(copy)
    assert str(copy / file) in str(caught.value) or not file


def test_what_decides_an_embedding_changes_the_fingerprint(bundle, copy):
    edit_manifest(lambda m: m["decision"].update(threshold=9.0))(copy)
    assert load_bundle(copy).fingerprint == bundle.fingerprint  # a threshold compares embeddings, it does not make them
    edit_manifest(lambda m: m["window"].update(max_frames=13))(copy)
    changed = load_bundle(copy)
    assert changed.fingerprint != bundle.fingerprint
    edit_manifest(lambda m: m["preprocessing"].update(points_frame="sensor"))(copy)
    assert load_bundle(copy).fingerprint not in (bundle.fingerprint, changed.fingerprint)


def test_the_shipped_bundle_is_looked_for_where_the_package_lies(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("emgait_ros.shipped._roots", lambda: iter([tmp_path]))
    assert default_bundle_path() != tmp_path / "models" / "emgait-sim"  # nothing there
    shutil.copytree(bundle.folder, tmp_path / "models" / "emgait-sim")
    assert load_bundle("").folder == default_bundle_path() == tmp_path / "models" / "emgait-sim"


def test_an_architecture_that_is_not_known_is_named(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["architecture"] == "emgaitnet"
    (copy / "manifest.json").write_text(json.dumps({**manifest, "architecture": "gaitnet"}))
    with pytest.raises(
        ValueError, match="the network is 'gaitnet': this version of emgait_ros knows emgaitnet, gaitbase"
    ):
        load_bundle(copy)


def test_bundles_made_before_there_was_a_choice_hold_emgaitnet(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "architecture"}))
    found = load_bundle(copy)
    assert (found.architecture, found.sensors) == ("emgaitnet", Modality.BOTH)
