"""Exact search, against the definition written out."""

import numpy as np
import pytest

from emgait_ros.recognition.distances import part_distances, write_distances
from emgait_ros.recognition.matcher import Matcher
from emgait_ros.samples import Modality

BOTH, POINTS, IMAGE = Modality.BOTH, Modality.POINTS, Modality.IMAGE


def embeddings(count, seed, parts=4, dimensions=8):
    return np.random.default_rng(seed).normal(size=(count, parts, dimensions)).astype(np.float32)


def by_definition(probe, templates, nearest):
    """Mean over the nearest templates of the mean over parts of the unsquared L2."""
    distances = sorted(
        np.mean([np.linalg.norm(probe[part] - other[part]) for part in range(len(probe))]) for other in templates
    )
    return np.mean(distances[:nearest])


def filled(people, nearest=3, modality=BOTH):
    matcher = Matcher(nearest)
    for identity, templates in people.items():
        matcher.replace(identity, f"n{identity}", templates, np.full(len(templates), int(modality)))
    return matcher


@pytest.mark.parametrize("nearest", [1, 3, 50])
def test_distance_is_the_definition(nearest):
    people = {identity: embeddings(1 + identity % 5, seed=identity) for identity in range(1, 12)}
    probes = embeddings(3, seed=99)
    found = filled(people, nearest).search(probes, [BOTH] * 3)
    expected = [[by_definition(probe, people[identity], nearest) for identity in found.identity_id] for probe in probes]
    np.testing.assert_allclose(found.distance, expected, rtol=1e-5)
    assert found.names == tuple(f"n{identity}" for identity in found.identity_id)


def test_distance_is_not_that_of_the_concatenation():
    probe = np.zeros((1, 2, 1), np.float32)
    even, uneven = np.array([[[1.0], [1.0]]], np.float32), np.array([[[1.8], [0.0]]], np.float32)
    distance = part_distances(probe, np.concatenate([even, uneven]))[0]
    np.testing.assert_allclose(
        distance, [1.0, 0.9], rtol=1e-6
    )  # one flat vector would rank them the other way: 1.41, 1.80


@pytest.mark.parametrize(
    ("probes", "templates", "parts", "dimensions"),
    [
        (8, 100, 16, 64),  # the paper's
        (1, 30, 16, 64),
        (9, 30, 1, 64),  # one part; one probe more than whole groups
        (4, 30, 3, 7),
        (3, 5, 2, 1),
        (0, 5, 2, 4),
        (5, 0, 2, 4),
    ],
)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_distances_equal_plain_numpy(probes, templates, parts, dimensions, scale):
    some, others = (scale * embeddings(count, count, parts, dimensions) for count in (probes, templates))
    plain = np.linalg.norm(some[:, None].astype(float) - others, axis=3).mean(axis=2)
    found = part_distances(some.astype(np.float32), others.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain, rtol=1e-5)


def test_distances_of_arrays_in_any_form():
    some, others = embeddings(3, 1), embeddings(6, 2)
    expected = part_distances(some, others[::2])
    fixed = others[::2].astype(np.float64)
    fixed.setflags(write=False)
    for templates in (fixed, np.asfortranarray(others[::2])):
        np.testing.assert_array_equal(part_distances(some[::-1].astype(np.float64), templates), expected[::-1])
    with pytest.raises(ValueError, match=r"probes are \(4, 8\) \(parts, d\), templates \(4, 9\)"):
        part_distances(some, embeddings(1, 1, dimensions=9))
    some[1, 2, 3] = np.nan
    assert np.isnan(part_distances(some, others)).all(axis=1).tolist() == [False, True, False]


def test_equal_embeddings_are_at_zero():
    templates = 100 * embeddings(20, seed=1)
    assert part_distances(templates, templates).diagonal().tolist() == [0.0] * 20


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_winners_are_those_of_plain_numpy_with_any_number_of_threads(threads):
    templates = embeddings(4 * 900, seed=1, parts=2, dimensions=16).reshape(900, 4, 2, 16)  # three blocks and a half
    matcher = Matcher(3, threads)
    matcher.replace_all([(number, str(number), own, np.full(4, 3)) for number, own in enumerate(templates)])
    probes = templates[::180, 0] + 0.1 * embeddings(5, seed=2, parts=2, dimensions=16)
    plain = np.sort(np.linalg.norm(probes[:, None, None].astype(float) - templates, axis=4).mean(axis=3), axis=2)
    found = matcher.search(probes, [BOTH] * 5)
    np.testing.assert_allclose(found.distance, plain[:, :, :3].mean(axis=2), rtol=1e-5)
    assert (
        found.distance.argsort(axis=1)[:, :10].tolist() == plain[:, :, :3].mean(axis=2).argsort(axis=1)[:, :10].tolist()
    )


def test_a_search_compiles_nothing():
    """What a recognizer waits for happens when it is made."""
    matcher = filled({1: embeddings(2, 1)})
    compiled = len(write_distances.signatures)
    assert compiled >= 1
    matcher.search(embeddings(1, 2)[:, ::-1], [BOTH])
    assert len(write_distances.signatures) == compiled


