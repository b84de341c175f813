"""The life cycle that both nodes share, on a node that loads nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.nodes.managed import FAILURE, SUCCESS, ManagedNode

pytestmark = pytest.mark.ros


class Steps(ManagedNode[TrackerNodeConfig]):
    """Notes its steps; the one named ``fails`` raises."""

    def __init__(self, context: Context, fails: str = "") -> None:
        self.taken: list[str] = []
        self.fails = fails
        super().__init__("steps", TrackerNodeConfig(autostart=False), namespace="managed", context=context)

    def _take(self, step: str) -> None:
        self.taken.append(step)
        if step == self.fails:
            raise OSError(f"no {step}")

    def _load(self) -> None:
        self._take("load")

    def _unload(self) -> None:
        self._take("unload")

    def _begin(self) -> None:
        self._take("begin")

    def _stop(self) -> None:
        self._take("stop")

    def _accept(self, config: TrackerNodeConfig, names: set[str]) -> None: ...

    def _change(self, config: TrackerNodeConfig, names: set[str]) -> None: ...

    def _statuses(self) -> Iterator[DiagnosticStatus]:
        yield from ()

    def says(self) -> str:
        """Of the state, on /diagnostics."""
        return str(next(iter(self._all_statuses())).message)


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made)
    yield made
    gc.unfreeze()
    made.try_shutdown()


def test_there_and_back(context: Context) -> None:
    node = Steps(context)
    assert node.says().startswith("unconfigured")
    assert node.trigger_configure() == SUCCESS
    assert node.says().startswith("inactive")
    before = gc.get_freeze_count()  # Python 3.12 begins with some
    assert before < 1000
    assert node.trigger_activate() == SUCCESS
    assert node.says() == "active"
    assert gc.get_freeze_count() > before + 1000, "a full garbage collection passes over what is loaded"
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    assert node.says().startswith("unconfigured")
    assert gc.get_freeze_count() <= before
    assert node.taken == ["load", "begin", "stop", "unload"]
    node.destroy_node()


@pytest.mark.parametrize(
    ("fails", "says", "taken"),
    [
        ("load", "not configured: no load", ["load", "unload"]),
        ("begin", "not activated: no begin", ["load", "begin", "stop"]),
    ],
)
def test_a_step_that_fails_is_said_and_can_be_taken_again(
    context: Context, fails: str, says: str, taken: list[str]
) -> None:
    node = Steps(context, fails)
    steps = [node.trigger_configure, node.trigger_activate]
    results = [step() for step in steps[: 1 + (fails == "begin")]]
    assert results[-1] == FAILURE
    assert node.says() == says
    assert node.taken == taken
    node.fails = ""
    results = [step() for step in steps[fails == "begin" :]]
    assert results == [SUCCESS] * len(results)
    assert node.says() == "active"
    node.close()
    node.destroy_node()
