"""RViz markers of the identities: a box around each pedestrian and a text over it."""

from __future__ import annotations

from geometry_msgs.msg import Point, Pose, Vector3
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from emgait_ros.recognition.identity_results import STATUS_COLORS, IdentityResult
from emgait_ros.recognition.windows import MOST_TRACKERS
from emgait_ros.samples import Status

LIFETIME = Duration(seconds=1.0).to_msg()  # what is not renewed vanishes, also when this node dies
TEXT_HEIGHT_M = 0.35
BOX, NAME = "box", "name"  # second part of a namespace, after the tracker


class TrackMarkers:
    """Makes the markers of each frame: each tracker's stand for themselves, in namespaces of its own."""

    def __init__(self) -> None:
        self._shown: dict[str, set[int]] = {}

    def update(self, tracker_id: str, results: list[IdentityResult], header: Header) -> MarkerArray:
        """Markers of one frame of a tracker; tracks of it that have left the view are deleted."""
        now = {result.track_id for result in results}
        gone = self._shown.pop(tracker_id, set()) - now
        if now:
            self._shown[tracker_id] = now
        if len(self._shown) > MOST_TRACKERS:  # markers of the longest unheard one have vanished by themselves
            del self._shown[next(iter(self._shown))]
        markers = [
            Marker(header=header, ns=f"{tracker_id}/{part}", id=_marker_id(track), action=Marker.DELETE)
            for track in sorted(gone)
            for part in (BOX, NAME)
        ]
        for result in results:
            markers += [_box(result, header), _text(result, header)]
        return MarkerArray(markers=markers)


def _box(result: IdentityResult, header: Header) -> Marker:
    marker = _marker(result, header, BOX, Marker.CUBE, 0.35)
    marker.pose.position = _place(result, 0.0)
    marker.scale = Vector3(x=float(result.size[0]), y=float(result.size[1]), z=float(result.size[2]))
    return marker


def _text(result: IdentityResult, header: Header) -> Marker:
    marker = _marker(result, header, NAME, Marker.TEXT_VIEW_FACING, 1.0)
    marker.pose.position = _place(result, float(result.size[2]) / 2 + 1.2 * TEXT_HEIGHT_M)
    marker.scale.z = TEXT_HEIGHT_M
    marker.text = result.label
    return marker


def _marker(result: IdentityResult, header: Header, part: str, kind: int, opacity: float) -> Marker:
    red, green, blue = STATUS_COLORS[Status(result.status)]
    return Marker(
        header=header,
        ns=f"{result.tracker_id}/{part}",
        id=_marker_id(result.track_id),
        type=kind,
        action=Marker.ADD,
        pose=Pose(),
        color=ColorRGBA(r=red, g=green, b=blue, a=opacity),
        lifetime=LIFETIME,
    )


def _marker_id(track_id: int) -> int:
    """Track numbers are unsigned, marker ids signed, 32 bits both."""
    return (int(track_id) ^ 0x80000000) - 0x80000000


def _place(result: IdentityResult, above_m: float) -> Point:
    return Point(x=float(result.center[0]), y=float(result.center[1]), z=float(result.center[2]) + above_m)
