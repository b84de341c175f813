"""Who is named when people move otherwise than the network learnt, and whom the errors fall on: all of it simulated.

Everybody of a population is enrolled from an ordinary walk and walks past again in every way of ``unusual_walks``. Each of these walks
is played through the live decision, with the bundle's own limits, against many galleries of a few people: with their own templates among
them, and without, as a stranger. Groups of people are compared on ordinary walks alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.config import DecisionConfig, EnrollmentConfig, WindowConfig
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.steady_box import steadied
from emgait_ros.lab.evaluation.gallery_calibration import growing_windows, matcher_of
from emgait_ros.lab.evaluation.other_lidar import names_given
from emgait_ros.lab.evaluation.protocols import Figure, figure
from emgait_ros.lab.simulation.body import BodyShape
from emgait_ros.lab.simulation.unusual_walks import NO_GAIT, WALKS, UnusualWalker
from emgait_ros.lab.simulation.walks import generate_walk
from emgait_ros.recognition.calibration import share_interval
from emgait_ros.recognition.decision import Decider
from emgait_ros.recognition.enrollment import quality_of, template_embeddings
from emgait_ros.recognition.replay import WalkWindows
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.samples import Bool, Float32, Float64, Int64, Sample

FIRST_IDENTITY, SEED = 940_000, 11
"""No recipe of this package trains or calibrates on these people."""
FRAMES, ENROLLED, DRAWS = 30, 4, 20
NEAR_M, RANGES_M = (8.0, 15.0), (8.0, 30.0)
"""Where people are enrolled, and where they walk past."""
NORMAL_WALKS = 3
SHARES = ("named_rightly", "named_wrongly", "strangers_named")
SENTENCE = "simulated people, bodies and sensors; nothing here was measured on real ones"


@dataclass(frozen=True)
class Walked:
    """One walk of one person: its windows, and whether it would have been enrolled.

    Attributes:
        person: number from 0 on. way: of ``WALKS`` or ``NO_GAIT``.
        windows: one at every sample. templates: (T, parts, d) that enrolling it would store.
        refused: it shows no gait.
        clothes_of: person whose clothes they wear, or -1.
    """

    person: int
    way: str
    windows: WalkWindows
    templates: Float32
    refused: bool
    clothes_of: int = -1


@dataclass(frozen=True)
class Population:
    """Everybody's enrolment and walks."""

    shapes: list[BodyShape]
    stature_m: Float64
    templates: list[Float32]
    walks: list[Walked]


def walk_everybody(encoder: GaitEncoder, people: int, progress: Callable[[float], None]) -> Population:
    """Simulate and embed everybody's walks.

    Args:
        encoder: of the bundle.
        people: how many; at least ``ENROLLED`` + 2.
        progress: called with the share done.

    Raises:
        ValueError: too few people.
    """
    if people < ENROLLED + 2:
        raise ValueError(
            f"{people} people: expected at least {ENROLLED + 2}, of whom {ENROLLED} are enrolled at a time"
        )
    walkers = [UnusualWalker(FIRST_IDENTITY + person, 0, "normal", seed=SEED) for person in range(people)]
    stature = np.array([walker.stature_m for walker in walkers])
    order = np.argsort(stature, kind="stable")
    partner = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))  # nearly as tall: clothes that fit
    found = Population([walker.shape for walker in walkers], stature, [], [])
    for person, walker in enumerate(walkers):
        rng = np.random.default_rng((SEED, person))
        near, view = rng.uniform(*NEAR_M), rng.uniform(0, 360)
        enrolled = [_seen(encoder, walker, near, view + turn).templates for turn in (0.0, 120.0)]
        found.templates.append(np.concatenate(enrolled))
        for way in ("normal",) * (NORMAL_WALKS - 1) + WALKS + NO_GAIT:
            clothes = partner[person] if way == "swapped clothes" else -1
            number = 1 + sum(walk.person == person and walk.way == way for walk in found.walks[-NORMAL_WALKS:])
            owner = FIRST_IDENTITY + clothes if clothes >= 0 else None
            moved = UnusualWalker(FIRST_IDENTITY + person, number, way, seed=SEED, clothes_of=owner)
            found.walks.append(_seen(encoder, moved, rng.uniform(*RANGES_M), rng.uniform(0, 360), person, way, clothes))
        progress((person + 1) / people)
    return found


