"""The gallery's services of the gait_recognizer node, and the topic on which enrolments over time are told of.

No service ever leaves a caller without an answer. They run in a thread of their own: a database that hangs holds up no frame.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future
from std_srvs.srv import Trigger

from emgait_msgs.msg import Enrollment
from emgait_msgs.srv import DisableIdentity, EnrollIdentity, ListIdentities, RemoveIdentity, RenameIdentity
from emgait_ros.gallery.expiry import GRACE_DAYS
from emgait_ros.gallery.export_file import LATEST_NS
from emgait_ros.gallery.history import asked_by
from emgait_ros.gallery.names import LookAlikeNameError
from emgait_ros.nodes.messages import enrollment_to_message
from emgait_ros.nodes.qos import output_qos
from emgait_ros.recognition.recognizer import GaitRecognizer

NEWS_EVERY_S = 0.2
EXPIRE_EVERY_S = 3600.0
CHANGES = ("enroll", "remove", "rename", "disable", "undo")
BURST_S, SHARE = 0.5, 0.25  # of the time that calls may take: at once, and from then on
NEWS_DEPTH = 20  # a burst of news must reach who listens


class CallBudget:
    """How much time calls may take, whatever they cost: who calls again and again must not keep frames waiting.

    Calls share the interpreter and the gallery with the frames that come in. A burst of them is answered; after it they get
    a fourth of the time, and those beyond are refused at once.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._spent_s, self._at_s = 0.0, now_s()

    def spend(self, seconds: float) -> None:
        """A call took so long. The longest is forgotten after 4 s."""
        self._spent_s = min(self._left(), BURST_S) + min(seconds, BURST_S)

    def check(self) -> None:
        """Raise ValueError when calls have taken too much of the time."""
        if self._left() > BURST_S:
            raise ValueError("busy with other calls to the gallery: try again in a second")

    def _left(self) -> float:
        now_s = self.now_s()
        self._spent_s = max(0.0, self._spent_s - SHARE * (now_s - self._at_s))
        self._at_s = now_s
        return self._spent_s


