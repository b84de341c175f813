"""The simulator's benchmark and pictures, in small."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from emgait_ros.cli.main import main
from emgait_ros.lab.bench import simulator as bench_simulator
from emgait_ros.lab.bench import simulator_pictures


def test_figures_of_a_small_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_simulator, "SPREAD_PEOPLE", 4)
    monkeypatch.setattr(bench_simulator, "_models", lambda: {"32 beams": bench_simulator.LidarModel.beams_32()})
    told: list[str] = []
    found = bench_simulator.run_benchmark(1, 1, 2, told.append)
    assert told == ["samples", "street", "returns by range", "spread of people"]
    assert found["repeats_itself"] is True
    assert found["samples"] == 2 * 34
    assert found["returns"]["32 beams"]["10 m"] > found["returns"]["32 beams"]["50 m"] > 0
    assert set(found["spread"]) == {"stature_m", "cadence_steps_min", "stride_m", "speed_m_s"}


def test_pictures_beside_real_frames(tmp_path: Path, shared_data: Path) -> None:
    path = simulator_pictures.write_beside_kitti(shared_data / "kitti", tmp_path / "beside.png")
    picture = cv2.imread(str(path))
    assert picture.shape[1] > 1000
    with pytest.raises(ValueError, match="no frame with a labelled pedestrian"):
        simulator_pictures.write_beside_kitti(shared_data / "kitti_scenes", tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"), [(("--kitti", "."), "go together"), (("--people", "0"), "must be at least 1")]
)
def test_wrong_use(capsys: pytest.CaptureFixture, arguments: tuple[str, ...], sentence: str) -> None:
    assert main(["bench", "simulator", *arguments]) == 1
    assert sentence in capsys.readouterr().err
