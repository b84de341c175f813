"""Enrolling a walk: what is stored of it, and whether it is good enough and plausible."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.config import EnrollmentConfig, WindowConfig
from emgait_ros.gallery.history import UndoStep
from emgait_ros.gallery.names import LookAlikeNameError, normalised_name, refuse_look_alikes
from emgait_ros.gallery.saved_walks import pack_walk
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.recognition.explain import sensor_note
from emgait_ros.recognition.identity_results import samples_to_count
from emgait_ros.recognition.matcher import Matcher
from emgait_ros.recognition.quality import WalkQuality, leg_spread, walk_quality
from emgait_ros.recognition.track_choice import TrackChoiceError
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.samples import Float32, Modality


class UnlikelyWalkError(ValueError):
    """The walk does not resemble the person's others; the caller may confirm that it is theirs."""


@dataclass(frozen=True)
class EnrollmentResult:
    """What became of an enrolment; fields as in ``emgait_msgs/srv/EnrollIdentity``. ``track_id`` is -1 when there was none."""

    success: bool
    message: str
    track_id: int = -1
    samples: int = 0
    templates: int = 0
    quality: str = ""
    needs_confirmation: bool = False
    tracks_in_view: tuple[int, ...] = ()
    tracker_id: str = ""
    trackers_in_view: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparedWalk:
    """All that is stored of one walk, computed and checked; ``embeddings`` (N, parts, d): the whole window, then pieces."""

    name: str
    track_id: int
    tracker_id: str
    embeddings: Float32
    samples: list[int]
    modalities: Modality
    median_range_m: float
    quality: WalkQuality
    note: str
    saved: bytes | None

    def store(self, gallery: Gallery, fingerprint: str, step: UndoStep | None = None) -> EnrollmentResult:
        """Put it into a gallery, as a part of an undo step if one is given. Raises what ``Gallery.enroll`` does."""
        templates = gallery.enroll(
            self.name,
            self.embeddings,
            fingerprint,
            samples=self.samples,
            modalities=self.modalities,
            median_range_m=self.median_range_m,
            quality=self.quality.to_json(),
            walk=self.saved,
            step=step,
        )
        message = (
            f"enrolled '{self.name}' from track {self.track_id}: {self.samples[0]} samples"
            f"{sensor_note(self.modalities)}, {templates} templates now{self.note}"
        )
        facts = self.track_id, self.samples[0], templates, str(self.quality)
        return EnrollmentResult(True, message, *facts, tracker_id=self.tracker_id)


