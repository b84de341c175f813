"""The gait_recognizer node: tracked pedestrians in, names out. A lifecycle node.

Subscribes to emgait_msgs/PedestrianArray while active, and publishes ``~/identities`` (emgait_msgs/IdentityArray),
``~/markers`` (visualization_msgs/MarkerArray), ``~/enrollments`` (emgait_msgs/Enrollment) and /diagnostics. Services:
``~/enroll``, ``~/list``, ``~/remove``, ``~/rename``, ``~/disable``, ``~/undo``; they answer in every state.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticStatus
from visualization_msgs.msg import MarkerArray

from emgait_msgs.msg import IdentityArray, PedestrianArray
from emgait_ros.config import RecognizerNodeConfig
from emgait_ros.gallery.last_known import open_on_robot
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.nodes.diagnostics import ERROR, OK, WARN, status, time_status, worker_status
from emgait_ros.nodes.gallery_services import GalleryServices
from emgait_ros.nodes.managed import ManagedNode
from emgait_ros.nodes.markers import TrackMarkers
from emgait_ros.nodes.messages import identities_to_message, message_to_frame
from emgait_ros.nodes.qos import output_qos, sensor_qos
from emgait_ros.nodes.spinning import end_process, run_node
from emgait_ros.nodes.topic_watch import SILENT_S, TopicWatch
from emgait_ros.nodes.worker import Worker
from emgait_ros.recognition.identity_results import IdentityResult
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.recognition.windows import BACKWARDS
from emgait_ros.samples import PedestrianFrame

AT_CONFIGURE = ("engine.", "gallery.")
SHOWN_TRACKS = 20
STARTED_OVER = f"left out: {BACKWARDS}"  # a counter of the recognizer


class GaitRecognizerNode(ManagedNode[RecognizerNodeConfig]):
    """See the module. Arguments, attributes and errors as :class:`ManagedNode`."""

    _worker: Worker[PedestrianArray] | None

    def __init__(self, **arguments: Any) -> None:
        super().__init__("gait_recognizer", RecognizerNodeConfig(), **arguments)
        self._encoder: GaitEncoder | None = None
        self._recognizer: GaitRecognizer | None = None
        self._watch: TopicWatch | None = None
        self._subscription: Any = None
        self._last_results: dict[str, list[IdentityResult]] = {}  # by tracker
        self._named: dict[str, dict[int, str]] = {}  # by tracker and track
        self._track_markers = TrackMarkers()
        qos = output_qos(self._options.config.topics.output_depth)
        self._identities = self.create_lifecycle_publisher(IdentityArray, "~/identities", qos)
        self._markers = self.create_lifecycle_publisher(MarkerArray, "~/markers", qos)
        self._gallery_services = GalleryServices(
            self,
            lambda: self._recognizer,
            lambda: self._worker is not None,
            lambda: self._options.config.gallery.keep_days,
            self._options.config.services.read_only,
        )

    def _load(self) -> None:
        """Load the bundle and open the gallery; both are left as they were when either is damaged."""
        config = self._options.config
        self._encoder = GaitEncoder(load_bundle(config.engine.bundle), config.engine)
        self._recognizer = GaitRecognizer(config, self._encoder, open_on_robot(config.gallery))
        self.get_logger().info(
            f"model '{self._encoder.bundle.name}' ({self._encoder.fingerprint[:12]}) on {self._encoder.description}; "
            f"{self._recognizer.identities} identities in {self._recognizer.gallery.place}"
        )

    def _unload(self) -> None:
        recognizer, self._recognizer, self._encoder = self._recognizer, None, None
        if recognizer is not None:
            recognizer.close()

    def _begin(self) -> None:
        topics = self._options.config.topics
        qos = sensor_qos(topics.reliability, topics.depth)
        self._worker = Worker(
            self._process,
            "gait_recognizer",
            self._on_worker_error,
            key=lambda message: str(message.tracker_id),
            skip=self._skip,
            depth=topics.depth,
        )
        self._watch = TopicWatch(
            self,
            topics.pedestrians,
            "emgait_msgs/msg/PedestrianArray",
            qos,
            "topics.pedestrians",
            topics.start_grace_s,
        )
        self._subscription = self.create_subscription(PedestrianArray, topics.pedestrians, self._on_pedestrians, qos)

    def _stop(self) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = self._watch = None
        if self._recognizer is not None:
            self._recognizer.forget_tracks()
        self._last_results, self._named = {}, {}

    # Work.

    def _on_pedestrians(self, message: PedestrianArray) -> None:
        if self._worker is None or self._watch is None:
            return
        self._watch.tick()
        self._worker.submit(message)

    def _process(self, message: PedestrianArray) -> None:
        recognizer, frame = self._recognizer, self._frame_of(message)
        if recognizer is None or frame is None:
            return
        before = recognizer.counters.get(STARTED_OVER, 0)
        results = recognizer.process(frame)
        if recognizer.counters.get(STARTED_OVER, 0) > before:
            self._problems.report(
                f"{self._options.config.topics.pedestrians}: stamps of tracker '{frame.tracker_id}' jumped back, its tracks start "
                "over: a bag that starts over, or two trackers that need a tracker_id of their own"
            )
        heard = {frame.tracker_id, *recognizer.trackers}
        shown = {tracker: items for tracker, items in self._last_results.items() if tracker in heard}
        self._last_results = {**shown, frame.tracker_id: results}
        self._named = {tracker: names for tracker, names in self._named.items() if tracker in heard}
        self._tell_names(frame.tracker_id, results)
        self._identities.publish(identities_to_message(results, message.header, recognizer.fingerprint))
        if self._markers.get_subscription_count():
            self._markers.publish(self._track_markers.update(frame.tracker_id, results, message.header))

    def _tell_names(self, tracker_id: str, results: list[IdentityResult]) -> None:
        """Log each track once when it gets a name, or another one: what a terminal shows of recognition."""
        before = self._named.get(tracker_id, {})
        self._named[tracker_id] = {item.track_id: item.name or before.get(item.track_id, "") for item in results}
        for item in results:
            if item.name and before.get(item.track_id) != item.name:
                self.get_logger().info(f"track {item.track_id} is {item.name}: {item.reason}")

    def _skip(self, message: PedestrianArray) -> None:
        """A newer frame of the same tracker came while others were in work: that one is answered."""
        recognizer, frame = self._recognizer, self._frame_of(message)
        if recognizer is not None and frame is not None:
            recognizer.skip(frame)

    def _frame_of(self, message: PedestrianArray) -> PedestrianFrame | None:
        """The frame of a message, None when it cannot be used; what is wrong with it is reported."""
        topic = self._options.config.topics.pedestrians
        try:
            frame, problems = message_to_frame(message)
        except ValueError as error:
            self._problems.report(f"{topic}: {error}; the message is left out", ERROR)
            return None
        for problem in problems:
            self._problems.report(f"{topic}: {problem}")
        return frame

    def _on_worker_error(self, error: Exception) -> None:
        self._problems.report(f"a frame was not recognised: {type(error).__name__}: {error}", ERROR)
        self.get_logger().debug(traceback.format_exc())

    # Parameters that change while the node runs.

    def _accept(self, config: RecognizerNodeConfig, names: set[str]) -> None:
        if self._recognizer is None:
            return
        fixed = sorted(name for name in names if name.startswith(AT_CONFIGURE))
        if fixed:
            raise ValueError(
                f"parameter '{fixed[0]}' takes effect when the node is configured: deactivate it and clean it up first "
                "(ros2 lifecycle set), or restart it"
            )
        self._recognizer.checked_window(config)

    def _change(self, config: RecognizerNodeConfig, names: set[str]) -> None:
        if self._recognizer is not None:
            self._recognizer.reconfigure(config)
            self.get_logger().info(f"{', '.join(sorted(names))} changed")

    # Diagnostics.

    def _statuses(self) -> Iterator[DiagnosticStatus]:
        if self._watch is not None:
            yield self._watch.status("pedestrians", one_sender=False)
        if self._worker is not None:
            yield worker_status(self._worker.report(), "frame")
        recognizer, encoder = self._recognizer, self._encoder
        if recognizer is not None and encoder is not None:
            yield _model_status(recognizer, encoder)
            yield _gallery_status(recognizer)
            heard = self._watch is not None and self._watch.silent_s < SILENT_S
            yield _tracks_status(recognizer, self._last_results if heard else {})
        yield self._problems.status("bad input")
        simulated = time_status(self, self._watch is not None and self._watch.starting)
        if simulated is not None:
            yield simulated


def _model_status(recognizer: GaitRecognizer, encoder: GaitEncoder) -> DiagnosticStatus:
    values = {
        "name": encoder.bundle.name,
        "folder": encoder.bundle.folder,
        "fingerprint": encoder.fingerprint,
        "backend": encoder.description,
        "threshold": f"{recognizer.threshold:.4f}",
    }
    if not recognizer.threshold:
        return status(
            "model",
            WARN,
            "the bundle has no calibrated threshold and decision.threshold is 0: everybody stays unknown",
            values,
        )
    return status("model", OK, f"{encoder.bundle.name} on {encoder.description}", values)


def _gallery_status(recognizer: GaitRecognizer) -> DiagnosticStatus:
    values = {"path": recognizer.gallery.place, "identities": recognizer.identities}
    doubt = recognizer.gallery.clock_doubt
    notes = [recognizer.gallery_note] if recognizer.gallery_note else []
    if doubt:
        values["clock_doubt"] = doubt
        notes.append(
            f"nobody is removed after gallery.keep_days: {doubt} (checked every hour; if the clock is right, say so: "
            "emgait gallery expire --keep-days N --trust-clock)"
        )
    note = "; ".join(notes)
    return status("gallery", WARN if note else OK, note or f"{recognizer.identities} identities", values)


def _tracks_status(recognizer: GaitRecognizer, results: dict[str, list[IdentityResult]]) -> DiagnosticStatus:
    """Samples of each track in view, what was left out and why, and how long each stage takes."""
    values: dict[str, Any] = {
        "tracks kept": len(recognizer.windows),
        "name changes per track-minute": f"{recognizer.flicker:.3f}",
    }
    listed = [item for _, items in sorted(results.items()) for item in items]
    for item in listed[:SHOWN_TRACKS]:
        who = f"{item.tracker_id}/{item.track_id}" if len(results) > 1 else f"{item.track_id}"
        values[f"track {who}"] = f"{item.status.name} {item.name}: {item.reason}".replace(" :", ":")
    values |= recognizer.counters
    values |= {f"{stage}_ms": f"{seconds * 1e3:.1f}" for stage, seconds in recognizer.timings.items()}
    where = f" of {len(results)} trackers" if len(results) > 1 else ""
    return status("tracks", OK, f"{len(listed)} in view{where}", values)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is asked to stop (``entry`` calls it)."""
    end_process(run_node(GaitRecognizerNode, args))


if __name__ == "__main__":
    main()
