"""All parameters over the real services, as rqt_reconfigure, Foxglove and `ros2 param dump` ask for them."""

from __future__ import annotations

import pytest
from live_graph import LiveGraph
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters, ListParameters

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("pedestrian_tracker", {"topics__image": ""}, {"camera.T_camera_lidar", "topics.cloud", "use_sim_time"}),
        ("gait_recognizer", {"autostart": False}, {"engine.bundle", "topics.pedestrians", "use_sim_time"}),
    ],
)
def test_all_at_once_have_values(graph: LiveGraph, start, name, arguments, expected):
    start(name, namespace="services", **arguments)
    node = f"/services/{name}"
    listed = graph.call(ListParameters, f"{node}/list_parameters", ListParameters.Request(), 60.0).result.names
    assert expected <= set(listed)
    values = graph.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=listed)).values
    assert len(values) == len(listed)
    without = [n for n, v in zip(listed, values, strict=True) if v.type == ParameterType.PARAMETER_NOT_SET]
    assert without == []
    by_name = dict(zip(listed, values, strict=True))
    if name == "pedestrian_tracker":
        assert by_name["camera.T_camera_lidar"].type == ParameterType.PARAMETER_DOUBLE_ARRAY
        assert list(by_name["camera.T_camera_lidar"].double_array_value) == []
        assert graph.set_parameter(node, "camera.T_camera_lidar", [float(i % 5 == 0) for i in range(16)]).successful
