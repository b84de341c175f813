"""The bridges node: who is in view, in messages that other packages read. Every part is off by default.

- ``vision``: ``~/detections`` (vision_msgs/Detection3DArray)
- ``people``: ``people`` (people_msgs/People), for social layers of Nav2
- ``hri``: ROS4HRI (REP-155): ``/humans/bodies/tracked``, ``/humans/candidate_matches``, TF ``body_<id>``; with
  ``hri_persons`` also ``/humans/persons/tracked``, ``/humans/persons/<id>/anonymous`` and ``body_id``, TF ``person_<id>``
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, Header, String

from emgait_msgs.msg import IdentityArray, Pedestrian, PedestrianArray
from emgait_ros.config import BridgesNodeConfig
from emgait_ros.nodes.bridge_messages import detections_message, match_message, people_message, seen_of, transforms_of
from emgait_ros.nodes.bridged import InView
from emgait_ros.nodes.diagnostics import OK, WARN, DiagnosticsPublisher, ProblemLog, status, time_status
from emgait_ros.nodes.optional_messages import messages_of
from emgait_ros.nodes.parameters import NodeParameters
from emgait_ros.nodes.qos import output_qos, sensor_qos
from emgait_ros.nodes.spinning import end_process, run_node
from emgait_ros.nodes.topic_watch import TopicWatch, named

BODIES, PERSONS, MATCHES = "/humans/bodies/tracked", "/humans/persons/tracked", "/humans/candidate_matches"
LOOK_S = 0.5
KEPT = 30  # frames of pedestrians that wait for their answers
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class BridgesNode(Node):
    """See the module. ``arguments`` go to ``rclpy.node.Node``.

    Raises:
        ValueError: a parameter given at start is not allowed, or a part's messages are not installed.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("bridges", **arguments)
        self._problems = ProblemLog(self)
        names = ("vision", "people", "hri", "topics.")
        config = NodeParameters(self, BridgesNodeConfig(), read_only=names).config
        self._parts = [name for name in ("vision", "people", "hri") if getattr(config, name)]
        self._with_persons = config.hri_persons
        self._in_view = InView()
        self._pedestrians: OrderedDict[tuple[str, int, int], dict[int, Pedestrian]] = OrderedDict()
        self._persons: dict[str, tuple[Any, Any, str]] = {}  # publishers of a person's topics, and the body told last
        self._watches: list[TopicWatch] = []
        self._publish_to(config)
        if self._parts:
            self._subscribe_to(config)
            self._timer = self.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        else:
            self.get_logger().warning("nothing is bridged: set one of the parameters vision, people and hri")
        self._diagnostics = DiagnosticsPublisher(self, self._statuses, self._problems)

    def _publish_to(self, config: BridgesNodeConfig) -> None:
        qos = output_qos(config.topics.output_depth)
        if config.vision:
            self._vision = messages_of("vision_msgs", "the bridge 'vision' is on")
            self._detections = self.create_publisher(self._vision.Detection3DArray, "~/detections", qos)
        if config.people:
            self._people = messages_of("people_msgs", "the bridge 'people' is on")
            self._people_publisher = self.create_publisher(self._people.People, config.topics.people, qos)
        if config.hri:
            self._hri, self._tf = (
                messages_of("hri_msgs", "the bridge 'hri' is on"),
                messages_of("tf2_msgs", "the bridge 'hri' is on").TFMessage,
            )
            self._bodies = self.create_publisher(self._hri.IdsList, BODIES, qos)
            self._matches = self.create_publisher(self._hri.IdsMatch, MATCHES, output_qos(100))
            self._transforms = self.create_publisher(self._tf, "/tf", output_qos(100))
            if self._with_persons:
                self._tracked = self.create_publisher(self._hri.IdsList, PERSONS, qos)

    def _subscribe_to(self, config: BridgesNodeConfig) -> None:
        topics = config.topics
        qos = sensor_qos("reliable", topics.depth)
        for kind, topic, parameter, callback in (
            (PedestrianArray, topics.pedestrians, "topics.pedestrians", self._on_pedestrians),
            (IdentityArray, topics.identities, "topics.identities", self._on_identities),
        ):
            type_name = f"emgait_msgs/msg/{kind.__name__}"
            watch = TopicWatch(self, topic, type_name, qos, parameter, grace_s=topics.start_grace_s)
            self._watches.append(watch)
            self.create_subscription(kind, topic, partial(callback, watch), qos)

    def _on_pedestrians(self, watch: TopicWatch, message: PedestrianArray) -> None:
        watch.tick()
        for pedestrian in message.pedestrians:
            pedestrian.points, pedestrian.crop = [], []  # only places and velocities are read
        self._pedestrians[_key(message.header)] = {p.track_id: p for p in message.pedestrians}
        while len(self._pedestrians) > KEPT:
            self._pedestrians.popitem(last=False)

    def _on_identities(self, watch: TopicWatch, message: IdentityArray) -> None:
        watch.tick()
        tracked = self._pedestrians.get(_key(message.header), {})
        if "vision" in self._parts:
            self._detections.publish(detections_message(self._vision, message, tracked))
        if "people" in self._parts:
            self._people_publisher.publish(people_message(self._people, message, tracked))
        if "hri" in self._parts:
            found = [seen_of(identity, tracked) for identity in message.identities]
            found = self._in_view.update(message.header.frame_id, found, time.monotonic())
            made = [t for seen in found for t in transforms_of(seen, message.header, self._with_persons)]
            if made:
                self._transforms.publish(self._tf(transforms=made))
            self._publish_lists(message.header)

    def _look(self) -> None:
        """Nobody is in view of a sensor that has fallen silent."""
        if "hri" in self._parts and self._in_view.forget(time.monotonic()):
            self._publish_lists(Header(stamp=self.get_clock().now().to_msg()))

    def _publish_lists(self, header: Header) -> None:
        seen = self._in_view.all
        self._bodies.publish(self._hri.IdsList(header=header, ids=[one.body for one in seen]))
        for body, person in self._in_view.take_ended():
            self._matches.publish(match_message(self._hri, body, person, 0.0))
        for one in seen:
            if one.person:
                self._matches.publish(match_message(self._hri, one.body, one.person, one.confidence))
        if self._with_persons:
            self._publish_persons(header)

    def _publish_persons(self, header: Header) -> None:
        persons = self._in_view.persons
        for gone in set(self._persons) - set(persons):
            for publisher in self._persons.pop(gone)[:2]:
                self.destroy_publisher(publisher)
        for person, body in persons.items():
            if person not in self._persons:
                anonymous = self.create_publisher(Bool, f"/humans/persons/{person}/anonymous", LATCHED)
                anonymous.publish(Bool(data=False))
                told = self.create_publisher(String, f"/humans/persons/{person}/body_id", LATCHED)
                self._persons[person] = anonymous, told, ""
            anonymous, told, before = self._persons[person]
            if before != body:
                told.publish(String(data=body))
                self._persons[person] = anonymous, told, body
        self._tracked.publish(self._hri.IdsList(header=header, ids=sorted(persons)))

    def _statuses(self) -> Iterator[DiagnosticStatus]:
        text = f"publishes {', '.join(self._parts)}" if self._parts else "all parts are off: set vision, people or hri"
        yield status("bridges", OK if self._parts else WARN, text)
        for name, watch in zip(("pedestrians", "identities"), self._watches, strict=False):
            yield watch.status(name)
        if "hri" in self._parts and self._with_persons:
            yield self._persons_status()
        yield self._problems.status("bad input")
        simulated = time_status(self, any(watch.starting for watch in self._watches))
        if simulated is not None:
            yield simulated

    def _persons_status(self) -> DiagnosticStatus:
        own = self.get_fully_qualified_name()
        others = [p for p in self.get_publishers_info_by_topic(PERSONS) if named([p]) != own]
        if others:
            sentence = f"{named(others)} publishes {PERSONS} too: set hri_persons to false"
            return status("persons", WARN, sentence)
        return status("persons", OK, f"{len(self._persons)} known in view")


def _key(header: Header) -> tuple[str, int, int]:
    return header.frame_id, header.stamp.sec, header.stamp.nanosec


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is asked to stop (``entry`` calls it)."""
    end_process(run_node(BridgesNode, args))


if __name__ == "__main__":
    main()
