"""What the simulator drew for the walker of each training sequence: build, pace, posture and movement of the joints.

Telling these is an auxiliary task of training (``optimisation.attribute_weight``): they are what there is to know about
a simulated walker, and a regression learns from every sequence at once what classes and triplets reveal slowly.
"""

from __future__ import annotations

import numpy as np

from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.samples import Float32, Float64
from emgait_ros.simulation.body import Body
from emgait_ros.simulation.walker import Walker

SWINGING = ("UpLeg", "Leg", "Foot", "Arm", "ForeArm")
FORWARD, SIDEWAYS, ABOUT_UP = 1, 0, 2  # axes of the rotation vectors: bending, spreading, turning out
POSTURE = (("UpLeg", ABOUT_UP), ("Arm", SIDEWAYS), ("Shoulder", SIDEWAYS))
TRUNK = ("LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head")


def walker_attributes(data: SequenceSet, population: int) -> Float32:
    """(S, A) float32 of every sequence's walker, zero mean and unit spread each."""
    walks = np.stack([data.identity, data.walk], axis=1)
    distinct, number = np.unique(walks, axis=0, return_inverse=True)
    facts = np.stack([_facts(Walker(int(identity), int(walk), seed=population)) for identity, walk in distinct])
    facts = (facts - facts.mean(axis=0)) / np.maximum(facts.std(axis=0), 1e-6)
    return np.asarray(facts[number.ravel()], np.float32)


def _facts(walker: Walker) -> Float64:
    """(A,) stature, build, pace; means and first two harmonics of the limbs; posture; lean and turn of the trunk."""
    bone = Body.load().bone
    motion = walker.gait.coefficients  # (B, 3, H + 1) complex, rad
    shape = walker.shape
    facts = [
        walker.stature_m,
        shape.gender,
        shape.muscle,
        shape.weight,
        shape.proportions,
        walker.gait.period_s,
        walker.speed_m_s,
    ]
    for joint in SWINGING:
        both = motion[[bone[f"Left{joint}"], bone[f"Right{joint}"]], FORWARD]
        facts += [both[:, 0].real.mean(), np.abs(both[:, 1]).mean(), np.abs(both[:, 2]).mean()]
    for joint, axis in POSTURE:
        left, right = (motion[bone[f"{side}{joint}"], axis, 0].real for side in ("Left", "Right"))
        facts.append(left - right)  # mirrored: both outwards
    trunk = motion[[bone[name] for name in TRUNK]]
    facts += [trunk[:, FORWARD, 0].real.sum(), np.abs(trunk[:, ABOUT_UP, 1]).sum(), np.abs(trunk[:, SIDEWAYS, 1]).sum()]
    return np.array(facts, np.float64)
