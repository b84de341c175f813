"""Which walks make a simulated set: for training, and the published test in the layout of LRGait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.lab.simulation.walk_sets import PlannedWalk

VIEWS_DEG = tuple(range(0, 360, 45))
OTHER_CONDITIONS = {"bag": 0.1, "clothing": 0.1, "night": 0.07, "occlusion": 0.07}


def plan_training(
    first_identity: int,
    identities: int,
    walks: int,
    sequences: int,
    frames: int,
    ranges_m: tuple[float, float],
    seed: int,
) -> list[PlannedWalk]:
    """Every walk of every identity at ``sequences`` views and ranges; a person's views are spread over the circle."""
    rng = np.random.default_rng((seed, first_identity))
    names, shares = ["normal", *OTHER_CONDITIONS], [1 - sum(OTHER_CONDITIONS.values()), *OTHER_CONDITIONS.values()]
    plan = []
    for identity in range(first_identity, first_identity + identities):
        count = walks * sequences
        views = (rng.uniform(0, 360) + 360 / count * rng.permutation(count)) % 360
        for number, view in enumerate(views):
            condition = str(rng.choice(names, p=shares))
            range_m = round(float(rng.uniform(*ranges_m)), 1)
            plan.append(PlannedWalk(identity, number // sequences, range_m, float(round(view)), frames, condition))
    return plan


@dataclass(frozen=True)
class ProtocolLayout:
    """A cross-distance test: gallery on walk 0, in daylight; probes on walk 1, another day in other clothes.

    Attributes:
        gallery_range_m, gallery_views_deg: of the gallery, one sequence a view.
        probes: (condition, range in m, number of views drawn from the eight for each person).
    """

    gallery_range_m: float
    gallery_views_deg: tuple[int, ...]
    probes: tuple[tuple[str, float, int], ...]


# Gallery D-10; probes D-20..D-50 and N-10..N-40, clothing change, bag, occlusion. D-10 serves verification at 10-30 m.
PUBLISHED = ProtocolLayout(
    gallery_range_m=10.0,
    gallery_views_deg=VIEWS_DEG,
    probes=(
        ("normal", 10.0, 2),
        *(("normal", range_m, 2) for range_m in (20.0, 30.0, 40.0, 50.0)),
        *(("night", range_m, 2) for range_m in (10.0, 20.0, 30.0, 40.0)),
        *(("clothing", range_m, 2) for range_m in (20.0, 30.0)),
        *(("bag", range_m, 1) for range_m in (20.0, 30.0)),
        *(("occlusion", range_m, 1) for range_m in (20.0, 30.0)),
    ),
)
# The same in short, for a look at a network in training.
SHORT = ProtocolLayout(10.0, (0, 90, 180, 270), tuple(("normal", range_m, 2) for range_m in (20.0, 30.0, 40.0, 50.0)))

# What a table of each data set is made of where there is no recording of it. SUSTech1K: probes by covariate near by, as far as the
# simulator has them; FreeGait: whoever passes, by day.
TABLE_LAYOUTS = {
    "lrgait": PUBLISHED,
    "sustech1k": ProtocolLayout(
        10.0, VIEWS_DEG, tuple((kind, 10.0, 2) for kind in ("normal", "bag", "clothing", "occlusion", "night"))
    ),
    "freegait": ProtocolLayout(15.0, VIEWS_DEG[::4], tuple(("normal", range_m, 2) for range_m in (10.0, 15.0, 25.0))),
}


def plan_protocol(
    first_identity: int, identities: int, frames: int, layout: ProtocolLayout = PUBLISHED, seed: int = 0
) -> list[PlannedWalk]:
    """The walks of a cross-distance test; the views of a person's probes follow from ``seed``."""
    rng = np.random.default_rng((seed, first_identity, 1))
    plan = []
    for identity in range(first_identity, first_identity + identities):
        plan += [
            PlannedWalk(identity, 0, layout.gallery_range_m, float(view), frames) for view in layout.gallery_views_deg
        ]
        for condition, range_m, count in layout.probes:
            views = rng.choice(VIEWS_DEG, count, replace=False)
            plan += [PlannedWalk(identity, 1, range_m, float(view), frames, condition) for view in views]
    return plan
