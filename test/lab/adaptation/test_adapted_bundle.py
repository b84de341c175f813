"""From tracks to a bundle: what is too little, the refit put into the network, and the whole command on made-up people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the refit goes into the network's weights")

from recorded_trees import write_lreid_compact  # noqa: E402

from emgait_ros.cli.main import main  # noqa: E402
from emgait_ros.emgaitnet.weights import load_network  # noqa: E402
from emgait_ros.inference.bundle import load_bundle  # noqa: E402
from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures  # noqa: E402
from emgait_ros.lab.adaptation.adapted_bundle import adapted, calibrated, check_enough, put  # noqa: E402
from emgait_ros.lab.adaptation.refit import Refit, TrackTraits  # noqa: E402
from emgait_ros.lab.adaptation.tracks import ReadTracks, TraitReader  # noqa: E402
from emgait_ros.samples import Modality  # noqa: E402

NONE_ALONE = (np.zeros((0, 0)), np.zeros(0))


@pytest.fixture(scope="module")
def reader() -> TraitReader:
    return TraitReader(load_bundle(""))


def read(tracks: int, windows: int, seconds: float) -> ReadTracks:
    seen = TrackTraits(
        np.zeros((tracks * windows, 3)), np.zeros((tracks * windows, 0)), np.repeat(np.arange(tracks), windows)
    )
    return ReadTracks(seen, seconds, Modality.POINTS, 0, [], [], ())


@pytest.mark.parametrize(
    ("tracks", "found"),
    [
        (read(39, 2, 100.0), "39 tracks of two windows or more, 100 s"),
        (read(500, 1, 600.0), "0 tracks of two windows or more"),
        (read(60, 2, 59.0), "59 s of walking in all"),
    ],
)
def test_too_little_is_refused_with_what_there_is(tracks: ReadTracks, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        check_enough(tracks)
    check_enough(read(40, 2, 60.0))


def test_without_enough_strangers_there_is_no_threshold(reader: TraitReader) -> None:
    limits, why = calibrated(reader, Refit(np.eye(1), np.zeros(1), *NONE_ALONE, 0.0, 0.5), read(20, 2, 60.0))
    assert limits is None
    assert why.startswith("0 tracks of one sensor")


@pytest.mark.parametrize(
    "pictures", [1.0, 0.0, 0.5], ids=["both sensors", "LiDAR alone", "pictures in half the samples"]
)
def test_the_network_gives_what_the_refit_says(pictures: float) -> None:
    reader = TraitReader(load_bundle(""))
    rng = np.random.default_rng(0)
    image, points = (spec.shape[2:] for spec in reader.encoder.engines["sequence_head"].inputs[:2])
    window = [
        SampleFeatures(
            {
                "image_features": rng.normal(size=image).astype(np.float32),
                "point_features": rng.normal(size=points).astype(np.float32) * (at >= 12 * pictures),
            }
        )
        for at in range(12)
    ]
    windows = [window, window[2:]]
    read_before = reader.embed(windows)
    count, alone = int(reader.used.sum()), reader.alone
    fitted = Refit(
        rng.normal(size=(count, count)) / 10, rng.normal(size=count),
        rng.normal(size=(alone, alone)), rng.normal(size=alone), 0.25, 0.5,
    )  # fmt: skip
    wanted = adapted(reader, fitted, read_before)
    frame = reader.network.frame.points_alone
    put(reader, fitted)
    moved = [  # frames pass the changed map before they become features
        SampleFeatures({**s.arrays, "point_features": (s.arrays["point_features"] @ fitted.alone_matrix + fitted.alone_offset * s.arrays["point_features"].any()).astype(np.float32)})
        for s in window
    ]  # fmt: skip
    masks = torch.ones(1, 12, dtype=torch.bool)
    with torch.no_grad():
        for at, cut in enumerate((moved, moved[2:])):
            arrays = [
                torch.from_numpy(np.stack([s.arrays[k] for s in cut]))[None]
                for k in ("image_features", "point_features")
            ]
            found = reader.network.sequence(*arrays, masks[:, : len(cut)])[0].numpy()
            assert np.abs(found - wanted[at]).max() < 1e-4
    assert frame.tell.bias.detach().numpy() == pytest.approx(
        load_network(load_bundle("")).frame.points_alone.tell.bias.detach().numpy() @ fitted.alone_matrix + fitted.alone_offset, abs=1e-4
    )  # fmt: skip


def test_people_before_a_lidar_become_a_bundle_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_lreid_compact(tmp_path / "site", dict.fromkeys(range(100, 141), (1,)), frames=32)
    out, figures = tmp_path / "models", tmp_path / "found.json"
    command = ["adapt", str(folder), "--out", str(out), "--name", "site", "--json", str(figures)]
    assert main(command) == 0
    made, shipped = load_bundle(out / "site"), load_bundle("")
    assert made.fingerprint != shipped.fingerprint
    assert made.threshold is None
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert (found["tracks"], found["sensors"], found["adapted_from"]) == (41, "LiDAR alone", shipped.fingerprint)
    assert found["no_threshold_because"]
    assert "no threshold" in capsys.readouterr().out
    arrays = made.reference().arrays
    features = [
        SampleFeatures({"image_features": image, "point_features": point})
        for image, point, pictured in zip(
            *(arrays[k] for k in ("image_features", "point_features", "has_image")), strict=True
        )
        if pictured  # with other frames, the vectors for points alone have their part in all
    ]
    one, other = (GaitEncoder(bundle).embed([features])[0, 0] for bundle in (made, shipped))
    assert np.linalg.norm(one[1:]) == pytest.approx(0.5, abs=1e-3)
    assert np.abs(one - other).max() > 0.05
    assert main(["export", str(out / "site"), "--to", "bundle", "--out", str(tmp_path)]) == 1  # LReID states no licence
    assert "must not be passed on" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["site"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.bag", "--out", "models"], "nowhere.bag is missing"),
        (["site", "--out", "models", "--name", "a/b"], "expected a plain folder name"),
        (["site", "--out", "models", "--threads", "0"], "--threads is 0"),
        (["site", "--out", "models", "--bundle", "site"], "is not a model bundle"),
        (["site", "--out", "models"], "4 tracks of two windows or more"),
    ],
)
def test_what_is_wrong_is_said(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lreid_compact(tmp_path / "site", dict.fromkeys(range(100, 104), (1,)), frames=32)
    assert main(["adapt", *words]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_bundle_is_not_overwritten_by_what_is_made_of_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bundle = load_bundle("")
    assert main(["adapt", str(tmp_path), "--out", str(bundle.folder.parent), "--name", bundle.folder.name]) == 1
    assert "is the bundle that is adapted" in capsys.readouterr().err
