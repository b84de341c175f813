"""Correct the CMake exports of ROS 2 wheels: they hold include paths of the machine that built them.

usage: fix_ros_wheels.py VENV
Run with the Python of that environment; running it twice changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+/include/python\d\.\d+")
BUILDER_NUMPY = re.compile(r"/[^;\"\s]*?/numpy/_?core/include")


def main() -> None:
    changed = 0
    for path in Path(sys.argv[1]).glob("share/*/cmake/*Export.cmake"):
        text = path.read_text()
        fixed = BUILDER_PYTHON.sub(sysconfig.get_path("include"), text)
        fixed = BUILDER_NUMPY.sub(numpy.get_include(), fixed)
        if fixed != text:
            path.write_text(fixed)
            changed += 1
    print(f"setup: corrected include paths in {changed} CMake files of the ROS wheels")


if __name__ == "__main__":
    main()
