"""The console's node: listens to the two nodes' topics and calls the recognizer's services. All of ROS that the console knows.

Names are relative, so that they follow the namespace and can be remapped. Which clouds and images belong to the tracker is read
from the graph and from its parameters; without our tracker they are ``lidar/points`` and ``camera/image``. Identities,
clouds and images are subscribed to only while somebody looks.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_srvs.srv import Trigger

from emgait_msgs.msg import Enrollment, IdentityArray
from emgait_msgs.srv import DisableIdentity, EnrollIdentity, ListIdentities, RemoveIdentity, RenameIdentity
from emgait_ros.config import TrackerTopicsConfig
from emgait_ros.console.changes import BY
from emgait_ros.console.sensors import Sensors
from emgait_ros.console.view import View
from emgait_ros.nodes.kept_messages import KeptMessages
from emgait_ros.nodes.qos import output_qos, sensor_qos
from emgait_ros.nodes.spinning import LastingExecutor
from emgait_ros.nodes.transforms import Transforms

SERVICES = {
    "enroll": EnrollIdentity,
    "list": ListIdentities,
    "remove": RemoveIdentity,
    "rename": RenameIdentity,
    "disable": DisableIdentity,
    "undo": Trigger,
}
RECOGNIZER, TRACKER = "gait_recognizer", "pedestrian_tracker"
IMAGE_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
CLOUD_TYPE, INFO_TYPE = "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/CameraInfo"
ASKED = ("camera.T_camera_lidar", "pairing.cloud_offset_s", "pairing.image_offset_s")
LOOK_AGAIN_S = 2.0  # at the graph: a tracker may start later than the console, or with other topics
WAKE_S = 0.5
DISCOVERY_S = 3.0  # a console that has just started does not see all services that are there


class ConsoleNode(Node):
    """Subscriptions, clients and what they bring. Everything of ROS happens in the thread that spins it.

    Args:
        width: of pictures, px.
        arguments: to ``rclpy.node.Node``.

    Attributes:
        view: who is in view, and health. sensors: pictures.
    """

    def __init__(self, width: int, **arguments: Any) -> None:
        super().__init__("emgait_console", start_parameter_services=False, **arguments)
        self.view = View(self.get_namespace())
        self.sensors = Sensors(deserialize_message, width)
        self._watched: frozenset[str] = frozenset()
        self._tf: Transforms | None = None
        self._subscriptions_of: dict[str, tuple[Any, ...]] = {}  # what is looked at: (topics, subscriptions ...)
        self._extrinsics: tuple[float, ...] | None = None
        self._calibrated: tuple[Any, ...] = ()
        self._asks_tracker = self.create_client(GetParameters, f"{TRACKER}/get_parameters")
        self._callable = {name: self.create_client(kind, f"{RECOGNIZER}/{name}") for name, kind in SERVICES.items()}
        self.create_subscription(DiagnosticArray, "/diagnostics", self.view.take_diagnostics, 10)
        self.create_subscription(Enrollment, f"{RECOGNIZER}/enrollments", self.view.take_enrollment, output_qos(20))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._look_timer = self.create_timer(LOOK_AGAIN_S, self._look_again, clock=steady)
        self._look_timer.cancel()
        self._since_s = time.monotonic()
        self._calls: list[Callable[[], None]] = []  # that wait for their service to be discovered
        self._call_timer = self.create_timer(0.1, self._call_again, clock=steady)
        self._call_timer.cancel()

    def watch(self, wanted: Collection[str]) -> None:
        """Subscribe to what is wanted of "people", "picture" and "cloud", and to nothing else."""
        self._watched = frozenset(wanted)
        (self._look_timer.reset if self._watched else self._look_timer.cancel)()
        self._look_again()

    def call(self, name: str, fields: dict[str, Any], answer: Callable[[Any], None]) -> None:
        """Call a service; ``answer`` gets the response, or a sentence when there is no such service."""
        client = self._callable[name]
        if not client.service_is_ready():
            if time.monotonic() < self._since_s + DISCOVERY_S:
                self._calls.append(partial(self.call, name, fields, answer))
                self._call_timer.reset()
                return
            answer(
                f"the service {self.resolve_service_name(client.srv_name)} is not there: start gait_recognizer, in this namespace and ROS_DOMAIN_ID"
            )
            return
        try:
            request = SERVICES[name].Request(**fields)
            if hasattr(request, "caller"):
                request.caller = BY
            future = client.call_async(request)
        except (
            Exception
        ) as error:  # the bindings raise AssertionError, TypeError, ValueError ... of what they cannot send
            answer(f"{name} could not be asked: {type(error).__name__}: {error}")
            return
        future.add_done_callback(lambda done: answer(done.result()))

    def _call_again(self) -> None:
        self._call_timer.cancel()
        waiting, self._calls = self._calls, []
        for call in waiting:
            call()

    def _look_again(self) -> None:
        heard = self._heard_by_tracker() if self._watched & {"picture", "cloud"} else {}
        self._subscribe("people", (f"{RECOGNIZER}/identities",) if "people" in self._watched else ())
        self._subscribe("cloud", (heard["cloud"],) if "cloud" in self._watched else ())
        picture = (heard["image"], heard["info"], heard["type"]) if "picture" in self._watched else ()
        self._subscribe("picture", picture)
        if "picture" in self._watched:
            self._ask_where_the_camera_sits()
        self.sensors.forget(images="picture" not in self._watched, clouds="cloud" not in self._watched)

    def _subscribe(self, what: str, topics: tuple[str, ...]) -> None:
        known, *subscriptions = self._subscriptions_of.get(what, ((),))
        if known == topics:
            return
        for subscription in subscriptions:
            if isinstance(subscription, KeptMessages):
                subscription.close()
            else:
                self.destroy_subscription(subscription)
        made: list[Any] = []
        newest = sensor_qos("best_effort", 1)
        if what == "people" and topics:
            made = [self.create_subscription(IdentityArray, topics[0], self.view.take_identities, output_qos(5))]
        elif what == "cloud" and topics:
            self.sensors.cloud_topic, self.sensors.cloud_type = topics[0], PointCloud2
            made = [self.create_subscription(PointCloud2, topics[0], self.sensors.take_cloud, newest, raw=True)]
        elif what == "picture" and topics:
            image, info, kind = topics
            self.sensors.image_topic, self.sensors.image_type = image, IMAGE_TYPES[kind]
            if image:
                made = [
                    self.create_subscription(IMAGE_TYPES[kind], image, self.sensors.take_image, newest, raw=True),
                    self.create_subscription(CameraInfo, info, self.sensors.take_camera_info, newest),
                    KeptMessages(self, CameraInfo, info, self.sensors.take_camera_info),
                ]
        self._subscriptions_of[what] = (topics, *made)

    def _heard_by_tracker(self) -> dict[str, str]:
        """Topics of the tracker's cloud, image and camera info as the graph shows them, and the image's type."""
        topics = TrackerTopicsConfig()
        try:
            found = self.get_subscriber_names_and_types_by_node(TRACKER, self.get_namespace())
        except Exception:  # rclpy raises NodeNameNonExistentError of a private module
            image = self.resolve_topic_name(topics.image)
            carried = {topic: kinds[0] for topic, kinds in self.get_topic_names_and_types()}.get(image)
            kind = carried if carried in IMAGE_TYPES else "sensor_msgs/msg/Image"
            return {"cloud": topics.cloud, "image": topics.image, "info": topics.camera_info, "type": kind}
        by_type = {kind: topic for topic, kinds in found for kind in kinds}
        kind = next((kind for kind in IMAGE_TYPES if kind in by_type), "sensor_msgs/msg/Image")
        return {
            "cloud": by_type.get(CLOUD_TYPE, topics.cloud),
            "image": by_type.get(kind, ""),
            "info": by_type.get(INFO_TYPE, topics.camera_info),
            "type": kind,
        }

    def _ask_where_the_camera_sits(self) -> None:
        if self._asks_tracker.service_is_ready():
            future = self._asks_tracker.call_async(GetParameters.Request(names=list(ASKED)))
            future.add_done_callback(lambda done: self._take_parameters(done.result().values))
        elif self._extrinsics is None:
            self._calibrate(())

    def _take_parameters(self, values: Any) -> None:
        if len(values) != len(ASKED):
            return
        matrix, cloud_offset, image_offset = values
        self.sensors.cloud_offset_s, self.sensors.image_offset_s = cloud_offset.double_value, image_offset.double_value
        self._extrinsics = tuple(matrix.double_array_value)
        self._calibrate(self._extrinsics)

    def _calibrate(self, extrinsics: tuple[float, ...]) -> None:
        info_topic = self._subscriptions_of.get("picture", (("", ""),))[0][1:2]
        key = (extrinsics, info_topic)
        if key == self._calibrated:
            return
        self._calibrated = key
        if not extrinsics and self._tf is None:
            self._tf = Transforms(self)
        lookup = self._tf.matrix if self._tf is not None else _no_lookup
        no_tf = self._tf.problem if self._tf is not None else "TF is not asked"
        try:
            self.sensors.calibrate(lookup, no_tf, info_topic[0] if info_topic else "", extrinsics)
        except ValueError as error:
            self.get_logger().warning(str(error))


def _no_lookup(target: str, source: str, stamp_ns: int | None) -> Any:
    raise ValueError(f"no transform from '{source}' to '{target}'")


class Bridge:
    """The node in a thread of its own, for an asyncio program.

    Args:
        width: of pictures, px.
        ros_args: words for rclpy: ``--ros-args -r ...``.

    Attributes:
        view, sensors: of the node.
    """

    def __init__(self, width: int, ros_args: list[str]) -> None:
        self._context = rclpy.Context()
        rclpy.init(args=ros_args, context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = ConsoleNode(width, context=self._context)
        self.view, self.sensors = self._node.view, self._node.sensors
        self.namespace = self._node.get_namespace().strip("/")
        self._executor = LastingExecutor(self._node, context=self._context)
        self._todo: deque[Callable[[], None]] = deque()
        self._wake = self._node.create_guard_condition(self._do)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="ros")
        self._thread.start()

    def close(self) -> None:
        """End the thread and release the node."""
        self._ends.set()
        self._wake.trigger()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def watch(self, wanted: Collection[str]) -> None:
        """As :meth:`ConsoleNode.watch`, from any thread."""
        self._in_ros(lambda: self._node.watch(wanted))

    async def call(self, name: str, fields: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The answer of a service as a dictionary; without one ``success`` is False and ``message`` says why."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def settle(response: Any) -> None:
            if not answer.done():
                answer.set_result(response)

        def hand_over(response: Any) -> None:
            loop.call_soon_threadsafe(settle, response)

        self._in_ros(lambda: self._node.call(name, fields, hand_over))
        try:
            response = await asyncio.wait_for(answer, timeout_s)
        except asyncio.TimeoutError:
            response = f"gait_recognizer did not answer within {timeout_s:.0f} s: look at the list whether it was done"
        if isinstance(response, str):
            return {"success": False, "message": response}
        return {field: _plain(getattr(response, field)) for field in response.get_fields_and_field_types()}

    def log(self, sentence: str) -> None:
        """Into the node's log, and so to /rosout."""
        self._in_ros(lambda: self._node.get_logger().info(sentence))

    def _in_ros(self, what: Callable[[], None]) -> None:
        self._todo.append(what)
        self._wake.trigger()

    def _do(self) -> None:
        while self._todo:
            self._todo.popleft()()

    def _spin(self) -> None:
        while not self._ends.is_set() and self._context.ok():
            try:
                self._executor.spin_once(timeout_sec=WAKE_S)
            except ExternalShutdownException:
                return


def _plain(value: Any) -> Any:
    """What JSON can hold of a field of a response."""
    if hasattr(value, "sec"):
        return value.sec + value.nanosec * 1e-9
    return [_plain(item) for item in value] if not isinstance(value, (str, int, float, bool)) else value
