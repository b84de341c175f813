import json

import pytest

from emgait_ros.emgaitnet.network_config import EMGaitNetConfig


@pytest.mark.parametrize("config", [EMGaitNetConfig.small(), EMGaitNetConfig.paper("ViT-B-32", "openai", classes=250)])
def test_a_configuration_survives_json(config):
    assert EMGaitNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_height": 62}, "multiples of 4"),
        ({"heads": 3}, "divide width"),
        ({"parts": 5}, "divide image_height / 4"),
        ({"neighbours": 128}, "fewer than points"),  # a point is not its own neighbour
        ({"use_sga": False}, "use_semi needs use_sga"),
        ({"use_image": False}, "use_semi needs use_image"),
        ({"use_image": False, "use_points": False, "use_semi": False}, "at least one"),
        ({"min_frames": 0}, "min_frames"),
        ({"channels": (8, 8)}, "four widths"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        EMGaitNetConfig.small(**changes)


def test_unknown_fields_are_named():
    with pytest.raises(ValueError, match=r"unknown fields \['depth'\]"):
        EMGaitNetConfig.from_dict({"depth": 3})
