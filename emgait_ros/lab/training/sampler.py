"""Which sequences and frames make a training step: P identities x K sequences x T frames.

Every draw is a function of (seed, step) alone. A run that was killed and resumed therefore sees exactly the batches
it would have seen, and no generator state needs saving.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emgait_ros.samples import Int64


class IdentitySampler:
    """P x K sampling over identities.

    The K sequences of an identity are as different as its data allows: other walks (clothing) first, then other
    ranges and views, so that positives never share what must not be learnt.

    Args:
        identity: (S,) identity of every sequence.
        walk: (S,) walk number; sequences of one walk share clothing and the state of the day.
        setting: (S,) any code of view and range.
        identities_per_step: P.
        sequences_per_identity: K.
        seed: of the whole run.

    Raises:
        ValueError: fewer than P identities with at least two sequences.
    """

    def __init__(
        self,
        identity: Sequence[int] | Int64,
        walk: Sequence[int] | Int64,
        setting: Sequence[int] | Int64,
        identities_per_step: int,
        sequences_per_identity: int,
        seed: int,
    ) -> None:
        self.identity, self.walk, self.setting = (np.asarray(values, np.int64) for values in (identity, walk, setting))
        names, counts = np.unique(self.identity, return_counts=True)
        self.usable = names[counts >= 2]
        if sequences_per_identity < 2 or identities_per_step < 2:
            raise ValueError(
                f"a step of {identities_per_step} identities x {sequences_per_identity} sequences holds no triplet: "
                "at least 2 x 2 are needed"
            )
        if len(self.usable) < identities_per_step:
            raise ValueError(
                f"the data holds {len(self.usable)} identities with at least two sequences ({len(names)} in all): "
                f"identities_per_step is {identities_per_step}, lower it or generate more"
            )
        self.members = {int(name): np.flatnonzero(self.identity == name) for name in self.usable}
        self.identities_per_step = identities_per_step
        self.sequences_per_identity = sequences_per_identity
        self.seed = seed

    def step(self, step: int) -> Int64:
        """(P * K,) sequence numbers of one step, grouped by identity.

        Identities come in epochs: each is seen once before any is seen again.
        """
        per_epoch = len(self.usable) // self.identities_per_step
        epoch, position = divmod(step, per_epoch)
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(self.usable)
        chosen = order[position * self.identities_per_step : (position + 1) * self.identities_per_step]
        rng = np.random.default_rng((self.seed, 2, step))
        return np.concatenate([self._sequences(int(name), rng) for name in chosen])

    def _sequences(self, name: int, rng: np.random.Generator) -> Int64:
        """K sequences of one identity: one of each walk in turn, unused settings before used ones."""
        members = rng.permutation(self.members[name])
        taken: list[int] = []
        walks: dict[int, int] = {}
        settings: dict[int, int] = {}
        left = list(members)
        for _ in range(self.sequences_per_identity):
            if not left:  # fewer sequences than K: repeat some, their frames will differ
                left = list(rng.permutation(self.members[name]))
            best = min(left, key=lambda s: (walks.get(int(self.walk[s]), 0), settings.get(int(self.setting[s]), 0)))
            left.remove(best)
            taken.append(int(best))
            walks[int(self.walk[best])] = walks.get(int(self.walk[best]), 0) + 1
            settings[int(self.setting[best])] = settings.get(int(self.setting[best]), 0) + 1
        return np.array(taken, np.int64)


def draw_frames(length: int, frames: int, rng: np.random.Generator) -> Int64:
    """(frames,) sorted frame numbers out of ``length``: without repeats where there are enough (paper: 10 random frames).

    Raises:
        ValueError: an empty sequence.
    """
    if length < 1:
        raise ValueError("a training sequence has no frame: leave it out of the data set")
    return np.sort(rng.choice(length, frames, replace=length < frames)).astype(np.int64)
