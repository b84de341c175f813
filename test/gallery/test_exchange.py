"""Export to a signed file and import: previewed, with rules for conflicts; what is foreign or tampered with is refused."""

import stat

import numpy as np
import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery.export_file import MAGIC, ExportError, UntrustedSignerError, signer_of, signing_key
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery
from emgait_ros.samples import Modality

OTHER_MODEL, KEY = "b" * 64, b"k" * 32
ODD = ["Robert'); DROP TABLE identities;--", "👩‍🚀 \u00e1 %s ?", "x" * 64]


def contents(gallery):
    """Names with their templates of MODEL."""
    found = gallery.templates_for(MODEL)
    return {
        name: sorted(row.tobytes() for row in found.embedding[found.identity_id == identity])
        for identity, name in found.names.items()
    }


@pytest.fixture
def sign(tmp_path):
    return tmp_path / "keys" / "signing.key"


@pytest.fixture
def source(tmp_path):
    with Gallery(tmp_path / "source.db") as gallery:
        for seed, name in enumerate(["Anna", "Ben", *ODD]):
            enroll(gallery, name, seed, modalities=Modality.POINTS, quality="{}")
        enroll(gallery, "Anna", rows(50, 3, (2, 4)), OTHER_MODEL)
        yield gallery


@pytest.fixture
def target(place):
    with Gallery(place) as gallery:
        yield gallery


def test_everybody_comes_across(source, target, tmp_path, sign):
    file = tmp_path / "people.emgait"
    assert sorted(source.exchange.export(file, signing=sign)) == sorted(["Anna", "Ben", *ODD])
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(sign.stat().st_mode) == 0o600
    people = target.exchange.read_export(file, sign)
    before = (target.identities(), target.history.audit())
    assert {line.action for line in target.exchange.preview(people)} == {"new"}
    assert (target.identities(), target.history.audit()) == before  # looking changes nothing
    target.exchange.import_people(people)
    assert contents(target) == contents(source)
    assert target.templates.other_models(MODEL) == {OTHER_MODEL: 3}
    assert [p.enrolled_ns for p in target.identities()] == [p.enrolled_ns for p in source.identities()]
    assert {line.action for line in target.exchange.preview(people)} == {"same"}
    target.exchange.import_people(people)
    assert len(target.templates_of("Anna")) == 5  # nothing comes twice
    assert [entry.action for entry in source.history.audit()[-5:]] == ["export"] * 5
    assert target.undo().endswith("and of 4 more")
    assert target.identities() == []


def test_some_people_only(source, target, tmp_path, sign):
    file = tmp_path / "people.emgait"
    source.set_disabled("Ben", True)
    assert source.exchange.export(file, ["Ben"], sign) == ["Ben"]
    target.exchange.import_people(target.exchange.read_export(file, sign))
    assert [(p.name, p.disabled) for p in target.identities()] == [("Ben", True)]
    with pytest.raises(ValueError, match="nobody called 'Eve'"):
        source.exchange.export(tmp_path / "none", ["Eve"], sign)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("rule", "anna", "others"),
    [
        ("skip", [9], []),
        ("add", [9, 0], []),
        ("replace", [0], []),
        ("rename", [9], [("Anna (2)", [0])]),
    ],
)
def test_conflicts(source, target, tmp_path, sign, rule, anna, others):
    enroll(target, "Anna", 9)
    file = tmp_path / "people.emgait"
    source.exchange.export(file, ["Anna", "Ben"], sign)
    people = target.exchange.read_export(file, sign)
    before = contents(target)
    with pytest.raises(
        ValueError, match=r"1 of 2 people have other templates here under the same name: 'Anna'; nobody was imported"
    ):
        target.exchange.import_people(people)
    assert contents(target) == before
    lines = {line.name: line for line in target.exchange.preview(people, rule)}
    assert (lines["Anna"].action, lines["Anna"].conflict, lines["Ben"].action) == (rule, True, "new")
    target.exchange.import_people(people, rule)
    expected = {"Anna": anna, "Ben": [1], **dict(others)}
    assert contents(target) == {n: sorted(r.tobytes() for s in seeds for r in rows(s)) for n, seeds in expected.items()}
    target.undo()
    assert contents(target) == before
    assert target.check() == []


