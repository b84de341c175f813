"""The gallery's services of the gait_recognizer node: enrol, list, remove, rename. None ever leaves a caller without an answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode

from emgait_msgs.srv import EnrollIdentity, ListIdentities, RemoveIdentity, RenameIdentity
from emgait_ros.recognition import GaitRecognizer


class GalleryServices:
    """Offers the four services on a node.

    Args:
        node: the lifecycle node.
        recognizer: gives the recognizer, None while the node is unconfigured.
        is_active: whether samples are being collected, which enrolling needs.
    """

    def __init__(
        self, node: LifecycleNode, recognizer: Callable[[], GaitRecognizer | None], is_active: Callable[[], bool]
    ) -> None:
        self._node, self._recognizer, self._is_active = node, recognizer, is_active
        for service, name, handler in (
            (EnrollIdentity, "enroll", self._enroll),
            (ListIdentities, "list", self._list),
            (RemoveIdentity, "remove", self._remove),
            (RenameIdentity, "rename", self._rename),
        ):
            node.create_service(service, f"~/{name}", self._answering(name, handler))

    def _answering(self, name: str, handler: Callable[[GaitRecognizer, Any, Any], None]) -> Callable[[Any, Any], Any]:
        """A service callback around ``handler(recognizer, request, response)`` that turns errors into answers."""

        def answer(request: Any, response: Any) -> Any:
            try:
                recognizer = self._recognizer()
                if recognizer is None:
                    raise ValueError(
                        "the node is unconfigured, it has no gallery open: configure and activate it first (ros2 lifecycle set)"
                    )
                handler(recognizer, request, response)
            except (ValueError, OSError) as error:
                response.success, response.message = False, str(error)
            except Exception as error:
                response.success, response.message = (
                    False,
                    f"{name} failed inside the node: {type(error).__name__}: {error}",
                )
                self._node.get_logger().error(traceback.format_exc())
            log = self._node.get_logger()
            if response.success:
                log.info(f"{name}: {response.message}")
            else:
                log.warning(f"{name} refused: {response.message}")
            return response

        return answer

    def _enroll(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        if not self._is_active():
            raise ValueError("the node is inactive, it sees nobody: activate it first (ros2 lifecycle set)")
        result = recognizer.enroll(request.name, int(request.track_id))
        response.success, response.message = result.success, result.message
        response.track_id = max(int(result.track_id), 0) & 0xFFFFFFFF
        response.samples, response.templates = int(result.samples), int(result.templates)

    def _list(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        people = recognizer.gallery.identities()
        response.names = [person.name for person in people]
        response.templates = [person.templates for person in people]
        response.enrolled = [
            Time(sec=person.enrolled_ns // 1_000_000_000, nanosec=person.enrolled_ns % 1_000_000_000)
            for person in people
        ]
        note = recognizer.gallery_note
        response.success = True
        response.message = f"{len(people)} identities in {recognizer.gallery.place}" + (f"; {note}" if note else "")

    def _remove(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        response.templates = recognizer.gallery.remove(request.name)
        response.success, response.message = True, f"removed '{request.name}' and {response.templates} templates"

    def _rename(self, recognizer: GaitRecognizer, request: Any, response: Any) -> None:
        outcome = recognizer.gallery.rename(request.old_name, request.new_name)
        response.success, response.merged, response.templates = True, outcome.merged, outcome.templates
        what = "merged" if outcome.merged else "renamed"
        response.message = f"{what} '{request.old_name}' into '{request.new_name}', {outcome.templates} templates now"
