"""Lets large messages through: the Fast DDS profile that the package ships.

As installed, Fast DDS gives a sending process a shared-memory segment of 512 KB, and most best-effort messages larger
than that are lost without a word: of clouds of 128,000 points or 1280x720 images one in three arrives, or none.
It is the *sender's* segment that counts, so drivers and bag players need the profile as well as these nodes.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from emgait_ros.shipped import shipped_path

# Fast DDS 2 (Humble, Iron, Jazzy) reads only the first name, Fast DDS 3 (Kilted) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
SMALL_SEGMENT_BYTES = 500_000  # what fits into the segment that Fast DDS makes without a profile


def shipped_profile() -> Path:
    """The Fast DDS profile of this package: 32 MB shared-memory segment, messages up to 8 MB.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    return shipped_path("config/fastdds_shm.xml")


def profile_in_use(environ: MutableMapping[str, str] | None = None) -> str:
    """The profile file an environment names, empty when it names none."""
    environ = os.environ if environ is None else environ
    return next((environ[name] for name in PROFILE_VARIABLES if environ.get(name)), "")


def use_shipped_profile(environ: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """Point Fast DDS at the shipped profile, unless the user has chosen one. Call before ``rclpy.init``.

    A user's choice under the name of the other Fast DDS version is made known under both names.

    Args:
        environ: environment to change, of this process (the default) or of one to be started.

    Returns:
        The variables that were set, empty when both were set already.

    Raises:
        FileNotFoundError: the installation lacks the shipped profile.
    """
    environ = os.environ if environ is None else environ
    profile = profile_in_use(environ) or str(shipped_profile())
    added = {name: profile for name in PROFILE_VARIABLES if not environ.get(name)}
    environ.update(added)
    return added
