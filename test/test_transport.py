"""Which Fast DDS profile a process gets, and where shipped files are found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emgait_ros.shipped import shipped_path
from emgait_ros.transport import PROFILE_VARIABLES, profile_in_use, shipped_profile, use_shipped_profile

FAST_DDS_2, FAST_DDS_3 = PROFILE_VARIABLES
OURS = str(shipped_profile())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {FAST_DDS_2: OURS, FAST_DDS_3: OURS}),
        ({FAST_DDS_2: "/mine.xml", FAST_DDS_3: "/mine3.xml"}, {FAST_DDS_2: "/mine.xml", FAST_DDS_3: "/mine3.xml"}),
        # a user who knows only one of the names means both
        ({FAST_DDS_2: "/mine.xml"}, {FAST_DDS_2: "/mine.xml", FAST_DDS_3: "/mine.xml"}),
        ({FAST_DDS_3: "/mine.xml"}, {FAST_DDS_2: "/mine.xml", FAST_DDS_3: "/mine.xml"}),
        # empty is not set
        ({FAST_DDS_2: ""}, {FAST_DDS_2: OURS, FAST_DDS_3: OURS}),
    ],
)
def test_the_profile_is_set_unless_the_user_has_one(environment, expected):
    before = dict(environment)
    added = use_shipped_profile(environment)
    assert environment == expected
    assert added == {name: value for name, value in expected.items() if not before.get(name)}
    assert profile_in_use(environment) == expected[FAST_DDS_2]


def test_the_profile_is_the_one_of_this_checkout(repository):
    assert shipped_profile() == repository / "config" / "fastdds_shm.xml"


def test_a_missing_file_names_the_places(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"config/none\.xml of emgait_ros was not found: looked for .*install the package again"
    ):
        shipped_path("config/none.xml")


@pytest.mark.parametrize("found_by", ["beside the code", "AMENT_PREFIX_PATH"])
def test_installed_files_are_found(tmp_path, repository, found_by):
    """As colcon lays it out: the code in lib/python3.x/site-packages, config in share/emgait_ros."""
    prefix = tmp_path / "install"
    code = prefix / "lib" / "python3.x" / "site-packages" if found_by == "beside the code" else tmp_path / "elsewhere"
    (code / "emgait_ros").mkdir(parents=True)
    for name in ("__init__.py", "shipped.py", "transport.py"):
        shutil.copy(repository / "emgait_ros" / name, code / "emgait_ros" / name)
    shutil.copytree(repository / "config", prefix / "share" / "emgait_ros" / "config")
    environment = {
        **os.environ,
        "PYTHONPATH": str(code),
        "AMENT_PREFIX_PATH": "" if found_by == "beside the code" else str(prefix),
    }
    words = [sys.executable, "-c", "from emgait_ros.transport import shipped_profile; print(shipped_profile())"]
    found = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == prefix / "share" / "emgait_ros" / "config" / "fastdds_shm.xml"
