"""One picture of everything a network may look at: one walker at several ranges.

python -m emgait_ros.lab.systems.pictures docs/images/representations.png
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from emgait_ros.config import SampleConfig
from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.lab.simulation.walks import generate_walk

RANGES_M = (8.0, 15.0, 30.0, 50.0)
COLUMNS = ("crop", "silhouette\nof the camera", "silhouette\nof points", "depth map", "points,\nseen from the LiDAR")


def draw(path: Path, identity: int = 7, points: int = 512) -> None:
    """Write the picture of a simulated walker.

    Args:
        path: of the PNG.
        identity: who.
        points: LiDAR points per sample.
    """
    sample = SampleConfig(points=points)
    camera = Preprocessing(points=points, points_frame="ray", silhouette_height=64, silhouette_width=44, depth_size=64)
    lidar = replace(camera, silhouette_source="points")
    figure, grid = plt.subplots(len(RANGES_M), len(COLUMNS), figsize=(9.5, 11.5))
    for row, range_m in zip(grid, RANGES_M, strict=True):
        walk = generate_walk(identity, 0, range_m, 60.0, 4, sample=sample)[-1:]
        seen, projected = prepare(walk, camera), prepare(walk, lidar)
        pictures = (seen.crops[0].transpose(1, 2, 0), seen.silhouettes[0], projected.silhouettes[0], seen.depth_maps[0])
        for axes, picture in zip(row, pictures, strict=False):
            axes.imshow(picture, cmap="gray" if picture is not pictures[3] else "magma", vmin=0, vmax=1)
        cloud = seen.points[0]
        row[-1].scatter(-cloud[:, 1], cloud[:, 2], s=2, c=-cloud[:, 0], cmap="magma")
        row[-1].set(xlim=(-0.9, 0.9), ylim=(-0.05, 1.95), aspect="equal")
        row[0].set_ylabel(f"{range_m:.0f} m, {walk[0].point_count} returns")
        for axes in row:
            axes.set(xticks=[], yticks=[])
    for axes, title in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
