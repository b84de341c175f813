"""The benchmark scores what the live node would publish, and the live options hold on sequences of all kinds."""

from pathlib import Path

import pytest

from emgait_ros.lab.bench.tracking import run_benchmark

KITTI = Path(__file__).parents[3] / ".." / "shared" / "data" / "kitti_tracking"


@pytest.mark.skipif(not KITTI.is_dir(), reason=f"KITTI tracking data are not in {KITTI.resolve()}")
@pytest.mark.parametrize(
    ("sequences", "least"),
    [
        (("0015",), {"MOTA": 77.2, "IDF1": 79.7, "HOTA": 73.9}),  # the car drives and brakes
        (("0016", "0019"), {"MOTA": 73.1, "IDF1": 83.2, "HOTA": 75.8}),  # crowds
    ],
)
def test_kitti(sequences, least, tmp_path):
    figures = run_benchmark(KITTI, 0, tmp_path, sequences)
    for name, value in least.items():
        assert figures[name] >= value, figures
    assert figures["coasting_share"] < 0.2
    rows = [line.split(",") for line in (tmp_path / f"{sequences[0]}.txt").read_text().splitlines()]
    assert {len(row) for row in rows} == {5}
    assert len({(row[0], row[1]) for row in rows}) == len(rows)
