"""The Foxglove layout: its topics are ours, and the fields it plots exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emgait_ros.config import TrackerTopicsConfig, full_name
from emgait_ros.recordings.annotated_bag import IDENTITIES, IDENTITY_ARRAY, MARKERS, OVERLAY
from emgait_ros.recordings.rosbag import message_types


@pytest.fixture(scope="module")
def layout(repository: Path) -> dict[str, Any]:
    return dict(json.loads((repository / "config" / "gait.foxglove.json").read_text()))


def leaves(tree: Any) -> list[str]:
    return [tree] if isinstance(tree, str) else [*leaves(tree["first"]), *leaves(tree["second"])]


def test_every_panel_is_in_its_place(layout: dict[str, Any]) -> None:
    assert sorted(leaves(layout["layout"])) == sorted(layout["configById"])


def test_its_topics_are_ours(layout: dict[str, Any]) -> None:
    panels = layout["configById"]
    topics = set(panels["3D!view"]["topics"]) | {panels["Image!overlay"]["imageMode"]["imageTopic"]}
    topics.add(panels["DiagnosticSummary!health"]["topicToRender"])
    cloud = full_name(TrackerTopicsConfig().cloud)
    assert topics == {cloud, "/pedestrian_tracker/points", MARKERS, OVERLAY, "/diagnostics"}


def test_the_fields_it_shows_exist(layout: dict[str, Any]) -> None:
    panels = layout["configById"]
    paths = [line["value"] for name in ("Plot!distance", "Plot!range") for line in panels[name]["paths"]]
    paths.append(panels["Table!identities"]["topicPath"])
    types = message_types()
    for path in paths:
        topic, _, fields = path.partition(".")
        assert topic == IDENTITIES
        kind: Any = IDENTITY_ARRAY
        for name in fields.replace("[:]", "").split("."):
            found = dict(types.get_msgdef(kind).fields)[name]
            while isinstance(found[1], tuple):  # an array of something
                found = found[1][0]
            kind = found[1]
