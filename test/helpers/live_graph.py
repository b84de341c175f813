"""Helpers of the node tests: a node of the test's own on the live graph, nodes as processes, and messages to send them."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point, Vector3
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header
from synthetic_clouds import person, scan

from emgait_msgs.msg import Pedestrian, PedestrianArray

ROOT = Path(__file__).resolve().parent.parent.parent
WIDTH, HEIGHT = 320, 240
FOCAL_PX = 200.0
T_CAMERA_LIDAR = (0.0, -1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def qos(reliability: str = "reliable", depth: int = 20, durability: str = "volatile") -> QoSProfile:
    """QoS of the test's own end."""
    return QoSProfile(
        depth=depth,
        reliability=getattr(ReliabilityPolicy, reliability.upper()),
        durability=getattr(DurabilityPolicy, durability.upper()),
    )


PATIENCE_S = 60.0  # what is waited for comes within seconds; a machine that runs two suites at once takes longer
BUSY = "busy with other calls to the gallery: try again"


class SpunNode:
    """A node of the test's own, spinning in a thread from ``start`` to ``close``."""

    def __init__(self, name: str, kind: type[Any] = Node) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = kind(name, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
        del self.node, self.executor
        gc.collect()  # a lifecycle node stays in the graph until then
        self.context.try_shutdown()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.executor.spin_once(timeout_sec=0.1)


class LiveGraph(SpunNode):
    """Watches the diagnostics, and publishes, subscribes and calls what a test asks for."""

    def __init__(self) -> None:
        super().__init__("test_observer")
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self._said_ns: dict[str, int] = {}  # by the speaker's clock
        self._clients: dict[str, Any] = {}
        self._publishers: dict[tuple[str, str], Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        self.start()

    def wait(
        self, happened: Callable[[], Any], timeout_s: float = PATIENCE_S, every: Callable[[], Any] | None = None
    ) -> Any:
        """What ``happened`` returns once that is true; ``every`` is called in between. None after the timeout."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = happened()
            if found:
                return found
            if every is not None:
                every()
            time.sleep(0.05)
        return None

    def publish(self, topic: str, message: Any, reliability: str = "reliable") -> None:
        """Send a message; the first on a topic waits for a subscription."""
        key = (topic, reliability)
        if key not in self._publishers:
            publisher = self._publishers[key] = self.node.create_publisher(type(message), topic, qos(reliability))
            assert self.wait(publisher.get_subscription_count), f"nobody subscribes to {topic}"
        self._publishers[key].publish(message)

    def topics_of(self, kind: str, name: str, namespace: str) -> set[str]:
        """Topics of a node's "subscriber" or "publisher" ends, as soon as the graph knows of any: messages may come before."""
        find = getattr(self.node, f"get_{kind}_names_and_types_by_node")

        def found() -> set[str]:
            try:
                return {topic for topic, _ in find(name, namespace)}
            except NodeNameNonExistentError:
                return set()

        return self.wait(found) or set()

    def collect(self, kind: type, topic: str) -> list[Any]:
        """A list that grows with every message of a topic."""
        found: list[Any] = []
        self.node.create_subscription(kind, topic, found.append, qos())
        return found

    def call(self, kind: type, name: str, request: Any, timeout_s: float = PATIENCE_S) -> Any:
        """Call a service and return its answer; again, when it asks for that because other calls took too long."""
        if name not in self._clients:  # kept: an answer can be lost to a client that its server has not discovered yet
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_s), f"there is no service {name}"
        until_s = time.monotonic() + timeout_s
        while True:
            future = client.call_async(request)
            assert self.wait(future.done, timeout_s), f"{name} did not answer"
            answer = future.result()
            if BUSY not in getattr(answer, "message", "") or time.monotonic() > until_s:
                return answer
            time.sleep(0.5)

    def change_state(self, node: str, transition: int) -> bool:
        """Ask a lifecycle node for a ``lifecycle_msgs.msg.Transition``; whether it was made."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call(ChangeState, f"{node}/change_state", request).success)

    def state(self, node: str) -> str:
        """Of a lifecycle node: "unconfigured", "inactive", "active"."""
        return str(self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label)

    def set_parameter(self, node: str, name: str, value: Any) -> Any:
        """Set one parameter of a node; its SetParametersResult."""
        client = AsyncParameterClient(self.node, node)
        assert client.wait_for_services(PATIENCE_S)
        future = client.set_parameters([Parameter(name, value=value)])
        assert self.wait(future.done)
        return future.result().results[0]

    def says(self, status: str, words: str) -> str | None:
        """The message of a diagnostic status, once it holds these words."""
        found = self.diagnostics.get(status)
        return found.message if found is not None and words in found.message else None

    def values(self, status: str) -> dict[str, str]:
        """Key-value pairs of a diagnostic status."""
        found = self.diagnostics.get(status)
        return {pair.key: pair.value for pair in found.values} if found is not None else {}

    def now_says(self, status: str) -> DiagnosticStatus:
        """A diagnostic status of this moment or later: they are told once a second. Not for nodes on simulated time."""
        now_ns = time.time_ns()
        assert self.wait(lambda: self._said_ns.get(status, 0) >= now_ns), f"nothing is said of {status}"
        return self.diagnostics[status]

    def now_values(self, status: str) -> dict[str, str]:
        """As :meth:`values`, of :meth:`now_says`."""
        return {pair.key: pair.value for pair in self.now_says(status).values}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name] = status
            self._said_ns[status.name] = stamp_of(message)


class NodeProcess:
    """A node of this repository in a process of its own; ``output`` is what it has printed. "__" in a parameter is a dot.

    ``prelude`` is Python that runs before the node, to put a fault into it (a slow network); ``remap`` one rule of topics.
    """

    def __init__(
        self, name: str, *, namespace: str = "", prelude: str = "", remap: str = "", **parameters: Any
    ) -> None:
        start = ["-c", f"{prelude}\nfrom emgait_ros.nodes.{name} import main\nmain()"]
        program = start if prelude else ["-m", "emgait_ros.nodes.entry", name]
        words = [sys.executable, *program, "--ros-args", "-r", f"__ns:=/{namespace}"]
        words += ["-r", remap] if remap else []
        if name == "gait_recognizer":
            parameters.setdefault("enrollment__min_leg_swing_m", 0.0)  # the people of these tests are stiff
        for key, value in parameters.items():
            words += ["-p", f"{key.replace('__', '.')}:={_yaml(value)}"]
        self.process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=dict(os.environ, PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(list(self._lines))

    def prints(self, words: str, timeout_s: float = PATIENCE_S) -> int:
        """How often these words are in the output, once they are: it is read in a thread, later than messages come."""
        deadline = time.monotonic() + timeout_s
        while words not in self.output and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.output.count(words)

    def stop(self, number: int = signal.SIGINT, timeout_s: float = PATIENCE_S) -> int:
        """Send a signal and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(PATIENCE_S)
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)


