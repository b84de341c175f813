#!/usr/bin/env python3
"""Fit the space of gaits to real walks and write ``emgait_ros/lab/simulation/data/gait_space.npz``.

    .venv/bin/python scripts/fit_gait_space.py ../shared/data/cmu_walk/*.bvh

Takes are CMU motion capture (mocap.cs.cmu.edu, free for all uses; created with funding from NSF EIA-0196217), file
names SUBJECT_TAKE.bvh. Only a few statistics of them are stored. Each take becomes a Fourier series of its joint
rotations over the gait cycle, phase 0 at the left thigh's most forward point. The mean over the cycle is dropped: the
capture's calibration leaves constants in it that tell subjects apart but are no gait. Every take also enters
mirrored, so that no side is favoured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from emgait_ros.lab.simulation.body import DATA, Body
from emgait_ros.lab.simulation.bvh import load_bvh, retarget
from emgait_ros.lab.simulation.real_walks import HARMONICS, MEAN_ADULT, MEAN_STATURE_M, fourier_series

KEPT_VARIANCE = 0.93


def mirrored(coefficients: np.ndarray, body: Body) -> np.ndarray:
    """The same gait with left and right exchanged, half a cycle later."""
    partner = [
        body.bone[n.replace("Left", "#").replace("Right", "Left").replace("#", "Right")]
        if n.startswith(("Left", "Right"))
        else body.bone[n]
        for n in body.bone_names
    ]
    half_cycle = (-1.0) ** np.arange(coefficients.shape[-1])
    return coefficients[partner] * np.array([-1.0, 1.0, -1.0])[:, None] * half_cycle


def main() -> None:
    """Fit and write the statistics; prints the table of joint amplitudes to compare with the literature."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("takes", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=DATA / "gait_space.npz")
    args = parser.parse_args()
    body = Body.load()
    person = body.personal(body.shape_of_stature(MEAN_ADULT, MEAN_STATURE_M))

    subjects: list[str] = []
    series = []
    for path in args.takes:
        coefficients, period = fourier_series(retarget(load_bvh(path), body, person), body)
        subjects.append(path.stem.split("_")[0])
        series.append(coefficients)
        amplitudes = {
            joint: np.degrees(np.abs(coefficients[body.bone[f"Left{joint}"]])[:, 1:3]).max(0).round(1).tolist()
            for joint in ("UpLeg", "Leg", "Foot", "Arm", "ForeArm")
        }
        print(path.stem, f"period {period:.3f} s, 1st and 2nd harmonic deg:", amplitudes)
    dynamics = np.array(series)
    mean_posture = np.mean([(c + mirrored(c, body)) / 2 for c in dynamics], axis=0)[..., 0].real
    dynamics[..., 0] = 0
    names = sorted(set(subjects))
    member = np.array([names.index(s) for s in subjects])
    weight = 1.0 / np.bincount(member)[member] / len(names)
    both = np.concatenate([dynamics, np.array([mirrored(c, body) for c in dynamics])])
    weights = np.concatenate([weight, weight]) / 2
    template = np.einsum("n,n...->...", weights, both)
    vectors = np.concatenate([(both - template).real, (both - template).imag], axis=-1).reshape(len(both), -1)
    _, scale, basis = np.linalg.svd(vectors * np.sqrt(weights)[:, None], full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(scale**2) / np.sum(scale**2), KEPT_VARIANCE)) + 1
    scores = vectors @ basis[:kept].T
    groups = np.concatenate([member, member + len(names)])
    subject_mean = np.array([scores[groups == g].mean(0) for g in range(2 * len(names))])
    several = [g for g in range(2 * len(names)) if (groups == g).sum() > 1]
    within = np.sqrt(np.mean([scores[groups == g].var(0, ddof=1) for g in several], axis=0))
    print(
        f"{kept} components hold {KEPT_VARIANCE:.0%}; between {np.degrees(subject_mean.std(0)).round(1)}, "
        f"within {np.degrees(within).round(1)} deg"
    )

    shape = (kept, len(body.bone_names), 3, 2, HARMONICS + 1)
    parts = basis[:kept].reshape(shape)
    np.savez_compressed(
        args.output,
        bone_names=np.array(body.bone_names),
        template=template.astype(np.complex64),
        mean_posture=mean_posture.astype(np.float32),
        components=(parts[..., 0, :] + 1j * parts[..., 1, :]).astype(np.complex64),
        component_scale=scale[:kept].astype(np.float32),
        component_within=within.astype(np.float32),
    )
    print(f"wrote {args.output} ({args.output.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
