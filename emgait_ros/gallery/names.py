"""What a person may be called, and which names look alike: one rule for the services, the command line and the store."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

MAX_CHARACTERS = 64
"""Longest name, counted in Unicode characters after normalisation."""

_REFUSED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # control, lone surrogate, line and paragraph separators
_INVISIBLE_CATEGORIES = {"Zs", "Cf"}  # blanks and joiners: fine inside a name, no name by themselves
_WITHOUT_INK = {chr(code) for start, end in (
    (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF),
) for code in range(start, end + 1)}  # fmt: skip
"""Letters, signs and marks that show nothing."""
_DIRECTION_OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Cyrillic, Greek and Armenian letters, and digits, that look like a Latin letter in lower or upper case; all after case folding.
_SHAPES = {
    "a": "\u0430\u03b1", "b": "\u0432\u03b2", "c": "\u0441\u03f2", "d": "\u0501", "e": "\u0435\u03b5", "g": "\u0581",
    "h": "\u043d\u04bb\u03b7\u0570", "i": "\u0456\u03b9\u0131", "j": "\u0458\u03f3", "k": "\u043a\u03ba", "l": "\u04cf1|",
    "m": "\u043c\u03bc", "n": "\u03bd\u0578", "o": "\u043e\u03bf\u05850", "p": "\u0440\u03c1", "q": "\u051b", "s": "\u0455",
    "t": "\u0442\u03c4", "u": "\u057d", "v": "\u0475", "w": "\u051d", "x": "\u0445\u03c7", "y": "\u0443\u04af\u03c5", "z": "\u03b6",
}  # fmt: skip
_TO_LATIN = str.maketrans({look: latin for latin, looks in _SHAPES.items() for look in looks})
_APOSTROPHES = set("'`\u2018\u2019\u02bc\u02b9\u2032")


class LookAlikeNameError(ValueError):
    """The name is not enrolled, but looks like one that is: the caller may confirm that another person is meant."""


def look_alike_key(name: str) -> str:
    """Equal for names that look alike: case, blanks, kinds of dashes and apostrophes, compatibility forms and letters of
    other alphabets with the same shape make no difference. Accents do: Zoe and Zoë are two names."""
    shown = []
    for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold()):
        if not _is_invisible(character):
            is_dash = unicodedata.category(character) == "Pd"
            shown.append("-" if is_dash else "'" if character in _APOSTROPHES else character)
    return unicodedata.normalize("NFC", "".join(shown).translate(_TO_LATIN))


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _WITHOUT_INK


def look_alikes(name: str, names: Iterable[str], key_of: Callable[[str], str] = look_alike_key) -> list[str]:
    """Those of ``names`` that look like ``name``, sorted; none when it is among them itself. ``key_of`` gives their keys."""
    others, key = list(names), look_alike_key(name)
    return [] if name in others else sorted(other for other in others if key_of(other) == key)


def refuse_look_alikes(name: str, alike: list[str], otherwise: str) -> None:
    """Raise :class:`LookAlikeNameError` when there are any; ``otherwise``: what to do when another person is meant."""
    if alike:
        listed = ", ".join(f"'{other}'" for other in alike)
        raise LookAlikeNameError(
            f"'{name}' is not enrolled, but looks like {listed}: use that name if it is the same person; "
            f"if it is another one, {otherwise}"
        )


def normalised_name(name: str) -> str:
    """The form a name is stored and looked up in: NFC, without blanks at either end.

    Raises:
        ValueError: empty, only blanks, longer than 64 characters, or with control characters.
    """
    if not isinstance(name, str):
        raise ValueError(f"a name is text, not {type(name).__name__}")
    clean = unicodedata.normalize("NFC", name)
    for character in clean:
        if unicodedata.category(character) in _REFUSED_CATEGORIES or character in _DIRECTION_OVERRIDES:
            raise ValueError(
                f"the name holds the control character U+{ord(character):04X}: use letters, digits, spaces and signs"
            )
    clean = clean.strip()
    if all(map(_is_invisible, clean)):
        raise ValueError(f"the name is empty or only blanks: give 1 to {MAX_CHARACTERS} characters")
    if len(clean) > MAX_CHARACTERS:
        raise ValueError(f"the name has {len(clean)} characters: at most {MAX_CHARACTERS} are allowed")
    return clean
