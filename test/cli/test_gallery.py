"""`emgait gallery`."""

import json
import time
from datetime import datetime

import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.cli.main import main
from emgait_ros.gallery.store import Gallery

OTHER_MODEL = "b" * 64


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "gallery.db"
    with Gallery(file) as gallery:
        for index, (name, model) in enumerate([("Anna", MODEL), ("Ben [bold]", MODEL), ("Ben [bold]", OTHER_MODEL)]):
            enroll(gallery, name, index, model, samples=[30, 10])
    return file


def call(path, *words):
    """Exit status and the --json answer."""
    answer = path.parent / "answer.json"
    answer.unlink(missing_ok=True)
    status = main(["gallery", *words, "--gallery", str(path), "--json", str(answer)])
    return status, json.loads(answer.read_text()) if answer.exists() else None


def test_list(path, capsys):
    status, answer = call(path, "list")
    assert status == 0
    assert answer["gallery"] == str(path)
    assert [(person["name"], person["templates"]) for person in answer["identities"]] == [
        ("Anna", 2),
        ("Ben [bold]", 4),
    ]
    assert answer["identities"][1]["templates_by_model"] == {MODEL: 2, OTHER_MODEL: 2}
    shown = capsys.readouterr().out
    assert "Ben [bold]" in shown  # a name is never taken for markup
    assert "aaaaaaaaaaaa (2)" in shown
    assert "bbbbbbbbbbbb (2)" in shown


def test_rename(path, capsys):
    assert call(path, "rename", "Anna", "Annabel")[1] == {
        "gallery": str(path),
        "renamed": True,
        "merged": False,
        "templates": 2,
    }
    assert "'Anna' renamed to 'Annabel': 2 templates" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["rename", "Ben [bold]", "anna"], ["split", "Ben [bold]", "anna", "4"]])
def test_a_name_that_looks_like_another_asks_first(path, capsys, words):
    assert call(path, *words) == (1, None)
    assert "'anna' looks like 'Anna'" in capsys.readouterr().err
    assert call(path, *words, "--yes")[0] == 0
    with Gallery(path) as gallery:
        assert {"Anna", "anna"} <= {person.name for person in gallery.identities()}


def test_merge_asks_first(path, capsys):
    assert call(path, "rename", "Anna", "Ben [bold]") == (1, None)
    assert (
        "'Ben [bold]' exists: make the two one person? Nobody can be asked here: say --yes" in capsys.readouterr().err
    )
    status, answer = call(path, "rename", "Anna", "Ben [bold]", "--yes")
    assert (status, answer["merged"], answer["templates"]) == (0, True, 6)


def test_remove(path, capsys):
    assert call(path, "remove", "Anna") == (1, None)
    assert "say --yes" in capsys.readouterr().err
    assert call(path, "remove", "Anna", "--yes")[1]["templates"] == 2
    assert [person["name"] for person in call(path, "list")[1]["identities"]] == ["Ben [bold]"]


@pytest.mark.parametrize(
    ("answer", "status", "left"),
    [
        ("y", 0, ["Ben [bold]"]),
        ("", 1, ["Anna", "Ben [bold]"]),  # no is the default
        ("n", 1, ["Anna", "Ben [bold]"]),
    ],
)
def test_a_question_at_the_terminal(path, monkeypatch, answer, status, left):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert call(path, "remove", "Anna")[0] == status
    with Gallery(path) as gallery:
        assert [person.name for person in gallery.identities()] == left


def test_check(path, capsys):
    status, answer = call(path, "check")
    assert (status, answer["sound"], answer["identities"]) == (0, True, 2)
    assert "is sound: 2 identities, 6 templates" in capsys.readouterr().out
    with Gallery(path) as gallery:
        gallery.file.connection.execute("UPDATE templates SET checksum = 1 WHERE id = 1")
    status, answer = call(path, "check")
    assert (status, answer["sound"]) == (1, False)
    assert "a template of 'Anna' is damaged" in answer["problems"][0]


def test_audit(path, capsys):
    call(path, "rename", "Anna", "Annabel")
    changes = call(path, "audit")[1]["changes"]
    assert [(change["action"], change["name"]) for change in changes[-2:]] == [
        ("enroll", "Ben [bold]"),
        ("rename", "Anna"),
    ]
    assert "rename  'Anna' to 'Annabel' (by command line)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "Eve", "--yes"], "nobody called 'Eve' is enrolled: enrolled are 'Anna', 'Ben [bold]'"),
        (["rename", "Eve", "Anna", "--yes"], "nobody called 'Eve'"),
        (["rename", "Anna", "  "], "empty or only blanks"),
    ],
)
def test_refused_in_a_sentence(path, capsys, words, said):
    assert call(path, *words) == (1, None)
    assert said in capsys.readouterr().err


def test_looking_never_creates_a_gallery(tmp_path, capsys):
    path = tmp_path / "none.db"
    assert main(["gallery", "list", "--gallery", str(path)]) == 1
    assert f"emgait gallery: there is no gallery at {path}" in capsys.readouterr().err
    assert not path.exists()


