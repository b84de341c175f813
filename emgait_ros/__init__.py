"""emgait_ros: recognises people by the way they walk, from a LiDAR and a camera, live on ROS 2."""

__version__ = "0.2.0"
