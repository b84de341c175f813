"""The scorer's training from simulated clouds to files that the detector takes."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_clouds import person, scan

torch = pytest.importorskip("torch")

from emgait_ros.config import DetectorConfig  # noqa: E402
from emgait_ros.lab.detection.examples import NOBODY, joined, read_shard  # noqa: E402
from emgait_ros.lab.detection.network import FirstLook  # noqa: E402
from emgait_ros.lab.detection.training import ScorerTraining, export, figures, train, unpacked, write_shards  # noqa: E402
from emgait_ros.lab.evaluation.detection_matching import average_precision  # noqa: E402
from emgait_ros.sensing.perception.detector import ShapeDetector  # noqa: E402
from emgait_ros.sensing.perception.scorer import FIRST_LOOK, SCORER, Scorer  # noqa: E402
from emgait_ros.sensing.perception.views import Views  # noqa: E402

OPTIONS = ScorerTraining(clouds=4, hard_clouds=2, shard_clouds=1, epochs=1, hard_steps=2, seed=3, processes=1)


@pytest.mark.parametrize(
    "options",
    [
        {"clouds": 49},
        {"hard_clouds": 49},
        {"epochs": 0},
        {"hard_steps": -1},
        {"processes": 0},
        {"clouds": 3, "shard_clouds": 2},
    ],
)
def test_options_that_give_nothing_are_refused(options):
    with pytest.raises(ValueError, match="expected at least"):
        ScorerTraining(**options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Shards, networks, figures and what was reported of the shortest training."""
    said: list[tuple[str, float]] = []
    folder = tmp_path_factory.mktemp("shards")
    shards = write_shards(folder, OPTIONS, lambda *what: said.append(what))
    first, network, figures = train(*shards, OPTIONS, lambda *what: said.append(what))
    return shards, first, network, figures, said


def test_one_epoch(trained):
    (shards, hard_shards), first, network, figures, said = trained
    assert [path.name for path in shards] == [f"{number:06d}-1.npz" for number in range(4)]
    assert [path.name for path in hard_shards] == ["hard-000000-1.npz", "hard-000001-1.npz"]
    held_out, hard = read_shard(shards[0]), read_shard(hard_shards[0])
    assert figures["hard_people"] == (hard.kind > NOBODY).sum() > 0
    assert figures["hard_others"] == (hard.kind == NOBODY).sum() > 0
    assert figures["people"] == (held_out.kind > NOBODY).sum() > 0
    assert figures["others"] == (held_out.kind == NOBODY).sum() > 0
    assert all(0 <= figures[name] <= 1 for name in ("average_precision", "found", "looked_at", "false"))
    assert figures["clouds"] == OPTIONS.clouds
    assert figures["seed"] == OPTIONS.seed
    assert [part for text, part in said if text.startswith("simulated")] == pytest.approx(np.arange(1, 7) / 6)
    assert [part for text, part in said if text.startswith("hard clouds too, loss ")] == [0.5, 1.0]
    everyday = [part for text, part in said if text.startswith("everyday clouds, loss ")]
    assert everyday[-1] == 1.0
    measures = torch.from_numpy(joined([read_shard(path) for path in shards[1:]]).measures)
    torch.testing.assert_close(network.mean, measures.mean(0))
    assert not network.training
    assert not first.training
    held_out = joined([held_out, hard])
    with torch.no_grad():
        people = first(torch.from_numpy(held_out.measures[held_out.kind > NOBODY]))
    assert (people > 0).float().mean() >= 1 - 1.5 / len(people)  # nearly all people are worth views


def test_average_precision_is_the_evaluations(trained):
    (shards, _), first, network, *_ = trained
    examples = joined([read_shard(path) for path in shards])
    inputs = unpacked(examples, np.arange(len(examples)))
    with torch.no_grad():
        probable = torch.sigmoid(network(*inputs))[:, 0].numpy() * (first(inputs[2]).numpy() > 0)
    person_or_not = examples.kind > NOBODY
    expected = average_precision(probable, person_or_not, person_or_not.sum())
    assert figures(first, network, examples)["average_precision"] == pytest.approx(expected, abs=1e-4)


def test_the_same_seed_gives_the_same_networks(trained):
    shards, first, network, _, _ = trained
    for one, other in zip((first, network), train(*shards, OPTIONS, lambda *_: None), strict=False):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value)


def test_the_hard_series_changes_what_is_learned(trained):
    (shards, _), _, network, *_ = trained
    _, without, figures = train(shards, [], OPTIONS, lambda *_: None)
    assert "hard_people" not in figures
    assert not torch.allclose(without.head[4].weight, network.head[4].weight)


def test_what_is_exported_judges_as_the_networks_do(trained, tmp_path):
    (shards, _), first, network, _, _ = trained
    examples = joined([read_shard(path) for path in shards])
    export(first, network, examples, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([FIRST_LOOK, SCORER])
    scorer = Scorer(str(tmp_path))
    inputs = unpacked(examples, np.arange(len(examples)))
    with torch.no_grad():
        expected, promising = torch.sigmoid(network(*inputs)).numpy(), first(inputs[2]).numpy()
    score, several = scorer.score(Views(*(tensor.numpy() for tensor in inputs)))
    np.testing.assert_allclose(np.column_stack([score, several]), expected, atol=1e-4)
    clear = np.abs(promising) > 1e-3
    np.testing.assert_array_equal(scorer.promising(examples.measures)[clear], promising[clear] > 0)
    detector = ShapeDetector(DetectorConfig(scorer=str(tmp_path)), min_score=0.0)
    found = detector.detect(scan(person(10, 0)))
    assert len(found) >= 1
    assert ((found.score >= 0) & (found.score <= 1)).all()


def test_networks_that_give_something_else_are_not_written(trained, tmp_path):
    (shards, _), _, network, *_ = trained
    broken = FirstLook()
    broken.mean.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        export(broken, network, read_shard(shards[1]), tmp_path)
    assert list(tmp_path.iterdir()) == []
