"""What is wrong with an installation or a live system, and what to do about it. No ROS in here: ``live/probe.py`` looks."""
