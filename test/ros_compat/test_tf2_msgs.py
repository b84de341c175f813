"""The stand-in for tf2_msgs is the message every ROS tool knows."""

from __future__ import annotations

from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

NAME = "tf2_msgs/msg/TFMessage"


def test_the_stand_in_has_the_fields_of_the_real_message(repository: Path) -> None:
    text = (repository / "ros_compat" / "tf2_msgs" / "msg" / "TFMessage.msg").read_text(encoding="utf-8")
    assert get_types_from_msg(text, NAME)[NAME] == get_typestore(Stores.ROS2_JAZZY).fielddefs[NAME]
