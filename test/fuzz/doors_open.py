"""The doors that can be tried on this machine."""

from __future__ import annotations

from importlib.util import find_spec

import doors
from fuzzing import DOORS

if find_spec("rclpy"):
    import node_doors


def close() -> None:
    """Let go of all that the doors have made."""
    if find_spec("rclpy"):
        node_doors.close()
    doors.close()


CHOSEN = [door for door in DOORS.values() if not door.needs or find_spec(door.needs)]
