"""What the encrypted rows of a gallery are bound to, so that nobody without the key can assign them to another person.

A template is bound to its model, its person's number and its time, a saved walk to its time (its templates share it), and
a name, which has to be found again by equality, is sealed together with its person's number.
"""

from __future__ import annotations

import hmac
import zlib
from typing import Any

from emgait_ros.gallery.encryption import PlainText, WrongKeyError


def template_context(fingerprint: str, identity: int, created_ns: int) -> str:
    """What a template's bytes belong to."""
    return f"template {fingerprint} {identity} {created_ns}"


def walk_context(created_ns: int) -> str:
    """What a saved walk's bytes belong to."""
    return f"saved walk {created_ns}"


def name_seal(codec: PlainText, identity: int, name: str) -> str:
    """Seal of a name on a person; empty without a key."""
    return codec.seal(f"name {identity} {name}")


def is_sealed(codec: PlainText, identity: int, name: str, seal: str) -> bool:
    """Whether a name was given to a person by somebody with the key; always without one."""
    return hmac.compare_digest(name_seal(codec, identity, name), seal) if codec.encrypted else True


def not_theirs(place: str, what: str) -> str:
    """The message about something whose seal or binding does not match."""
    return (
        f"gallery {place}: {what} was put there, or changed, by somebody without the key, and is not used: put a backup "
        "in place, or `emgait gallery remove` and enrol again"
    )


def seal_names(connection: Any, codec: PlainText) -> None:
    """Within a change: seal everybody's name, as it is now."""
    people = connection.execute("SELECT id, name FROM identities").fetchall()
    seals = [(name_seal(codec, identity, codec.read_text(name)), identity) for identity, name in people]
    connection.executemany("UPDATE identities SET seal = ? WHERE id = ?", seals)


def rewrite_data(connection: Any, old: PlainText, new: PlainText, bound: bool = True) -> int:
    """Within a change: encrypt all templates and saved walks again, one at a time; returns the number of templates.

    Args:
        connection: the database.
        old, new: before and after.
        bound: False: they are as galleries before layout 5 kept them, bound to their model alone; what cannot be read
            stays as it is, and is reported as damaged later.

    Raises:
        WrongKeyError: something cannot be read.
    """

    def again(stored: bytes, was: str, becomes: str) -> bytes | None:
        try:
            return new.data(old.read_data(stored, was), becomes)
        except WrongKeyError:
            if bound:
                raise
            return None

    numbers = [row[0] for row in connection.execute("SELECT id FROM templates").fetchall()]
    for number in numbers:
        stored, fingerprint, identity, created = connection.execute(
            "SELECT embedding, fingerprint, identity_id, created_ns FROM templates WHERE id = ?", (number,)
        ).fetchone()
        context = template_context(fingerprint, identity, created)
        blob = again(stored, context if bound else fingerprint, context)
        if blob is not None:
            values = (blob, zlib.crc32(blob), number)
            connection.execute("UPDATE templates SET embedding = ?, checksum = ? WHERE id = ?", values)
    for (created,) in connection.execute("SELECT created_ns FROM saved_walks").fetchall():
        query = "SELECT content FROM saved_walks WHERE created_ns = ?"
        stored = connection.execute(query, (created,)).fetchone()[0]
        blob = again(stored, walk_context(created) if bound else "saved walk", walk_context(created))
        if blob is not None:
            connection.execute("UPDATE saved_walks SET content = ? WHERE created_ns = ?", (blob, created))
    return len(numbers)
