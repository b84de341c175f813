"""`emgait bench fleet` with two robots, in seconds: what it says is complete, and all robots end with the same people."""

import json

import pytest

from emgait_ros.cli.main import main
from emgait_ros.lab.bench import fleet
from emgait_ros.lab.bench.postgres_server import folder_of_programs


def test_a_small_fleet(tmp_path, capsys, monkeypatch):
    pytest.importorskip("psycopg")
    if folder_of_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    monkeypatch.setattr(fleet, "DOWN_S", 1.0)
    file = tmp_path / "fleet.json"
    words = ["--robots", "2", "--people", "200", "--templates", "1", "--changes-per-minute", "180", "--seconds", "4"]
    assert main(["bench", "fleet", *words, "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert (figures["robots"], figures["people"], figures["changes"]) == (2, 200, 12)
    for key in ("known_everywhere_ms", "change_ms", "follow_ms"):
        assert 0 <= figures[key]["p50"] <= figures[key]["p99"] <= figures[key]["max"]
    idle, load = figures["server_idle"], figures["server"]
    assert load["statements_per_minute"] > idle["statements_per_minute"] > 0
    assert idle["templates_read_per_minute"] == 0 < load["templates_read_per_minute"]
    assert load["connections"] >= 4  # one that asks and one that listens, of each robot
    assert figures["storm"]["noticed"] == 2
    assert figures["storm"]["connections_received"] >= 4
    assert "known_everywhere_ms" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--robots", "--people", "--seconds", "--changes-per-minute"])
def test_impossible_sizes_are_refused(option, capsys):
    assert main(["bench", "fleet", option, "0"]) == 1
    assert "must be at least 1" in capsys.readouterr().err
