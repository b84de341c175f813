"""The pedestrian_tracker node: clouds and images in, tracked pedestrians with their samples out.

Subscribes to a PointCloud2, an Image or CompressedImage and its CameraInfo, and to the boxes of another detector when asked to
(vision_msgs/Detection3DArray), and publishes ``~/pedestrians``
(emgait_msgs/PedestrianArray) for every cloud; where somebody subscribes ``~/points`` (sensor_msgs/PointCloud2: the
returns on them) and, when asked for, ``~/overlay`` (sensor_msgs/Image) and ``~/overlay/compressed`` (JPEG); and /diagnostics.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from typing import Any, NoReturn

import message_filters
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from emgait_msgs.msg import IdentityArray, PedestrianArray
from emgait_ros.config import TrackerNodeConfig, TrackerTopicsConfig
from emgait_ros.nodes.box_input import BoxInput, Job
from emgait_ros.nodes.diagnostics import (
    ERROR,
    OK,
    WARN,
    DiagnosticsPublisher,
    ProblemLog,
    status,
    time_status,
    worker_status,
)
from emgait_ros.nodes.messages import byte_array, frame_to_message, returns_to_message
from emgait_ros.nodes.nearest_stamp import NearestStamp
from emgait_ros.nodes.parameters import NodeParameters
from emgait_ros.nodes.qos import output_qos, sensor_qos
from emgait_ros.nodes.spinning import end_process, run_node
from emgait_ros.nodes.topic_watch import TopicWatch
from emgait_ros.nodes.tracker_status import FrameTimes, frame_status, pairing_status
from emgait_ros.nodes.transforms import Transforms
from emgait_ros.nodes.worker import Worker
from emgait_ros.samples import PedestrianFrame, SensorFrame
from emgait_ros.sensing.assembly import FrameAssembler
from emgait_ros.sensing.camera_calibration import checked_extrinsics
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing, load_models
from emgait_ros.sensing.perception.overlay import draw_overlay, jpeg_of

IMAGE_DEPTH = 5  # several images come for each cloud: one being taken must not push out the next
SLOW_WARM_UP_S = 3.0
CLOSE_PATIENCE_S = 1.0  # the process ends 1.5 s after a signal whatever happens
MODEL_OPTIONS = ("image_detector.", "verifier.")
SENSING_OPTIONS = (*MODEL_OPTIONS, "detector.", "boxes.", "tracker.", "sample.")


class PedestrianTrackerNode(Node):
    """See the module. ``arguments`` go to ``rclpy.node.Node`` (parameter_overrides, context ...).

    Raises:
        ValueError: a parameter given at start is not allowed.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("pedestrian_tracker", **arguments)
        self._problems = ProblemLog(self)
        self._options = NodeParameters(
            self,
            TrackerNodeConfig(),
            read_only=("topics.",),
            accept=self._accept,
            changed=self._change,
        )
        config = self._options.config
        transforms = Transforms(self, self._problems.report)
        self._assembler = FrameAssembler(
            config, transforms.matrix, self._report_message, transforms.problem, self._problems.note
        )
        self._calibration = self._assembler.calibration
        self._models = load_models(config)
        self._sensing: PedestrianSensing | None = (
            None  # made in the worker: compiling its kernels takes a while the first time
        )
        self._is_stale = threading.Event()  # the options have changed: the worker makes a new one
        self._epoch = 0
        self._times = FrameTimes()
        self._overlay_at_s = 0.0
        self._worker: Worker[Job | None] = Worker(self._process, "pedestrian_tracker", on_error=self._on_worker_error)
        self._worker.submit(None)
        self._publish_to(config.topics.output_depth)
        self._subscribe_to(config)
        self._diagnostics = DiagnosticsPublisher(self, self._statuses, self._problems)
        self.get_logger().info(
            f"clouds from {self._cloud_watch.topic}, "
            f"images from {self._image_watch.topic if self._image_watch else 'nowhere (LiDAR only)'}, "
            f"extrinsics from {self._calibration.source or 'nowhere'}"
        )

    def close(self) -> None:
        """Stop the worker; called before the node is destroyed. Kernels that are being compiled are not waited for."""
        self._worker.close(CLOSE_PATIENCE_S)

    def _publish_to(self, depth: int) -> None:
        self._pedestrians = self.create_publisher(PedestrianArray, "~/pedestrians", output_qos(depth))
        self._points = self.create_publisher(PointCloud2, "~/points", output_qos(1))
        self._overlay = self.create_publisher(Image, "~/overlay", output_qos(1))
        self._overlay_jpeg = self.create_publisher(CompressedImage, "~/overlay/compressed", output_qos(1))

    def _subscribe_to(self, config: TrackerNodeConfig) -> None:
        topics = config.topics
        self._answers: deque[IdentityArray] = deque(maxlen=10)
        if topics.identities:
            self.create_subscription(IdentityArray, topics.identities, self._on_identities, topics.depth)
        cloud_qos = sensor_qos(topics.reliability, topics.depth)
        self._cloud_watch = TopicWatch(
            self,
            topics.cloud,
            "sensor_msgs/msg/PointCloud2",
            cloud_qos,
            "topics.cloud",
            grace_s=topics.start_grace_s,
        )
        inputs = [self._input(PointCloud2, topics.cloud, cloud_qos, self._cloud_watch)]
        self._image_watch: TopicWatch | None = None
        self._info_watch: TopicWatch | None = None
        if topics.image:
            inputs.append(self._subscribe_to_camera(topics))
        self._nearest = NearestStamp(inputs, self, config.pairing, self._problems.report)
        self._nearest.registerCallback(self._on_cloud)
        self._boxes = BoxInput(self, config, self._problems.report, self._worker.submit) if topics.boxes else None

    def _subscribe_to_camera(self, topics: TrackerTopicsConfig) -> message_filters.Subscriber:
        image_type = CompressedImage if topics.image_compressed else Image
        type_name = f"sensor_msgs/msg/{image_type.__name__}"
        other = "false" if topics.image_compressed else "true"
        advice = f"set topics.image_compressed to {other} or topics.image to another topic"
        image_qos = sensor_qos(topics.reliability, max(topics.depth, IMAGE_DEPTH))
        info_qos = sensor_qos(topics.reliability, 1)
        grace_s = topics.start_grace_s
        image = TopicWatch(self, topics.image, type_name, image_qos, "topics.image", advice, grace_s)
        info = TopicWatch(
            self, topics.camera_info, "sensor_msgs/msg/CameraInfo", info_qos, "topics.camera_info", grace_s=grace_s
        )
        self._image_watch, self._info_watch, image.beside = image, info, info
        info_input = message_filters.Subscriber(self, CameraInfo, topics.camera_info, qos_profile=info_qos)
        info_input.registerCallback(info.note)
        info_input.registerCallback(self._on_camera_info)
        return self._input(image_type, topics.image, image_qos, image)

    def _input(self, kind: type, topic: str, qos: QoSProfile, watch: TopicWatch) -> message_filters.Subscriber:
        made = message_filters.Subscriber(self, kind, topic, qos_profile=qos, event_callbacks=watch.events())
        made.registerCallback(watch.note)
        return made

    # Callbacks: they only note and hand on.

    def _on_cloud(self, cloud: PointCloud2, image: Any) -> None:
        pair = self._nearest.pair
        if pair is None:
            return
        if self._boxes is not None:
            self._boxes.add(pair)
        else:
            self._worker.submit(Job(pair))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._calibration.info = message

    def _on_identities(self, message: IdentityArray) -> None:
        self._answers.append(message)

    def _report_message(self, sentence: str, is_lost: bool) -> None:
        self._problems.report(sentence, ERROR if is_lost else WARN)

    # Work: in the worker's thread.

    def _process(self, job: Job | None) -> None:
        """One cloud; None only warms up."""
        self._warm_sensing()
        if job is not None:
            self._process_cloud(job)

    def _warm_sensing(self) -> PedestrianSensing:
        if self._sensing is None or self._is_stale.is_set():
            self._is_stale.clear()
            config = self._options.config
            self._sensing = PedestrianSensing(config, models=self._models, with_boxes=bool(config.topics.boxes))
            if self._sensing.warm_up_s > SLOW_WARM_UP_S:
                self.get_logger().info(
                    f"numeric kernels were compiled in {self._sensing.warm_up_s:.0f} s (kept for the next start)"
                )
        return self._sensing

    def _process_cloud(self, job: Job) -> None:
        pair, cloud, started = job.pair, job.pair.cloud, time.perf_counter()
        if self._waits_for_boxes(job):
            return
        frame = self._assembler.frame(pair, cloud, pair.image, job.boxes, job.boxes_dt_s)
        if frame is None:
            return
        converted = time.perf_counter()
        sensing = self._warm_sensing()
        if pair.epoch != self._epoch:
            self._problems.report("time jumped backwards: tracks start over")
            sensing.reset()
            self._epoch = pair.epoch
        while self._answers:
            self._take_answer(sensing, self._answers.popleft())
        result = sensing.process(frame, cloud.header.frame_id)
        for sentence in sensing.problems:
            self._problems.report(sentence)
        sensed = time.perf_counter()
        self._pedestrians.publish(frame_to_message(result, cloud.header))
        if self._points.get_subscription_count():
            shown = {
                p.track_id: sensing.returns[p.track_id] for p in result.pedestrians if p.track_id in sensing.returns
            }
            self._points.publish(returns_to_message(shown, cloud.header))
        self._publish_overlay(frame, result, pair.image)
        self._times = FrameTimes(
            convert_s=converted - started,
            sense_s=sensed - converted,
            stages_ms=dict(sensing.timings),
            publish_s=time.perf_counter() - sensed,
            points=len(frame.points),
            pedestrians=len(result.pedestrians),
            with_crop=sum(p.crop is not None for p in result.pedestrians),
        )

    def _waits_for_boxes(self, job: Job) -> bool:
        """Whether a cloud is left out: a detector slower than the LiDAR has not looked at it, so nobody's absence is known.

        One that says nothing at all sees nobody.
        """
        alone = self._boxes is not None and self._options.config.boxes.use == "instead"
        return alone and job.boxes is None and not job.detector_silent

    def _take_answer(self, sensing: PedestrianSensing, message: IdentityArray) -> None:
        own = [identity for identity in message.identities if identity.tracker_id == sensing.tracker.tracker_id]
        for now, before in sensing.recognized(own):
            self.get_logger().info(f"track {now} is track {before} again: the gait says so")

    def _publish_overlay(self, frame: SensorFrame, result: PedestrianFrame, image: Any) -> None:
        options = self._options.config.camera
        if not options.overlay or frame.image is None or frame.camera is None:
            return
        now_s, whole, small = time.monotonic(), self._overlay, self._overlay_jpeg
        if now_s - self._overlay_at_s < 1.0 / options.overlay_rate_hz:
            return
        if not (whole.get_subscription_count() or small.get_subscription_count()):
            return
        self._overlay_at_s = now_s
        picture = draw_overlay(
            frame.image, frame.camera, result.pedestrians, cloud=frame.points, image_dt_s=frame.image_dt_s
        )
        if small.get_subscription_count():
            data = byte_array(jpeg_of(picture))
            small.publish(CompressedImage(header=image.header, format="rgb8; jpeg compressed bgr8", data=data))
        if whole.get_subscription_count():
            message = Image(header=image.header, height=picture.shape[0], width=picture.shape[1])
            message.encoding, message.step = "rgb8", picture.shape[1] * 3
            message.data = byte_array(picture)
            whole.publish(message)

    def _on_worker_error(self, error: Exception) -> None:
        self._problems.report(f"a frame was lost: {type(error).__name__}: {error}", ERROR)
        self.get_logger().debug(traceback.format_exc())

    # Parameters that change while the node runs.

    def _accept(self, config: TrackerNodeConfig, names: set[str]) -> None:
        checked_extrinsics(config.camera.T_camera_lidar)
        if any(name.startswith(MODEL_OPTIONS) for name in names):
            self._models = load_models(config, self._models)

    def _change(self, config: TrackerNodeConfig, names: set[str]) -> None:
        self._assembler.configure(config)
        if any(name.startswith("pairing.") for name in names):
            self._nearest.configure(config.pairing)
        if self._boxes is not None and any(name.startswith("boxes.max_") for name in names):
            self._boxes.configure(config.boxes)
        if any(name.startswith(SENSING_OPTIONS) for name in names):
            self._is_stale.set()
            self.get_logger().info(f"{', '.join(sorted(names))} changed: tracks start over")

    # Diagnostics.

    def _statuses(self) -> Iterator[DiagnosticStatus]:
        yield self._cloud_watch.status("cloud")
        if self._image_watch is not None and self._info_watch is not None:
            yield self._image_watch.status("image", WARN)
            yield self._info_watch.status("camera_info", WARN)
            yield self._camera_status()
        image_lost = self._image_watch.lost_share if self._image_watch is not None else 0.0
        health = self._nearest.health(self._cloud_watch.lost_share, image_lost)
        yield pairing_status(health, bool(self._cloud_watch.count))
        if self._boxes is not None:
            yield from self._boxes.statuses(self._assembler.boxes)
        report = self._worker.report()
        if self._sensing is None:
            level = WARN if report.busy_s > SLOW_WARM_UP_S else OK
            yield status(
                "worker",
                level,
                "compiling numeric kernels: the first start takes up to a minute, clouds are dropped until then",
            )
        else:
            yield worker_status(report, "cloud")
        yield frame_status(self._times)
        yield self._problems.status("bad input")
        simulated = time_status(self, self._cloud_watch.starting)
        if simulated is not None:
            yield simulated

    def _camera_status(self) -> DiagnosticStatus:
        problem = self._calibration.problem() or self._assembler.camera_problem
        if not problem and self._sensing is not None:
            problem = self._sensing.calibration_problem
        if problem:
            return status("calibration", WARN, problem)
        return status("calibration", OK, f"extrinsics from {self._calibration.source}")


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is asked to stop (``entry`` calls it)."""
    end_process(run_node(PedestrianTrackerNode, args))


if __name__ == "__main__":
    main()
