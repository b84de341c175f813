"""Contact sheets of a detector's misses and false detections: each from above and as the sensor sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon
from numpy.typing import NDArray

from emgait_ros.lab.datasets.labelled_clouds import LabelledCloud
from emgait_ros.lab.evaluation.detection import PERSON, WRONG_GROUND_M, CloudResult, Rules
from emgait_ros.samples import Float64
from emgait_ros.sensing.perception.detector import Detector

REACH_M = 2.5  # shown around each case
FRONT_M = 1.25  # to both sides in the front view
OWN_MARGIN_M = 0.15
GROUND_M, HIGH_M = 0.07, 2.4
COLUMNS, CASES_A_SHEET = 4, 40
TILE_IN, TITLE_IN, DPI = 2.3, 0.45, 100
GREEN, ORANGE, RED = "#1a9850", "#e66101", "#c51b7d"


@dataclass(frozen=True)
class Case:
    """What is drawn of one miss or false detection, in a frame around it: right, away from the sensor, up from the ground.

    Attributes:
        title: two lines.
        missed: a person who was missed; else a false detection.
        points: (N, 3) float64, m; ``own`` (N,) bool: its returns.
        labels, detections: (L, 4, 2) and (D, 4, 2) float64, m: corners of their boxes.
        peaks: (K, 2) float64, m; ``peak_scores`` (K,).
        within_m: what counted as near.
    """

    title: str
    missed: bool
    points: Float64
    own: NDArray[np.bool_]
    labels: Float64
    detections: Float64
    peaks: Float64
    peak_scores: Float64
    within_m: float


class ContactSheet:
    """Collects cases, and draws them: misses first, then what is false in the camera's view, then what is false elsewhere.

    Args:
        most: cases drawn.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._cases: tuple[list[Case], list[Case], list[Case]] = ([], [], [])
        self._count = 0

    def __len__(self) -> int:
        """Cases there were, drawn or not."""
        return self._count

    def add(self, cloud: LabelledCloud, result: CloudResult, detector: Detector, rules: Rules) -> None:
        """Take in the cases of a cloud; ``detector`` is the one that has just looked at it: it knows the ground."""
        for person in np.flatnonzero(~result.found):
            box = cloud.boxes[[result.box[person]]]
            own = box.contains(cloud.points, OWN_MARGIN_M)[0]
            score = "" if np.isnan(result.score[person]) else f" {result.score[person]:.2f}"
            title = f"{cloud.name}: {result.reason[person]}{score}\n{result.range_m[person]:.1f} m, {result.returns[person]} returns"
            if abs(result.ground_m[person]) > WRONG_GROUND_M:
                title += f", ground {result.ground_m[person]:+.1f} m"
            self._take(0, title, cloud, result, detector, rules, result.place[person], own)
        for found in np.flatnonzero(result.false):
            own = np.zeros(len(cloud.points), bool)
            own[result.detections.members(int(found))] = True
            place = result.detections.center[found].astype(np.float64)
            title = f"{cloud.name}: false {result.detections.score[found]:.2f}\n{np.hypot(*place[:2]):.1f} m, {own.sum()} returns"
            self._take(1 if result.false_in_view[found] else 2, title, cloud, result, detector, rules, place, own)

    def _take(
        self,
        kind: int,
        title: str,
        cloud: LabelledCloud,
        result: CloudResult,
        detector: Detector,
        rules: Rules,
        place: Float64,
        own: NDArray[np.bool_],
    ) -> None:
        self._count += 1
        if len(self._cases[kind]) >= self._most:
            return
        away = place[:2] / max(float(np.hypot(*place[:2])), 0.1)
        axes = np.array([[away[1], -away[0]], away])  # right, away
        near = (np.abs(cloud.points[:, :2] - place[:2]) < 1.5 * REACH_M).all(axis=1)
        points = cloud.points[near]
        ground = detector.ground_z(points)
        height = points[:, 2] - (points[:, 2].min(initial=0.0) if ground is None else ground)
        size = result.detections.size
        corners = result.detections.center[:, None, :2] + size[:, None, :2] * _corners()
        peaks, labels = (result.peak_xy - place[:2]) @ axes.T, cloud.boxes.of_kind(PERSON)
        cosine, sine = np.cos(labels.yaw), np.sin(labels.yaw)
        turn = np.stack([np.stack([cosine, -sine], axis=1), np.stack([sine, cosine], axis=1)], axis=1)
        outline = labels.center[:, None, :2] + (labels.size[:, None, :2] * _corners()) @ turn.transpose(0, 2, 1)
        self._cases[kind].append(
            Case(
                title,
                kind == 0,
                np.column_stack([(points[:, :2] - place[:2]) @ axes.T, height]),
                own[near],
                (outline - place[:2]) @ axes.T,
                (corners - place[:2]) @ axes.T,
                peaks[(np.abs(peaks) < REACH_M).all(axis=1)],
                result.peak_score[(np.abs(peaks) < REACH_M).all(axis=1)].astype(np.float64),
                rules.within_m,
            )
        )

    def write(self, path: Path) -> str:
        """Draw a PNG, and NAME_2.png and so on for more than ``CASES_A_SHEET``; returns a sentence about what was drawn."""
        cases = [case for kind in self._cases for case in kind][: self._most]
        written = []
        for begin in range(0, len(cases), CASES_A_SHEET):
            number = begin // CASES_A_SHEET + 1
            written.append(path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}"))
            _sheet(cases[begin : begin + CASES_A_SHEET]).savefig(written[-1])
        left = f"; {self._count - len(cases)} more were not drawn (--most-pictures)" if self._count > len(cases) else ""
        return f"{', '.join(map(str, written))}: {len(cases)} misses and false detections{left}"


