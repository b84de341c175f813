"""The street that the walkers walk in: houses, curbs, poles, bushes, cars.

Street frame: z up, ground at z = 0, x down the street, the sensors above the origin, m.
"""

from __future__ import annotations

import numpy as np

from emgait_ros.lab.simulation.surroundings import ASPHALT, BRICK, CAR, LEAVES, PAVING, PLASTER, Background, Surface


def street(seed: int = 0) -> Background:
    """A street 24 m wide with the sensor at its near end: houses on both sides and at the far end, and street furniture.

    The carriageway is free of obstacles between y = -8 and y = 8, so that people can walk there.
    """
    rng = np.random.default_rng([seed, 77])
    scene = Background(Surface((104, 104, 106), 0.18, ASPHALT))
    _houses(scene)
    pole, sign = Surface((92, 98, 96), 0.45), Surface((205, 205, 200), 0.85)
    for side in (-1, 1):
        low, high = sorted((side * 8.6, side * 13.0))
        scene.box((-30, low, -0.2), (70, high, 0.12), Surface((148, 144, 138), 0.28, PAVING))
        for x in (12.0, 27.0, 43.0):
            scene.cylinder(x + 1.5 * side, side * 9.2, 0.07, 6.0, pole)
    scene.box((18.9, -9.34, 2.1), (18.94, -8.72, 2.7), sign)
    scene.cylinder(18.92, -9.03, 0.035, 2.8, pole)
    for x in (7.0, 8.6, 10.2, 34.0, 35.6):
        scene.cylinder(x, 8.9, 0.09, 1.0, Surface((70, 72, 78), 0.35))
    scene.box((15.0, 9.4, 0.12), (15.6, 10.0, 1.15), Surface((58, 96, 62), 0.3))  # a litter bin, as wide as a person
    scene.box((24.0, -10.6, 0.12), (25.7, -10.1, 0.55), Surface((118, 84, 52), 0.35))  # a bench
    _parked_cars(scene)
    leaves, trunk = Surface((62, 98, 46), 0.42, LEAVES), Surface((86, 68, 52), 0.3)
    for x, y in ((21.0, 10.8), (30.5, 10.6), (39.0, 10.9), (33.0, -10.7), (47.0, -10.5)):
        r = rng.uniform(0.5, 0.8)
        scene.ellipsoid((x, y, r * 0.9), (r * 1.2, r, r * 1.1), leaves)
    for x, y in ((17.5, -10.9), (38.5, -10.8), (25.5, 11.2)):
        scene.cylinder(x, y, 0.14, 3.2, trunk)
        scene.ellipsoid((x, y, 4.6), (2.1, 1.9, 2.0), leaves)
    return scene


def _houses(scene: Background) -> None:
    rows = [
        ((-30, -24.0, 0), (15.5, -13.0, 9.0), (196, 178, 150), PLASTER),
        ((18.5, -24.0, 0), (36.0, -13.0, 11.5), (158, 92, 72), BRICK),
        ((38.5, -24.0, 0), (72.0, -13.0, 8.0), (206, 200, 188), PLASTER),
        ((-30, 13.0, 0), (10.5, 24.0, 10.0), (150, 86, 70), BRICK),
        ((13.5, 13.0, 0), (28.0, 24.0, 8.5), (176, 188, 186), PLASTER),
        ((31.0, 13.0, 0), (72.0, 24.0, 12.0), (198, 172, 128), PLASTER),
        ((62.0, -13.0, 0), (72.0, 13.0, 10.0), (172, 160, 150), PLASTER),
        ((-14.0, -13.0, 0), (-6.0, 13.0, 7.0), (180, 170, 160), PLASTER),  # behind the sensor
    ]
    for low, high, color, texture in rows:
        scene.box(low, high, Surface(color, 0.4, texture))


def _parked_cars(scene: Background) -> None:
    """Cars along the right curb and a van far left: body, cabin and wheels."""
    for x, y, color in ((28.0, -7.6, (150, 28, 32)), (39.5, -7.6, (214, 216, 220)), (46.0, 7.6, (34, 56, 96))):
        paint, glass, tire = Surface(color, 0.5, CAR), Surface((38, 44, 50), 0.08, CAR), Surface((24, 24, 26), 0.06)
        scene.box((x, y - 0.85, 0.28), (x + 4.3, y + 0.85, 0.86), paint)
        scene.box((x + 0.95, y - 0.74, 0.86), (x + 3.45, y + 0.74, 1.36), glass)
        scene.box((x + 1.1, y - 0.72, 1.36), (x + 3.3, y + 0.72, 1.44), paint)
        for wheel_x in (x + 0.8, x + 3.5):
            for wheel_y in (y - 0.8, y + 0.62):
                scene.box((wheel_x - 0.3, wheel_y, 0), (wheel_x + 0.3, wheel_y + 0.18, 0.6), tire)