def test_more_templates_than_one_block():
    templates = embeddings(20_000, seed=1, parts=2, dimensions=4)
    matcher = Matcher(1)
    for identity, rows in enumerate(np.split(templates, 100), 1):
        matcher.replace(identity, str(identity), rows, np.full(len(rows), 3))
    probes = embeddings(2, seed=5, parts=2, dimensions=4)
    found = matcher.search(probes, [BOTH, BOTH])
    everyone = part_distances(probes, templates).reshape(2, 100, 200).min(axis=2)
    np.testing.assert_allclose(found.distance, everyone[:, found.identity_id - 1], rtol=1e-4)


def test_incremental_changes_equal_a_rebuild():
    random = np.random.default_rng(7)
    people, matcher = {}, Matcher(3)
    for step in range(300):
        identity = int(random.integers(1, 25))
        if random.random() < 0.4:
            people.pop(identity, None)
            matcher.remove(identity)
        else:
            people[identity] = embeddings(int(random.integers(1, 6)), seed=step)
            matcher.replace(identity, f"n{identity}", people[identity], np.full(len(people[identity]), 3))
    probes = embeddings(4, seed=1000)
    changed, rebuilt = matcher.search(probes, [BOTH] * 4), filled(people).search(probes, [BOTH] * 4)
    order, expected = np.argsort(changed.identity_id), np.argsort(rebuilt.identity_id)
    assert sorted(people) == changed.identity_id[order].tolist()
    np.testing.assert_allclose(changed.distance[:, order], rebuilt.distance[:, expected], rtol=1e-5)
    assert [changed.names[i] for i in order] == [rebuilt.names[i] for i in expected]
    assert len(matcher) == sum(len(templates) for templates in people.values())


def test_removed_templates_leave_memory():
    matcher = filled({1: embeddings(3, 1), 2: embeddings(2, 2)})
    matcher.remove(1)
    matcher.remove(2)
    assert not any(array.any() for array in matcher._blocks)


@pytest.mark.parametrize("nearest", [1, 3])
def test_a_shortlist_holds_the_nearest_people_with_their_exact_distances(nearest):
    people = {identity: embeddings(1 + identity % 4, seed=identity) for identity in range(1, 400)}
    matcher = filled(people, nearest)
    probes = embeddings(5, seed=99)
    everybody = matcher.search(probes, [BOTH] * 5)
    found = matcher.search(probes, [BOTH] * 5, people=6, also=[17, 4711])
    assert len(found.identity_id) < 120
    assert 17 in found.identity_id
    column = {identity: place for place, identity in enumerate(everybody.identity_id.tolist())}
    expected = everybody.distance[:, [column[identity] for identity in found.identity_id.tolist()]]
    np.testing.assert_array_equal(found.distance, expected)
    for row in range(5):
        nearest_six = everybody.identity_id[np.argsort(everybody.distance[row])[:6]]
        assert set(nearest_six.tolist()) <= set(found.identity_id.tolist())
    assert found.names == tuple(f"n{identity}" for identity in found.identity_id)


@pytest.mark.parametrize(
    ("held", "probe", "comparable", "used"),
    [
        ([BOTH, BOTH], BOTH, True, [0, 1]),
        ([BOTH, POINTS], POINTS, True, [1]),  # templates from the same sensors are preferred
        ([BOTH, POINTS], BOTH, True, [0]),
        ([BOTH, BOTH], POINTS, False, [0, 1]),  # nothing like it is enrolled: an indication only
        ([POINTS, POINTS], IMAGE, False, [0, 1]),
    ],
)
def test_templates_of_the_same_sensors_are_preferred(held, probe, comparable, used):
    templates, probes = embeddings(2, 1), embeddings(1, 2)
    matcher = Matcher(3)
    matcher.replace(1, "a", templates, np.array([int(modality) for modality in held]))
    found = matcher.search(probes, [probe])
    assert found.comparable.tolist() == [[comparable]]
    assert found.distance[0, 0] == pytest.approx(by_definition(probes[0], templates[used], 3), rel=1e-5)


def test_probes_of_different_sensors_in_one_search():
    matcher = Matcher(1)
    templates = embeddings(2, 1)
    matcher.replace(1, "a", templates, np.array([int(BOTH), int(POINTS)]))
    found = matcher.search(templates, [BOTH, POINTS])
    assert found.distance.max() < 1e-2  # each probe met its own template
    swapped = matcher.search(templates, [POINTS, BOTH])
    assert swapped.distance.min() > 1.0


def test_empty_and_foreign():
    matcher = Matcher(3)
    assert matcher.search(embeddings(2, 1), [BOTH, BOTH]).distance.shape == (2, 0)
    matcher.replace(1, "a", embeddings(1, 1), np.array([3]))
    assert matcher.search(np.zeros((0, 0, 0), np.float32), []).distance.shape == (0, 1)
    with pytest.raises(ValueError, match="4x9, the gallery's templates are 4x8"):
        matcher.search(embeddings(1, 1, dimensions=9), [BOTH])