def topics_outside(graph: LiveGraph, name: str, namespace: str) -> set[str]:
    """Topics outside its namespace that a node subscribes to, but for those that every node shares."""
    topics = graph.topics_of("subscriber", name, namespace)
    return {topic for topic in topics if not topic.startswith(f"{namespace}/")} - {"/clock", "/parameter_events"}


def header(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


def street(person_x_m: float = 8.0) -> np.ndarray:
    """(N, 3) float32 m: level ground 1.73 m below the LiDAR and somebody who walks away from it."""
    return scan(person(person_x_m, 0), azimuth_step_deg=0.4, beams=40, max_range_m=30.0)


def walk(begin_m: float = 8.0, step_m: float = 0.12, steps: int = 80) -> Iterator[float]:
    """Places of somebody who walks away and back again, for as long as it takes to be seen."""
    away = [begin_m + step_m * step for step in range(steps)]
    return itertools.cycle([*away, *reversed(away)])


def cloud(points: np.ndarray, stamp_ns: int, *, order: str = "<", rows: int = 1, row_padding: int = 0) -> PointCloud2:
    """A PointCloud2 of float32 x, y, z and intensity in any byte order and layout."""
    values = np.zeros((len(points) // rows * rows, 4), f"{order}f4")
    values[:, :3] = points[: len(values)]
    lines = values.reshape(rows, -1, 4)
    data = b"".join(line.tobytes() + bytes(row_padding) for line in lines)
    fields = [
        PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, n in enumerate(("x", "y", "z", "intensity"))
    ]
    return PointCloud2(
        header=header(stamp_ns, "lidar"),
        height=rows,
        width=lines.shape[1],
        fields=fields,
        is_bigendian=order == ">",
        point_step=16,
        row_step=16 * lines.shape[1] + row_padding,
        data=array("B", data),
    )


def image(
    stamp_ns: int, encoding: str = "rgb8", width: int = WIDTH, height: int = HEIGHT, step: int | None = None
) -> Image:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return Image(
        header=header(stamp_ns, "camera_optical"),
        height=height,
        width=width,
        encoding=encoding,
        step=width * 3 if step is None else step,
        data=array("B", pixels.tobytes()),
    )


def camera_info(stamp_ns: int) -> CameraInfo:
    info = CameraInfo(
        header=header(stamp_ns, "camera_optical"), width=WIDTH, height=HEIGHT, distortion_model="plumb_bob"
    )
    info.k = [FOCAL_PX, 0.0, WIDTH / 2, 0.0, FOCAL_PX, HEIGHT / 2, 0.0, 0.0, 1.0]
    info.d = [0.0] * 5
    return info


def pedestrian(track_id: int, seed: int = 0, **changes: Any) -> Pedestrian:
    """A walking pedestrian with 128 points and a 128x64 crop of noise."""
    rng = np.random.default_rng(seed)
    points = rng.normal((8.0, 0.0, -0.8), 0.3, (128, 3)).astype(np.float32)
    message = Pedestrian(
        track_id=track_id,
        center=Point(x=8.0, y=0.0, z=-0.8),
        size=Vector3(x=0.6, y=0.6, z=1.8),
        velocity=Vector3(x=1.2, y=0.0, z=0.0),
        moving=True,
        range_m=8.0,
        score=0.9,
        point_count=200,
        points=array("f", points.tobytes()),
        crop_height=128,
        crop_width=64,
        crop=array("B", rng.integers(0, 255, 128 * 64 * 3, np.uint8).tobytes()),
        crop_native_height_px=150.0,
    )
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def pedestrians(stamp_ns: int, *items: Pedestrian, tracker_id: str = "test") -> PedestrianArray:
    return PedestrianArray(header=header(stamp_ns, "lidar"), tracker_id=tracker_id, pedestrians=list(items))


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(str, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