class GalleryServices:
    """Offers ``~/enroll``, ``~/list``, ``~/remove``, ``~/rename``, ``~/disable`` and ``~/undo``, and publishes ``~/enrollments``.

    Args:
        node: the lifecycle node.
        recognizer: gives the recognizer, None while the node is unconfigured.
        is_active: whether samples are being collected, which enrolling needs.
        keep_days: gives how long people are kept, days; 0: for ever.
        read_only: refuse what changes the gallery.
    """

    def __init__(
        self,
        node: LifecycleNode,
        recognizer: Callable[[], GaitRecognizer | None],
        is_active: Callable[[], bool],
        keep_days: Callable[[], float],
        read_only: bool = False,
    ) -> None:
        self._read_only, self._budget = read_only, CallBudget()
        self._node, self._recognizer, self._is_active, self._keep_days = node, recognizer, is_active, keep_days
        self._thread = ThreadPoolExecutor(1, "gallery services")
        self._enrollments = node.create_publisher(Enrollment, "~/enrollments", output_qos(NEWS_DEPTH))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(NEWS_EVERY_S, self._tell, clock=steady)
        node.create_timer(EXPIRE_EVERY_S, lambda: self._thread.submit(self._expire), clock=steady)
        group = MutuallyExclusiveCallbackGroup()  # of their own: one that waits for its answer keeps only these waiting
        for service, name, handler in (
            (EnrollIdentity, "enroll", self._enroll),
            (ListIdentities, "list", self._list),
            (RemoveIdentity, "remove", self._remove),
            (RenameIdentity, "rename", self._rename),
            (DisableIdentity, "disable", self._disable),
            (Trigger, "undo", self._undo),
        ):
            node.create_service(service, f"~/{name}", self._answering(name, handler), callback_group=group)

    def _answering(self, name: str, handler: Callable[[GaitRecognizer, Any, Any], None]) -> Callable[[Any, Any], Any]:
        """A service callback around ``handler(recognizer, request, response)`` that turns errors into answers."""

        async def answered(request: Any, response: Any) -> Any:
            done = Future(executor=self._node.executor)
            self._thread.submit(lambda: self._settle(done, answer(request, response)))
            return await done

        def answer(request: Any, response: Any) -> Any:
            start = self._budget.now_s()
            try:
                if self._read_only and name in CHANGES:
                    raise ValueError(
                        f"{name} is refused: the services of this node change nothing (services.read_only); change the gallery with "
                        "`emgait gallery`, or start the node with services.read_only false"
                    )
                self._budget.check()
                recognizer = self._recognizer()
                if recognizer is None:
                    raise ValueError(
                        "the node is unconfigured, it has no gallery open: configure and activate it first (ros2 lifecycle set)"
                    )
                with asked_by(getattr(request, "caller", "")):
                    handler(recognizer, request, response)
            except (ValueError, OSError) as error:
                response.success, response.message = False, str(error)
            except Exception as error:
                response.success, response.message = (
                    False,
                    f"{name} failed inside the node: {type(error).__name__}: {error}",
                )
                self._node.get_logger().error(traceback.format_exc())
            self._budget.spend(self._budget.now_s() - start)
            log = self._node.get_logger()
            if response.success and name == "list":  # changes nothing, and pages ask for it again and again
                log.debug(f"{name}: {response.message}")
            elif response.success:
                log.info(f"{name}: {response.message}")
            else:
                log.warning(f"{name} refused: {response.message}", throttle_duration_sec=0.2)  # however many come
            return response

        return answered

    def _settle(self, done: Future, response: Any) -> None:
        done.set_result(response)
        if self._node.executor is not None:
            self._node.executor.wake()

    def _enroll(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        if not self._is_active():
            raise ValueError("the node is inactive, it sees nobody: activate it first (ros2 lifecycle set)")
        track, seconds = int(request.track_id), float(request.seconds)
        confirm, tracker = bool(request.confirm), str(request.tracker_id)
        if seconds == 0.0:
            result = recognizer.enroll(request.name, track, confirm, tracker)
        else:
            result = recognizer.enroll_over(request.name, track, seconds, confirm, tracker)
        response.success, response.message, response.quality = result.success, result.message, result.quality
        response.track_id, response.tracker_id = max(int(result.track_id), 0) & 0xFFFFFFFF, result.tracker_id
        response.samples, response.templates = int(result.samples), int(result.templates)
        response.needs_confirmation = result.needs_confirmation
        response.tracks_in_view = [track & 0xFFFFFFFF for track in result.tracks_in_view]
        response.trackers_in_view = list(result.trackers_in_view)

    def _list(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        people = recognizer.gallery.identities()
        response.names = [person.name for person in people]
        response.templates = [person.templates for person in people]
        response.enrolled = [_time(person.enrolled_ns) for person in people]
        response.disabled = [person.disabled or person.expired_ns > 0 for person in people]
        if request.templates_of:
            own = sorted(recognizer.gallery.templates_of(request.templates_of), key=lambda item: item.created_ns)
            response.template_enrolled = [_time(item.created_ns) for item in own]
            response.template_range_m = [item.median_range_m for item in own]
            response.template_samples = [item.samples for item in own]
        note = recognizer.gallery_note
        response.success = True
        response.message = f"{len(people)} identities in {recognizer.gallery.place}" + (f"; {note}" if note else "")

    def _remove(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        response.templates = recognizer.gallery.remove(request.name)
        response.success, response.message = True, f"removed '{request.name}' and {response.templates} templates"

    def _rename(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        try:
            outcome = recognizer.gallery.rename(request.old_name, request.new_name, bool(request.confirm))
        except LookAlikeNameError:
            response.needs_confirmation = True
            raise
        response.success, response.merged, response.templates = True, outcome.merged, outcome.templates
        what = "merged" if outcome.merged else "renamed"
        response.message = f"{what} '{request.old_name}' into '{request.new_name}', {outcome.templates} templates now"

    def _disable(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        changed = recognizer.gallery.set_disabled(request.name, bool(request.disabled))
        how = "disabled" if request.disabled else "enabled"
        response.success, response.message = True, f"'{request.name}' is {how}" + ("" if changed else " already")

    def _undo(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        response.success, response.message = True, recognizer.gallery.undo()

    def _tell(self) -> None:
        """Publish what happened to enrolments over time."""
        recognizer = self._recognizer()
        if recognizer is not None:
            for item in recognizer.enrollment_news():
                self._enrollments.publish(enrollment_to_message(item))

    def _expire(self) -> None:
        """Hide, then delete, people whose time is over."""
        recognizer = self._recognizer()
        if recognizer is None:
            return
        log = self._node.get_logger()
        try:
            found = recognizer.gallery.expire(self._keep_days())
        except (ValueError, OSError) as error:
            log.error(f"nobody's time in the gallery could be checked: {error}")
            return
        if found.expired:
            log.info(
                f"{len(found.expired)} people are not named any more after gallery.keep_days, and deleted in {GRACE_DAYS} days"
            )
        if found.deleted:
            log.info(f"{len(found.deleted)} people were deleted, {GRACE_DAYS} days after gallery.keep_days")
        if found.restored:
            log.info(f"{len(found.restored)} people who had expired are named again: the clock was set back")


def _time(stamp_ns: int) -> Time:
    stamp_ns = min(max(stamp_ns, 0), LATEST_NS - 1)  # whatever a file says
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
