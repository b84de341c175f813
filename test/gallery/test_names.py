"""What a person may be called."""

import tracemalloc

import pytest
from galleries import enroll

from emgait_ros.gallery.names import look_alikes, normalised_name
from emgait_ros.gallery.store import Gallery


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Anna", "Anna"),
        ("  Anna B. ", "Anna B."),  # blanks at the ends are a slip of the hand
        ("Ada  Lovelace", "Ada  Lovelace"),  # blanks inside are the user's
        ("Zoe\u0308", "Zoë"),  # two spellings of one name are one person
        ("Robert'); DROP TABLE identities;--", "Robert'); DROP TABLE identities;--"),
        ("👩‍🚀", "👩‍🚀"),  # an emoji glued with U+200D
        ("山田太郎", "山田太郎"),
        ("x" * 64, "x" * 64),
        ("é" * 64, "é" * 64),  # characters are counted, not bytes
        ("e\u0301" * 64, "é" * 64),  # counted after normalisation
    ],
)
def test_accepted(name, stored):
    assert normalised_name(name) == stored


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty or only blanks"),
        ("   ", "empty or only blanks"),
        ("\u3000\u00a0", "empty or only blanks"),  # ideographic and no-break space
        ("\u200b", "empty or only blanks"),  # zero width: invisible in every list
        ("\u3164\u2800", "empty or only blanks"),  # letters and signs without ink
        ("x" * 65, "65 characters"),
        ("x" * 100_000, "100000 characters"),
        ("Anna\n", "U+000A"),
        ("An\x00na", "U+0000"),
        ("An\u2028na", "U+2028"),
        ("\u202eannA", "U+202E"),  # shown backwards: one name posing as another
        ("\ud800", "U+D800"),  # cannot be written as UTF-8
    ],
)
def test_refused(name, said):
    with pytest.raises(ValueError, match=said.replace("+", r"\+")):
        normalised_name(name)


@pytest.mark.parametrize(
    ("name", "other", "alike"),
    [
        ("anna", "Anna", True),
        ("ANNA", "Anna", True),
        ("STRASSE", "Straße", True),  # case folding, not lower case
        ("Ada  Lovelace", "Ada Lovelace", True),
        ("Anna\u00a0B.", "AnnaB.", True),
        ("An\u200bna", "Anna", True),  # zero width
        ("Anna\u3164", "Anna", True),  # a letter without ink
        ("A\u034fnna\ufe0f", "Anna", True),  # marks that are not shown
        ("Ａｎｎａ", "Anna", True),  # full width
        ("\u0410nna", "Anna", True),  # Cyrillic capital A
        ("\u0430nn\u0430", "ANNA", True),
        ("\u0392\u03bf\u03c1\u03b9\u03c2", "Bopi\u03c2", True),  # Greek beta, omicron, rho, iota
        ("\u0412\u041e\u0412\u0410", "\u0432\u043e\u0432\u0430", True),  # one Cyrillic name in two cases
        ("R0bert", "Robert", True),
        ("Anna-Maria", "Anna\u2011Maria", True),
        ("O'Neill", "O\u2019Neill", True),
        ("Zoe", "Zoë", False),  # an accent makes another name
        ("Anna", "Hanna", False),
        ("Anna 2", "Anna", False),
        ("Jon", "John", False),
    ],
)
def test_names_that_look_alike(name, other, alike):
    assert look_alikes(name, [other]) == ([other] if alike else [])
    assert look_alikes(other, [name]) == ([name] if alike else [])


def test_a_name_that_is_enrolled_itself_has_no_look_alikes():
    assert look_alikes("anna", ["Anna", "ANNA"]) == ["ANNA", "Anna"]
    assert look_alikes("anna", ["Anna", "anna"]) == []


def test_names_of_who_was_removed_do_not_stay_in_memory(tmp_path):
    with Gallery(tmp_path / "gallery.db") as gallery:
        sizes = []
        for number in range(200):
            name = f"{number:04d}" + 60 * "\N{GREEK SMALL LETTER ALPHA}"
            gallery.look_alikes(name)
            enroll(gallery, name)
            gallery.look_alikes("somebody else")
            gallery.remove(name)
            if number in (50, 199):
                sizes.append(tracemalloc.get_traced_memory()[0])
            elif number == 0:
                tracemalloc.start()
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 20_000
