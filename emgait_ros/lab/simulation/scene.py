"""Descriptions of scenes: who walks where and when, seen by which sensors. ``simulator.py`` makes clouds and images of them.

Street frame: z up, ground at z = 0, the LiDAR above the origin, looking down the street along +x. The LiDAR is mounted
slightly tilted, so in its own frame the ground slopes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from emgait_ros.lab.simulation.walker import Walker


@dataclass(frozen=True)
class WalkPlan:
    """One person walking once.

    Attributes:
        identity: who; the same number is the same body and gait.
        walk: which of that person's days: other clothes, slightly other gait.
        points: corners of the way, street frame, m.
        begin_s: when they start, from the beginning of the scene; they vanish at the end of the way.
        name: under which they are enrolled; empty: a stranger.
        is_probe: they are to be recognized here (else this is the walk they are enrolled on).
        bag: one of ``appearance.BAGS``.
    """

    identity: int
    walk: int
    points: tuple[tuple[float, float], ...]
    begin_s: float
    name: str = ""
    is_probe: bool = False
    bag: str = "none"


@dataclass(frozen=True)
class SensorHead:
    """The two sensors, how they are mounted and how they run.

    Attributes:
        beams: 32, 64 or 128.
        lidar_height_m: above the ground.
        lidar_tilt_deg: roll and pitch of the mount.
        width, height, focal_px: the camera.
        camera_offset_m: in the LiDAR frame.
        camera_turn_deg: pitch (down is positive) and yaw (left is positive) against the LiDAR's +x.
        camera_rate_hz, camera_phase_s, camera_jitter_s: free-running, not triggered by the LiDAR.
        lidar_delay_s, image_delay_s: from the stamp to the arrival of the message.
    """

    beams: int = 64
    lidar_height_m: float = 1.85
    lidar_tilt_deg: tuple[float, float] = (0.4, 0.7)
    width: int = 1280
    height: int = 720
    focal_px: float = 1000.0
    camera_offset_m: tuple[float, float, float] = (0.12, 0.03, -0.22)
    camera_turn_deg: tuple[float, float] = (2.5, -0.6)
    camera_rate_hz: float = 29.7
    camera_phase_s: float = 0.013
    camera_jitter_s: float = 0.0008
    lidar_delay_s: float = 0.060
    image_delay_s: float = 0.028


@dataclass(frozen=True)
class Scene:
    """Who walks where and when, seen by what.

    Attributes:
        name: of the scene.
        walks: all walks.
        duration_s: length of the recording.
        seed: population of the walkers, layout of the bushes, and all noise.
        probes_from_s: no enrollment after this time; the walks to be recognized start later.
        head: the sensors.
    """

    name: str
    walks: tuple[WalkPlan, ...]
    duration_s: float
    seed: int = 0
    probes_from_s: float = 0.0
    head: SensorHead = field(default_factory=SensorHead)

    def __post_init__(self) -> None:
        if not self.duration_s > 0:
            raise ValueError(f"the scene '{self.name}' lasts {self.duration_s} s: expected more than 0")


def demo_scene(seed: int = 7) -> Scene:
    """Four people walk past and are enrolled; after a pause they come again, in other clothes, with a stranger.

    The five are the first of the population who walk at an ordinary pace on both days, so that the timing of the scene holds.
    """
    anna, boris, chen, dilek, stranger = _ordinary_walkers(seed)
    first = [
        (anna, "Anna", 0.5, ((11.0, -5.8), (12.5, 5.8))),
        (boris, "Boris", 2.5, ((17.0, 7.0), (15.5, -5.0))),
        (chen, "Chen", 6.0, ((23.5, -7.0), (21.0, 5.0))),
        (dilek, "Dilek", 9.0, ((9.0, -4.0), (18.5, 3.5))),
    ]
    second = [
        (chen, "Chen", 24.0, ((33.0, -5.5), (29.0, 6.0))),
        (anna, "Anna", 25.5, ((19.5, -6.5), (20.5, 5.5))),
        (boris, "Boris", 28.0, ((26.0, 7.0), (25.0, -5.0))),
        (stranger, "", 31.0, ((14.5, 6.5), (13.0, -5.5))),
        (dilek, "Dilek", 34.0, ((15.0, -6.0), (24.5, 2.0))),
    ]
    walks = [WalkPlan(i, 0, points, begin, name) for i, name, begin, points in first]
    walks += [WalkPlan(i, 1, points, begin, name, is_probe=True) for i, name, begin, points in second]
    return Scene("demo", tuple(walks), duration_s=47.0, seed=seed, probes_from_s=23.0)


def _ordinary_walkers(seed: int) -> list[int]:
    """The first five identities of a population who walk at 1.0 to 1.5 m/s on both of their days."""
    found: list[int] = []
    for identity in range(1, 1000):
        if all(1.0 <= Walker(identity, walk, seed=seed).speed_m_s <= 1.5 for walk in (0, 1)):
            found.append(identity)
        if len(found) == 5:
            return found
    raise ValueError(f"the population of seed {seed} has only {len(found)} of 5 people who walk at an ordinary pace")


def crossing_scene(seed: int = 7) -> Scene:
    """Ten seconds, two people who cross each other at 12 m: short, for tests and for trying things out."""
    walks = (
        WalkPlan(1, 0, ((11.0, -5.0), (12.0, 5.0)), 0.0, "Anna"),
        WalkPlan(2, 0, ((14.0, 5.0), (13.0, -5.0)), 1.0, "Boris"),
    )
    return Scene("crossing", walks, duration_s=10.0, seed=seed)


def crowd_scene(seed: int = 7) -> Scene:
    """Twenty seconds, twelve people at 9 to 50 m who cross the street from both sides or come along it, some with bags."""
    walks = []
    for number, distance in enumerate((9.0, 12.0, 15.0, 18.0, 22.0, 26.0, 30.0, 35.0, 40.0, 50.0)):
        way = ((distance - 0.7, -5.5), (distance + 0.7, 5.5))
        bag = ("none", "backpack", "shoulder", "hand")[number % 4]
        walks.append(WalkPlan(number + 1, 0, way if number % 2 else way[::-1], 0.8 * (number % 5), bag=bag))
    walks += [WalkPlan(11, 0, ((30.0, 1.5), (8.0, 1.0)), 0.0), WalkPlan(12, 0, ((10.0, -1.5), (32.0, -2.0)), 1.0)]
    return Scene("crowd", tuple(walks), duration_s=20.0, seed=seed)


SCENES = {"demo": demo_scene, "crossing": crossing_scene, "crowd": crowd_scene}


def shortened(scene: Scene, seconds: float) -> Scene:
    """The first seconds of a scene."""
    walks = tuple(w for w in scene.walks if w.begin_s < seconds)
    return replace(scene, duration_s=min(seconds, scene.duration_s), walks=walks)
