"""`emgait evaluate misuse`: ways of moving are what they are called, and the command prints both tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from emgait_ros.cli.main import main
from emgait_ros.inference.bundle import default_bundle_path
from emgait_ros.lab.evaluation.misuse import groups_of
from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.unusual_walks import NO_GAIT, WALKS, UnusualWalker


def walker(way: str) -> UnusualWalker:
    return UnusualWalker(5, 1, way, seed=3, clothes_of=6 if way == "swapped clothes" else None)


@pytest.mark.parametrize("way", WALKS + NO_GAIT)
def test_ways_of_moving(way: str) -> None:
    usual, person = walker("normal"), walker(way)
    speed = (person.position(4.0) - person.position(1.0))[0] / 3
    feet = [Body.load().bone[f"{side}Foot"] for side in ("Left", "Right")]
    apart = [np.ptp(person.joints(t)[feet, 0]) for t in np.arange(1.0, 4.0, 0.1)]
    body = person.vertices(2.0)
    assert -0.02 < body[:, 2].min() < 0.05
    assert (len(body) > len(usual.vertices(2.0))) == (way in ("with a box", "behind a pram", "wheelchair"))
    assert len(person.faces) == len(person.face_colors) == len(person.face_reflectivity)
    assert {"backwards": -1, "standing": 0}.get(way, 1) == np.sign(round(speed, 2))
    assert (np.std(apart) < 1e-6) == (way in NO_GAIT)
    if way in ("in haste", "shuffling"):
        assert speed / usual.speed_m_s == pytest.approx({"in haste": 1.4, "shuffling": 0.3}[way], abs=0.1)
    assert np.array_equal(person.appearance.colors, usual.appearance.colors) == (way != "swapped clothes")


def test_a_way_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="way is 'on crutches'"):
        UnusualWalker(5, 1, "on crutches")


def test_everybody_is_in_one_group_of_each_kind() -> None:
    shapes = [walker.shape for walker in (UnusualWalker(number, 0, "normal") for number in range(3))]
    for groups in groups_of(shapes, np.array([1.5, 1.7, 1.9])).values():
        assert (np.sum(list(groups.values()), axis=0) == 1).all()


@pytest.mark.skipif(
    not (default_bundle_path() / "manifest.json").is_file(), reason="the shipped model bundle is absent"
)
def test_the_command_prints_both_tables(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("emgait_ros.lab.evaluation.misuse.WALKS", ("normal", "swapped clothes"))
    monkeypatch.setattr("emgait_ros.lab.evaluation.misuse.NO_GAIT", ("wheelchair",))
    assert main(["evaluate", "misuse", "--people", "6", "--json", str(tmp_path / "figures.json")]) == 0
    found = json.loads((tmp_path / "figures.json").read_text())
    assert list(found["ways"]) == ["normal", "swapped clothes", "wheelchair"]
    assert found["ways"]["normal"]["named_rightly"] > 50 > found["ways"]["wheelchair"]["named_rightly"]
    assert found["ways"]["wheelchair"]["refused"] > 50 > found["ways"]["normal"]["refused"]
    assert found["strangers_named_if_enrolled"]["wheelchair"] > found["ways"]["normal"]["strangers_named"]
    assert sum(group["people"] for group in found["groups"]["sex"].values()) == 6
    assert "6 people" in capsys.readouterr().out
    assert main(["evaluate", "misuse", "--people", "5"]) == 1
    assert "expected at least 6" in capsys.readouterr().err
