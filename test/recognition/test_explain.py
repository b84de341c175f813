"""The sentences about decisions: each kind once."""

import pytest

from emgait_ros.recognition.decision import Decision, Vote, Weakness, Why
from emgait_ros.recognition.explain import counted_samples, explain, sensor_note, warnings, weak_window
from emgait_ros.samples import Modality, Status

NAN = float("nan")
PENDING, UNKNOWN, KNOWN = Status.PENDING, Status.UNKNOWN, Status.KNOWN
ANNA = Vote(Why.NEAR_ENOUGH, 1, "Anna", 0.5, "Ben", 0.4)
ALONE = Vote(Why.NEAR_ENOUGH, 1, "Anna", 0.6)
BEN = Vote(Why.NEAR_ENOUGH, 2, "Ben", 0.5, "Anna", 0.4)
FAR = Vote(Why.TOO_FAR, 0, "Anna", 0.91, "Ben", 0.04)
SAID_FAR = "nearest 'Anna' at 0.91, threshold 0.80"
SAID_ANNA = "'Anna' at 0.50, threshold 0.80, margin 0.40"
FEW, DARK = Weakness(few_returns=12.0), Weakness(dark=True)
OUTSIDE = ("40 m is outside the calibrated 5-20 m", "calibrated with camera and LiDAR together")
LIDAR_ONLY = {"threshold": 0.68, "modalities": Modality.POINTS}


def decision(status, vote, **changes):
    values = {"threshold": 0.8, "min_margin": 0.05, "modalities": Modality.BOTH, "streak": 3, "agree_windows": 3}
    named = {"identity": 1, "name": "Anna"} if status == KNOWN else {}
    return Decision(status, vote, **{**values, **named, "samples": 12, "samples_needed": 10, **changes})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (decision(KNOWN, ANNA), SAID_ANNA),
        (decision(KNOWN, ALONE), "'Anna' at 0.60, threshold 0.80"),
        (decision(KNOWN, ALONE, **LIDAR_ONLY), "'Anna' at 0.60, threshold 0.68, from the LiDAR alone"),
        (decision(KNOWN, ANNA, probability=0.881), SAID_ANNA + ", probability 88%"),
        (decision(KNOWN, ANNA, weakness=DARK), SAID_ANNA + "; weak window: dark images"),
        (decision(KNOWN, ANNA, contrary=True), SAID_ANNA),  # the window as it is now has come back to Anna
        (
            decision(KNOWN, BEN, contrary=True, streak=1, agree_on="Ben"),
            "'Anna' is kept; 1 of 3 windows say otherwise: 'Ben' at 0.50, threshold 0.80, margin 0.40",
        ),
        (decision(KNOWN, FAR), "'Anna' is kept: " + SAID_FAR),
        (
            decision(KNOWN, ANNA, probability=1.0, weakness=FEW, outside=OUTSIDE),
            f"{SAID_ANNA}, probability 100%; weak window: 12 LiDAR returns a sample; {OUTSIDE[0]}; {OUTSIDE[1]}",
        ),
        (decision(UNKNOWN, FAR), SAID_FAR),
        (decision(UNKNOWN, FAR, probability=0.01), SAID_FAR),  # a probability is said of a name alone
        (decision(UNKNOWN, FAR, **LIDAR_ONLY), "nearest 'Anna' at 0.91, threshold 0.68, from the LiDAR alone"),
        (
            decision(UNKNOWN, ANNA, contrary=True, streak=1.5, agree_on="Anna"),
            SAID_ANNA + "; 1.5 of 3 windows say otherwise",
        ),
        (
            decision(UNKNOWN, Vote(Why.MARGIN, 0, "Ben", 0.5, "Anna", 0.02)),
            "margin 0.02 below 0.05: 'Ben' or 'Anna'",
        ),
        (
            decision(UNKNOWN, Vote(Why.MARGIN, 0, "Ben", 0.5, "Anna", -0.4), **LIDAR_ONLY),
            "margin -0.40 below 0.05: 'Ben' or 'Anna'",
        ),
        (decision(UNKNOWN, Vote(Why.TAKEN, 0, "Anna", 0.5)), "'Anna' at 0.50 is another pedestrian in view"),
        (
            decision(UNKNOWN, Vote(Why.OTHER_SENSORS, 0, "Anna", 0.1), **LIDAR_ONLY),
            "nearest 'Anna' at 0.10 was not enrolled from the LiDAR alone, which is all this walk has: no name is given",
        ),
        (
            decision(UNKNOWN, Vote(Why.NO_THRESHOLD, 0, "Anna", 0.001), threshold=NAN),
            "the model bundle has no calibrated threshold, set decision.threshold: nearest 'Anna' at 0.00",
        ),
        (decision(UNKNOWN, Vote(Why.NOBODY_ENROLLED)), "the gallery is empty: call the enroll service"),
        (decision(UNKNOWN, Vote(Why.NOBODY_ENROLLED), nobody_because="all are of another model"), "all are of another model"),
        (decision(PENDING, FAR, streak=1), "1 of 3 windows agree on nobody enrolled: " + SAID_FAR),
        (
            decision(PENDING, ANNA, streak=0.5, agree_on="Anna", weakness=DARK),
            f"0.5 of 3 windows agree on 'Anna': {SAID_ANNA}; weak window: dark images",
        ),
        (decision(PENDING, Vote(Why.FEW_SAMPLES), samples=4), "4 of 10 samples"),
        (
            decision(PENDING, Vote(Why.FEW_SAMPLES), samples=2, left_out="standing still"),
            "2 of 10 samples (standing still)",
        ),
        (
            decision(PENDING, Vote(Why.NOT_KEPT), samples=0),
            "0 of 10 samples: more tracks than window.max_tracks",
        ),
        (decision(PENDING, Vote(Why.GROUP)), "a group of people who cannot be distinguished: no name is given"),
    ],
)  # fmt: skip
def test_reasons(made, said):
    assert explain(made) == said


def test_every_reason_of_a_vote_has_its_words():
    said = {explain(decision(UNKNOWN, Vote(why, 0, "Anna", 0.5, "Ben", 0.1))) for why in Why}
    assert len(said) == len(Why)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (decision(KNOWN, ANNA), ()),
        (decision(KNOWN, ANNA, weakness=FEW, outside=OUTSIDE), ("weak window: 12 LiDAR returns a sample", *OUTSIDE)),
        (decision(UNKNOWN, FAR, weakness=DARK), ("weak window: dark images",)),
        (decision(PENDING, ANNA, weakness=DARK), ()),
    ],
)
def test_warnings(made, said):
    assert warnings(made) == said


def test_parts_that_others_use():
    assert weak_window(Weakness(12.0, dark=True)) == "weak window: 12 LiDAR returns a sample, dark images"
    assert counted_samples(2, 10, "blurred") == "2 of 10 samples (blurred)"
    assert [sensor_note(sensors) for sensors in (Modality.IMAGE, Modality.BOTH)] == [", from the camera alone", ""]
