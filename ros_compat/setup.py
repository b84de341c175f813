"""Stand-ins for ROS 2 packages that PyPI lacks; each is installed only where the real one is absent."""

from importlib.util import find_spec
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
NAMES = ("message_filters", "sensor_msgs_py")


def is_absent(name: str) -> bool:
    """True when no other installation provides this package."""
    spec = find_spec(name)
    return spec is None or spec.origin is None or Path(spec.origin).is_relative_to(HERE)


setup(name="emgait-ros-compat", version="0.1.0", license="Apache-2.0", packages=[n for n in NAMES if is_absent(n)])
