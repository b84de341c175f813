"""Traits: what the simulator knows about a walker, as targets of an auxiliary loss.

A walk's *signature* is where the joints are through one cycle, in the body's own axes, with pace and build beside it.
Linear discriminant analysis sorts its directions by their variance ratio (variance between people over variance between
one person's days, with the finest difference that a sensor resolves as a floor): the first few dozen are the traits. A
regression onto them uses every sequence, where classes and triplets compare a few at a time, and distances between
people's traits are the distances that a good embedding should have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.simulation.body import Body, BodyShape, PersonalBody, forward_kinematics
from emgait_ros.lab.simulation.gait import GaitSpace
from emgait_ros.lab.simulation.walker import day_of, person_of
from emgait_ros.samples import Float32, Float64

PHASES = 8  # of the cycle, at which joints are noted
DIRECTIONS = 60  # principal components of the joints that are looked at
TRAITS = 40  # at most
SMALLEST_VARIANCE_RATIO = 1e-3  # a smaller one is rounding: a few people span fewer directions
JOINTS_FLOOR_M = 0.15  # of a principal component over all joints and phases: some 5 mm a coordinate
PERIOD_FLOOR_S = 0.03
BUILD_FLOOR = (0.02, 0.35, 0.12, 0.10)  # stature in m; sex, muscle and weight in their ranges 0..1: clothes hide them


class Traits(NamedTuple):
    """Of S sequences.

    Attributes:
        today: (S, A) float32 traits of the day's walk, unit spread over people.
        person: (S, A) float32 of the person on an average day.
        variance_ratio: (A,) float32 variance between people over that between a person's days.
    """

    today: Float32
    person: Float32
    variance_ratio: Float32

    def distance(self, sequences: np.ndarray) -> Float32:
        """(B, B) float32 distances between the traits of the people of some sequences; 1 for an average pair of different people."""
        place = self.person[sequences] * np.sqrt(self.variance_ratio)
        apart = np.linalg.norm(place[:, None] - place[None], axis=-1)
        return np.asarray(apart / np.sqrt(2 * self.variance_ratio.sum()), np.float32)


class TraitAxes(NamedTuple):
    """How signatures become traits: centred by ``mean`` (G,), turned by ``turn`` (3 J * PHASES, DIRECTIONS), projected."""

    mean: Float64
    turn: Float64
    project: Float64
    variance_ratio: Float32

    def __call__(self, signatures: Float64) -> Float32:
        """(N, G) -> (N, A)."""
        return np.asarray(_turned(signatures - self.mean, self.turn) @ self.project, np.float32)


def walker_traits(data: SequenceSource, population: int, axes: TraitAxes | None = None) -> tuple[Traits, TraitAxes]:
    """Traits of every sequence's walker, and the axes they are given in.

    Args:
        data: whose walkers; their frames are not looked at.
        population: seed of the simulated people.
        axes: of another set, to have traits that can be compared; None: found here, which takes at least some dozen people
            with two days each.

    Raises:
        ValueError: nobody of the set walks on two days, and axes are to be found.
    """
    people, person_of_sequence = np.unique(data.identity, return_inverse=True)
    days, day_of_sequence = np.unique(np.stack([data.identity, data.walk], 1), axis=0, return_inverse=True)
    build = {int(identity): person_of(population, int(identity)) for identity in people}
    bodies = {identity: Body.load().personal(shape) for identity, (shape, _) in build.items()}
    usual = np.stack([_signature(*build[int(i)], bodies[int(i)]) for i in people])
    signatures = []
    for identity, walk in days:
        shape, latent = build[int(identity)]
        todays = GaitSpace.load().draw_walk(latent, day_of(population, int(identity), int(walk)))
        signatures.append(_signature(shape, todays, bodies[int(identity)]))
    daily = np.stack(signatures)
    axes = axes or _sorted_by_variance_ratio(daily, usual, days[:, 0])
    today, person = axes(daily), axes(usual)
    return Traits(today[day_of_sequence.ravel()], person[person_of_sequence.ravel()], axes.variance_ratio), axes


def _signature(shape: BodyShape, latent: Float64, body: PersonalBody) -> Float64:
    """(J * 3 * PHASES + 5,) joints through the cycle in m, root at the origin; period in s; stature, sex, muscle, weight."""
    gait = GaitSpace.load().parameters(latent)
    vectors = gait.rotation_vectors(np.linspace(0, 2 * np.pi, PHASES, endpoint=False))
    parent, root = Body.load().parent, np.zeros(3)
    joints = [forward_kinematics(v, parent, body.heads, body.neutral, root)[1] for v in vectors]
    build = (body.stature_m, shape.gender, shape.muscle, shape.weight)
    return np.concatenate([np.ravel(joints), [gait.period_s], build])


def _sorted_by_variance_ratio(daily: Float64, usual: Float64, owner: np.ndarray) -> TraitAxes:
    """Axes from signatures of days (D, G), whose ``owner`` (D,) are, and of persons on an average day (I, G)."""
    facts = 1 + len(BUILD_FLOOR)
    mean = daily.mean(axis=0)
    _, _, directions = np.linalg.svd(daily[:, :-facts] - mean[:-facts], full_matrices=False)
    turn = directions[:DIRECTIONS].T
    days, persons = _turned(daily - mean, turn), _turned(usual - mean, turn)
    names, number, count = np.unique(owner, return_inverse=True, return_counts=True)
    if count.max() < 2:
        raise ValueError("nobody walks on two days: traits are sorted by what stays the same from day to day")
    own_mean = np.stack([np.bincount(number, column) / count for column in days.T], axis=1)
    residual = days - own_mean[number]
    within = residual.T @ residual / max(1, len(days) - len(names))
    floor = np.array([JOINTS_FLOOR_M] * turn.shape[1] + [PERIOD_FLOOR_S, *BUILD_FLOOR])
    whiten = np.linalg.inv(np.linalg.cholesky(within + np.diag(floor**2)))
    variance_ratio, axes = np.linalg.eigh(whiten @ np.cov(persons.T) @ whiten.T)
    best = np.argsort(-variance_ratio)[:TRAITS]
    best = best[variance_ratio[best] > SMALLEST_VARIANCE_RATIO]
    project = (axes[:, best].T @ whiten).T / np.sqrt(variance_ratio[best])
    return TraitAxes(mean, turn, project, np.asarray(variance_ratio[best], np.float32))


def _turned(centred: Float64, turn: Float64) -> Float64:
    """Principal components of the joints, then the facts."""
    return np.concatenate([centred[:, : len(turn)] @ turn, centred[:, len(turn) :]], axis=1)
