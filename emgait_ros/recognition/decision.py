"""From distances to a status: PENDING, UNKNOWN or KNOWN, for all tracks in view of one tracker together.

Each new window of a track casts a vote: an identity, or nobody. An identity gets the vote when it is nearer than the
threshold, leads the second by the margin, and is this track's in the joint assignment: two people in view are never the
same person. A status takes ``agree_windows`` equal votes in a row; a name once given is kept while its distance stays
within ``hysteresis`` times the threshold, until as many votes in a row say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from scipy.optimize import linear_sum_assignment

from emgait_ros.config import DecisionConfig
from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.matcher import Matches
from emgait_ros.samples import Candidate, Float32, Float64, Int64, Modality, Status

_NAN = float("nan")
_NOBODY = 0  # a vote, or a decided status, for no identity (identity numbers start at 1)


class Why(Enum):
    """Reason for a vote. NEAR_ENOUGH votes for an identity, all others for nobody; the last three precede any vote."""

    NEAR_ENOUGH = auto()
    TOO_FAR = auto()
    MARGIN = auto()  # the second identity is too near as well
    TAKEN = auto()  # the nearest is another pedestrian in view
    OTHER_SENSORS = auto()  # the nearest was not enrolled from the sensors of this window
    NO_THRESHOLD = auto()
    NOBODY_ENROLLED = auto()
    FEW_SAMPLES = auto()
    GROUP = auto()  # people too close together to be distinguished
    NOT_KEPT = auto()  # more tracks in view than are kept


@dataclass(frozen=True)
class Weakness:
    """Why a window is weak evidence of an identity; false when it is not.

    Attributes:
        few_returns: LiDAR returns a sample; None when they are enough.
        dark: its images are.
    """

    few_returns: float | None = None
    dark: bool = False

    def __bool__(self) -> bool:
        return self.dark or self.few_returns is not None


@dataclass
class TrackState:
    """What was decided about one track from its earlier windows.

    Attributes:
        decided: identity number, 0 (decided to be nobody enrolled) or None (not decided yet).
        vote: what the last windows voted for; None before the first.
        streak: how many windows in a row did; a weak one counts as half.
    """

    decided: int | None = None
    vote: int | None = None
    streak: float = 0.0

    def reset(self) -> None:
        """Forget what was decided."""
        self.decided, self.vote, self.streak = None, None, 0.0


@dataclass(frozen=True)
class Vote:
    """The vote of one window.

    Attributes:
        why: the reason.
        identity: number of the identity it votes for; 0: nobody.
        nearest: name of the identity it was compared with in the end; empty without one.
        distance: to that identity; NaN without one.
        rival: name of the second identity; empty without one.
        margin: distance of the rival minus that of the nearest; NaN without a rival.
    """

    why: Why
    identity: int = _NOBODY
    nearest: str = ""
    distance: float = _NAN
    rival: str = ""
    margin: float = _NAN


@dataclass(frozen=True)
class Decision:
    """Outcome for one track, in states and numbers; :mod:`emgait_ros.recognition.explain` puts it into words.

    Attributes:
        status: PENDING, UNKNOWN or KNOWN.
        vote: of the window as it is now.
        threshold: distance below which a window from these sensors is accepted; NaN without one.
        min_margin: lead over the second identity that a new name takes.
        modalities: sensors the window rests on; complete: they are all that the model looks at.
        identity, name: who the track is; 0 and empty unless KNOWN.
        distance: to the named identity, else to the nearest; NaN when nothing was compared.
        margin: of the vote; NaN when a name is kept against it. candidates: the nearest identities, nearest first.
        probability: that the track is the named identity, else the nearest; NaN without a calibration of this gallery.
        streak, agree_windows: how many windows in a row agree, and how many must.
        agree_on: name they agree on; empty: nobody.
        contrary: they contradict what is decided.
        weakness: of the window.
        samples, samples_needed: in the window, and in a full one.
        left_out: why the last sample was left out; empty when it was not.
        outside: sentences on what the calibration did not cover.
        nobody_because: why there is nobody to compare with, as the gallery says; empty: it is empty.
    """

    status: Status
    vote: Vote
    threshold: float
    min_margin: float = 0.0
    modalities: Modality = Modality.NONE
    complete: bool = True
    identity: int = _NOBODY
    name: str = ""
    distance: float = _NAN
    margin: float = _NAN
    candidates: tuple[Candidate, ...] = ()
    probability: float = _NAN
    streak: float = 0.0
    agree_windows: int = 0
    agree_on: str = ""
    contrary: bool = False
    weakness: Weakness = Weakness()
    samples: int = 0
    samples_needed: int = 0
    left_out: str = ""
    outside: tuple[str, ...] = ()
    nobody_because: str = ""


@dataclass(frozen=True)
class _Windows:
    """What is compared in one call, by row: ``matches``, ``limits`` of distance, ``modalities`` and ``weak`` of the windows."""

    matches: Matches
    limits: Float64
    modalities: Sequence[Modality]
    weak: Sequence[Weakness]
    columns: dict[int, int]  # of identity numbers in ``matches``


class Decider:
    """The decision rules with their limits; the state is kept with the tracks.

    Args:
        config: options of the decision.
        bundle_threshold: calibrated threshold of the model bundle; None or 0 when it has none.
        bundle_min_margin: margin of the bundle; None or 0 when it has none.
        calibration: of the gallery, with this model; takes precedence over the bundle's limits.
        sensors: which the model looks at; a window from fewer of them has a lower limit.

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
        sensors: Modality = Modality.BOTH,
    ) -> None:
        self._config, self._sensors = config, sensors
        self._bundle = (bundle_threshold or 0.0, bundle_min_margin or 0.0)
        self.name_changes = 0
        self.calibrate(calibration)

    def reconfigure(self, config: DecisionConfig) -> None:
        """Use other options from now on; what was decided stays."""
        self._config = config
        self.calibrate(self._calibration)

    def calibrate(self, calibration: Calibration | None) -> None:
        """Take over the gallery's calibration, or its absence; the user's options take precedence."""
        self._calibration = calibration
        threshold, margin = (calibration.threshold, calibration.min_margin) if calibration else (0.0, 0.0)
        self.threshold = self._config.threshold or threshold or self._bundle[0]
        self.min_margin = self._config.min_margin or margin or self._bundle[1]

    def limit(self, modalities: Modality) -> float:
        """Distance below which a window from these sensors is accepted; NaN without a threshold."""
        if not self.threshold:
            return _NAN
        return self.threshold * (1.0 if modalities == self._sensors else self._config.one_sensor_factor)

    def decide(
        self,
        states: Sequence[TrackState],
        matches: Matches,
        modalities: Sequence[Modality],
        fresh: Sequence[bool],
        weak: Sequence[Weakness] = (),
    ) -> list[Decision]:
        """Decide for all tracks in view that have a window; updates their states.

        Args:
            states: one per track.
            matches: row i belongs to track i.
            modalities: sensors behind each track's window.
            fresh: the window is new since the last call: only those vote.
            weak: of each window; () for none. Weak windows count as half a vote.
        """
        limits = np.array([self.limit(modality) for modality in modalities], np.float64)
        columns = {int(identity): column for column, identity in enumerate(matches.identity_id)}
        windows = _Windows(matches, limits, modalities, weak or [Weakness()] * len(states), columns)
        for state in states:  # removed or merged since
            if state.decided and state.decided not in columns:
                state.reset()
        assigned = self._assign(states, windows)
        votes = [self._vote(row, states, windows, int(claim)) for row, claim in enumerate(assigned)]
        for state, vote, new, doubt in zip(states, votes, fresh, windows.weak, strict=True):
            if new:
                self._count(state, vote.identity, 0.5 if doubt else 1.0)
        self._keep_names_unique(states, votes, windows)
        return [self._decision(row, states[row], vote, windows) for row, vote in enumerate(votes)]

    def _assign(self, states: Sequence[TrackState], windows: _Windows) -> Int64:
        """(B,) column each track may claim, or -1: the joint optimum of distance over limit, where nobody costs 1."""
        matches, columns = windows.matches, windows.columns
        claimed = np.full(len(states), -1, np.int64)
        if not self.threshold or not len(states) or not len(columns):
            return claimed
        cost = matches.distance / windows.limits[:, None]
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

    def _vote(self, row: int, states: Sequence[TrackState], windows: _Windows, claim: int) -> Vote:
        """The vote of a window by itself; ``claim`` is the column it may claim, or -1."""
        matches = windows.matches
        if not len(matches.identity_id):
            return Vote(Why.NOBODY_ENROLLED)
        distances = matches.distance[row]
        best = claim if claim >= 0 else int(distances.argmin())
        elsewhere = {int(state.decided) for other, state in enumerate(states) if other != row and state.decided}
        rival = _nearest_rival(distances, matches, best, elsewhere)
        margin = float(distances[rival] - distances[best]) if rival is not None else _NAN
        identity, why = _NOBODY, Why.NEAR_ENOUGH
        if claim < 0:
            why = self._why_nobody(matches, row, best, float(windows.limits[row]))
        elif rival is not None and margin < self.min_margin and states[row].decided != matches.identity_id[claim]:
            why = Why.MARGIN
        else:
            identity = int(matches.identity_id[claim])
        second = matches.names[rival] if rival is not None else ""
        return Vote(why, identity, matches.names[best], float(distances[best]), second, margin)

    def _why_nobody(self, matches: Matches, row: int, best: int, limit: float) -> Why:
        if not self.threshold:
            return Why.NO_THRESHOLD
        if not matches.comparable[row, best]:
            return Why.OTHER_SENSORS
        return Why.TAKEN if matches.distance[row, best] < limit else Why.TOO_FAR

    def _count(self, state: TrackState, vote: int, weight: float) -> None:
        state.streak = state.streak + weight if state.vote == vote else weight
        state.vote = vote
        if state.streak >= self._config.agree_windows:
            self.name_changes += bool(state.decided) and state.decided != vote
            state.decided = vote

    def _keep_names_unique(self, states: Sequence[TrackState], votes: Sequence[Vote], windows: _Windows) -> None:
        """When several tracks hold one name (one was out of view), the one assigned to it now keeps it."""
        holders: dict[int, list[int]] = {}
        for row, state in enumerate(states):
            if state.decided:
                holders.setdefault(state.decided, []).append(row)
        for identity, rows in holders.items():
            if len(rows) > 1:
                distance = windows.matches.distance[:, windows.columns[identity]]
                keeper = min(rows, key=lambda row: (votes[row].identity != identity, distance[row]))
                for row in rows:
                    if row != keeper:
                        states[row].reset()

    def _decision(self, row: int, state: TrackState, vote: Vote, windows: _Windows) -> Decision:
        """The decision that follows from a track's state and vote."""
        matches, columns = windows.matches, windows.columns
        status, name, distance, margin = Status.PENDING, "", vote.distance, vote.margin
        if state.decided is not None:
            status = Status.KNOWN if state.decided else Status.UNKNOWN
        if state.decided:
            column = columns[state.decided]
            name = matches.names[column]
            if vote.identity != state.decided:
                distance, margin = float(matches.distance[row, column]), _NAN
        return Decision(
            status=status,
            vote=vote,
            threshold=float(windows.limits[row]),
            min_margin=self.min_margin,
            modalities=windows.modalities[row],
            complete=windows.modalities[row] == self._sensors,
            weakness=windows.weak[row],
            identity=state.decided or _NOBODY,
            name=name,
            distance=distance,
            margin=margin,
            candidates=nearest_candidates(matches.distance[row], matches.names, self._config.candidates),
            probability=self._calibration.chance_of(distance) if self._calibration else _NAN,
            streak=state.streak,
            agree_windows=self._config.agree_windows,
            agree_on=matches.names[columns[state.vote]] if state.vote in columns else "",
            contrary=None not in (state.vote, state.decided) and state.vote != state.decided,
        )


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
