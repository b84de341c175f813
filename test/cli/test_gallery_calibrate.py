"""`emgait gallery calibrate` on a handful of simulated strangers: made, embedded, calibrated, checked, stored."""

import json

import pytest

from emgait_ros.cli.main import main
from emgait_ros.gallery.store import Gallery
from emgait_ros.lab.evaluation.calibration_walks import CalibrationWalks, plan_calibration


def test_simulated_strangers(tmp_path, capsys):
    place, answer = tmp_path / "gallery.db", tmp_path / "answer.json"
    Gallery(place).close()
    words = ["gallery", "calibrate", "--gallery", str(place), "--walks", str(tmp_path / "walks"), "--json", str(answer)]
    assert main([*words, "--members", "2", "--strangers", "8", "--far", "0.2", "0.4"]) == 0
    figures = json.loads(answer.read_text())
    assert [c["false_accept_rate"] for c in figures["calibrations"]] == [0.2, 0.4]
    assert [(c["impostor_tracks"], c["impostor_people"], c["gallery_size"]) for c in figures["calibrations"]] == [
        (4, 4, 2)
    ] * 2
    assert [check["strangers"] for check in figures["checked"]] == [4, 4]
    assert list(figures["identified_by_samples"]["0.2"]) == ["12", "20", "30", "40", "50"]
    said = capsys.readouterr().out
    assert "checked on 4 other simulated strangers" in said
    assert "nobody is enrolled with this model: 2 simulated people stood in" in said
    with Gallery(place) as gallery:
        stored = gallery.calibration(figures["model"])
        assert stored.threshold == figures["calibrations"][0]["threshold"]
        assert 8.0 <= stored.ranges_m[0] < stored.ranges_m[1] <= 30.0
        assert 0 < stored.returns_at_10m[0] < stored.returns_at_10m[1]
    assert main([*words, "--members", "2", "--strangers", "8"]) == 1  # 1 % takes 99
    assert "--strangers is 8: --far 0.01 needs 198" in capsys.readouterr().err


def test_a_larger_plan_keeps_the_people_of_a_smaller_one():
    small, large = plan_calibration(CalibrationWalks(4, 10)), plan_calibration(CalibrationWalks(4, 20))
    assert large[: len(small)] == small
    strangers = [walk for walk in large if walk.identity >= CalibrationWalks(4, 20).first_stranger]
    assert len(strangers) == len({walk.identity for walk in strangers}) == 20  # one walk each


@pytest.mark.parametrize("wrong", [{"members": 1}, {"strangers": 0}, {"track_s": 0.5}, {"track_s": 99.0}])
def test_plans_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="expected at least 2, 2 and 3 to 20 s"):
        CalibrationWalks(**wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--far", "2"], "between 0 and 1"), (["--far", "0.01", "--strangers", "100"], "--far 0.01 needs 198")],
)
def test_rates_that_cannot_be_promised_are_refused_before_anybody_walks(words, said, tmp_path, capsys):
    walks = tmp_path / "walks"
    Gallery(tmp_path / "g.db").close()
    command = ["gallery", "calibrate", "--gallery", str(tmp_path / "g.db"), *words, "--walks", str(walks)]
    assert main(command) == 1
    assert said in capsys.readouterr().err
    assert not walks.exists()
