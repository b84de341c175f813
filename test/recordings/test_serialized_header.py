"""The header of a serialized message, without decoding it."""

from __future__ import annotations

import pytest

from emgait_ros.recordings.serialized_header import frame_of, stamp_of


def serialized(order: str, frame_id: bytes = b"lidar\0") -> bytes:
    words = (7, 250, len(frame_id))
    return bytes([0, order == "little", 0, 0]) + b"".join(w.to_bytes(4, order) for w in words) + frame_id + b"\xff" * 8


@pytest.mark.parametrize("order", ["little", "big"])
def test_stamp_and_frame_are_read_in_both_byte_orders(order):
    assert stamp_of(serialized(order)) == 7_000_000_250
    assert frame_of(serialized(order)) == "lidar"


@pytest.mark.parametrize(
    ("frame_id", "read"), [(b"", ""), (b"\0", ""), (b"caf\xc3\xa9\0", "café"), (b"\xff\0", "\ufffd")]
)
def test_frames(frame_id, read):
    assert frame_of(serialized("little", frame_id)) == read


@pytest.mark.parametrize("size", [0, 1, 11])
def test_what_is_too_short_is_named(size):
    with pytest.raises(ValueError, match=f"the cloud has only {size} bytes"):
        stamp_of(serialized("little")[:size], "the cloud")
    assert frame_of(serialized("little")[:size]) == ""
