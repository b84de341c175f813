"""Other ways from a cloud to people, for comparison: ground removal, clusters, and gates of a person's size.

Each peer is optional; :func:`peers` tells which are installed and why the others are left out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from emgait_ros.samples import Float32, Float64, Int64, UInt8
from emgait_ros.sensing.conversions import cloud_to_points, image_to_rgb

Peer = Callable[[Float32], Float64]  # (N, 3) m -> (P, 2) places of people, m
CLUSTER_M = 0.5
PERSON_HEIGHT_M, PERSON_WIDTH_M, PERSON_POINTS = (0.9, 2.1), 1.2, 10


def peers() -> tuple[dict[str, Peer], dict[str, str]]:
    """Name -> peer for those installed here, and name -> reason for those left out."""
    found: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name, make in (("patchwork", _patchwork_components), ("open3d", _open3d_dbscan), ("sklearn", _sklearn_dbscan)):
        try:
            found[name] = make()
        except ImportError as error:
            missing[name] = f"not installed: {error}"
    return found, missing


def people_among(points: Float32, label: Int64) -> Float64:
    """Places (P, 2) of the clusters that are as large as a person: labels (N,), negative ones are noise."""
    places = []
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.arange(int(label.max(initial=-1)) + 2))
    for begin, end in itertools.pairwise(bounds):
        if end - begin < PERSON_POINTS:
            continue
        own = points[order[begin:end]]
        extent = own.max(0) - own.min(0)
        if PERSON_HEIGHT_M[0] <= extent[2] <= PERSON_HEIGHT_M[1] and extent[:2].max() <= PERSON_WIDTH_M:
            places.append((own[:, :2].min(0) + own[:, :2].max(0)) / 2)
    return np.array(places, np.float64).reshape(-1, 2)


def _patchwork_components() -> Peer:
    """Patchwork++, then connected components of the 10-nearest-neighbour graph within 0.5 m."""
    above_ground = _patchwork()

    def work(cloud: Float32) -> Float64:
        rest = above_ground(cloud)
        near, index = map(np.asarray, cKDTree(rest).query(rest, k=10, distance_upper_bound=CLUSTER_M))
        row, column = np.nonzero(np.isfinite(near))
        graph = coo_matrix((np.ones(len(row), bool), (row, index[row, column])), shape=(len(rest), len(rest)))
        return people_among(rest, connected_components(graph, directed=False)[1].astype(np.int64))

    return work


def _open3d_dbscan() -> Peer:
    """Open3D: one plane, then DBSCAN with 0.5 m."""
    open3d = _imported("open3d")

    def work(cloud: Float32) -> Float64:
        points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.astype(np.float64)))
        _, plane = points.segment_plane(0.2, 3, 200)
        rest = points.select_by_index(plane, invert=True)
        label = np.asarray(rest.cluster_dbscan(CLUSTER_M, PERSON_POINTS))
        return people_among(np.asarray(rest.points, np.float32), label.astype(np.int64))

    return work


def _sklearn_dbscan() -> Peer:
    """Patchwork++ for the ground, then scikit-learn's DBSCAN with 0.5 m."""
    cluster = _imported("sklearn.cluster")
    above_ground = _patchwork()

    def work(cloud: Float32) -> Float64:
        rest = above_ground(cloud)
        label = cluster.DBSCAN(eps=CLUSTER_M, min_samples=PERSON_POINTS, n_jobs=1).fit_predict(rest)
        return people_among(rest, np.asarray(label, np.int64))

    return work


def _patchwork() -> Callable[[Float32], Float32]:
    """Patchwork++: the points (M, 3) of a cloud that are not ground."""
    patchwork = _imported("pypatchworkpp")
    parameters = patchwork.Parameters()
    parameters.verbose = False
    ground = patchwork.patchworkpp(parameters)

    def above_ground(cloud: Float32) -> Float32:
        ground.estimateGround(np.column_stack([cloud, np.zeros(len(cloud), np.float32)]))
        return cloud[np.asarray(ground.getNongroundIndices())]

    return above_ground


def _imported(name: str) -> Any:
    """A module without type information; whatever keeps it from loading counts as not installed."""
    try:
        return import_module(name)
    except OSError as error:  # a shared library of it is missing
        raise ImportError(str(error)) from error


def median_ms(work: Callable[[Any], object], inputs: list[Any], repeats: int = 1) -> float:
    """Median CPU time of this process for one call, ms, after one call that is not counted."""
    work(inputs[0])
    spent = []
    for item in [i for _ in range(repeats) for i in inputs]:
        begun = time.process_time()
        work(item)
        spent.append(time.process_time() - begun)
    return float(np.median(spent)) * 1e3


def decoding_figures(cloud: Float32, image: UInt8) -> dict[str, Any]:
    """ms from message to arrays, ours and ``sensor_msgs_py.read_points_numpy``; and whether an rgb8 image is copied."""
    try:
        messages, headers = _imported("sensor_msgs.msg"), _imported("std_msgs.msg")
        reader = _imported("sensor_msgs_py.point_cloud2")
    except ImportError as error:
        return {"decode_skipped": f"not installed: {error}"}
    fields = [
        messages.PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate(("x", "y", "z", "i"))
    ]
    table = np.column_stack([cloud, np.zeros(len(cloud), np.float32)])
    message = reader.create_cloud(headers.Header(), fields, table)
    picture = messages.Image(height=image.shape[0], width=image.shape[1], encoding="rgb8", step=3 * image.shape[1])
    picture.data = _imported("array").array("B", image.tobytes())
    ours = median_ms(cloud_to_points, [message], 15)
    theirs = median_ms(lambda m: reader.read_points_numpy(m, ["x", "y", "z"], skip_nans=True), [message], 15)
    pixels = image_to_rgb(picture)
    return {
        "decode_cloud_ms": round(ours, 2),
        "read_points_numpy_ms": round(theirs, 2),
        "ratio_read_points_numpy": round(theirs / max(ours, 1e-6), 1),
        "decode_image_ms": round(median_ms(image_to_rgb, [picture], 15), 3),
        "decode_image_copies": not np.shares_memory(pixels, np.frombuffer(picture.data, np.uint8)),
    }
