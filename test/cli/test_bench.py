"""`emgait bench gallery` measures what it says, on a small gallery."""

from __future__ import annotations

import json

import pytest

from emgait_ros.cli.main import main


def test_figures_of_a_small_gallery(tmp_path, capsys):
    pytest.importorskip("faiss")
    file = tmp_path / "bench.json"
    words = ["--templates", "3000", "--rounds", "2", "--agreement-probes", "40", "--json", str(file)]
    assert main(["bench", "gallery", *words]) == 0
    figures = json.loads(file.read_text())
    assert figures["top1_agreement"] == 1.0
    assert figures["agreement_probes"] == 40
    assert 1.0 < figures["memory_ratio"] < 1.5  # chunks of 4096: 3000 templates leave a quarter empty
    assert min(figures[key] for key in ("ratio_numpy", "ratio_faiss", "floor_distance", "enrolment_visible_ms")) > 0
    assert figures["machine"]
    assert "same first place as exhaustive" in capsys.readouterr().out


def test_impossible_sizes_are_refused(capsys):
    pytest.importorskip("faiss")
    assert main(["bench", "gallery", "--templates", "0"]) == 1
    assert "must be at least 1" in capsys.readouterr().err
