"""Captions of simulated walkers for CLIP: build, clothes and their colours, bags, view, and one part of the body at a time.

They are worded like SeMi's prompts ("A photo of the legs of a ... person"), so that the text tower has met those words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.emgaitnet.network_config import PARTS_OF_BODY
from emgait_ros.lab.simulation.walker import Walker

COLOURS = {
    "black": (35, 35, 38), "grey": (112, 114, 118), "white": (214, 212, 206), "navy": (30, 44, 88),
    "blue": (58, 92, 150), "light blue": (150, 184, 214), "red": (165, 45, 42), "orange": (212, 150, 40),
    "yellow": (226, 206, 92), "green": (76, 108, 63), "brown": (92, 66, 48), "beige": (164, 132, 98),
    "purple": (96, 52, 108), "pink": (210, 140, 158),
}  # fmt: skip
PART_ROWS = {  # of a crop's height that shows the part: the crop has a margin above and below
    "head": (0.05, 0.27),
    "arms": (0.18, 0.60),
    "torso": (0.18, 0.58),
    "legs": (0.48, 0.95),
    "feet": (0.80, 0.98),
}


@dataclass(frozen=True)
class Description:
    """What can be said about a walker on one walk.

    Attributes:
        build: adjectives and noun, such as "tall slim man".
        top, legs, shoes: names of colours.
        bag: "" or what is carried.
    """

    build: str
    top: str
    legs: str
    shoes: str
    bag: str


def describe(identity: int, walk: int, condition: str, seed: int) -> Description:
    """The words for one walk of ``simulation.walks.generate_walk`` (same arguments, same person and clothes)."""
    special = condition in ("clothing", "bag")
    walker = Walker(
        identity,
        walk,
        seed=seed,
        clothes=100_000 + walk if special else walk,
        outfit="coat" if condition == "clothing" else "light",
    )
    regions = dict(zip(walker_regions(), walker.appearance.colors, strict=False))
    return Description(
        build=" ".join(
            filter(None, (_stature(walker), _weight(walker), "woman" if walker.shape.gender > 0.5 else "man"))
        ),
        top=colour_name(regions["torso"]),
        legs=colour_name(regions["shank"]),
        shoes=colour_name(regions["foot"]),
        bag="a bag" if condition == "bag" else "",
    )


def walker_regions() -> tuple[str, ...]:
    """Names of the coloured regions of the body."""
    from emgait_ros.lab.simulation.body import Body

    return Body.load().region_names


def colour_name(rgb: np.ndarray) -> str:
    """The nearest named colour."""
    distance = {name: float(np.square(np.asarray(rgb, float) - tone).sum()) for name, tone in COLOURS.items()}
    return min(distance, key=lambda name: distance[name])


def view_name(view_deg: float) -> str:
    """How a heading is seen: 0 comes towards the camera, 180 goes away."""
    sector = round(view_deg / 45) % 8
    return ("the front", "the side", "the side", "the side", "behind", "the side", "the side", "the side")[sector]


def whole_caption(words: Description, view_deg: float) -> str:
    """The whole person."""
    bag = f" carrying {words.bag}" if words.bag else ""
    return f"A photo of a {words.build} in a {words.top} top and {words.legs} trousers{bag} seen from {view_name(view_deg)}"


def part_caption(words: Description, part: str) -> str:
    """One part of the body (one of ``PARTS_OF_BODY``)."""
    worn = {
        "arms": f" in a {words.top} top",
        "torso": f" in a {words.top} top",
        "legs": f" in {words.legs} trousers",
        "feet": f" in {words.shoes} shoes",
    }
    return f"A photo of the {part} of a {words.build}{worn.get(part, '')}"


def caption(words: Description, view_deg: float, rng: np.random.Generator) -> tuple[str, str]:
    """A drawn caption and the part it speaks of ("" for the whole person)."""
    if rng.random() < 0.5:
        return whole_caption(words, view_deg), ""
    part = str(rng.choice(PARTS_OF_BODY))
    return part_caption(words, part), part


def _stature(walker: Walker) -> str:
    return "tall" if walker.stature_m > 1.76 else "short" if walker.stature_m < 1.62 else ""


def _weight(walker: Walker) -> str:
    return "heavy" if walker.shape.weight > 0.68 else "slim" if walker.shape.weight < 0.42 else ""