class WalkPreparer:
    """Makes and checks what is stored of a window.

    Args:
        window, enrollment: options.
        encoder: the network.
        matcher: returns the templates of this model.
        limit: distance below which two walks with these sensors count as one person's; NaN without one.
        save_samples: keep the samples themselves too.
    """

    def __init__(
        self,
        window: WindowConfig,
        enrollment: EnrollmentConfig,
        encoder: GaitEncoder,
        matcher: Callable[[], Matcher],
        limit: Callable[[Modality], float],
        save_samples: bool,
    ) -> None:
        self._window, self._enrollment, self._encoder = window, enrollment, encoder
        self._matcher, self._limit, self._save_samples = matcher, limit, save_samples

    def reconfigure(self, window: WindowConfig, enrollment: EnrollmentConfig) -> None:
        """Use other options from now on."""
        self._window, self._enrollment = window, enrollment

    def prepare(self, name: str, window: TrackWindow, confirm: bool) -> PreparedWalk:
        """What would be stored of a window under a name.

        Raises:
            ValueError: the walk is not good enough. UnlikelyWalkError: it is unlike the person's others, or nearer to somebody
            else's; not when the caller has confirmed that it is them.
        """
        quality = quality_of(window)
        asked = self._enrollment
        if self._encoder.sensors == Modality.IMAGE:  # how many returns there were says nothing about such a walk
            asked = dataclasses.replace(asked, min_points=0)
        if refusal := quality.refusal(asked):
            raise ValueError(f"track {window.track_id} was not enrolled: {refusal}")
        features = [sample.features for sample in window.samples]
        embeddings, counts = template_embeddings(self._encoder, features, self._window.min_samples)
        modalities = window.modalities(samples_to_count(self._window))
        note = self._checked_likeness(name, embeddings[:1], modalities, confirm)
        pedestrians = [sample.pedestrian for sample in window.samples if sample.pedestrian is not None]
        median_range_m = float(np.median([sample.range_m for sample in window.samples]))
        saved = pack_walk(pedestrians) if self._save_samples and pedestrians else None
        track = window.track_id, window.tracker_id
        return PreparedWalk(name, *track, embeddings, counts, modalities, median_range_m, quality, note, saved)

    def _checked_likeness(self, name: str, probe: Float32, modalities: Modality, confirm: bool) -> str:
        """A note when the walk is accepted although it is like somebody else's."""
        matches = self._matcher().search(probe, [modalities])
        limit = self._limit(modalities)
        if not len(matches.identity_id) or not np.isfinite(limit):
            return ""
        distance = dict(zip(matches.names, matches.distance[0].tolist(), strict=True))
        own = distance.pop(name, None)
        nearest = min(distance, key=lambda other: distance[other], default="")
        like_another = bool(nearest) and distance[nearest] < limit
        again = f"call again with confirm if it is '{name}'"
        if own is not None and not confirm:
            if like_another and distance[nearest] < own:
                raise UnlikelyWalkError(
                    f"this walk is nearer to '{nearest}' ({distance[nearest]:.2f}) than to '{name}' ({own:.2f}): {again}"
                )
            if own > limit * self._enrollment.consistent_factor:
                raise UnlikelyWalkError(
                    f"this walk is unlike the other templates of '{name}' ({own:.2f}, threshold {limit:.2f}): {again}"
                )
        if not like_another or (own is not None and own <= distance[nearest]):
            return ""
        return f"; note: this walk is like that of '{nearest}' ({distance[nearest]:.2f}): rename one onto the other if they are one person"


def template_embeddings(encoder: GaitEncoder, features: Sequence[Any], min_samples: int) -> tuple[Float32, list[int]]:
    """Templates of a walk: the embedding of all its samples and, when it is long enough, of its equal consecutive pieces.

    Short windows of a later walk then have templates of a similar length.

    Returns:
        (N, parts, d) float32, and the samples behind each.
    """
    pieces = len(features) // min_samples
    bounds = np.linspace(0, len(features), pieces + 1).astype(int)
    parts = [list(features[start:end]) for start, end in itertools.pairwise(bounds)] if pieces > 1 else []
    windows = [list(features), *parts]
    return encoder.embed(windows), [len(part) for part in windows]


def quality_of(window: TrackWindow) -> WalkQuality:
    """Quality of the samples an enrolment of this window would use."""
    samples = list(window.samples)
    return walk_quality(
        [sample.range_m for sample in samples],
        [sample.point_count for sample in samples],
        [Modality.IMAGE in sample.modalities for sample in samples],
        np.array([sample.position for sample in samples]),
        [leg_spread(sample.bare) for sample in samples if sample.bare is not None],
    )


def enrollable(gallery: Gallery, name: str, confirm: bool) -> str:
    """The name as it is stored.

    Raises:
        ValueError: not allowed, or of somebody who is disabled. LookAlikeNameError: not confirmed, and it looks like the
        name of somebody else.
    """
    clean = normalised_name(name)
    if gallery.is_disabled(clean):
        raise ValueError(f"'{clean}' is disabled and would not be named: enable them first, or use another name")
    if not confirm:
        refuse_look_alikes(clean, gallery.look_alikes(clean), "call again with confirm")
    return clean


def refused(error: Exception, track_id: int) -> EnrollmentResult:
    """The result of an enrolment that is refused."""
    confirmable = isinstance(error, UnlikelyWalkError | LookAlikeNameError)
    result = EnrollmentResult(False, str(error), track_id, needs_confirmation=confirmable)
    if isinstance(error, TrackChoiceError):
        result = dataclasses.replace(result, tracks_in_view=error.tracks, trackers_in_view=error.trackers)
    return result
