"""Shared by all tests: an own DDS domain for this session, one thread a process, and where the real data lies."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def own_domain() -> str:
    """A DDS domain that no other session of tests on this machine has: each holds a name of the kernel's as long as it runs."""
    for number in random.SystemRandom().sample(range(1, 102), 101):
        with contextlib.suppress(OSError):  # taken
            _HELD.bind(f"\0emgait_ros test domain {number}")
            return str(number)
    raise OSError("all domains from 1 to 101 are taken by sessions of tests: set ROS_DOMAIN_ID")


_HELD = socket.socket(socket.AF_UNIX)
# Before rclpy, numpy or onnxruntime are imported: they read these once.
if "ROS_DOMAIN_ID" not in os.environ:
    os.environ["ROS_DOMAIN_ID"] = own_domain()
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for name in (
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
):  # Jazzy reads the first, Kilted the second
    os.environ[name] = str(ROOT / "config" / "fastdds_shm.xml")
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

import emgait_ros  # noqa: E402, F401  (limits OpenCV before it is loaded)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings that are never committed; skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder}")
    return folder