def _sheet(cases: list[Case]) -> Figure:
    rows = -(-len(cases) // COLUMNS)
    height_in = rows * (TILE_IN + TITLE_IN)
    figure = Figure(figsize=(2 * COLUMNS * TILE_IN, height_in), dpi=DPI)
    grid = figure.subplots(rows, 2 * COLUMNS, squeeze=False)
    for axes in grid.flat[2 * len(cases) :]:
        axes.set_visible(False)
    for number, case in enumerate(cases):
        _draw_above(grid.flat[2 * number], case)
        _draw_front(grid.flat[2 * number + 1], case)
    figure.subplots_adjust(0.01, 0.01, 0.995, 1 - TITLE_IN / height_in, 0.08, 0.25)
    return figure


def _corners() -> Float64:
    return np.array([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])


def _draw_above(axes: Axes, case: Case) -> None:
    """From above, the sensor below the picture."""
    _prepare(axes, (-REACH_M, REACH_M), (-REACH_M, REACH_M))
    axes.set_title(case.title, fontsize=8, loc="left", color=RED if case.missed else ORANGE)
    low = case.points[:, 2] < GROUND_M
    axes.scatter(case.points[low, 0], case.points[low, 1], s=0.6, c="#d0d0d0", linewidths=0)
    _scatter(axes, case, ~low, 1)
    for corners in case.labels:
        axes.add_patch(Polygon(corners, fill=False, edgecolor=GREEN, linewidth=1.3))
    for corners in case.detections:
        axes.add_patch(Polygon(corners, fill=False, edgecolor=ORANGE, linewidth=1.3))
    if case.missed:
        axes.add_patch(Circle((0, 0), case.within_m, fill=False, edgecolor=GREEN, linewidth=0.6, linestyle=":"))
    for (right, away), score in zip(case.peaks, case.peak_scores, strict=True):
        axes.plot(right, away, "x", color=RED, markersize=4, markeredgewidth=1)
        text = "gate" if np.isnan(score) else f"{score:.2f}"
        axes.text(right + 0.08, away, text, fontsize=6, color=RED, va="center", clip_on=True)


def _draw_front(axes: Axes, case: Case) -> None:
    """As the sensor sees it: its own returns in color, what stands within a meter before or behind in gray."""
    _prepare(axes, (-FRONT_M, FRONT_M), (-0.1, HIGH_M))
    others = ~case.own & (np.abs(case.points[:, 1]) < 1.0)
    axes.scatter(case.points[others, 0], case.points[others, 2], s=1.5, c="#b8b8b8", linewidths=0)
    _scatter(axes, case, case.own, 2)
    for height in (0.0, 1.0, 2.0):
        axes.axhline(height, color="#888888", linewidth=0.4)
        axes.text(-FRONT_M, height, f"{height:g} m", fontsize=6, color="#555555", va="bottom")


def _prepare(axes: Axes, right: tuple[float, float], up: tuple[float, float]) -> None:
    axes.set_xlim(*right)
    axes.set_ylim(*up)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _scatter(axes: Axes, case: Case, mask: NDArray[np.bool_], up: int) -> None:
    """Points, colored by height: to the right, and coordinate ``up`` upwards."""
    right, height = case.points[mask, 0], case.points[mask, 2]
    axes.scatter(right, case.points[mask, up], s=3, c=height, cmap="viridis", vmin=0, vmax=HIGH_M, linewidths=0)
