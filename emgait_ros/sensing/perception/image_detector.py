"""People in images, optional: the user's ONNX detector, and the returns of its boxes in the cloud.

Where a person at 50 m has a handful of returns, the camera still sees them; a box in the image then needs only a few returns
at one depth to become a detection. No model is shipped.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from emgait_ros.config import ImageDetectorConfig
from emgait_ros.samples import CameraModel, Detections, Float32, Float64, Int64, UInt8
from emgait_ros.sensing.perception.camera import box_rectangles, project
from emgait_ros.sensing.perception.verifier import open_onnx

PERSON = 0  # class number in COCO order
OVERLAP_NMS = 0.6
SAME_PERSON = 0.3  # overlap from which on a box and a projected detection are one person
CORE = 0.6  # middle fraction of a box's width whose returns are used: the sides show what is behind
PERSON_HEIGHT_M = 1.7
DEPTH_PLAY = 0.35  # a box's height gives the range to about a third
BODY_DEPTH_M = 0.5
LEAST_RETURNS = 3
CONFIRMED = 0.5  # how far a box in the image lifts the score of a detection towards 1


class ImageDetector(Protocol):
    """Finds people in images. Give ``PedestrianSensing`` your own: anything with this method will do."""

    def detect(self, image: UInt8) -> tuple[Float64, Float64]:
        """Boxes of people in an (H, W, 3) uint8 RGB image: (B, 4) left, top, right, bottom px, and (B,) scores 0..1."""
        ...


class OnnxImageDetector:
    """An ONNX detector by path. The input is (1, 3, H, W) float32 RGB 0..1; the image is fitted in with gray borders.

    Outputs understood, distinguished by their shapes (px of the input, COCO class order):
    (1, N, 6): left, top, right, bottom, score, class; (1, 4 + C, A) with A > C: center, width, height, class scores;
    (1, A, 5 + C): center, width, height, objectness, class scores; or three outputs: boxes (N, 4), and scores and
    integer labels (N,) where label 1 is a person.

    Args:
        path: the ONNX file.
        min_score: weaker boxes are dropped.

    Raises:
        ValueError: no such file, or another input; says what was found.
    """

    def __init__(self, path: str, min_score: float) -> None:
        self._session = open_onnx(path, "image_detector.model")
        self._path, self._min_score = path, min_score
        entry = self._session.get_inputs()[0]
        if len(entry.shape) != 4 or entry.shape[1] != 3 or not all(isinstance(n, int) for n in entry.shape[2:]):
            raise ValueError(
                f"image_detector.model {path}: input '{entry.name}' has the shape {entry.shape}: "
                "expected (1, 3, H, W) with fixed H and W"
            )
        self._name, self._height, self._width = entry.name, int(entry.shape[2]), int(entry.shape[3])

    def detect(self, image: UInt8) -> tuple[Float64, Float64]:
        """See ``ImageDetector``.

        Raises:
            ValueError: the outputs have none of the forms.
        """
        scale = min(self._width / image.shape[1], self._height / image.shape[0])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        fitted = np.full((self._height, self._width, 3), 114, np.uint8)
        fitted[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        tensor = np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        outputs = [np.asarray(o) for o in self._session.run(None, {self._name: tensor})]
        boxes, scores = self._people(outputs)
        good = scores >= self._min_score
        boxes, scores = boxes[good] / scale, scores[good]
        kept = non_maximum_suppression(boxes, scores)
        return boxes[kept], scores[kept]

    def _people(self, outputs: list[np.ndarray]) -> tuple[Float64, Float64]:
        if len(outputs) >= 3:
            boxes = next((o for o in outputs if o.ndim == 2 and o.shape[1] == 4), None)
            labels = next((o for o in outputs if o.ndim == 1 and o.dtype.kind in "iu"), None)
            scores = next((o for o in outputs if o.ndim == 1 and o.dtype.kind == "f"), None)
            if boxes is not None and labels is not None and scores is not None:
                person = labels == 1
                return boxes[person].astype(np.float64), scores[person].astype(np.float64)
        table = outputs[0]
        if table.ndim == 3 and table.shape[0] == 1 and table.shape[1] != 0 and min(table.shape[1:]) >= 5:
            rows = table[0].astype(np.float64)
            if rows.shape[1] == 6:
                person = np.rint(rows[:, 5]) == PERSON
                return rows[person, :4], rows[person, 4]
            if rows.shape[0] < rows.shape[1]:  # (4 + C, A)
                return _corners(rows[:4].T), rows[4 + PERSON]
            return _corners(rows[:, :4]), rows[:, 4] * rows[:, 5 + PERSON]
        shapes = ", ".join(str(o.shape) for o in outputs)
        raise ValueError(f"image_detector.model {self._path} gives {shapes}: none of the known forms")


def make_image_detector(config: ImageDetectorConfig) -> ImageDetector | None:
    """The image detector the options ask for; None when they ask for none.

    Raises:
        ValueError: as :class:`OnnxImageDetector`.
    """
    return OnnxImageDetector(config.model, config.min_score) if config.model else None


def fuse(
    detections: Detections, boxes: Float64, scores: Float64, points: Float32, ground_z: Float64, camera: CameraModel
) -> Detections:
    """Detections of the cloud joined with boxes of the image.

    A detection that a box confirms is trusted more; a box without one becomes a detection when a few returns in its
    middle lie at one depth that fits its height.

    Args:
        detections: of the cloud.
        boxes, scores: (B, 4) px and (B,), of the image.
        points: (N, 3) m, the cloud.
        ground_z: (N,) or scalar, z of the ground under each return, m: returns on the ground are left out.
        camera: calibration.
    """
    if len(boxes) == 0:
        return detections
    overlap = np.zeros((len(boxes), len(detections)))
    if len(detections):
        rectangles, visible = box_rectangles(
            detections.center.astype(np.float64), detections.size.astype(np.float64), camera
        )
        overlap = overlaps(boxes, rectangles) * visible
    trusted = detections.score.astype(np.float64)
    if len(detections):
        best = np.where(overlap.max(0) >= SAME_PERSON, scores[overlap.argmax(0)], 0.0)
        trusted += CONFIRMED * best * (1.0 - trusted)
    lonely = np.flatnonzero(overlap.max(1) < SAME_PERSON) if len(detections) else np.arange(len(boxes))
    added = _from_boxes(boxes[lonely], scores[lonely], points, ground_z, camera) if len(lonely) else []
    return _joined(detections, trusted.astype(np.float32), added)


def _from_boxes(
    boxes: Float64, scores: Float64, points: Float32, ground_z: Float64, camera: CameraModel
) -> list[tuple[Float64, Float64, float, Int64]]:
    """Center, size, score and returns of each box that has returns at a depth that fits."""
    pixel, valid = project(points, camera)
    valid &= points[:, 2] > ground_z + 0.15
    distance = np.hypot(points[:, 0], points[:, 1])
    found = []
    for (left, top, right, bottom), score in zip(boxes, scores.tolist(), strict=True):
        middle, half = (left + right) / 2, (right - left) / 2 * CORE
        inside = valid & (np.abs(pixel[:, 0] - middle) <= half) & (pixel[:, 1] >= top) & (pixel[:, 1] <= bottom)
        expected = camera.K[1, 1] * PERSON_HEIGHT_M / max(bottom - top, 1.0)
        near = np.flatnonzero(inside & (np.abs(distance - expected) < DEPTH_PLAY * expected))
        if len(near) < LEAST_RETURNS:
            continue
        order = near[np.argsort(distance[near])]
        first = np.searchsorted(distance[order], distance[order] - BODY_DEPTH_M)
        last = int(np.argmax(np.arange(1, len(order) + 1) - first))
        own = order[first[last] : last + 1]
        if len(own) < LEAST_RETURNS:
            continue
        place = np.median(points[own, :2], axis=0).astype(np.float64)
        floor = float(np.median(np.broadcast_to(ground_z, len(points))[own]))
        center = np.array([place[0], place[1], floor + PERSON_HEIGHT_M / 2])
        found.append((center, np.array([0.5, 0.5, PERSON_HEIGHT_M]), score, own.astype(np.int64)))
    return found


def _joined(detections: Detections, score: Float32, added: list[tuple[Float64, Float64, float, Int64]]) -> Detections:
    occlusion = detections.occlusion if len(detections.occlusion) else np.zeros(len(detections), np.float32)
    group = detections.group if len(detections.group) else np.zeros(len(detections), bool)
    counts = [len(own) for _, _, _, own in added]
    return Detections(
        np.concatenate([detections.center, np.array([c for c, _, _, _ in added], np.float32).reshape(-1, 3)]),
        np.concatenate([detections.size, np.array([s for _, s, _, _ in added], np.float32).reshape(-1, 3)]),
        np.concatenate([score, np.array([s for _, _, s, _ in added], np.float32)]),
        np.concatenate([detections.point_index, *[own for _, _, _, own in added]]),
        np.concatenate([detections.splits, detections.splits[-1] + np.cumsum(counts, dtype=np.int64)]),
        np.concatenate([occlusion, np.zeros(len(added), np.float32)]),
        np.concatenate([group, np.zeros(len(added), bool)]),
    )


def overlaps(first: Float64, second: Float64) -> Float64:
    """Intersection over union of rectangles (A, 4) and (B, 4) left, top, right, bottom: (A, B)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=2)
    area = [np.prod(np.maximum(r[:, 2:] - r[:, :2], 0.0), axis=1) for r in (first, second)]
    return np.asarray(common / np.maximum(area[0][:, None] + area[1][None] - common, 1e-9))


def non_maximum_suppression(boxes: Float64, scores: Float64) -> Int64:
    """Indices of the boxes kept, best first: none overlaps a better one by more than 0.6."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    for i in order:
        if not kept or overlaps(boxes[i : i + 1], boxes[kept]).max() <= OVERLAP_NMS:
            kept.append(int(i))
    return np.array(kept, np.int64)


def _corners(centered: Float64) -> Float64:
    """Center, width, height to corners."""
    half = centered[:, 2:] / 2
    return np.concatenate([centered[:, :2] - half, centered[:, :2] + half], axis=1)
