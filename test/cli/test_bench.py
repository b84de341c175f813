"""`emgait bench gallery` measures what it says, on a small gallery."""

import importlib.util
import json

import pytest

from emgait_ros.cli.main import main
from emgait_ros.lab.bench import gallery

MODEL_KEYS = {
    "speedup_plain_over_stream", "max_abs_diff", "overhead_over_clip_tower", "ms_per_pedestrian_frame", "backend", "clip",
    "machine", "peers_ms_per_sequence", "speedup_torch",
}  # fmt: skip


def test_figures_of_a_small_gallery(tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["bench", "gallery", "--people", "1000", "--rounds", "2", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert figures["rank1"] == 1.0
    assert 2.0 < figures["memory_ratio"] <= 2.2
    assert figures["search_max_ms"] >= figures["search_ms"] >= figures["search_min_ms"] > 0
    assert figures["enrolment_visible_ms"] > 0
    assert figures["machine"]
    printed = capsys.readouterr().out
    assert "memory over float16" in printed
    if importlib.util.find_spec("open_clip"):
        assert figures["search_over_vit_b16"] == pytest.approx(
            figures["search_min_ms"] / figures["vit_b16_min_ms"], abs=0.01
        )
    else:
        assert figures["vit_b16_ms"] is None
        assert "needs torch and open_clip" in printed


@pytest.mark.parametrize(("parts", "dimensions"), [(1, 64), (1, 1), (3, 2)])
def test_newcomers_are_found_whatever_the_size_of_an_embedding(parts, dimensions, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_image_pass", lambda threads: None)  # nothing about it depends on the size
    file = tmp_path / "bench.json"
    sizes = ["--parts", str(parts), "--dimensions", str(dimensions)]
    assert main(["bench", "gallery", "--people", "500", *sizes, "--rounds", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["enrolment_visible_ms"] > 0


def test_impossible_sizes_are_refused(capsys):
    assert main(["bench", "gallery", "--people", "0"]) == 1
    assert "must be at least 1" in capsys.readouterr().err


def test_figures_of_the_shipped_network(tmp_path, capsys):
    """Keys, order of magnitude and exactness; how fast it is here is nobody's business."""
    pytest.importorskip("open_clip")
    file = tmp_path / "model.json"
    words = [
        "--people", "2,1", "--rounds", "2", "--threads", "1", "--frames", "3", "--approximate", "--json", str(file),
    ]  # fmt: skip
    assert main(["bench", "model", "--bundle", *words]) == 0
    figures = json.loads(file.read_text())
    assert set(figures) >= MODEL_KEYS
    assert figures["max_abs_diff"] < 1e-4
    assert figures["backend"] in ("torch", "onnxruntime")
    assert figures["ms_per_pedestrian_frame"] > 0
    assert [result["people"] for result in figures["results"]] == [1, 2]
    engines = figures["engines"]
    assert [name for name, row in engines.items() if row["exact"]] == ["torch", "onnxruntime"]
    assert all(row["max_abs_diff"] < 1e-4 for row in engines.values() if row["exact"])
    assert {"onnxruntime INT8", "onnxruntime stride 5"} < set(engines)
    for result in figures["results"]:
        assert {"onnxruntime stream", "torch stream", "onnxruntime CLIP tower", "torch prompts"} < set(result["ms"])
        assert ("torch plain" in result["ms"]) == (result["people"] == 1)
        assert all(0 < row["p50"] <= row["p95"] for row in result["ms"].values())
    assert "LidarGait++" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--people", "0"], "people is (0,): expected one or more numbers from 1 to 64"),
        (["--rounds", "0"], "rounds is 0: expected 1 or more"),
        (["--bundle", "/nowhere"], "/nowhere is not a model bundle"),
        (["--bundle", "--frames", "999"], "takes windows of"),
        (["--clip", "ViT-Z-99"], "unknown CLIP architecture 'ViT-Z-99'"),
        (["--systems", "gaitnet"], "systems are gaitnet: known are all, emgaitnet, gaitbase"),
        (["--systems", "all", "--approximate"], "leave out --bundle and --approximate"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, words, capsys):
    pytest.importorskip("open_clip")
    assert main(["bench", "model", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_figures_of_one_crossing(tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["bench", "tracking", "--crossings", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["idf1_crossing"] > 0.95
    assert "idf1_crossing" in capsys.readouterr().out
    assert main(["bench", "tracking", "--crossings", "0"]) == 1
    assert "give --kitti DIR" in capsys.readouterr().err


def test_figures_of_two_systems(tmp_path, capsys):
    """One LiDAR network and one of silhouettes side by side, at their papers' scale."""
    pytest.importorskip("open_clip")
    file = tmp_path / "systems.json"
    words = ["--systems", "gaitbase,lidargait++", "--people", "1", "--rounds", "1", "--threads", "1", "--frames", "2"]
    assert main(["bench", "model", *words, "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert set(figures["systems"]) == {"gaitbase", "lidargait++"}
    for row in figures["systems"].values():
        assert 0 < row["ms_per_pedestrian_frame"] < row["ms_per_new_identity"]
        assert row["gflop_of_window"] == pytest.approx(2 * row["gflop_per_frame"], rel=0.02)
    assert figures["systems"]["gaitbase"]["kept_bytes_per_frame"] == 4 * 512 * 16 * 11
    assert "LidarGait++" in capsys.readouterr().out
