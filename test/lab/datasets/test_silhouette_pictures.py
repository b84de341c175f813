"""Silhouettes and depth maps of data sets: the same that the live system makes, or a sentence why there are none."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from recorded_trees import FRAMES, dump, walk, write_freegait, write_lrgait, write_sustech1k

from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.lab.datasets.freegait import FreeGait
from emgait_ros.lab.datasets.lrgait import LRGait
from emgait_ros.lab.datasets.sequences import batch_of
from emgait_ros.lab.datasets.simulated import load_simulated
from emgait_ros.lab.datasets.sustech1k import Sustech1k
from emgait_ros.lab.simulation.walk_sets import PlannedWalk, generate
from emgait_ros.lab.simulation.walks import generate_walk

PICTURED = Preprocessing(points_frame="ray", silhouette_height=64, silhouette_width=44, depth_size=64)
POINTS = dataclasses.replace(PICTURED, silhouette_source="points")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "set"
    generate([PlannedWalk(7, 0, 12.0, 45.0, 4), PlannedWalk(7, 1, 12.0, 200.0, 4, "occlusion")], folder, 0, workers=1)
    return folder


@pytest.mark.parametrize("preprocessing", [PICTURED, POINTS], ids=["camera", "points"])
def test_a_simulated_set_gives_what_the_live_system_makes(simulated: Path, preprocessing: Preprocessing) -> None:
    found = load_simulated(simulated, preprocessing)[0]
    live = prepare(generate_walk(7, 0, 12.0, 45.0, 4), preprocessing)
    kept = batch_of(found)
    assert np.array_equal(kept.has_silhouette, live.has_silhouette)
    assert np.abs(kept.silhouettes - live.silhouettes).mean() < 0.02  # masks are kept as bits, points as half floats
    assert np.abs(kept.depth_maps - live.depth_maps).mean() < 0.02
    assert (kept.depth_maps > 0).any(axis=(1, 2)).all()
    assert load_simulated(simulated, Preprocessing())[0].silhouettes.shape == (4, 0, 0)


def test_the_silhouette_leaves_out_what_hides_the_walker() -> None:
    """The mask of an occluded walk is never more than that of the walk as seen without."""
    masks = [sample.silhouette for sample in generate_walk(7, 1, 12.0, 200.0, 4, condition="occlusion")]
    crops = [sample.crop for sample in generate_walk(7, 1, 12.0, 200.0, 4, condition="occlusion")]
    assert all(mask.shape == crop.shape[:2] for mask, crop in zip(masks, crops, strict=True))
    assert 0.05 < np.mean([mask.mean() / 255 for mask in masks]) < 0.6


def test_a_set_made_before_silhouettes_were_kept_says_so(simulated: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(simulated, tmp_path / "old"))
    (path,) = old.glob("identity_*.npz")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "masks"}
    np.savez(path, **arrays)
    assert load_simulated(old, POINTS).silhouettes.any()
    with pytest.raises(
        ValueError, match="holds no silhouettes, and the network looks at them: this set was made before"
    ):
        load_simulated(old, PICTURED)


def test_sustech1k_brings_its_silhouettes(tmp_path: Path) -> None:
    root = write_sustech1k(tmp_path, identities=(0,), views=("000",))
    found = Sustech1k(root, PICTURED)[0]
    live = prepare(walk(0, 0, 10.0, 0.0), PICTURED)
    assert np.abs(batch_of(found).silhouettes - live.silhouettes).mean() < 0.01
    assert found.depth_maps.any(axis=(1, 2)).all()
    (path,) = (root / "0000" / "00-nm" / "000").glob("*Sils.pkl")
    for content, sentence in (
        ([np.zeros((64, 44), np.uint8)], f"has 1 silhouettes, the sequence {FRAMES} clouds"),
        ([np.random.default_rng(0).integers(0, 255, (9, 9, 3))] * FRAMES, "silhouette 0 is coloured"),
    ):
        dump(content, path)
        with pytest.raises(ValueError, match=sentence):
            Sustech1k(root, PICTURED)[0]
    path.unlink()
    with pytest.raises(ValueError, match="holds no silhouettes, and the network looks at them"):
        Sustech1k(root, PICTURED)[0]
    assert Sustech1k(root, POINTS)[0].silhouettes.any()


@pytest.mark.parametrize("scale", [1, 255])
def test_freegaits_pictures_are_silhouettes_where_they_are_grey(tmp_path: Path, scale: int) -> None:
    root = write_freegait(tmp_path, identities=(1,))
    with pytest.raises(ValueError, match="holds no silhouettes"):  # its crops are in colour
        FreeGait(root, PICTURED)[0]
    masks = [np.asarray(s.silhouette >= 128, np.uint8) * np.uint8(scale) for s in walk(1, 0, 12.0, 40.0)]
    dump(masks, root / "0001" / "devid_1" / "seq_00_new" / "image" / "image.pkl")
    found = FreeGait(root, PICTURED)[0]
    assert found.has_silhouette.all()
    assert 0.1 < (found.silhouettes >= 128).mean() < 0.6


def test_a_segmenter_makes_silhouettes_of_images(tmp_path: Path) -> None:
    onnx_models = pytest.importorskip("onnx_models")
    from emgait_ros.inference.segmenter import open_segmenter

    data = LRGait(write_lrgait(tmp_path, identities=(1,)), PICTURED)
    with pytest.raises(ValueError, match="name a segmenter for its images, or take a network that looks at points"):
        data[0]
    data.segmenter = open_segmenter(onnx_models.redness_segmenter(tmp_path / "red.onnx", 2))
    assert data[0].silhouettes.shape == (FRAMES, 64, 44)
