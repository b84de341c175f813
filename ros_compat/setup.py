"""Stand-ins for ROS 2 packages that PyPI lacks; each is installed only where the real one is absent."""

import sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
DISTRIBUTION = "emgait-ros-compat"
NAMES = ("message_filters", "sensor_msgs_py")


def installed_by_us() -> set[str]:
    """Packages that an earlier run of this file installed."""
    try:
        return {file.parts[0] for file in distribution(DISTRIBUTION).files or ()}
    except PackageNotFoundError:
        return set()


def is_absent(name: str) -> bool:
    """True when nobody but us provides this package; this folder itself is on the path while it is being built."""
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != HERE]
    spec = PathFinder.find_spec(name, elsewhere)
    return spec is None or spec.origin is None or name in installed_by_us()


setup(name=DISTRIBUTION, version="0.1.0", license="Apache-2.0", packages=[name for name in NAMES if is_absent(name)])
