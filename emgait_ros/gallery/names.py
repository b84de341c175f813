"""What a person may be called: one rule for the services, the command line and the store."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 64
"""Longest name, counted in Unicode characters after normalisation."""

_REFUSED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}  # control, lone surrogate, line and paragraph separators
_INVISIBLE_CATEGORIES = {"Zs", "Cf"}  # blanks and joiners: fine inside a name, no name by themselves
_DIRECTION_OVERRIDES = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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
    if all(unicodedata.category(character) in _INVISIBLE_CATEGORIES for character in clean):
        raise ValueError(f"the name is empty or only blanks: give 1 to {MAX_CHARACTERS} characters")
    if len(clean) > MAX_CHARACTERS:
        raise ValueError(f"the name has {len(clean)} characters: at most {MAX_CHARACTERS} are allowed")
    return clean
