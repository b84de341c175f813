"""Stand-in for the part of ROS 2's ``sensor_msgs_py`` this project uses: ``point_cloud2``."""
