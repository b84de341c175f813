"""From distances to a status: PENDING, UNKNOWN or KNOWN, for all tracks in view of one tracker together.

Each new window of a track casts a vote: an identity, or nobody. An identity gets the vote when it is nearer than the
threshold, leads the second by the margin, and is this track's in the joint assignment: two people in view are never the
same person. A status takes ``agree_windows`` equal votes in a row; a name once given is kept while its distance stays
within ``hysteresis`` times the threshold, until as many votes in a row say otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgait_ros.config import DecisionConfig
from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.matcher import Matches
from emgait_ros.samples import Candidate, Float32, Int64, Modality, Status

_NOBODY = 0  # a vote, or a decided status, for no identity (identity numbers start at 1)
_SENSORS = {
    Modality.NONE: "no sensor",
    Modality.IMAGE: "the camera alone",
    Modality.POINTS: "the LiDAR alone",
    Modality.BOTH: "both sensors",
}


@dataclass
class TrackState:
    """What earlier windows of one track have settled.

    Attributes:
        decided: identity number, 0 (decided to be nobody enrolled) or None (not decided yet).
        vote: what the last windows voted for; None before the first.
        streak: how many windows in a row did; a weak one counts as half.
    """

    decided: int | None = None
    vote: int | None = None
    streak: float = 0.0

    def reset(self) -> None:
        """Back to nothing known."""
        self.decided, self.vote, self.streak = None, None, 0.0


@dataclass(frozen=True)
class Decision:
    """Outcome for one track; fields as in :class:`emgait_ros.samples.IdentityResult`.

    ``probability``: that the track is who is named, or the nearest; NaN without a calibration of this gallery.
    """

    status: Status
    name: str
    distance: float
    threshold: float
    margin: float
    candidates: tuple[Candidate, ...]
    reason: str
    probability: float = float("nan")


@dataclass(frozen=True)
class _Vote:
    identity: int
    distance: float
    margin: float
    reason: str


class Decider:
    """The rules, with their limits; the state lies with the tracks.

    Args:
        config: options of the decision.
        bundle_threshold: calibrated threshold of the model bundle; None or 0 when it has none.
        bundle_min_margin: margin of the bundle; None or 0 when it has none.
        calibration: of the gallery, with this model: goes before the bundle's limits.

    Attributes:
        threshold, min_margin: in use.
        name_changes: how often a name that was shown gave way to another, or to none.
    """

    def __init__(
        self,
        config: DecisionConfig,
        bundle_threshold: float | None,
        bundle_min_margin: float | None,
        calibration: Calibration | None = None,
    ) -> None:
        self._config = config
        self._bundle = (bundle_threshold or 0.0, bundle_min_margin or 0.0)
        self.name_changes = 0
        self.calibrate(calibration)

    def reconfigure(self, config: DecisionConfig) -> None:
        """Use other options from now on; what tracks have settled stays."""
        self._config = config
        self.calibrate(self._calibration)

    def calibrate(self, calibration: Calibration | None) -> None:
        """Take over the gallery's calibration, or its absence; options of the user go before it."""
        self._calibration = calibration
        threshold, margin = (calibration.threshold, calibration.min_margin) if calibration else (0.0, 0.0)
        self.threshold = self._config.threshold or threshold or self._bundle[0]
        self.min_margin = self._config.min_margin or margin or self._bundle[1]

    def limit(self, modalities: Modality) -> float:
        """Distance below which a window from these sensors is accepted; NaN without a threshold."""
        if not self.threshold:
            return float("nan")
        return self.threshold * (1.0 if modalities == Modality.BOTH else self._config.one_sensor_factor)

    def decide(
        self,
        states: Sequence[TrackState],
        matches: Matches,
        modalities: Sequence[Modality],
        fresh: Sequence[bool],
        empty_reason: str = "the gallery is empty: call the enroll service",
        weak: Sequence[str] = (),
    ) -> list[Decision]:
        """Decide for all tracks in view that have a window; updates their states.

        Args:
            states: one per track.
            matches: row i belongs to track i.
            modalities: sensors behind each track's window.
            fresh: the window is new since the last call: only those vote.
            empty_reason: said when there is nobody to compare with.
            weak: why each window says little, empty where it does not; () for none. Weak windows count as half a vote.
        """
        weak = weak or [""] * len(states)
        columns = {int(identity): column for column, identity in enumerate(matches.identity_id)}
        for state in states:  # removed or merged since
            if state.decided and state.decided not in columns:
                state.reset()
        limits = np.array([self.limit(modality) for modality in modalities], np.float64)
        assigned = self._assign(states, matches, limits, columns)
        votes = [
            self._vote(row, states, matches, modalities[row], limits[row], assigned, empty_reason)
            for row in range(len(states))
        ]
        for state, vote, new, doubt in zip(states, votes, fresh, weak, strict=True):
            if new:
                self._count(state, vote.identity, 0.5 if doubt else 1.0)
        self._keep_names_unique(states, votes, matches, columns)
        return [
            self._with_notes(
                self._decision(row, states[row], votes[row], matches, columns, float(limits[row])), weak[row]
            )
            for row in range(len(states))
        ]

    def _assign(
        self, states: Sequence[TrackState], matches: Matches, limits: NDArray[np.float64], columns: dict[int, int]
    ) -> Int64:
        """(B,) column each track may claim, or -1: the joint optimum of distance over limit, where nobody costs 1."""
        claimed = np.full(len(states), -1, np.int64)
        if not self.threshold or not len(states) or not len(columns):
            return claimed
        cost = matches.distance / limits[:, None]
        for row, state in enumerate(states):
            if state.decided:
                cost[row, columns[state.decided]] /= self._config.hysteresis
        eligible = (cost < 1.0) & matches.comparable
        wanted = np.flatnonzero(eligible.any(axis=0))
        if not len(wanted):
            return claimed
        impossible = 10.0 * len(states)
        table = np.where(eligible[:, wanted], cost[:, wanted], impossible)
        table = np.concatenate([table, np.ones((len(states), len(states)))], axis=1)
        rows, chosen = linear_sum_assignment(table)
        named = chosen < len(wanted)
        claimed[rows[named]] = wanted[chosen[named]]
        return claimed

    def _vote(
        self,
        row: int,
        states: Sequence[TrackState],
        matches: Matches,
        modalities: Modality,
        limit: float,
        assigned: Int64,
        empty_reason: str,
    ) -> _Vote:
        if not len(matches.identity_id):
            return _Vote(_NOBODY, float("nan"), float("nan"), empty_reason)
        distances, claim = matches.distance[row], int(assigned[row])
        best = claim if claim >= 0 else int(distances.argmin())
        elsewhere = {int(state.decided) for other, state in enumerate(states) if other != row and state.decided}
        rival = _nearest_rival(distances, matches, best, elsewhere)
        margin = float(distances[rival] - distances[best]) if rival is not None else float("nan")
        said = f"'{matches.names[best]}' at {distances[best]:.2f}"
        if claim < 0:
            reason = self._why_nobody(matches, row, best, said, limit, modalities)
            return _Vote(_NOBODY, float(distances[best]), margin, reason)
        identity = int(matches.identity_id[claim])
        if rival is not None and margin < self.min_margin and states[row].decided != identity:
            reason = (
                f"margin {margin:.2f} below {self.min_margin:.2f}: '{matches.names[best]}' or '{matches.names[rival]}'"
            )
            return _Vote(_NOBODY, float(distances[best]), margin, reason)
        reason = f"{said}, threshold {limit:.2f}" + (f", margin {margin:.2f}" if rival is not None else "")
        return _Vote(identity, float(distances[best]), margin, reason + _sensor_note(modalities))

    def _why_nobody(self, matches: Matches, row: int, best: int, said: str, limit: float, modalities: Modality) -> str:
        if not self.threshold:
            return f"the model bundle has no calibrated threshold, set decision.threshold: nearest {said}"
        if not matches.comparable[row, best]:
            return f"nearest {said} was not enrolled from {_SENSORS[modalities]}, which is all this walk has: no name is given"
        if matches.distance[row, best] < limit:
            return f"{said} is another pedestrian in view"
        return f"nearest {said}, threshold {limit:.2f}" + _sensor_note(modalities)

    def _count(self, state: TrackState, vote: int, weight: float) -> None:
        state.streak = state.streak + weight if state.vote == vote else weight
        state.vote = vote
        if state.streak >= self._config.agree_windows:
            self.name_changes += bool(state.decided) and state.decided != vote
            state.decided = vote

    def _with_notes(self, decision: Decision, weak: str) -> Decision:
        chance = self._calibration.chance_of(decision.distance) if self._calibration else float("nan")
        said = f", probability {chance:.0%}" if np.isfinite(chance) and decision.status == Status.KNOWN else ""
        reason = decision.reason + said + (f"; weak window: {weak}" if weak else "")
        return dataclasses.replace(decision, reason=reason, probability=chance)

    def _keep_names_unique(
        self, states: Sequence[TrackState], votes: Sequence[_Vote], matches: Matches, columns: dict[int, int]
    ) -> None:
        """Of several tracks that hold one name (one was out of view), the one this round's assignment gave it keeps it."""
        holders: dict[int, list[int]] = {}
        for row, state in enumerate(states):
            if state.decided:
                holders.setdefault(state.decided, []).append(row)
        for identity, rows in holders.items():
            if len(rows) > 1:
                column = columns[identity]
                keeper = min(rows, key=lambda row: (votes[row].identity != identity, matches.distance[row, column]))
                for row in rows:
                    if row != keeper:
                        states[row].reset()

    def _decision(
        self, row: int, state: TrackState, vote: _Vote, matches: Matches, columns: dict[int, int], limit: float
    ) -> Decision:
        agree = self._config.agree_windows
        distance, margin = vote.distance, vote.margin
        candidates = nearest_candidates(matches.distance[row], matches.names, self._config.candidates)
        if state.decided is None:
            voted = f"'{matches.names[columns[state.vote]]}'" if state.vote in columns else "nobody enrolled"
            reason = f"{state.streak:g} of {agree} windows agree on {voted}: {vote.reason}"
            return Decision(Status.PENDING, "", distance, limit, margin, candidates, reason)
        contrary = (
            f"; {state.streak:g} of {agree} windows say otherwise"
            if state.vote != state.decided and state.vote is not None
            else ""
        )
        if state.decided == _NOBODY:
            return Decision(Status.UNKNOWN, "", distance, limit, margin, candidates, vote.reason + contrary)
        name = matches.names[columns[state.decided]]
        if vote.identity != state.decided:
            distance = float(matches.distance[row, columns[state.decided]])
            margin = float("nan")
            contrary = f"'{name}' is kept{contrary}: "
            return Decision(Status.KNOWN, name, distance, limit, margin, candidates, contrary + vote.reason)
        return Decision(Status.KNOWN, name, distance, limit, margin, candidates, vote.reason)


def nearest_candidates(distance: Float32, names: Sequence[str], count: int) -> tuple[Candidate, ...]:
    """The ``count`` nearest identities, nearest first, from (I,) distances."""
    count = min(count, len(names))
    if not count:
        return ()
    near = np.argpartition(distance, count - 1)[:count]
    near = near[np.argsort(distance[near], kind="stable")]
    return tuple(Candidate(names[column], float(distance[column])) for column in near)


def _nearest_rival(distances: Float32, matches: Matches, best: int, elsewhere: set[int]) -> int | None:
    """Column of the nearest identity other than ``best`` that is not already known to be somebody else in view."""
    count = min(len(distances), len(elsewhere) + 2)
    near = np.argpartition(distances, count - 1)[:count]
    for column in near[np.argsort(distances[near], kind="stable")]:
        if column != best and int(matches.identity_id[column]) not in elsewhere:
            return int(column)
    return None


def _sensor_note(modalities: Modality) -> str:
    return "" if modalities == Modality.BOTH else f", from {_SENSORS[modalities]}"
