"""Ground and height of a box from the frames so far: by hand, causal, and the same live and in recordings."""

from __future__ import annotations

import dataclasses
from collections import deque

import numpy as np
import pytest

from emgait_ros.config import RecognitionConfig
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import default_bundle_path, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.inference.steady_box import FRAMES, SOLE_M, so_far, steadied, steady_ground, with_steady_height
from emgait_ros.lab.datasets.recorded import prepared_clouds
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.samples import PedestrianFrame, Sample

STATURE_M = 1.75


def sample(top: float, crop: bool = False, bottom: float = -1.0, frame: int = 0) -> Sample:
    """A body of 60 returns on the ground at ``bottom`` whose highest return is ``top`` above it; a box as high as that."""
    rng = np.random.default_rng(frame)
    height = np.append(rng.uniform(0.05, 0.9 * top, 59), top)
    x = 10 - 0.12 * frame
    points = np.stack([rng.normal(x, 0.1, 60), rng.normal(0, 0.1, 60), bottom + height], axis=1).astype(np.float32)
    return Sample(
        track_id=1, center=np.array([x, 0.0, bottom + top / 2]), size=np.array([0.6, 0.6, top]),
        velocity=np.array([-1.2, 0.0, 0.0]), moving=True, range_m=x, score=1.0, point_count=60, points=points,
        crop=np.full((128, 64, 3), 90, np.uint8) if crop else None, crop_native_height_px=100.0 * crop,
    )  # fmt: skip


TOPS = [1.5, 1.7, 1.6, STATURE_M, 1.4, 1.7, 1.75, 1.6, 1.7, 1.75, 1.5, 1.74]


def test_a_percentile_of_the_frames_so_far() -> None:
    assert so_far(np.array([3.0, 1.0, 2.0, 5.0]), 100).tolist() == [3, 3, 3, 5]
    assert so_far(np.array([3.0, 1.0, 2.0, 5.0]), 0).tolist() == [3, 1, 1, 1]
    longer = np.append(9.0, np.zeros(FRAMES))
    assert so_far(longer, 100).tolist() == [9.0] * FRAMES + [0.0]  # forgotten after a window
    assert len(so_far(np.zeros(0), 50)) == 0


@pytest.mark.parametrize(
    ("lowest", "ground"),
    [
        ([0.05] * 30, 0.0),
        ([0.5, 0.4, 0.6, *[0.05] * 27], 0.0),  # feet hidden at first
        ([*[0.05] * 29, 0.7], 0.0),  # hidden now
        ([*[0.05] * 15, -0.9, *[0.05] * 14], 0.0),  # a stray return
        ([0.2] * 30, 0.15),  # always cut there: nothing tells
    ],
)
def test_the_ground_does_not_follow_one_cloud(lowest: list[float], ground: float) -> None:
    assert steady_ground(np.array(lowest))[-1] == pytest.approx(ground, abs=1e-9)
    assert SOLE_M == 0.05


def test_a_box_is_as_high_as_the_frames_so_far_say_and_stands_where_it_stood() -> None:
    found = steadied([sample(top, frame=row) for row, top in enumerate(TOPS)])
    assert [s.size[2] for s in found] == pytest.approx(so_far(np.array(TOPS), 90).tolist(), abs=1e-6)
    assert [s.center[2] - s.size[2] / 2 for s in found] == pytest.approx([-1.0] * len(TOPS))
    assert found[-1].size[2] == pytest.approx(STATURE_M, abs=0.005)
    assert found[:5] != steadied([sample(1.0, frame=0)])
    again = steadied([sample(top, frame=row) for row, top in enumerate(TOPS[:5])])
    assert [s.size[2] for s in again] == [s.size[2] for s in found[:5]]  # what comes later changes nothing


def test_a_box_with_a_crop_stays_what_the_crop_shows() -> None:
    heights: deque[float] = deque(maxlen=FRAMES)
    tall, short = sample(1.75, crop=True), sample(1.4, crop=True)
    assert with_steady_height(tall, heights) is tall
    assert with_steady_height(short, heights) is short
    assert list(heights) == pytest.approx([1.75, 1.4], abs=1e-6)  # but it counts for frames without one
    assert with_steady_height(sample(1.4), heights).size[2] == pytest.approx(
        np.percentile([1.75, 1.4, 1.4], 90), abs=1e-6
    )


def test_a_sample_without_points_is_left_alone() -> None:
    bare = dataclasses.replace(sample(1.7), points=None)
    assert steadied([bare])[0] is bare


PREPROCESSING = Preprocessing(points=64, points_frame="heading", view_coordinates=True)


def test_one_cut_cloud_moves_nothing_in_a_recording() -> None:
    """The row in the crop (in box heights) and the height above the ground of one return, in frames that lack head or feet."""
    rng = np.random.default_rng(0)
    whole = np.stack([np.full(40, 10.0), rng.normal(0, 0.15, 40), np.linspace(0.05, STATURE_M, 40)], axis=1)
    chest = np.argmin(np.abs(whole[:, 2] - 1.2))
    clouds = []
    for frame in range(30):
        cloud = whole.copy()
        cloud[:, 0] -= 0.12 * frame
        if frame == 20:
            cloud[cloud[:, 2] > 1.3, 2] = 1.2  # no head
        if frame == 25:
            cloud[cloud[:, 2] < 0.7, 2] = 1.2  # no legs
        clouds.append(cloud.astype(np.float32))
    points = prepared_clouds(clouds, PREPROCESSING)[0]
    which = int(np.flatnonzero(np.arange(64) * 40 // 64 == chest)[0])
    assert np.ptp(points[:, which, 2]) < 0.005
    assert np.ptp(points[:, which, 4]) < 0.005
    assert points[-1, which, 2] == pytest.approx(whole[chest, 2], abs=0.01)
    assert points[-1, which, 4] == pytest.approx(whole[chest, 2] / STATURE_M, abs=0.01)
    first = prepared_clouds(clouds[:15], PREPROCESSING)[0]
    assert np.array_equal(first[:9, :, 2:5], points[:9, :, 2:5])  # causal, but for the heading


def test_the_live_recognizer_does_the_same(tmp_path) -> None:
    """LiDAR alone through the recognizer, and the same track prepared at once."""
    encoder = GaitEncoder(load_bundle(default_bundle_path()))
    track = [sample(top, frame=row) for row, top in enumerate(TOPS)]
    with Gallery(tmp_path / "gallery.db") as gallery:
        recognizer = GaitRecognizer(RecognitionConfig(), encoder, gallery)
        for row, one in enumerate(track):
            recognizer.process(PedestrianFrame(row * 100_000_000, "lidar", "head", (one,)))
        window = recognizer.windows.get("head", 1)
        assert window is not None
        assert window.embedding is not None
        whole = list(encoder.encode_frames(prepare(steadied(track), encoder.bundle.preprocessing)))
        assert np.abs(window.embedding - encoder.embed([whole])[0]).max() < 1e-4
        raw = list(encoder.encode_frames(prepare(track, encoder.bundle.preprocessing)))
        assert np.abs(window.embedding - encoder.embed([raw])[0]).max() > 1e-3
