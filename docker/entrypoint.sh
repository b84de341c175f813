#!/usr/bin/env bash
# Runs a command in the environment of ROS and of this package.
set -e
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /opt/emgait/setup.bash
exec "$@"
