"""Which track an enrolment is asked for: by number, by tracker, or the only pedestrian in view."""

from __future__ import annotations

from collections.abc import Sequence

from emgait_ros.recognition.explain import counted_samples
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.recognition.windows import GROUP, TrackWindows

_LISTED = 10  # tracks named in a message at most


class TrackChoiceError(ValueError):
    """No single track fits the request; ``tracks`` and ``trackers`` are those to choose from, in the same order."""

    def __init__(self, message: str, windows: Sequence[TrackWindow]) -> None:
        super().__init__(message)
        self.tracks = tuple(window.track_id for window in windows)
        self.trackers = tuple(window.tracker_id for window in windows)


def chosen_window(windows: TrackWindows, track_id: int, tracker_id: str = "") -> TrackWindow:
    """The window of the requested track, however short.

    Args:
        windows: of all tracks.
        track_id: -1: the only pedestrian in view.
        tracker_id: of which tracker; empty: any.

    Raises:
        TrackChoiceError (a ValueError): unknown or ambiguous; the sentence lists who is in view. ValueError: nobody is in
            view, or the track is a group.
    """
    trackers = windows.trackers
    if tracker_id and tracker_id not in trackers:
        known = "trackers heard are " + ", ".join(f"'{name}'" for name in trackers) if trackers else "none was heard"
        raise TrackChoiceError(f"tracker '{tracker_id}' is unknown: {known}", windows.in_view())
    in_view = [window for window in windows.in_view() if tracker_id in ("", window.tracker_id)]
    if track_id < 0:
        window = _only(in_view, windows)
    else:
        kept = [window for window in windows.kept() if window.track_id == track_id]
        kept = [window for window in kept if tracker_id in ("", window.tracker_id)]
        window = _numbered(track_id, kept, in_view, windows)
    if window.group:
        raise ValueError(f"track {window.track_id} is {GROUP}: let them walk apart and call again")
    return window


def full_window(windows: TrackWindows, track_id: int, tracker_id: str = "") -> TrackWindow:
    """As :func:`chosen_window`, long enough for an embedding.

    Raises:
        ValueError: too short; the sentence says why.
    """
    window = chosen_window(windows, track_id, tracker_id)
    if len(window.samples) < windows.config.min_samples:
        raise ValueError(too_short(window, windows.config.min_samples))
    return window


def too_short(window: TrackWindow, needed: int) -> str:
    """The sentence for a window with too few samples."""
    counted = counted_samples(len(window.samples), needed, window.last_left_out)
    return f"track {window.track_id} has {counted}: let the person walk on and call again"


def _only(in_view: list[TrackWindow], windows: TrackWindows) -> TrackWindow:
    if not in_view:
        raise ValueError("no pedestrian is in view: let one person walk past the sensors and call again")
    if len(in_view) > 1:
        listed = _listed(in_view, windows)
        sentence = f"{len(in_view)} pedestrians are in view, give the track_id of one of them: {listed}"
        raise TrackChoiceError(sentence, in_view)
    return in_view[0]


def _numbered(track_id: int, kept: list[TrackWindow], in_view: list[TrackWindow], windows: TrackWindows) -> TrackWindow:
    found = [window for window in kept if window in in_view] or kept
    if not found:
        listed = f"in view are {_listed(in_view, windows)}" if in_view else "no pedestrian is in view"
        raise TrackChoiceError(f"track {track_id} is unknown: {listed}", in_view)
    if len(found) > 1:
        trackers = ", ".join(f"'{window.tracker_id}'" for window in found)
        raise TrackChoiceError(f"track {track_id} exists at the trackers {trackers}: give the tracker_id too", found)
    return found[0]


def _listed(in_view: list[TrackWindow], windows: TrackWindows) -> str:
    needed = windows.config.min_samples
    several = len(windows.trackers) > 1
    texts = []
    for window in in_view[:_LISTED]:
        where = f" of tracker '{window.tracker_id}'" if several else ""
        what = "a group" if window.group else counted_samples(min(len(window.samples), needed), needed)
        texts.append(f"{window.track_id}{where} ({what})")
    return ", ".join(texts) + (f" and {len(in_view) - _LISTED} more" if len(in_view) > _LISTED else "")
