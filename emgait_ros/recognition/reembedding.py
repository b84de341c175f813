"""Templates for another model from the samples of walks that were saved: nobody has to walk past again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emgait_ros.config import WindowConfig
from emgait_ros.gallery.history import UndoStep
from emgait_ros.gallery.saved_walks import unpack_walk
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.recognition.enrollment import template_embeddings
from emgait_ros.samples import Modality


@dataclass
class Reembedding:
    """What was made.

    Attributes:
        walks, templates: numbers of those made.
        people: whose.
        without: people who have no template of the model still: none of their walks was saved.
        problems: a sentence for each walk that could not be used.
    """

    walks: int = 0
    templates: int = 0
    people: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def reembed(
    gallery: Gallery,
    encoder: GaitEncoder,
    window: WindowConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reembedding:
    """Make templates of a model for all saved walks that have none of it; each walk is one transaction, all are one step of undoing.

    Args:
        gallery: with walks saved at enrolment (``gallery.save_samples``).
        encoder: of the model in use.
        window: as the recognizer uses it.
        progress: called with the walks done and their number.

    Raises:
        GalleryError (a ValueError): the gallery cannot be read or written; what was made so far stays.
    """
    report, step = Reembedding(), UndoStep()
    numbers = gallery.templates.walks_without(encoder.fingerprint)
    for done, number in enumerate(numbers):
        progress(done, len(numbers))
        try:
            name, facts, content = gallery.templates.walk(number)
            features = list(encoder.encode_frames(encoder.prepare(unpack_walk(content))))
            features = features[-encoder.bundle.max_frames :]
            shortest = max(window.min_samples, encoder.bundle.min_frames)
            embeddings, samples = template_embeddings(encoder, features, shortest)
        except ValueError as error:
            report.problems.append(str(error))
            continue
        gallery.enroll(
            name,
            embeddings,
            encoder.fingerprint,
            samples=samples,
            modalities=Modality(facts.modalities),
            median_range_m=facts.median_range_m,
            quality=facts.quality,
            created_ns=number,
            step=step,
        )
        report.walks += 1
        report.templates += len(embeddings)
        if name not in report.people:
            report.people.append(name)
    report.without = [p.name for p in gallery.identities() if not p.templates_by_model.get(encoder.fingerprint)]
    return report
