"""MOTA, IDF1 and HOTA of tracks in the ground plane, by center distance.

MOTA and the identity switches as in CLEAR MOT (Bernardin and Stiefelhagen 2008), IDF1 after Ristani et al. 2016, HOTA
after Luiten et al. 2021 with the similarity max(0, 1 - distance / 2 m), the mean over alpha 0.05 to 0.95.

On the KITTI sequences and noisy copies of them, MOTA, IDF1 and their counts equal those of motmetrics 1.4.0 and IDF1 and
HOTA those of TrackEval 1.3.0. TrackEval's own MOTA differs where detections are missing: it keeps a pair only from the
frame before, CLEAR MOT from the last frame in which the person was matched. Neither package is used: trackeval requires
opencv-python, which overwrites opencv-python-headless, and motmetrics has no HOTA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from emgait_ros.samples import Float64, Int64

GATE_M = 1.0
ZERO_M = 2.0
ALPHAS = np.arange(0.05, 0.99, 0.05)


@dataclass(frozen=True)
class TrackingFrame:
    """One frame of a sequence: who is where, and who is said to be where.

    Attributes:
        truth_id: (G,) int64; truth: (G, 2) m.
        track_id: (T,) int64; track: (T, 2) m.
    """

    truth_id: Int64
    truth: Float64
    track_id: Int64
    track: Float64

    def distances(self) -> Float64:
        """(G, T) m."""
        return np.linalg.norm(self.truth[:, None] - self.track[None], axis=2)


def tracking_scores(sequences: Sequence[Sequence[TrackingFrame]]) -> dict[str, float]:
    """Percentages MOTA, IDF1 and HOTA, and the counts switches, false_positives, misses, over all sequences together."""
    clear = np.zeros(4)  # truth, misses, false positives, switches
    identity = np.zeros(3)  # true positives, truth, tracks
    hota = [np.zeros(len(ALPHAS)) for _ in range(4)]  # true positives, truth, tracks, weighted association
    for frames in sequences:
        numbered = _numbered(frames)
        clear += _clear(numbered)
        identity += _identity(numbered)
        for total, part in zip(hota, _hota(numbered), strict=True):
            total += part
    truth, misses, false_positives, switches = clear
    hits, hota_truth, hota_tracks, association = hota
    detection = hits / np.maximum(hota_truth + hota_tracks - hits, 1)
    return {
        "MOTA": 100 * (1 - (misses + false_positives + switches) / max(truth, 1)),
        "IDF1": 100 * 2 * identity[0] / max(identity[1] + identity[2], 1),
        "HOTA": 100 * float(np.mean(np.sqrt(detection * association / np.maximum(hits, 1)))),
        "switches": switches,
        "false_positives": false_positives,
        "misses": misses,
    }


def _numbered(frames: Sequence[TrackingFrame]) -> list[tuple[Int64, Int64, Float64]]:
    """Per frame: identities and tracks numbered from 0, and distances."""
    truths = np.unique(np.concatenate([f.truth_id for f in frames] or [np.zeros(0, np.int64)]))
    tracks = np.unique(np.concatenate([f.track_id for f in frames] or [np.zeros(0, np.int64)]))
    return [(np.searchsorted(truths, f.truth_id), np.searchsorted(tracks, f.track_id), f.distances()) for f in frames]


def _counts(frames: list[tuple[Int64, Int64, Float64]]) -> tuple[Int64, Int64]:
    """How often each identity and each track occurs."""
    truth = np.bincount(np.concatenate([t for t, _, _ in frames] or [np.zeros(0, np.int64)]).astype(np.int64))
    track = np.bincount(np.concatenate([t for _, t, _ in frames] or [np.zeros(0, np.int64)]).astype(np.int64))
    return truth, track


def _clear(frames: list[tuple[Int64, Int64, Float64]]) -> Float64:
    """Truth boxes, misses, false positives, switches; a pair that still holds is kept before others are matched."""
    last: dict[int, int] = {}
    total, misses, false_positives, switches = 0, 0, 0, 0
    for truth, track, distance in frames:
        cost = np.where(distance <= GATE_M, distance, 1e6)
        pairs: list[tuple[int, int]] = []
        place = {int(number): column for column, number in enumerate(track)}
        for row, person in enumerate(truth):
            column = place.get(last.get(int(person), -1))
            if column is not None and cost[row, column] < 1e6:
                pairs.append((row, column))
                cost[row, :], cost[:, column] = 1e6, 1e6
        pairs += [(int(r), int(c)) for r, c in zip(*linear_sum_assignment(cost), strict=True) if cost[r, c] < 1e6]
        for row, column in pairs:
            person, number = int(truth[row]), int(track[column])
            switches += person in last and last[person] != number
            last[person] = number
        total += len(truth)
        misses += len(truth) - len(pairs)
        false_positives += len(track) - len(pairs)
    return np.array([total, misses, false_positives, switches], float)


def _identity(frames: list[tuple[Int64, Int64, Float64]]) -> Float64:
    """Identity true positives, truth boxes, track boxes under the best one-to-one assignment of tracks to people."""
    truth_count, track_count = _counts(frames)
    together = np.zeros((len(truth_count), len(track_count)))
    for truth, track, distance in frames:
        row, column = np.nonzero(distance <= GATE_M)
        np.add.at(together, (truth[row], track[column]), 1)
    rows, columns = linear_sum_assignment(-together)
    return np.array([together[rows, columns].sum(), truth_count.sum(), track_count.sum()], float)


def _hota(frames: list[tuple[Int64, Int64, Float64]]) -> tuple[Float64, Float64, Float64, Float64]:
    """Per alpha: true positives, truth boxes, track boxes, association accuracy summed over the true positives."""
    truth_count, track_count = _counts(frames)
    likely = np.zeros((len(truth_count), len(track_count)))
    for truth, track, distance in frames:
        similarity = np.maximum(0.0, 1.0 - distance / ZERO_M)
        union = similarity.sum(0)[None, :] + similarity.sum(1)[:, None] - similarity
        likely[truth[:, None], track[None, :]] += np.where(union > 1e-9, similarity / np.maximum(union, 1e-9), 0.0)
    alignment = likely / np.maximum(truth_count[:, None] + track_count[None, :] - likely, 1e-9)
    matched = np.zeros((len(ALPHAS), *likely.shape))
    for truth, track, distance in frames:
        if distance.size == 0:
            continue
        similarity = np.maximum(0.0, 1.0 - distance / ZERO_M)
        rows, columns = linear_sum_assignment(-alignment[truth[:, None], track[None, :]] * similarity)
        for a, alpha in enumerate(ALPHAS):
            good = similarity[rows, columns] >= alpha - 1e-9
            matched[a, truth[rows[good]], track[columns[good]]] += 1
    hits = matched.sum((1, 2))
    union = truth_count[None, :, None] + track_count[None, None, :] - matched
    association = (matched * matched / np.maximum(union, 1)).sum((1, 2))
    every = np.ones(len(ALPHAS))
    return hits, every * truth_count.sum(), every * track_count.sum(), association
