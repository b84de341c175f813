"""The bond with a lifecycle manager: the test plays the manager as nav2_lifecycle_manager and bondcpp do it."""

from __future__ import annotations

import time
import uuid

import pytest

pytest.importorskip("bond.msg", reason="bond is optional: bond_heartbeat_period needs it")

from bond.msg import Status
from lifecycle_msgs.msg import Transition
from live_graph import LiveGraph, stamp_of

pytestmark = pytest.mark.ros
NODE, TOPIC, BOND = "/nav/pedestrian_tracker", "/nav/bond", "nav/pedestrian_tracker: bond"
PERIOD_S = 0.1


class Manager:
    """The other end of a bond, with an identity of its own each time it is made."""

    def __init__(self, graph: LiveGraph, received: list[Status]) -> None:
        self.graph, self.received, self.instance = graph, received, str(uuid.uuid4())
        self._before = {message.instance_id for message in received}
        graph.diagnostics.pop(BOND, None)  # of the bond before

    def tell(self, active: bool = True, name: str = "pedestrian_tracker") -> None:
        said = Status(id=name, instance_id=self.instance, active=active)
        said.heartbeat_period, said.heartbeat_timeout = PERIOD_S, 4.0
        self.graph.publish(TOPIC, said)

    def heard(self) -> list[Status]:
        """From the node, since this manager was made; an earlier bond's last message may come late."""
        known = {self.instance, *self._before}
        return [message for message in list(self.received) if message.instance_id not in known]

    def told_of_the_end(self) -> bool:
        """The last that was heard is that the node ends the bond; its messages come in order."""
        heard = self.heard()
        return bool(heard) and not heard[-1].active

    def forms(self) -> bool:
        """Told of life until the node says that it knows."""
        return bool(self.graph.wait(lambda: self.graph.says(BOND, "is there"), every=self.tell))


@pytest.fixture(scope="module")
def received(graph, start):
    found = graph.collect(Status, TOPIC)
    topics = {"topics__image": "", "topics__cloud": "points"}
    start("pedestrian_tracker", namespace="nav", autostart=False, bond_heartbeat_period=PERIOD_S, **topics)
    assert graph.state(NODE) == "unconfigured"
    assert graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    return found


@pytest.fixture
def manager(graph, received):
    """A manager that has activated the node."""
    made = Manager(graph, received)
    assert graph.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    yield made
    if graph.state(NODE) == "active":
        assert graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    assert graph.wait(made.told_of_the_end)


def test_no_heartbeat_before_it_is_active(graph, received):
    time.sleep(5 * PERIOD_S)
    assert received == []
    assert BOND not in graph.diagnostics


def test_heartbeats_are_those_of_a_node_of_nav2(graph, manager):
    assert graph.wait(lambda: len(manager.heard()) >= 10), "alive before anybody answers"
    assert stamp_of(manager.heard()[9]) - stamp_of(manager.heard()[0]) >= 5 * PERIOD_S * 1e9
    beat = manager.heard()[0]
    assert (beat.id, beat.active, beat.heartbeat_timeout) == ("pedestrian_tracker", True, 4.0)
    assert beat.heartbeat_period == pytest.approx(PERIOD_S)
    assert len({message.instance_id for message in manager.heard()}) == 1
    assert uuid.UUID(beat.instance_id).version == 4
    assert beat.header.stamp.sec > 0
    assert graph.wait(lambda: graph.says(BOND, "no lifecycle manager has answered"))
    manager.tell(name="controller_server")  # of another bond on the same topic
    assert manager.forms()


def test_deactivating_ends_the_bond_and_the_next_one_is_another(graph, received):
    instances = []
    for _ in range(2):
        made = Manager(graph, received)
        assert graph.change_state(NODE, Transition.TRANSITION_ACTIVATE)
        assert made.forms()
        assert graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
        assert graph.wait(made.told_of_the_end), "the manager must not wait for a timeout"
        count = len(made.heard())
        time.sleep(5 * PERIOD_S)
        assert len(made.heard()) == count
        instances.append(made.heard()[-1].instance_id)
    assert len(set(instances)) == 2


def test_what_has_not_arrived_when_the_bond_ends_can_still_arrive(graph, received):
    """The publisher outlives the bond: what a busy manager has not received goes with its publisher."""
    made = Manager(graph, received)
    assert graph.change_state(NODE, Transition.TRANSITION_ACTIVATE)
    assert made.forms()
    ends = {bytes(end.endpoint_gid) for end in graph.node.get_publishers_info_by_topic(TOPIC)}
    assert graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    assert graph.wait(made.told_of_the_end)
    time.sleep(5 * PERIOD_S)  # a publisher that goes is seen to go
    assert {bytes(end.endpoint_gid) for end in graph.node.get_publishers_info_by_topic(TOPIC)} == ends


def test_a_manager_that_ends_the_bond_is_answered_and_the_node_goes_on(graph, manager):
    assert manager.forms()
    manager.tell(active=False)
    assert graph.wait(manager.told_of_the_end), "bondcpp waits for this answer"
    assert graph.wait(lambda: graph.says(BOND, "has ended the bond"))
    assert graph.state(NODE) == "active"


def test_a_manager_that_falls_silent_is_named_and_the_node_goes_on(graph, manager):
    assert manager.forms()
    assert graph.wait(lambda: graph.says(BOND, "has been silent"))
    assert graph.state(NODE) == "active"
    time.sleep(5 * PERIOD_S)
    assert graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
    assert graph.wait(manager.told_of_the_end)
    last, end = manager.heard()[-2:]
    assert stamp_of(end) - stamp_of(last) >= 5 * PERIOD_S * 1e9, "a bond that is broken stays broken"