def test_a_foreign_file_is_refused(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("shopping list\n" * 20)
    assert main(["gallery", "check", "--gallery", str(path)]) == 1
    assert "is not an SQLite file" in capsys.readouterr().err
    assert path.read_text().startswith("shopping list")


def test_show_and_split(path, capsys):
    before = time.time()
    templates = call(path, "show", "Anna")[1]["templates"]
    assert all(datetime.fromisoformat(template["enrolled"]).timestamp() <= before for template in templates)
    assert [(item["samples"], item["median_range_m"], item["model"]) for item in templates] == [
        (30, 9.0, MODEL),
        (10, 9.0, MODEL),
    ]
    number = str(templates[1]["number"])
    assert call(path, "split", "Anna", "Anne", number) == (0, {"gallery": str(path), "templates": 1})
    assert [p["name"] for p in call(path, "list")[1]["identities"]] == ["Anna", "Anne", "Ben [bold]"]
    assert call(path, "split", "Anna", "Eve", "77") == (1, None)
    assert "'Anna' has the templates" in capsys.readouterr().err


def test_disable_enable_undo(path, capsys):
    assert call(path, "disable", "Anna")[1]["changed"]
    assert not call(path, "disable", "Anna")[1]["changed"]
    assert call(path, "list")[1]["identities"][0]["disabled"]
    assert "Anna (disabled)" in capsys.readouterr().out
    assert call(path, "undo")[1]["undone"].startswith("undone: disable")
    assert not call(path, "list")[1]["identities"][0]["disabled"]
    assert call(path, "disable", "Anna")[0] == 0
    assert call(path, "enable", "Anna")[1] == {"gallery": str(path), "changed": True, "disabled": False}


def test_expire_asks_first(path, capsys):
    assert call(path, "expire", "--keep-days", "0", "--yes") == (1, None)
    assert call(path, "expire", "--keep-days", "1", "--yes")[1] == {
        "gallery": str(path),
        "expired": [],
        "deleted": [],
        "restored": [],
    }
    assert call(path, "expire", "--keep-days", "1") == (1, None)


def test_backup(path, monkeypatch):
    backup = path.with_name("gallery.db.backup")
    assert call(path, "backup")[1]["backup"] == str(backup)
    assert backup.stat().st_mode & 0o777 == 0o600
    with Gallery(backup) as gallery:
        assert [person.name for person in gallery.identities()] == ["Anna", "Ben [bold]"]
    call(path, "remove", "Anna", "--yes")  # is gone from the backup too
    with Gallery(backup) as gallery:
        assert [person.name for person in gallery.identities()] == ["Ben [bold]"]
    with monkeypatch.context() as patched:  # cannot be made anew: an old one would keep who is removed
        patched.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
        call(path, "remove", "Ben [bold]", "--yes")
    assert not backup.exists()
    elsewhere = path.with_name("copy.db")
    assert call(path, "backup", str(elsewhere))[1]["backup"] == str(elsewhere)


def test_export_preview_import(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    file, other = tmp_path / "people.emgait", tmp_path / "other" / "gallery.db"
    signing = ["--signing-key", str(tmp_path / "one.key")]
    assert call(path, "export", str(file), *signing)[1]["people"] == ["Anna", "Ben [bold]"]
    assert "NOT encrypted" in capsys.readouterr().out
    signer = call(path, "signer", *signing)[1]["signer"]
    other.parent.mkdir()
    assert call(other, "import", str(file), "--yes") == (1, None)
    assert f"is signed by {signer}, whom this gallery does not trust" in capsys.readouterr().err
    status, answer = call(other, "import", str(file), "--preview", "--trust", signer)
    assert (status, answer["imported"], [p["action"] for p in answer["people"]]) == (0, False, ["new", "new"])
    assert call(other, "import", str(file)) == (1, None)
    assert "import 2 people into" in capsys.readouterr().err  # asks
    assert call(other, "import", str(file), "--yes")[1]["imported"]
    with Gallery(path) as gallery:
        enroll(gallery, "Anna", rows(9, 1))
        gallery.split("Anna", [gallery.templates_of("Anna")[0].template_id], "Half")
    call(path, "export", str(file), *signing)
    assert call(other, "import", str(file), "--yes") == (1, None)
    assert "1 of 3 people have other templates here under the same name: 'Anna'" in capsys.readouterr().err
    answer = call(other, "import", str(file), "--yes", "--conflict", "rename")[1]
    assert {p["name"]: p["target"] for p in answer["people"]}["Anna"] == "Anna (2)"


def test_keys(path, tmp_path, capsys):
    key, second = tmp_path / "key", tmp_path / "second"
    for file in (key, second):
        assert call(path, "new-key", str(file))[0] == 0
    assert call(path, "new-key", str(key)) == (1, None)
    assert "exists already and is kept" in capsys.readouterr().err
    assert call(path, "rekey") == (1, None)
    assert call(path, "rekey", "--new-key-file", str(key))[1]["encrypted"]
    assert b"Anna" not in path.read_bytes()
    assert call(path, "list") == (1, None)
    assert "is encrypted: set gallery.key_file" in capsys.readouterr().err
    assert call(path, "list", "--key-file", str(second)) == (1, None)
    assert "another key" in capsys.readouterr().err
    assert call(path, "rekey", "--key-file", str(key), "--new-key-file", str(second))[1]["rewritten"] == 6
    assert call(path, "list", "--key-file", str(second))[1]["encrypted"]
    assert call(path, "rekey", "--key-file", str(second), "--decrypt", "--yes")[1]["encrypted"] is False
    assert len(call(path, "list")[1]["identities"]) == 2
