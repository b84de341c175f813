"""The pedestrian_tracker node: clouds and images in, tracked pedestrians with their samples out. A lifecycle node.

Subscribes while active to a PointCloud2, an Image or CompressedImage and its CameraInfo, and to the boxes of another detector when
asked to (vision_msgs/Detection3DArray), and publishes ``~/pedestrians``
(emgait_msgs/PedestrianArray) for every cloud; where somebody subscribes ``~/points`` (sensor_msgs/PointCloud2: the
returns on them) and, when asked for, ``~/overlay`` (sensor_msgs/Image) and ``~/overlay/compressed`` (JPEG); and /diagnostics.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from emgait_msgs.msg import IdentityArray, PedestrianArray
from emgait_ros.config import TrackerNodeConfig
from emgait_ros.nodes.box_input import box_message
from emgait_ros.nodes.diagnostics import ERROR, OK, WARN, status, time_status, worker_status
from emgait_ros.nodes.managed import ManagedNode
from emgait_ros.nodes.messages import byte_array, frame_to_message, returns_to_message
from emgait_ros.nodes.qos import output_qos
from emgait_ros.nodes.spinning import end_process, run_node
from emgait_ros.nodes.tracker_inputs import TrackerInputs
from emgait_ros.nodes.tracker_status import FrameTimes, frame_status
from emgait_ros.nodes.transform_queue import TransformQueue
from emgait_ros.nodes.transforms import Transforms
from emgait_ros.nodes.worker import Worker
from emgait_ros.samples import PedestrianFrame, SensorFrame
from emgait_ros.sensing.assembly import FrameAssembler
from emgait_ros.sensing.boxes import Job
from emgait_ros.sensing.camera_calibration import checked_extrinsics
from emgait_ros.sensing.pedestrian_sensing import Models, PedestrianSensing, load_models
from emgait_ros.sensing.perception.overlay import draw_overlay, jpeg_of

SLOW_WARM_UP_S = 3.0
MODEL_OPTIONS = ("image_detector.", "verifier.")
SENSING_OPTIONS = (*MODEL_OPTIONS, "detector.", "boxes.", "tracker.", "sample.")


class PedestrianTrackerNode(ManagedNode[TrackerNodeConfig]):
    """See the module. Arguments, attributes and errors as :class:`ManagedNode`."""

    _worker: Worker[Job] | None

    def __init__(self, **arguments: Any) -> None:
        super().__init__("pedestrian_tracker", TrackerNodeConfig(), **arguments)
        config = self._options.config
        box_message(config.topics)  # missing ones are said at once
        self._transforms = transforms = Transforms(self, self._problems.report)
        self._assembler = FrameAssembler(
            self._with_full_names(config),
            transforms.matrix,
            self._report_message,
            transforms.problem,
            self._problems.note,
        )
        self._models: Models | None = None
        self._sensing: PedestrianSensing | None = None
        self._is_stale = threading.Event()  # the options have changed: the worker makes a new one
        self._inputs: TrackerInputs | None = None
        self._queue: TransformQueue | None = None
        self._answers: deque[IdentityArray] = deque(maxlen=10)
        self._epoch = 0
        self._times = FrameTimes()
        self._overlay_at_s = 0.0
        qos, newest = output_qos(config.topics.output_depth), output_qos(1)
        self._pedestrians = self.create_lifecycle_publisher(PedestrianArray, "~/pedestrians", qos)
        self._points = self.create_lifecycle_publisher(PointCloud2, "~/points", newest)
        self._overlay = self.create_lifecycle_publisher(Image, "~/overlay", newest)
        self._overlay_jpeg = self.create_lifecycle_publisher(CompressedImage, "~/overlay/compressed", newest)

    def _with_full_names(self, config: TrackerNodeConfig) -> TrackerNodeConfig:
        """The config with the topics as they are after remapping: the image's name says whether it is rectified."""
        topics, full = config.topics, lambda topic: self.resolve_topic_name(topic) if topic else ""
        cloud, image, info, boxes = map(full, (topics.cloud, topics.image, topics.camera_info, topics.boxes))
        return replace(config, topics=replace(topics, cloud=cloud, image=image, camera_info=info, boxes=boxes))

    def _load(self) -> None:
        """Load the models and compile the kernels."""
        self._models = load_models(self._options.config)
        self._make_sensing()

    def _unload(self) -> None:
        self._models = self._sensing = None

    def _begin(self) -> None:
        worker = self._worker = Worker(self._process, "pedestrian_tracker", on_error=self._on_worker_error)
        config = self._options.config
        frames, has_room = lambda: self._options.config.frames, lambda: worker.waiting == 0
        self._queue = TransformQueue(self._transforms, frames, worker.submit, has_room)
        report, submit = self._problems.report, self._queue.add
        self._inputs = TrackerInputs(self, config, self._assembler, report, submit, self._on_identities)
        image = self._inputs.image
        self.get_logger().info(
            f"clouds from {self._inputs.cloud.topic}, images from {image.topic if image else 'nowhere (LiDAR only)'}, "
            f"extrinsics from {self._assembler.calibration.source or 'nowhere'}"
        )

    def _stop(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        if self._sensing is not None:
            self._sensing.reset()
        self._answers.clear()
        self._epoch, self._times = 0, FrameTimes()

    def _on_identities(self, message: IdentityArray) -> None:
        self._answers.append(message)

    def _report_message(self, sentence: str, is_lost: bool) -> None:
        self._problems.report(sentence, ERROR if is_lost else WARN)

    # Work: in the worker's thread.

    def _make_sensing(self) -> None:
        self._is_stale.clear()
        made = PedestrianSensing(self._options.config, models=self._models)
        if made.warm_up_s > SLOW_WARM_UP_S:
            self.get_logger().info(f"numeric kernels were compiled in {made.warm_up_s:.0f} s (kept for the next start)")
        self._sensing = made

    def _process(self, job: Job) -> None:
        pair, cloud, started = job.pair, job.pair.cloud, time.perf_counter()
        config = self._options.config
        if config.topics.boxes and job.is_left_out(config.boxes):
            return
        frame = self._assembler.frame(pair, cloud, pair.image, job.boxes, job.boxes_dt_s)
        if frame is None:
            return
        converted = time.perf_counter()
        if self._is_stale.is_set():
            self._make_sensing()
        sensing = self._sensing
        if sensing is None:  # cleaned up while this was in work
            return
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
        if self._models is not None and any(name.startswith(MODEL_OPTIONS) for name in names):
            self._models = load_models(config, self._models)

    def _change(self, config: TrackerNodeConfig, names: set[str]) -> None:
        self._assembler.configure(self._with_full_names(config))
        if self._inputs is not None:
            self._inputs.configure(config, names)
        if any(name.startswith(SENSING_OPTIONS) for name in names):
            self._is_stale.set()
            self.get_logger().info(f"{', '.join(sorted(names))} changed: tracks start over")

    # Diagnostics.

    def _statuses(self) -> Iterator[DiagnosticStatus]:
        inputs = self._inputs
        if inputs is not None and self._worker is not None:
            yield from inputs.statuses()
            if inputs.image is not None:
                yield self._camera_status()
            waiting = self._queue.status() if self._queue is not None else None
            if waiting is not None:
                yield waiting
            yield worker_status(self._worker.report(), "cloud")
            yield frame_status(self._times)
        yield self._problems.status("bad input")
        simulated = time_status(self, inputs is not None and inputs.cloud.starting)
        if simulated is not None:
            yield simulated

    def _camera_status(self) -> DiagnosticStatus:
        problem = self._assembler.calibration.problem() or self._assembler.camera_problem
        calibration = self._assembler.calibration
        if not problem and self._sensing is not None and (unlikely := self._sensing.calibration_problem):
            problem = f"{unlikely}. T_camera_lidar is that of {calibration.source}"
        rectified = ", images are rectified" if calibration.rectified else ""
        return status(
            "calibration", WARN if problem else OK, problem or f"extrinsics from {calibration.source}{rectified}"
        )


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is asked to stop (``entry`` calls it)."""
    end_process(run_node(PedestrianTrackerNode, args))


if __name__ == "__main__":
    main()
