"""The stand-ins for message packages have the fields of the real messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

# Name -> type of each field, and the constants, as the packages document them for ROS 2; rosbags knows tf2_msgs itself.
REAL = {
    "bond/msg/Status": {
        "header": "std_msgs/msg/Header",
        "id": "string",
        "instance_id": "string",
        "active": "bool",
        "heartbeat_timeout": "float32",
        "heartbeat_period": "float32",
    },
    "vision_msgs/msg/BoundingBox3D": {"center": "geometry_msgs/msg/Pose", "size": "geometry_msgs/msg/Vector3"},
    "vision_msgs/msg/Detection3D": {
        "header": "std_msgs/msg/Header",
        "results": "vision_msgs/msg/ObjectHypothesisWithPose[]",
        "bbox": "vision_msgs/msg/BoundingBox3D",
        "id": "string",
    },
    "vision_msgs/msg/Detection3DArray": {
        "header": "std_msgs/msg/Header",
        "detections": "vision_msgs/msg/Detection3D[]",
    },
    "vision_msgs/msg/ObjectHypothesis": {"class_id": "string", "score": "float64"},
    "vision_msgs/msg/ObjectHypothesisWithPose": {
        "hypothesis": "vision_msgs/msg/ObjectHypothesis",
        "pose": "geometry_msgs/msg/PoseWithCovariance",
    },
    "hri_msgs/msg/IdsList": {"header": "std_msgs/msg/Header", "ids": "string[]"},
    "hri_msgs/msg/IdsMatch": {
        "id1": "string",
        "id1_type": "int8",
        "id2": "string",
        "id2_type": "int8",
        "confidence": "float32",
    },
    "people_msgs/msg/People": {"header": "std_msgs/msg/Header", "people": "people_msgs/msg/Person[]"},
    "people_msgs/msg/Person": {
        "name": "string",
        "position": "geometry_msgs/msg/Point",
        "velocity": "geometry_msgs/msg/Point",
        "reliability": "float64",
        "tagnames": "string[]",
        "tags": "string[]",
    },
}
TF = "tf2_msgs/msg/TFMessage"


def definition(repository: Path, name: str) -> tuple[list, list]:
    """Constants and fields of a stand-in."""
    package, _, message = name.split("/")
    text = (repository / "ros_compat" / package / "msg" / f"{message}.msg").read_text(encoding="utf-8")
    return get_types_from_msg(text, name)[name]


def spelled(kind) -> str:
    """A type as in a .msg file."""
    node, value = kind
    if node is Nodetype.SEQUENCE:
        return f"{spelled(value[0])}[]"
    return value if node is Nodetype.NAME else value[0]


def test_tf_is_the_message_every_tool_knows(repository):
    assert definition(repository, TF) == get_typestore(Stores.ROS2_JAZZY).fielddefs[TF]


@pytest.mark.parametrize("name", REAL)
def test_fields_are_the_documented_ones(repository, name):
    _, fields = definition(repository, name)
    assert {field: spelled(kind) for field, kind in fields} == REAL[name]
    assert [field for field, _ in fields] == list(REAL[name])


def test_kinds_of_identifiers(repository):
    constants, _ = definition(repository, "hri_msgs/msg/IdsMatch")
    assert [(name, value) for name, _, value in constants] == [
        ("UNSET", 0), ("PERSON", 1), ("FACE", 2), ("BODY", 3), ("VOICE", 4),
    ]  # fmt: skip


def test_every_message_is_built(repository):
    for folder in (path.parent for path in (repository / "ros_compat").glob("*/CMakeLists.txt")):
        built = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
        assert all(f'"msg/{file.name}"' in built for file in (folder / "msg").glob("*.msg"))
        assert folder.name in (repository / "scripts" / "setup.sh").read_text(encoding="utf-8")
