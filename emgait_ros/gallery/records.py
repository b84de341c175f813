"""What goes into a gallery and comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from emgait_ros.samples import Float32, Int64

COLUMNS_OF_A_TEMPLATE = "identity_id, fingerprint, parts, dimensions, embedding, checksum, samples, modalities, median_range_m, created_ns, quality"
"""Columns of the table of templates that are given when one is added."""


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