def _seen(
    encoder: GaitEncoder,
    walker: UnusualWalker,
    range_m: float,
    view_deg: float,
    person: int = 0,
    way: str = "normal",
    clothes_of: int = -1,
) -> Walked:
    """One walk as the recognizer takes it."""
    config = WindowConfig()
    range_m, view_deg = round(range_m, 1), round(view_deg) % 360
    walk = generate_walk(walker.identity, walker.walk, range_m, view_deg, FRAMES, seed=SEED, walker=walker)
    samples = [s for s in steadied(walk) if s.points is not None and s.point_count >= config.min_points]
    track = TrackWindow("", person, deque())
    for features, sample in zip(_features(encoder, samples), samples, strict=True):
        track.add(features, sample, False, encoder.sensors)
    windows = growing_windows(track.samples, config, encoder.embed)
    kept = [sample.features for sample in track.samples]
    templates = template_embeddings(encoder, kept, config.min_samples)[0]
    refused = bool(quality_of(track).leg_swing_m < EnrollmentConfig().min_leg_swing_m)
    return Walked(person, way, windows, templates, refused, clothes_of)


def _features(encoder: GaitEncoder, samples: Sequence[Sample]) -> list[Any]:
    return list(encoder.encode_frames(encoder.prepare(samples), None, np.arange(len(samples)) - 1))


def by_way(encoder: GaitEncoder, people: Population) -> dict[str, dict[str, Figure]]:
    """For each way of moving ``SHARES``, and ``refused``: how many of these walks would not be enrolled.

    "swapped clothes": the person whose clothes they wear is enrolled in all galleries.
    """
    gallery = _Galleries(encoder, dict(enumerate(people.templates)))
    found = {}
    for way in WALKS + NO_GAIT:
        walks = [walk for walk in people.walks if walk.way == way]
        shares = gallery.played(walks)
        who = np.array([walk.person for walk in walks])
        refused = np.array([walk.refused for walk in walks], np.float64)
        found[way] = {name: _share(*counts, who) for name, counts in zip(SHARES, shares, strict=True)}
        found[way]["refused"] = _share(refused, np.ones(len(walks)), who)
    return found


def enrolled_without_gait(encoder: GaitEncoder, people: Population) -> dict[str, Figure]:
    """For each of ``NO_GAIT`` the strangers who are named when people moving like that are enrolled like that: why they are refused."""
    found = {}
    for way in NO_GAIT:
        walks = [walk for walk in people.walks if walk.way == way]
        gallery = _Galleries(encoder, {walk.person: walk.templates for walk in walks})
        _, _, strangers = gallery.played(walks)
        found[way] = _share(*strangers, np.array([walk.person for walk in walks]))
    return found


def by_group(encoder: GaitEncoder, people: Population) -> dict[str, dict[str, tuple[int, dict[str, Figure]]]]:
    """``SHARES`` of ordinary walks by sex, stature, build and age: group -> how many people, and their figures."""
    walks = [walk for walk in people.walks if walk.way == "normal"]
    who = np.array([walk.person for walk in walks])
    shares = _Galleries(encoder, dict(enumerate(people.templates))).played(walks)
    found: dict[str, dict[str, tuple[int, dict[str, Figure]]]] = {}
    for kind, groups in groups_of(people.shapes, people.stature_m).items():
        for name, members in groups.items():
            rows = members[who]
            figures = {
                share: _share(hits[rows], trials[rows], who[rows])
                for share, (hits, trials) in zip(SHARES, shares, strict=True)
            }
            found.setdefault(kind, {})[name] = int(members.sum()), figures
    return found


