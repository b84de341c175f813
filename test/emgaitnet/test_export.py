import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emgait_ros.emgaitnet import export  # noqa: E402
from emgait_ros.emgaitnet.example_inputs import random_samples  # noqa: E402
from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.network_config import ClipConfig, EMGaitNetConfig  # noqa: E402
from emgait_ros.emgaitnet.weights import load_network  # noqa: E402
from emgait_ros.inference.bundle import load_bundle  # noqa: E402
from emgait_ros.inference.preprocessing import Preprocessing  # noqa: E402

PREPROCESSING = Preprocessing(points=24)


@pytest.fixture(scope="module")
def network(tiny):
    torch.manual_seed(0)
    network = FastEMGaitNet(tiny(scaf_layers=1)).train()
    with torch.no_grad():
        network.frame(**random_samples(network.config, 16, seed=1))
    return network.eval()


TRAINING = {"identities": 3, "data": "none"}


@pytest.fixture(scope="module")
def written(network, tmp_path_factory):
    """Exported twice under one name."""
    folder = tmp_path_factory.mktemp("models")
    first = export.write_bundle(network, folder, "one", PREPROCESSING)
    options = {"threshold": 2.0, "calibration": {"far": 0.01}, "training": TRAINING, "card": "# Another card\n"}
    return first, export.write_bundle(network, folder, "one", PREPROCESSING, **options)


def test_a_bundle_holds_the_network_it_was_made_of(network, written):
    _, bundle = written
    assert bundle.manifest["training"] == TRAINING
    assert bundle.manifest["decision"] == {"threshold": 2.0, "min_margin": None, "calibration": {"far": 0.01}}
    assert EMGaitNetConfig.from_dict(bundle.network).classes == 0
    inputs = random_samples(network.config, 3)
    with torch.no_grad():
        for found, expected in zip(load_network(bundle).frame(**inputs), network.frame(**inputs), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_bundle_replaces_the_older_one_of_its_name(written):
    first, second = written
    assert second.folder == first.folder
    assert (second.folder / "MODEL_CARD.md").read_text() == "# Another card\n"
    assert second.fingerprint == first.fingerprint  # the same network exported twice is the same network
    assert [path.name for path in second.folder.parent.iterdir()] == ["one"]  # nothing is left lying about
    assert b"site-packages" not in (second.folder / "frame_encoder.onnx").read_bytes()  # nor paths of this machine


def test_a_failed_export_leaves_the_older_bundle_alone(network, tmp_path, monkeypatch):
    older = tmp_path / "one"
    older.mkdir()
    (older / "keep.txt").write_text("precious")
    monkeypatch.setattr(export, "export_graph", lambda module, inputs, path, outputs: path.write_bytes(b"half a graph"))
    with pytest.raises(ValueError, match=r"onnxruntime cannot load .*semantic_encoder\.onnx"):
        export.write_bundle(network, tmp_path, "one", PREPROCESSING)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["one", "keep.txt"]


def test_a_graph_that_disagrees_with_torch_is_refused(network, written):
    bundle, inputs = written[1], random_samples(network.config, 4)
    path = bundle.graphs["frame_encoder"].path
    with torch.no_grad():
        inputs["text"] = network.frame.semantics(inputs["crops"], inputs["has_image"])
    export.check_graph(network.frame, inputs, path)
    torch.manual_seed(1)
    other = FastEMGaitNet(network.config).eval()
    with pytest.raises(ValueError, match=r"frame_encoder\.onnx: tensor image_features differs from torch by"):
        export.check_graph(other.frame, inputs, path)


@pytest.mark.parametrize(
    ("name", "preprocessing", "words"),
    [
        ("one", Preprocessing(points=25), r"\(128, 64, 25, 3\), the network takes \(128, 64, 24, 3\)"),
        ("one", Preprocessing(points=24, view_coordinates=True), r"\(128, 64, 24, 7\), the network takes \(128, 64, 24, 3\)"),
        ("../one", PREPROCESSING, "no name for a bundle"),
        ("", PREPROCESSING, "no name for a bundle"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(network, tmp_path, name, preprocessing, words):
    with pytest.raises(ValueError, match=words):
        export.write_bundle(network, tmp_path, name, preprocessing)


def test_weights_of_another_network_are_refused(written):
    other = load_bundle(written[1].folder)
    other.network["width"] = 32
    with pytest.raises(ValueError, match=r"weights\.safetensors does not hold the weights of this network"):
        load_network(other)


@pytest.mark.parametrize(
    "switches",
    [
        pytest.param({"use_image": False, "use_semi": False}, id="points only, no pseudo-word: inputs nobody reads"),
        pytest.param({"use_moments": True}, id="moments over time"),
        pytest.param(
            {"use_moments": True, "use_st": False, "use_hpp": False, "alone_parts": 2}, id="vectors for points alone"
        ),
    ],
)
def test_other_networks_export_too(tiny, tmp_path, switches):
    torch.manual_seed(0)
    network = FastEMGaitNet(tiny(scaf_layers=1, classes=0, **switches)).eval()
    bundle = export.write_bundle(network, tmp_path, "ablation", PREPROCESSING)
    parts = 1 + network.config.alone_parts if network.config.alone_parts else 4
    assert bundle.embedding_shape == (parts, 16)
    from emgait_ros.inference.encoder import GaitEncoder
    from emgait_ros.inference.preprocessing import FrameBatch

    inputs = random_samples(network.config, 3)
    encoder = GaitEncoder(bundle)
    embedding = encoder.embed(
        [list(encoder.encode_frames(FrameBatch(**{name: value.numpy() for name, value in inputs.items()})))]
    )
    with torch.no_grad():
        whole = {name: value[None] for name, value in inputs.items()}
        expected = network(**whole, frame_mask=torch.ones(1, 3, dtype=torch.bool)).embedding
    np.testing.assert_allclose(embedding, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("pretrained", "kept"), [("openai", "openai"), ("/home/me/runs/clip.safetensors", ""), ("", "")]
)
def test_no_path_of_this_machine_gets_into_a_bundle(tiny, pretrained, kept):
    config = tiny(clip=ClipConfig(architecture="ViT-B-32", pretrained=pretrained))
    assert export._portable(config)["clip"]["pretrained"] == kept
