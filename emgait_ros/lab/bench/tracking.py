"""Measures the tracker: real detections of KITTI tracking sequences, and simulated people who cross.

The tracker is the class that runs live, with the defaults of the live node; all that it publishes is scored. The KITTI
sensor drives in some sequences, and its pose is not used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from emgait_ros.config import SensingConfig
from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.bench.tracking_metrics import GATE_M, TrackingFrame, tracking_scores
from emgait_ros.samples import Float64
from emgait_ros.sensing.tracking.evidence import as_score
from emgait_ros.sensing.tracking.tracker import PedestrianTracker

SEQUENCES = ("0016", "0019")
PERIOD_S = 0.1
MAX_RANGE_M = 50.0
# PointRCNN's score is a logit: this logistic curve, fitted to the labels of 0015, 0016 and 0019 with equal weights, turns
# it into the share of true detections
SCORE_MIDDLE, SCORE_SLOPE = 2.15, 1.48
BODY = np.array([0.6, 0.6, 1.75])


def run_benchmark(
    kitti: Path | None, crossings: int, out: Path | None = None, sequences: Sequence[str] = SEQUENCES
) -> dict[str, Any]:
    """All figures.

    Args:
        kitti: folder with NNNN.detections.txt and NNNN.label.txt; None leaves that part out.
        crossings: simulated crossings, 12 people each.
        out: folder for the tracks, one text file a sequence (frame,id,x,y,z in camera coordinates).
        sequences: names of the sequences, scored together.

    Raises:
        OSError: a sequence is missing.
    """
    figures: dict[str, Any] = {"machine": machine()}
    if kitti is not None:
        figures.update(_kitti(kitti, out, sequences))
    values = [crossing_idf1(seed) for seed in range(crossings)]
    if values:
        figures["idf1_crossing"] = round(float(np.mean(values)), 4)
        figures["idf1_crossing_worst"] = round(float(min(values)), 4)
    return figures


def _kitti(folder: Path, out: Path | None, sequences: Sequence[str]) -> dict[str, Any]:
    scored, written, frames_done, spent = [], [], 0, 0.0
    for name in sequences:
        detections = np.loadtxt(folder / f"{name}.detections.txt", delimiter=",", ndmin=2)
        people, sitting, count = read_labels(folder / f"{name}.label.txt")
        tracks, seconds = track_sequence(detections[detections[:, 1] == 1], count)
        frames_done, spent = frames_done + count, spent + seconds
        written.append(tracks)
        scored.append([_scored_frame(people.get(k), sitting.get(k), tracks[k]) for k in range(count)])
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            lines = [f"{k},{int(i)},{x:.3f},0,{z:.3f}\n" for k in range(count) for i, x, z, _ in tracks[k]]
            (out / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    published = np.concatenate([frame for tracks in written for frame in tracks])
    scores = {name: round(float(value), 2) for name, value in tracking_scores(scored).items()}
    coasting = round(float(published[:, 3].mean()), 4)
    return {**scores, "coasting_share": coasting, "frames_per_s": round(frames_done / spent)}


def track_sequence(detections: Float64, count: int) -> tuple[list[Float64], float]:
    """Published tracks per frame, (T, 4) number, x, z, 1 where it coasts; and the seconds the tracker took (CPU time of this thread).

    Args:
        detections: rows frame, type, 2D box (4), score, h, w, l, x, y, z, yaw, alpha; camera coordinates, m.
        count: frames.
    """
    live = SensingConfig()
    tracker = PedestrianTracker(live.tracker, "bench", live.detector.min_score)
    probability = 1.0 / (1.0 + np.exp(-(detections[:, 6] - SCORE_MIDDLE) * SCORE_SLOPE))
    score = as_score(probability, live.tracker.weak_score, live.detector.min_score)
    least = min(live.tracker.weak_score, live.detector.min_score)
    detections, score = detections[score >= least], score[score >= least]
    frame = detections[:, 0].astype(np.int64)
    size = detections[:, [8, 9, 7]]
    center = np.column_stack([detections[:, 10], detections[:, 12], detections[:, 7] / 2 - detections[:, 11]])
    distance = np.hypot(center[:, 0], center[:, 1])
    out, spent = [], 0.0
    for k in range(count):
        now = frame == k
        begun = time.thread_time()
        report = tracker.update(round(k * PERIOD_S * 1e9), center[now], size[now], score[now], distance[now])
        spent += time.thread_time() - begun
        out.append(np.column_stack([report.track_id, report.position, report.detection < 0]))
    return out, spent


def read_labels(path: Path) -> tuple[dict[int, Float64], dict[int, Float64], int]:
    """Pedestrians and sitting people within 50 m per frame, (n, 3) identity, x, z; and the number of frames."""
    people: dict[int, list[list[float]]] = {}
    sitting: dict[int, list[list[float]]] = {}
    last = -1
    for line in path.read_text(encoding="utf-8").splitlines():
        word = line.split()
        if not word:
            continue
        last = max(last, int(word[0]))
        if word[2] not in ("Pedestrian", "Person"):
            continue
        row = [float(word[1]), float(word[13]), float(word[15])]
        if np.hypot(row[1], row[2]) <= MAX_RANGE_M:
            (people if word[2] == "Pedestrian" else sitting).setdefault(int(word[0]), []).append(row)
    return _as_arrays(people), _as_arrays(sitting), last + 1


def _as_arrays(rows: dict[int, list[list[float]]]) -> dict[int, Float64]:
    return {k: np.array(v) for k, v in rows.items()}


def _scored_frame(people: Float64 | None, sitting: Float64 | None, tracks: Float64) -> TrackingFrame:
    """Tracks beyond 50 m and those on sitting people are neither right nor wrong."""
    people = np.zeros((0, 3)) if people is None else people
    tracks = tracks[np.hypot(tracks[:, 1], tracks[:, 2]) <= MAX_RANGE_M]
    if sitting is not None and len(tracks):
        everybody = np.concatenate([people, sitting])
        distance = np.linalg.norm(everybody[:, None, 1:] - tracks[None, :, 1:3], axis=2)
        rows, columns = linear_sum_assignment(np.where(distance <= GATE_M, distance, 1e6))
        on_sitting = (rows >= len(people)) & (distance[rows, columns] <= GATE_M)
        tracks = np.delete(tracks, columns[on_sitting], axis=0)
    return TrackingFrame(people[:, 0].astype(np.int64), people[:, 1:], tracks[:, 0].astype(np.int64), tracks[:, 1:3])


def crossing_people(seed: int) -> list[tuple[Float64, np.ndarray]]:
    """People who cross a square in straight lines 20 m away, hidden now and then by those in front of them.

    Returns:
        Per frame at 10 Hz: measured places (12, 2), m, with 5 cm of noise, and which are seen (12,).
    """
    count, frames = 12, 150
    random = np.random.default_rng(seed)
    angle = np.arange(count) * (2 * np.pi / count) + random.normal(0, 0.15, count)
    speed = random.uniform(0.9, 1.6, count)
    aim = random.uniform(-2.5, 2.5, (count, 2))
    start = 9.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    heading = (aim - start) / np.linalg.norm(aim - start, axis=1, keepdims=True)
    out = []
    for k in range(frames):
        place = start + heading * (speed * k * PERIOD_S)[:, None] + [20, 0]
        azimuth, distance = np.arctan2(place[:, 1], place[:, 0]), np.hypot(place[:, 0], place[:, 1])
        beside = np.abs(azimuth[None] - azimuth[:, None]) * distance[:, None]
        hidden = ((distance[None] < distance[:, None] - 0.3) & (beside < 0.22)).any(1)
        out.append((place + random.normal(0, 0.05, place.shape), ~hidden & (random.random(count) > 0.03)))
    return out


def crossing_idf1(seed: int) -> float:
    """IDF1 (0..1) of the live tracker on one such crossing; hidden people count, too."""
    tracker = PedestrianTracker(None, "bench")
    frames = []
    for k, (place, seen) in enumerate(crossing_people(seed)):
        order = np.random.default_rng(k).permutation(np.flatnonzero(seen))
        center = np.column_stack([place[order], np.full(len(order), BODY[2] / 2)])
        size = np.tile(BODY, (len(order), 1))
        distance = np.hypot(center[:, 0], center[:, 1])
        report = tracker.update(round(k * PERIOD_S * 1e9), center, size, np.ones(len(order)), distance)
        frames.append(TrackingFrame(np.arange(len(place)), place, report.track_id, report.position))
    return tracking_scores([frames])["IDF1"] / 100
