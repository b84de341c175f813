"""emgait_ros: recognises people by the way they walk, from a LiDAR and a camera, live on ROS 2."""

import os

# OpenCV reads it once, when it is loaded: a picture of a few bytes can say that it takes gigabytes. 8K is the largest admitted.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**25))

__version__ = "0.2.0"
