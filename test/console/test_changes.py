"""The record of changes: written before and after, for its owner alone, read back newest first."""

import json

import pytest

from emgait_ros.console.changes import Changes


def test_changes_are_written_down_before_and_after(tmp_path):
    changes = Changes(tmp_path / "new")
    first = changes.asked("127.0.0.1", "remove", {"name": "Zoë\n<b>"})
    changes.answered(first, True, "removed")
    changes.asked("10.0.0.7", "undo", {})
    assert changes.path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in changes.path.read_text(encoding="utf-8").splitlines()]
    assert [line["by"] for line in lines] == ["console"] * 3
    newest, oldest = changes.newest()
    assert (newest["action"], newest["success"], newest["from"]) == ("undo", None, "10.0.0.7")
    assert (oldest["what"], oldest["success"], oldest["message"]) == ({"name": "Zoë\n<b>"}, True, "removed")
    assert [entry["action"] for entry in Changes(changes.path.parent).newest(1)] == ["undo"]


def test_damaged_lines_and_long_files_are_read_all_the_same(tmp_path):
    changes = Changes(tmp_path)
    changes.path.write_bytes(b'{"number": 1, "act\xff\n[]\n"x"\n' * 20_000)
    for index in range(3):
        changes.answered(changes.asked("a", "disable", {"name": str(index)}), False, "no")
    assert [entry["what"]["name"] for entry in changes.newest()] == ["2", "1", "0"]


def test_an_entry_stays_one_whatever_ends_a_line_in_its_text(tmp_path):
    changes = Changes(tmp_path)
    changes.asked("a", "remove", {"name": "An\u2028na\x85"})
    assert [entry["what"]["name"] for entry in changes.newest()] == ["An\u2028na\x85"]


def test_what_cannot_be_written_down_is_said(tmp_path):
    changes = Changes(tmp_path)
    changes.path.unlink()
    changes.path.mkdir()
    with pytest.raises(OSError, match="console-changes"):
        changes.asked("a", "undo", {})
