"""The index finds what exhaustive search finds, on every processor, and forgets what it is told to."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.gallery.index import CHUNK, TemplateIndex
from emgait_ros.gallery.matcher import part_distances


def filled(templates, threads=1, vnni=None):
    index = TemplateIndex(*templates.shape[1:], threads)
    index._vnni = index._vnni if vnni is None else vnni and index._vnni
    index.append(templates)
    return index


def clustered(random, count, parts=16, dimensions=64):
    """Templates of people: a centre each and a few walks around it, at very different lengths of the parts."""
    centres = random.normal(size=(count // 4 + 1, parts, dimensions)) * random.uniform(0.01, 30, (1, parts, 1))
    near = centres[np.arange(count) // 4]
    return (near + 0.3 * near.std() * random.normal(size=near.shape)).astype(np.float32)


def uniform(random, count, parts=16, dimensions=64):
    return random.uniform(-1, 1, (count, parts, dimensions)).astype(np.float32)


@pytest.mark.parametrize("make", [clustered, uniform])
@pytest.mark.parametrize("vnni", [True, False])  # without the instruction the float loop runs
@pytest.mark.parametrize("threads", [1, 2])
def test_top_five_of_exhaustive_search(make, vnni, threads):
    random = np.random.default_rng(2)
    templates = make(random, CHUNK + 700)
    probes = np.concatenate([make(random, 8), templates[[5, CHUNK + 3]] * 1.001])  # strangers, and near copies
    index = filled(templates, threads, vnni)
    distance, rows = index.nearest(probes, 5)
    index.close()
    full = np.concatenate([part_distances(probes, templates[i : i + 2000]) for i in range(0, len(templates), 2000)], 1)
    expected = np.argsort(full, axis=1, kind="stable")[:, :5]
    assert (rows == expected).mean() > 0.95  # equal but for near ties ...
    np.testing.assert_allclose(distance, np.take_along_axis(full, expected, 1), rtol=1e-3, atol=1e-3 * full.mean())
    assert (rows[:, 0] == expected[:, 0]).all()


def test_estimates_are_within_the_stated_slack():
    random = np.random.default_rng(3)
    templates = clustered(random, 1500, 5, 12)
    probes = np.concatenate([templates[:5], clustered(random, 6, 5, 12)])
    index = filled(templates)
    estimate, own = index.estimates(probes)
    exact = np.sqrt(np.square(probes[:, None].astype(np.float64) - templates[None]).sum(3)).mean(2)
    allowed = index.slack[None, : len(index)] + own[:, None]
    assert (np.abs(estimate - exact) <= allowed + 2e-5 * np.abs(templates).max()).all()


@pytest.mark.parametrize(
    ("parts", "dimensions"),
    [(1, 1), (2, 3), (4, 8), (16, 64), (3, 130)],  # not whole groups of four; parts of any number
)
def test_any_shape(parts, dimensions):
    random = np.random.default_rng(4)
    templates = uniform(random, 70, parts, dimensions)
    index = filled(templates)
    np.testing.assert_allclose(index.decode(np.arange(70)), templates, atol=1e-4)
    distance, rows = index.nearest(templates[:9], 1)
    assert rows[:, 0].tolist() == list(range(9))
    assert distance.max() < 1e-3


def test_zeros_and_large_values():
    templates = np.zeros((3, 2, 8), np.float32)
    templates[1], templates[2] = 1e4, -1e4
    distance, rows = filled(templates).nearest(np.zeros((1, 2, 8), np.float32), 3)
    assert rows[0, 0] == 0
    np.testing.assert_allclose(distance[0], [0, 1e4 * np.sqrt(8), 1e4 * np.sqrt(8)], rtol=1e-4)


def test_removed_rows_are_filled_from_the_end_and_overwritten():
    random = np.random.default_rng(5)
    templates = uniform(random, CHUNK + 40, 2, 4)
    index = filled(templates)
    gone = np.sort(random.choice(len(templates), 60, replace=False))
    kept = np.arange(len(templates))
    places, movers = index.remove(gone)
    kept[places] = kept[movers]
    kept = kept[: len(index)]
    assert sorted(kept.tolist()) == sorted(set(range(len(templates))) - set(gone.tolist()))
    np.testing.assert_allclose(index.decode(np.arange(len(index))), templates[kept], atol=1e-4)
    assert len(index._chunks) == 1  # the second chunk went with its last template
    index.remove(np.arange(len(index)))
    assert (index._chunks[0].high == 128).all()
    assert not index._chunks[0].low.any()


def test_memory_stays_near_two_bytes_a_value():
    index = filled(np.ones((4 * CHUNK, 16, 64), np.float32))
    assert index.nbytes / (4 * CHUNK * 16 * 64 * 2) < 1.1


def test_nothing_in_it_and_too_few():
    index = TemplateIndex(2, 4)
    assert index.nearest(np.zeros((3, 2, 4), np.float32), 5)[1].shape == (3, 0)
    index.append(np.ones((2, 2, 4), np.float32))
    assert index.nearest(np.zeros((3, 2, 4), np.float32), 5)[1].shape == (3, 2)
    assert index.nearest(np.zeros((0, 2, 4), np.float32), 5)[1].shape == (0, 2)
    with pytest.raises(ValueError, match=r"embedding is \(2, 5\), the index holds \(2, 4\)"):
        index.append(np.ones((1, 2, 5), np.float32))