def test_an_unknown_rule_is_refused(target):
    with pytest.raises(ValueError, match="unknown rule 'merge' for conflicts: known are refuse, skip"):
        target.exchange.preview([], "merge")


def test_somebody_elses_file_takes_trust(source, target, tmp_path, sign):
    file, mine = tmp_path / "people.emgait", tmp_path / "mine.key"
    source.exchange.export(file, signing=sign)
    signer = signer_of(signing_key(sign))
    with pytest.raises(UntrustedSignerError, match="does not trust") as raised:
        target.exchange.read_export(file, mine)
    assert raised.value.signer == signer
    with pytest.raises(ValueError, match="is no signer"):
        target.exchange.trust("1234")
    target.exchange.trust(signer)
    assert len(target.exchange.read_export(file, mine)) == 5
    assert target.history.audit()[-1].action == "trust"


def damages():
    yield "head", lambda content: content.replace(b'"encrypted": false', b'"encrypted": true ', 1), "was changed since"
    yield "template", lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:], "was changed since"
    yield "name", lambda content: content.replace(b"Anna", b"Anne", 1), "was changed since"
    yield "signature", lambda content: content[:-1] + bytes([content[-1] ^ 1]), "was changed since"
    yield "cut", lambda content: content[: len(content) // 2], "is cut off"
    yield "longer", lambda content: content + b"x", "is cut off or has something behind"
    yield "only magic", lambda content: MAGIC, "its head cannot be read"
    yield "huge head", lambda content: MAGIC + b"\xff" * 8 + content, "its head cannot be read|is cut off"
    yield "another file", lambda content: b"PK\x03\x04" + content, "is no export of a gallery"
    yield "empty", lambda content: b"", "is no export of a gallery"


@pytest.mark.parametrize(("harm", "said"), [d[1:] for d in damages()], ids=[d[0] for d in damages()])
def test_tampered_files(source, target, tmp_path, sign, harm, said):
    file = tmp_path / "people.emgait"
    source.exchange.export(file, signing=sign)
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(ExportError, match=said) as raised:
        target.exchange.read_export(file, sign)
    assert str(file) in str(raised.value)
    assert target.identities() == []


def test_every_flipped_byte_is_found(source, tmp_path, sign):
    file = tmp_path / "people.emgait"
    source.exchange.export(file, ["Ben"], sign)
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :])
        with pytest.raises(ExportError):
            source.exchange.read_export(file, sign)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "\x1b[31m"}, "control character"),
        ({"name": " "}, "empty or only blanks"),
        ({"embedding": np.full((4, 8), np.inf, np.float32)}, "not finite"),
        ({"modalities": 7}, "impossible numbers"),
        ({"samples": -1}, "impossible numbers"),
        ({"created_ns": 2**70}, "impossible numbers"),
        ({"fingerprint": "../etc"}, "no model fingerprint"),
    ],
)
def test_a_trusted_signer_may_send_nonsense(source, target, tmp_path, sign, monkeypatch, change, said):
    """Signed with the right key, but by a program that writes what it should not."""
    import dataclasses

    from emgait_ros.gallery import exchange

    file = tmp_path / "people.emgait"
    source.exchange.export(file, ["Anna"], signing=sign)
    [person] = source.exchange.read_export(file, sign)
    templates = tuple(
        dataclasses.replace(t, **{k: v for k, v in change.items() if k != "name"}) for t in person.templates
    )
    person = dataclasses.replace(person, templates=templates, name=change.get("name", person.name))
    exchange.write_export(file, [person], signing_key(sign), source.file.codec)
    with pytest.raises(ExportError, match=said):
        target.exchange.read_export(file, sign)


def test_templates_that_do_not_fit_are_refused_whole(source, target, tmp_path, sign):
    enroll(target, "Zoe", rows(1, 2, (5, 8)))
    file = tmp_path / "people.emgait"
    source.exchange.export(file, signing=sign)
    people = target.exchange.read_export(file, sign)
    with pytest.raises(ValueError, match=r"4x8, but templates of this model .* 5x8"):
        target.exchange.import_people(people)
    assert [p.name for p in target.identities()] == ["Zoe"]