def groups_of(shapes: Sequence[BodyShape], stature_m: Float64) -> dict[str, dict[str, Bool]]:
    """Who of N people belongs to which group, (N,) bool. Ages are those of the body's shape: 2/3 is 25 years, 1 is 90."""
    women = np.array([shape.gender > 0.5 for shape in shapes])
    weight = np.array([shape.weight for shape in shapes])
    years = np.array([25.0 + (shape.age - 2 / 3) * 3 * 65.0 for shape in shapes])
    return {
        "sex": {"women": women, "men": ~women},
        "stature": _bands(stature_m, (1.62, 1.75), "m"),
        "build": {
            "slim": weight < 0.45, "medium": (weight >= 0.45) & (weight < 0.65), "heavy": weight >= 0.65,
        },
        "age": _bands(years, (40, 55), "years"),
    }  # fmt: skip


def _bands(values: Float64, limits: tuple[float, float], unit: str) -> dict[str, Bool]:
    low, high = limits
    return {
        f"below {low} {unit}": values < low,
        f"{low} to {high} {unit}": (values >= low) & (values < high),
        f"{high} {unit} or more": values >= high,
    }


class _Galleries:
    """Galleries of a few people drawn from everybody, and the bundle's decision."""

    def __init__(self, encoder: GaitEncoder, templates: dict[int, Float32]) -> None:
        bundle, self._matcher = encoder.bundle, matcher_of(templates, encoder.sensors)
        self._decider = Decider(DecisionConfig(), bundle.threshold, bundle.min_margin, sensors=encoder.sensors)
        self._limit = self._decider.limit(encoder.sensors)
        self._people: Int64 = np.array(sorted(templates), np.int64)

    def played(self, walks: Sequence[Walked]) -> tuple[tuple[Float64, Float64], ...]:
        """For each of ``SHARES`` hits and trials (W,): ``DRAWS`` galleries with the person, as many without."""
        counts, rng = np.zeros((len(SHARES), len(walks))), np.random.default_rng(SEED)
        columns = self._matcher.columns
        for row, walk in enumerate(walks):
            if not len(walk.windows.embedding):
                continue
            matches = self._matcher.search(walk.windows.embedding, walk.windows.modalities)
            fixed = [walk.clothes_of] if walk.clothes_of >= 0 else []
            others = self._people[~np.isin(self._people, [walk.person, *fixed])]
            for known in (True, False):
                there = [*fixed, walk.person] if known else fixed
                for _ in range(DRAWS):
                    drawn = [*there, *rng.permutation(others)[: ENROLLED - len(there)].tolist()]
                    places = np.array([columns[person + 1] for person in drawn])
                    given = names_given(self._decider, self._limit, matches, places, walk.windows)
                    if known:
                        counts[0, row] += walk.person + 1 in given
                        counts[1, row] += bool(given - {walk.person + 1})
                    else:
                        counts[2, row] += bool(given)
        trials = np.full(len(walks), float(DRAWS))
        return tuple((hits, trials) for hits in counts)


def _share(hits: Float64, trials: Float64, who: Int64) -> Figure:
    """With an interval over people; of a share of nothing, or of everything, as if each person had counted once."""
    found, people = figure(hits, trials, who), len(np.unique(who))
    if found.value in (0.0, 1.0):
        low, high = share_interval(round(found.value * people), people)
        return Figure(found.value, low, high, found.comparisons)
    return found


def how_much(people: Population) -> str:
    """How much was simulated."""
    passes = len(people.walks) + 2 * len(people.templates)
    windows = sum(len(walk.windows.embedding) for walk in people.walks)
    return (
        f"{len(people.templates)} people, {passes} walks of {FRAMES} samples, {windows} windows; {ENROLLED} enrolled at a time, "
        f"{DRAWS} galleries a walk; {SENTENCE}"
    )
