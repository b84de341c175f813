#!/usr/bin/env bash
# Runs a command in the environment of ROS and of this package.
set -e
# shellcheck source=/dev/null
source "/opt/ros/$ROS_DISTRO/setup.bash"
# shellcheck source=/dev/null
source /opt/emgait/setup.bash
exec "$@"
