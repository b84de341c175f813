import json
import shutil
from pathlib import Path

import pytest

from emgait_ros.cli.main import main
from emgait_ros.inference.bundle import default_bundle_path, load_bundle
from emgait_ros.inference.engine import BackendUnavailableError
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.tensorrt_builder import load_tensorrt


@pytest.fixture
def shipped():
    return str(default_bundle_path())


def test_fp16_graphs_of_the_shipped_bundle(shipped, tmp_path, capsys):
    pytest.importorskip("onnx")
    report = tmp_path / "report.json"
    assert (
        main(["export", shipped, "--to", "onnx", "--precision", "fp16", "--out", str(tmp_path), "--json", str(report)])
        == 0
    )
    made = json.loads(report.read_text())["files"]
    assert [row["graph"] for row in made] == ["semantic_encoder", "frame_encoder", "sequence_head"]
    assert all(row["cosine"] >= 0.999 for row in made)
    assert OnnxRuntimeEngine(tmp_path / "sequence_head.fp16.onnx").outputs[0].name == "embedding"
    assert "sequence_head" in capsys.readouterr().out


def test_tensorrt_rtx_engines_are_exported_without_a_gpu(shipped, tmp_path, capsys):
    try:
        load_tensorrt("tensorrt-rtx")
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    report = tmp_path / "report.json"
    words = ["--to", "tensorrt-rtx", "--compute-capability", "SM89", "--max-batch", "4", "--out", str(tmp_path)]
    assert main(["export", shipped, *words, "--json", str(report)]) == 0
    made = json.loads(report.read_text())["files"]
    assert [row["graph"].removesuffix(" (SM89)") for row in made] == list(load_bundle(shipped).graphs)
    for row in made:
        notes = json.loads(Path(row["file"]).with_suffix(".json").read_text())
        assert (notes["key"]["max_batch"], notes["key"]["precision"], notes["bytes"]) == (4, "fp32", row["bytes"])
    assert "measured where it" in capsys.readouterr().out


def test_a_bundle_of_the_first_format_is_written_anew_with_options(shipped, tmp_path):
    """It had no graph for the semantics and no reference: only its weights and what it says of itself are read."""
    pytest.importorskip("open_clip")
    old, report = tmp_path / "old", tmp_path / "report.json"
    shutil.copytree(shipped, old)
    manifest = json.loads((old / "manifest.json").read_text())
    for name in [name for name in manifest["files"] if name not in ("config.json", "weights.safetensors")]:
        del manifest["files"][name]
        (old / name).unlink()
    del manifest["options"], manifest["graphs"]
    manifest["format"] = 1
    (old / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="--to bundle` writes it again"):
        load_bundle(old)
    words = ["--to", "bundle", "--name", "fast", "--precision", "int8", "--clip-stride", "5", "--out", str(tmp_path)]
    assert main(["export", str(old), *words, "--json", str(report)]) == 0
    new, known = load_bundle(tmp_path / "fast"), load_bundle(shipped)
    assert (new.name, new.clip_stride, new.clip_precision) == ("fast", 5, "int8")
    assert new.weights_path.read_bytes() == known.weights_path.read_bytes()
    assert (new.threshold, new.manifest["training"]) == (known.threshold, known.manifest["training"])
    rows = {row["graph"]: row for row in json.loads(report.read_text())["files"]}
    assert 0.999 <= rows["semantic_encoder (INT8)"]["cosine"] < 1
    assert rows["semantic_encoder (INT8)"]["bytes"] < rows["semantic_encoder"]["bytes"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere", "--to", "onnx"], "/nowhere is not a model bundle"),
        (["--to", "onnx", "--max-batch", "0"], "--max-batch is 0: expected 1 or more"),
        (["--to", "onnx", "--precision", "int8"], "--to onnx does not take --precision int8: expected fp32 or fp16"),
        (
            ["--to", "bundle", "--precision", "fp16"],
            "--to bundle does not take --precision fp16: expected fp32 or int8",
        ),
        (["--to", "onnx", "--clip-stride", "2"], "--clip-stride and --name are for --to bundle"),
        (["--to", "bundle", "--clip-stride", "0"], "clip_stride is 0: expected 1 (every image) or more"),
        (["/nowhere", "--to", "bundle"], "/nowhere is not a model bundle"),
        (["--to", "onnx", "--compute-capability", "SM89"], "--compute-capability is for --to tensorrt-rtx"),
    ],
)
def test_what_cannot_be_exported_is_said(arguments, words, capsys):
    if "bundle" in arguments:
        pytest.importorskip("onnx")
    assert main(["export", *arguments]) == 1
    assert words in capsys.readouterr().err
