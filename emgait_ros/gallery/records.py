"""What goes into a gallery and comes out of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emgait_ros.foreign import parsed_json
from emgait_ros.samples import Float32, Int64


@dataclass(frozen=True)
class EnrolledIdentity:
    """A person in the gallery.

    Attributes:
        identity_id: number in this gallery, never reused.
        name: as shown.
        enrolled_ns: time of the first enrolment, ns since 1970.
        templates: number of templates, of all models.
        templates_by_model: number of templates of each model fingerprint.
        samples: samples the templates rest on, most of any one template.
        disabled: kept, but never named.
        expired_ns: since when kept, but never named, because nobody enrolled them for ``gallery.keep_days``; 0: not.
    """

    identity_id: int
    name: str
    enrolled_ns: int
    templates: int
    templates_by_model: dict[str, int]
    samples: int
    disabled: bool = False
    expired_ns: int = 0


@dataclass(frozen=True)
class TemplateSet:
    """Templates of one model, as a struct of arrays over N templates.

    Attributes:
        identity_id: (N,) int64.
        embedding: (N, parts, d) float32; (0, 0, 0) when there are none.
        modalities: (N,) int64, bits of :class:`emgait_ros.samples.Modality`.
        names: name of each identity in ``identity_id``.
        left_out: for each identity some of whose templates are not in here, why: damaged, or not that person's.
    """

    identity_id: Int64
    embedding: Float32
    modalities: Int64
    names: dict[int, str]
    left_out: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """One template; ``embedding`` is (parts, d) float32, the rest as in :class:`TemplateInfo`."""

    fingerprint: str
    embedding: Float32
    samples: int
    modalities: int
    median_range_m: float
    created_ns: int
    quality: str

    def facts(self) -> dict[str, Any]:
        """All but the embedding, of which there is the shape; JSON values."""
        values = {name: value for name, value in vars(self).items() if name != "embedding"}
        return {**values, "shape": list(self.embedding.shape)}


@dataclass(frozen=True)
class TemplateInfo:
    """What is known of one stored template; ``created_ns`` is shared by those of one enrolment, ``quality`` is JSON."""

    template_id: int
    fingerprint: str
    samples: int
    modalities: int
    median_range_m: float
    created_ns: int
    quality: str


@dataclass(frozen=True)
class RenameOutcome:
    """``merged``: the new name existed; ``templates``: how many it has now."""

    merged: bool
    templates: int


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit log; ``action`` is enroll, remove, rename, merge, split, disable, undo ..."""

    at_ns: int
    action: str
    name: str
    detail: str


def checked_embeddings(embeddings: Float32, fingerprint: str, samples: Sequence[int]) -> Float32:
    """Embeddings as they are stored: (N, parts, d) little-endian float32, contiguous; a single one becomes N = 1.

    Raises:
        ValueError: another shape, not finite, sample counts that do not fit, or no fingerprint.
    """
    rows = np.ascontiguousarray(embeddings, "<f4")
    rows = rows[None] if rows.ndim == 2 else rows
    if rows.ndim != 3 or 0 in rows.shape:
        raise ValueError(f"embeddings have shape {np.shape(embeddings)}: expected (templates, parts, dimensions)")
    if len(samples) != len(rows):
        raise ValueError(f"{len(samples)} sample counts for {len(rows)} embeddings: expected one each")
    if not np.isfinite(rows).all():
        raise ValueError("an embedding is not finite: the model or its input is broken; run `emgait doctor`")
    if not fingerprint:
        raise ValueError("embeddings come without a model fingerprint: they could never be compared")
    return rows


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it rests on.

    Attributes:
        threshold: a distance strictly below it is accepted.
        false_accept_rate: the rate asked for; the expected one is at most this.
        false_accept_interval: the true rate lies within, with probability ``confidence`` over the choice of impostor tracks.
        false_accepts: impostor tracks below the threshold.
        impostor_tracks: how many there were.
        true_accept_rate: share of genuine tracks below the threshold; NaN without any.
        true_accept_interval: Clopper-Pearson interval of that share.
        genuine_tracks: how many there were.
        confidence: of both intervals.
        min_margin: smallest lead over the second identity; 0: the bundle's.
        probability: (slope, offset) of the logistic curve over the distance, fitted with as much weight on genuine as on
            impostor tracks; None without genuine tracks.
        ranges_m: smallest and largest range of the tracks, m.
        returns_at_10m: 5th and 95th percentile of the samples' LiDAR returns, scaled to 10 m; distinguishes sensors.
        impostor_people: number of people the impostor tracks are of; 0: not noted.
        gallery_size: identities the impostor tracks were compared with.
        source: where the tracks come from, in words.
        distances: genuine and impostor distances it rests on.
    """

    threshold: float
    false_accept_rate: float
    false_accept_interval: tuple[float, float]
    false_accepts: int
    impostor_tracks: int
    true_accept_rate: float
    true_accept_interval: tuple[float, float]
    genuine_tracks: int
    confidence: float
    min_margin: float = 0.0
    probability: tuple[float, float] | None = None
    ranges_m: tuple[float, float] = (0.0, float("inf"))
    returns_at_10m: tuple[float, float] = (0.0, float("inf"))
    gallery_size: int = 0
    impostor_people: int = 0
    source: str = ""
    distances: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def to_json(self) -> str:
        """As it is stored with a gallery."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> Calibration:
        """The other way round.

        Raises:
            ValueError: not what :meth:`to_json` wrote.
        """
        try:
            values: dict[str, Any] = parsed_json(text)
            values["distances"] = tuple(tuple(part) for part in values["distances"])
            for name in ("false_accept_interval", "true_accept_interval", "ranges_m", "returns_at_10m", "probability"):
                if values.get(name) is not None:
                    values[name] = tuple(values[name])
            return Calibration(**values)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"the gallery's stored calibration is damaged ({error}): calibrate again") from error

    def __str__(self) -> str:
        low, high = self.false_accept_interval
        promise = (
            f"threshold {self.threshold:.4f}: at most {self.false_accept_rate:.2%} of strangers' walks are expected to get a name, "
            f"the true rate lies in {low:.2%} to {high:.2%} with {self.confidence:.0%} confidence. It rests on "
            f"{self.impostor_tracks} walks of {self.impostor_people or self.impostor_tracks} strangers, compared with "
            f"{self.gallery_size} identities"
        )
        if not self.genuine_tracks:
            return promise + "; how many enrolled people it lets through is not known"
        low, high = self.true_accept_interval
        return promise + (
            f"; it lets {self.true_accept_rate:.1%} ({low:.1%} to {high:.1%}) of {self.genuine_tracks} walks of enrolled people through"
        )

    def chance_of(self, distance: float) -> float:
        """Probability that a track at this distance is that person; NaN without one calibrated."""
        if self.probability is None or not np.isfinite(distance):
            return float("nan")
        slope, offset = self.probability
        return float(1.0 / (1.0 + np.exp(np.clip(slope * distance + offset, -60.0, 60.0))))
