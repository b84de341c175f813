import json

import pytest

from emgait_ros.cli.main import main
from emgait_ros.inference.bundle import default_bundle_path
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine


@pytest.fixture
def shipped():
    path = default_bundle_path()
    if not path.is_dir():
        pytest.skip(f"no bundle is shipped yet: {path}")
    return str(path)


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere", "--to", "onnx"], "/nowhere is not a model bundle"),
        (["--to", "onnx", "--max-batch", "0"], "--max-batch is 0: expected 1 or more"),
        (["--to", "onnx", "--compute-capability", "SM89"], "--compute-capability is for --to tensorrt-rtx"),
    ],
)
def test_what_cannot_be_exported_is_said(arguments, words, capsys):
    assert main(["export", *arguments]) == 1
    assert words in capsys.readouterr().err