def test_exports_of_an_encrypted_gallery_are_encrypted(tmp_path, sign):
    file = tmp_path / "people.emgait"
    with Gallery(tmp_path / "secret.db", key=KEY) as gallery:
        enroll(gallery, "Annabel Longname", 1)
        gallery.exchange.export(file, signing=sign)
        assert b"Annabel" not in file.read_bytes()
        assert rows(1)[0].tobytes()[:32] not in file.read_bytes()
        assert len(gallery.exchange.read_export(file, sign)) == 1
        gallery.exchange.export(tmp_path / "plain", signing=sign, plain=True)
        assert b"Annabel" in (tmp_path / "plain").read_bytes()
    with Gallery(tmp_path / "other.db") as gallery:
        for key, said in ((None, "is encrypted: give the key"), (b"w" * 32, "was encrypted with another key")):
            with pytest.raises(ExportError, match=said):
                gallery.exchange.read_export(file, sign, key)
        gallery.exchange.import_people(gallery.exchange.read_export(file, sign, KEY))
        assert [p.name for p in gallery.identities()] == ["Annabel Longname"]


def test_a_removed_person_cannot_come_back_by_undoing_an_import(source, target, tmp_path, sign):
    enroll(target, "Anna", 9)
    file = tmp_path / "people.emgait"
    source.exchange.export(file, ["Anna", "Ben"], sign)
    target.exchange.import_people(target.exchange.read_export(file, sign), "replace")
    target.remove("Anna")
    target.undo()
    assert target.identities() == []


def test_ten_thousand_odd_names_come_across(tmp_path, sign):
    """Written and read as one file and one transaction, found again one by one; undone as one change."""
    words = ["O'Brien", "👩‍🚀", '"; DROP TABLE templates; --', "a\u0301", "%s", "山田", "  ", "\u200d", "?", "\\", "{}"]
    names = [f"{words[i % 11]} {words[i // 11 % 11]} {i}" for i in range(10_000)]
    with Gallery(tmp_path / "one.db", key=KEY) as gallery, gallery.file.change():
        for seed, name in enumerate(names):  # one transaction: ten thousand waits for the disk say nothing more
            enroll(gallery, name, rows(seed, 1))
    with Gallery(tmp_path / "one.db", key=KEY) as one, Gallery(tmp_path / "two.db") as two:
        assert len(one.identities()) == 10_000
        one.exchange.export(tmp_path / "people.emgait", signing=sign)
        people = two.exchange.read_export(tmp_path / "people.emgait", sign, KEY)
        two.exchange.import_people(people)
        assert [p.name for p in two.identities()] == [p.name for p in one.identities()]
        assert contents(two) == contents(one)
        for number in range(0, 10_000, 997):
            assert two.remove(names[number]) == 1
        assert len(two.templates_for(MODEL).names) == 10_000 - len(range(0, 10_000, 997))
        assert two.check() == []
        two.undo()
        assert two.identities() == []


def test_a_signing_key_others_can_read_is_refused(tmp_path):
    signing_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ValueError, match="can be read by others"):
        signing_key(tmp_path / "key")
    (tmp_path / "bad").write_text("hello")
    (tmp_path / "bad").chmod(0o600)
    with pytest.raises(ValueError, match="holds no signing key"):
        signing_key(tmp_path / "bad")


def test_an_export_that_cannot_be_written_leaves_nothing(source, tmp_path, sign):
    before = source.history.audit()
    with pytest.raises(OSError, match="No such file"):
        source.exchange.export(tmp_path / "no" / "folder", signing=sign)
    assert source.history.audit() == before
    assert not isinstance(OSError(), GalleryError)


@pytest.mark.parametrize(
    ("rule", "here"),
    [
        ("skip", {"anna": 1}),
        ("add", {"anna": 3}),
        ("replace", {"anna": 2}),
        ("rename", {"anna": 1, "Anna (2)": 2}),
    ],
)
def test_a_name_that_looks_like_one_here_is_a_conflict(source, target, tmp_path, sign, rule, here):
    file = tmp_path / "people.emgait"
    source.exchange.export(file, ["Anna"], signing=sign)
    enroll(target, "anna", rows(99, 1))
    people = target.exchange.read_export(file, sign)
    [line] = target.exchange.preview(people, "refuse")
    assert (line.action, line.target, line.conflict) == ("refuse", "anna", True)
    with pytest.raises(ValueError, match=r"'Anna' \(here 'anna'\)"):
        target.exchange.import_people(people)
    target.exchange.import_people(people, rule)
    assert {name: len(templates) for name, templates in contents(target).items()} == here
