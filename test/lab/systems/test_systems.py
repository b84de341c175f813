"""The systems EMGaitNet is compared with: they learn, are exported, and agree with their graphs; the published sizes are met."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_systems import TINY, pictured_set  # noqa: E402

from emgait_ros.config import EngineConfig  # noqa: E402
from emgait_ros.emgaitnet.export import rewrite_bundle, write_bundle  # noqa: E402
from emgait_ros.inference.bundle import ARCHITECTURES, Bundle  # noqa: E402
from emgait_ros.inference.encoder import GaitEncoder  # noqa: E402
from emgait_ros.inference.engine import BackendUnavailableError  # noqa: E402
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from emgait_ros.inference.precision import TAKE_HALF, write_graph  # noqa: E402
from emgait_ros.inference.reference import check_parity  # noqa: E402
from emgait_ros.inference.tensorrt_builder import (  # noqa: E402
    build_engine,
    engine_key,
    engine_path,
    load_tensorrt,
    read_engine,
)
from emgait_ros.lab.datasets.sequences import batch_of  # noqa: E402
from emgait_ros.lab.evaluation.metrics import closed_set, distance_matrix  # noqa: E402
from emgait_ros.lab.systems.configs import CONFIGS, TITLES, config_type  # noqa: E402
from emgait_ros.lab.systems.lidargait_plus_plus import PyramidPointPooling, SetAbstraction  # noqa: E402
from emgait_ros.lab.systems.parts import PointLayers, horizontal_parts, largest_over_time  # noqa: E402
from emgait_ros.lab.systems.registry import SYSTEMS, build, network_of  # noqa: E402
from emgait_ros.lab.training.inputs import varied_inputs  # noqa: E402
from emgait_ros.lab.training.loop import Trainer  # noqa: E402
from emgait_ros.lab.training.measurement import embed, whole_sequences  # noqa: E402
from emgait_ros.lab.training.recipe import AugmentConfig, OptimizationConfig, TrainingConfig  # noqa: E402
from emgait_ros.samples import Modality  # noqa: E402

pytestmark = pytest.mark.long

MILD = AugmentConfig(mirror=0.0, shift=0.01, scale=0.01, erase=0.0, drop_image=0.05, drop_points=0.05, thin=0.2)


SENSORS = {
    "gaitbase": Modality.IMAGE,
    "lidargait++": Modality.POINTS,
    "licaf": Modality.BOTH,
    "hmrnet": Modality.POINTS,
}


def recipe(name: str, **changes: object) -> TrainingConfig:
    steps = {
        "steps": 40, "identities": 5, "sequences": 3, "frames": 3, "learning_rate": 5e-3, "warmup_steps": 2,
        "checkpoint_every": 40, "precision": "fp32",
    }  # fmt: skip
    return TrainingConfig(
        "tiny",
        architecture=name,
        model=TINY[name],
        augment=MILD,
        optimization=OptimizationConfig(**{**steps, **changes}),
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=SYSTEMS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Each system after a few seconds on ten identities."""
    torch.manual_seed(5)
    network = build(request.param, dataclasses.replace(TINY[request.param], classes=10))
    trainer = Trainer(recipe(request.param), pictured_set(), network, tmp_path_factory.mktemp("run"))
    return trainer, trainer.run()


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its bundle: the exporter refuses one that differs from torch by 1e-4."""
    trainer, _ = trained
    return write_bundle(trainer.network.eval(), tmp_path_factory.mktemp("models"), "tiny", trainer.config.preprocessing)


def test_ten_identities_are_overfitted(trained) -> None:
    trainer, log = trained
    first, last = (np.mean([entry["loss"] for entry in part]) for part in (log[:5], log[-5:]))
    assert last < 0.8 * first
    embedding = embed(trainer.network, trainer.data, whole_sequences(trainer.data))
    own = np.eye(len(trainer.data), dtype=bool)
    identity = trainer.data.identity
    assert closed_set(distance_matrix(embedding, embedding), identity, identity, own).rank1.value > 0.9


def test_the_bundle_gives_what_torch_gives(trained, bundle: Bundle) -> None:
    """Frame by frame as the live node runs it, against the whole window in torch."""
    trainer, _ = trained
    network, name = trainer.network.eval(), trainer.config.architecture
    assert (bundle.architecture, bundle.embedding_shape) == (name, (TINY[name].embedding_parts, 16))
    assert bundle.sensors == SENSORS[name]
    encoder = GaitEncoder(bundle, EngineConfig(backend="onnxruntime"))
    sequence = trainer.data[3]
    features = [encoder.encode_frames(batch_of(sequence, slice(row, row + 1)))[0] for row in range(len(sequence))]
    found = encoder.embed([features])
    expected = embed(network, trainer.data, [whole_sequences(trainer.data)[3]])
    assert np.abs(found - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())
    torch_again = embed(network_of(bundle), trainer.data, [whole_sequences(trainer.data)[3]])
    np.testing.assert_allclose(torch_again, expected, atol=1e-6)
    with pytest.raises(ValueError, match="the torch backend knows EMGaitNet"):
        GaitEncoder(bundle, EngineConfig(backend="torch"))


def test_a_bundle_is_written_again_from_its_weights(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"holds {re.escape(bundle.architecture)}: only the laboratory builds that"):
        rewrite_bundle(bundle.folder, tmp_path, "other")
    if bundle.architecture == "lidargait++":
        assert rewrite_bundle(bundle.folder, tmp_path, "again", build=build).fingerprint == bundle.fingerprint


def test_half_precision_and_tensorrt_take_every_graph(bundle: Bundle, tmp_path: Path) -> None:
    """FP16 graphs pass the parity gate or are refused; TensorRT-RTX parses and builds both where it is installed (no GPU is needed)."""
    pytest.importorskip("onnx")
    if bundle.architecture not in TAKE_HALF:
        with pytest.raises(ValueError, match=f"FP16 graphs of {re.escape(bundle.architecture)}"):
            engine_key(bundle, next(iter(bundle.graphs)), "tensorrt-rtx", "SM89", "fp16", 4)
        return  # their FP32 engines build, too, but that takes a minute each
    for name, graph in bundle.graphs.items():
        path = tmp_path / f"{name}.onnx"
        write_graph(graph.path, path, "fp16")
        assert check_parity(OnnxRuntimeEngine(path), bundle.reference(), path) >= 0.999
    try:
        load_tensorrt("tensorrt-rtx")
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    for name in bundle.graphs:
        key = engine_key(bundle, name, "tensorrt-rtx", "SM89", "fp32", 4)
        build_engine(bundle, name, tmp_path, key)
        file, content = read_engine(engine_path(tmp_path, name, key), key)
        assert {tensor["name"] for tensor in file.tensors} == {
            spec.name for spec in (*bundle.graphs[name].inputs, *bundle.graphs[name].outputs)
        }
        assert len(content) > 10_000


@pytest.mark.parametrize(
    ("name", "million", "gflop"),
    [
        ("gaitbase", 6.99, 23.6),  # both as published (docs/systems.md)
        ("lidargait++", 4.4, None),  # as published
    ],
)
def test_sizes_are_those_published(name: str, million: float, gflop: float | None) -> None:
    from emgait_ros.lab.bench.systems import flops

    network = build(name, config_type(name)()).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(million, abs=0.01)
    if gflop is not None:
        frame, head = flops(network, 10)
        assert 10 * frame + head == pytest.approx(gflop, abs=0.05)


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_missing_changes_nothing_that_is_there(name: str) -> None:
    """A frame without the modality adds nothing to a window: all four take a maximum over time of values from 0 on."""
    network = build(name, TINY[name]).eval()
    inputs = network.example_inputs(4)
    there = [key for key in network.inputs if key.startswith("has_")]
    for key in there:
        inputs[key][:] = torch.tensor([True, True, False, True])
    with torch.no_grad():
        found = network.frame(**inputs)
    for values in (found,) if isinstance(found, torch.Tensor) else found:
        assert not values[2].any()
        assert values[0].any()
        assert values.min() >= 0


def test_every_architecture_has_a_name_sizes_and_a_network() -> None:
    assert set(ARCHITECTURES) == set(CONFIGS) == set(TITLES) == {"emgaitnet", *SYSTEMS}
    for name in SYSTEMS:
        assert type(build(name, TINY[name])).architecture == TINY[name].architecture == name
        assert config_type(name).from_dict(TINY[name].to_dict()) == TINY[name]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: config_type("gaitnet"), r"architecture is 'gaitnet': known are emgaitnet, gaitbase"),
        (lambda: build("licaf", TINY["gaitbase"]), "its configuration is of another: GaitBaseConfig"),
        (lambda: build("hmrnet", {"depth": 3}), r"hmrnet configuration has unknown fields \['depth'\]"),
        (lambda: dataclasses.replace(TINY["gaitbase"], parts=5), r"parts \(5\) must divide the 16 rows"),
        (lambda: dataclasses.replace(TINY["lidargait++"], centers=(64, 8)), "centers must not be more than the points"),
        (lambda: dataclasses.replace(TINY["lidargait++"], pyramid=(3, 4)), "each number must divide the last"),
        (lambda: dataclasses.replace(TINY["licaf"], silhouette_source="radar"), "must be 'camera' or 'points'"),
        (lambda: dataclasses.replace(recipe("gaitbase"), architecture="licaf"), "model has the sizes of another"),
        (lambda: recipe("gaitbase", pose_weight=1.0), "are for emgaitnet: set them to 0 for gaitbase"),
    ],
)
def test_what_does_not_fit_is_said(make, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_set_without_silhouettes_is_named(tmp_path: Path) -> None:
    from made_up_sets import made_up_set

    network = build("gaitbase", dataclasses.replace(TINY["gaitbase"], classes=10))
    with pytest.raises(ValueError, match="the data set holds no silhouettes, and the network looks at them"):
        Trainer(recipe("gaitbase"), made_up_set(), network, tmp_path).run(until=1)


def test_mirrored_pictures_and_points_go_together() -> None:
    data = pictured_set(identities=2, frames=2)
    config = AugmentConfig(
        mirror=1.0, shift=0, scale=0, erase=0, drop_image=0, drop_points=0, thin=0, noise_m=0, offset_m=0, yaw_deg=0
    )
    frames = np.array([[0, 1]])
    names = ("depth_maps", "silhouettes", "points", "has_points", "has_silhouette")
    found = varied_inputs(data, frames, names, config, torch.Generator().manual_seed(0))
    there = data.has_points[frames][..., None, None]
    across = -data.points[frames][..., 1] * there[..., 0]  # points have no order
    np.testing.assert_allclose(np.sort(found["points"][..., 1]), np.sort(across))
    np.testing.assert_allclose(found["depth_maps"], data.depth_maps[frames][..., ::-1] / np.float32(255) * there)
    seen = data.has_silhouette[frames][..., None, None]
    np.testing.assert_allclose(found["silhouettes"], data.silhouettes[frames][..., ::-1] / np.float32(255) * seen)


def test_horizontal_parts_add_maximum_and_mean() -> None:
    maps = torch.zeros(1, 1, 4, 2)
    maps[0, 0, 0] = torch.tensor([1.0, 3.0])
    assert horizontal_parts(maps, 2)[0, :, 0].tolist() == [3 + 1, 0]


def test_a_masked_frame_is_not_the_largest() -> None:
    features = torch.tensor([[[1.0], [9.0]]])
    assert largest_over_time(features, torch.tensor([[True, False]])).tolist() == [[1.0]]


def test_slices_are_of_true_height() -> None:
    """The same shape twice as tall falls into other slices; an empty slice is zero; coarser levels join finer ones."""
    pooling = PyramidPointPooling((1, 2, 4), 2.0)
    height, features = torch.tensor([[0.1, 0.4, 0.9]]), torch.tensor([[[1.0], [2.0], [4.0]]])
    low, tall = pooling(height, features)[0, :, 0], pooling(2 * height, features)[0, :, 0]
    assert low.tolist() == pytest.approx([4 + 7 / 3, 4 + 7 / 3, 0, 2 + 1.5, 4 + 4, 0, 0])
    assert tall.tolist() == pytest.approx([4 + 7 / 3, 2 + 1.5, 4 + 4, 1 + 1, 2 + 2, 0, 4 + 4])


def test_set_abstraction_is_what_it_says() -> None:
    """Points multiplied before they are gathered: the same as W [n - c; f] of every edge."""
    torch.manual_seed(0)
    layer = SetAbstraction(8, 4, 3, 2, 6).eval()
    points, features = torch.randn(1, 8, 3), torch.randn(1, 8, 2)
    centers, found = layer(points, features)
    assert torch.equal(centers, points[:, ::2])
    for number in range(4):
        near = (points[0] - centers[0, number]).norm(dim=1).topk(3, largest=False).indices
        assert layer.feature is not None
        edge = layer.offset(points[0, near] - centers[0, number]) + layer.feature(features[0, near])
        expected = layer.layers(torch.relu(layer.norm(edge))).amax(dim=0)
        torch.testing.assert_close(found[0, number], expected, atol=1e-5, rtol=1e-5)
    assert isinstance(layer.layers, PointLayers)
