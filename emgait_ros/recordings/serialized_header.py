"""The std_msgs/Header that a serialized (CDR) message begins with, read without decoding the rest."""

from __future__ import annotations

import struct


def stamp_of(raw: bytes, named: str = "a message") -> int:
    """header.stamp, ns.

    Raises:
        ValueError: ``named``, as the sentence calls it, is too short to hold one.
    """
    if len(raw) < 12:
        raise ValueError(f"{named} has only {len(raw)} bytes: it holds no header")
    seconds, nanoseconds = struct.unpack_from(f"{_order(raw)}iI", raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def frame_of(raw: bytes) -> str:
    """header.frame_id; empty where the message is cut off."""
    if len(raw) < 16:
        return ""
    (length,) = struct.unpack_from(f"{_order(raw)}I", raw, 12)
    return bytes(raw[16 : 16 + length]).split(b"\0")[0].decode("utf-8", "replace")


def _order(raw: bytes) -> str:
    """Byte order, from the second byte of the encapsulation (4 bytes)."""
    return "<" if raw[1] & 1 else ">"
