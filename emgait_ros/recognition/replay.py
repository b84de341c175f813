"""One walk through the live decision, window by window: at which threshold would it have been given a name?

A calibration promises how often strangers are named, and a name is given by :class:`Decider`: agreeing windows, margin,
weak windows that count half. So the walks it rests on go through that very object, with a window at every sample.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from emgait_ros.config import DecisionConfig
from emgait_ros.recognition.decision import Decider, TrackState, Weakness
from emgait_ros.recognition.matcher import Matcher, Matches
from emgait_ros.samples import Float32, Modality

_NEAREST = 6  # people looked at in a window: as many as the recognizer asks its matcher for when one track is in view
_ABOVE = 1.0 + 1e-9  # a distance is accepted below the threshold, not at it


@dataclass(frozen=True)
class WalkWindows:
    """The windows of one track as it grew, oldest first.

    Attributes:
        embedding: (W, parts, d) float32.
        modalities: W, sensors behind each.
        weak: W, why each is weak, if it is.
        samples: W, samples seen when each was made, ascending.
    """

    embedding: Float32
    modalities: tuple[Modality, ...]
    weak: tuple[Weakness, ...]
    samples: tuple[int, ...]

    def until(self, samples: int) -> WalkWindows:
        """What there was when so many samples had been seen."""
        count = sum(seen <= samples for seen in self.samples)
        return WalkWindows(self.embedding[:count], self.modalities[:count], self.weak[:count], self.samples[:count])


class Replay:
    """Plays walks against one gallery.

    Args:
        matcher: who is enrolled.
        config: options of the decision; its threshold is what is looked for.
        min_margin: smallest lead over the second identity when the options give none: the bundle's.
        sensors: which the model looks at.
    """

    def __init__(
        self, matcher: Matcher, config: DecisionConfig, min_margin: float, sensors: Modality = Modality.BOTH
    ) -> None:
        self._matcher, self._sensors = matcher, sensors
        self._config = config
        self._min_margin = min_margin

    def naming_threshold(self, walk: WalkWindows, identity: int | None = None) -> float:
        """Largest threshold at which the walk alone in view is never given a name; it is at any larger one.

        Args:
            walk: its windows.
            identity: only this person's name counts; None: any.

        Returns:
            A distance; infinite when no threshold gives a name.
        """
        if not len(walk.embedding) or not self._matcher.identities:
            return float("inf")
        matches = self._near(walk, identity)
        distance = matches.distance
        if identity is not None:
            distance = distance[:, matches.identity_id == identity]
        share = [1.0 if sensors == self._sensors else self._config.one_sensor_factor for sensors in walk.modalities]
        steps = np.unique(distance.min(axis=1).astype(np.float64) / share)
        if not self._named(matches, walk, float(steps[-1]), identity):
            return float("inf")
        low, high = 0, len(steps) - 1  # the name comes at ``high``
        while low < high:
            middle = (low + high) // 2
            if self._named(matches, walk, float(steps[middle]), identity):
                high = middle
            else:
                low = middle + 1
        return float(steps[high])

    def is_named(self, walk: WalkWindows, threshold: float, identity: int | None = None) -> bool:
        """Whether the walk is given a name (that of ``identity``, if given) at any time."""
        if not len(walk.embedding) or not self._matcher.identities:
            return False
        return self._named(self._near(walk, identity), walk, threshold / _ABOVE, identity)

    def nearest(self, walk: WalkWindows) -> float:
        """Smallest distance of any window to anybody."""
        return float(self._matcher.search(walk.embedding, walk.modalities).distance.min())

    def _near(self, walk: WalkWindows, identity: int | None) -> Matches:
        """Distances of all windows to whoever is among the nearest of one of them."""
        found = self._matcher.search(walk.embedding, walk.modalities)
        count = min(_NEAREST, len(found.identity_id))
        columns = np.unique(np.argpartition(found.distance, count - 1, axis=1)[:, :count])
        if identity is not None:
            columns = np.union1d(columns, np.flatnonzero(found.identity_id == identity))
        names = tuple(found.names[column] for column in columns.tolist())
        return Matches(found.distance[:, columns], found.comparable[:, columns], found.identity_id[columns], names)

    def _named(self, matches: Matches, walk: WalkWindows, above: float, identity: int | None) -> bool:
        options = dataclasses.replace(self._config, threshold=above * _ABOVE)
        decider = Decider(options, None, self._min_margin, sensors=self._sensors)
        state = TrackState()
        for row, (sensors, weak) in enumerate(zip(walk.modalities, walk.weak, strict=True)):
            one = slice(row, row + 1)
            window = Matches(matches.distance[one], matches.comparable[one], matches.identity_id, matches.names)
            decider.decide([state], window, [sensors], [True], weak=[weak])
            if state.decided and identity in (None, state.decided):
                return True
        return False
