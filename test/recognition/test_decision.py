"""From distances to PENDING, UNKNOWN or a name."""

import numpy as np
import pytest

from emgait_ros.config import DecisionConfig
from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.decision import Decider, TrackState, Weakness, Why
from emgait_ros.recognition.matcher import Matches
from emgait_ros.samples import Modality, Status

NAMES = ("Anna", "Ben", "Cleo", "Dan")
PENDING, UNKNOWN, KNOWN = Status.PENDING, Status.UNKNOWN, Status.KNOWN
NAN = float("nan")


def matches(*rows, comparable=None):
    distance = np.array(rows, np.float32).reshape(len(rows), -1)
    people = distance.shape[1]
    allowed = np.ones(distance.shape, bool) if comparable is None else np.array(comparable, bool)
    return Matches(distance, allowed, np.arange(1, people + 1), NAMES[:people])


def decider(threshold=0.8, margin=0.05, **options):
    return Decider(DecisionConfig(**options), threshold, margin)


def one(rules, state, row, modalities=Modality.BOTH, comparable=None, fresh=True):
    """One new window of a track that is alone in view."""
    return rules.decide([state], matches(row, comparable=comparable), [modalities], [fresh])[0]


def settled(rules, row, **kwargs):
    """What three equal windows lead to."""
    state = TrackState()
    return [one(rules, state, row, **kwargs) for _ in range(3)][-1]


@pytest.mark.parametrize(
    ("row", "status", "name", "why", "nearest", "rival"),
    [
        ([0.5, 0.9], KNOWN, "Anna", Why.NEAR_ENOUGH, "Anna", "Ben"),
        ([0.5], KNOWN, "Anna", Why.NEAR_ENOUGH, "Anna", ""),  # nobody else enrolled: no margin
        ([0.91, 0.95], UNKNOWN, "", Why.TOO_FAR, "Anna", "Ben"),
        ([0.8], UNKNOWN, "", Why.TOO_FAR, "Anna", ""),  # strictly below
        ([0.52, 0.5], UNKNOWN, "", Why.MARGIN, "Ben", "Anna"),
        ([0.6, 0.5], KNOWN, "Ben", Why.NEAR_ENOUGH, "Ben", "Anna"),
        ([], UNKNOWN, "", Why.NOBODY_ENROLLED, "", ""),
    ],
)
def test_settled_status(row, status, name, why, nearest, rival):
    decision = settled(decider(), row)
    vote = decision.vote
    assert (decision.status, decision.name, vote.why, vote.nearest, vote.rival) == (status, name, why, nearest, rival)
    named = NAMES.index(name) + 1 if name else 0
    assert (decision.identity, vote.identity, decision.contrary) == (named, named, False)


def test_numbers_of_a_decision():
    decision = settled(decider(), [0.9, 0.5, 0.62, 0.7])
    assert decision.distance == pytest.approx(0.5)
    assert decision.margin == pytest.approx(0.12)
    assert (decision.threshold, decision.min_margin) == (0.8, 0.05)
    assert (decision.vote.distance, decision.vote.margin) == (decision.distance, decision.margin)
    assert (decision.streak, decision.agree_windows, decision.agree_on) == (3, 3, "Ben")
    assert [candidate.name for candidate in decision.candidates] == ["Ben", "Cleo", "Dan"]  # config.candidates = 3
    assert [candidate.distance for candidate in decision.candidates] == pytest.approx([0.5, 0.62, 0.7])


def test_nothing_compared_gives_nan():
    decision = settled(decider(), [])
    assert np.isnan(decision.distance)
    assert np.isnan(decision.margin)
    assert decision.candidates == ()


@pytest.mark.parametrize(
    ("option", "bundle", "used"),
    [
        (0.0, 0.8, 0.8),  # the bundle's
        (0.6, 0.8, 0.6),  # the user's goes first
        (0.6, None, 0.6),
        (0.0, None, 0.0),
    ],
)
def test_threshold_of_config_or_bundle(option, bundle, used):
    assert Decider(DecisionConfig(threshold=option), bundle, None).threshold == used
    assert Decider(DecisionConfig(min_margin=option), None, bundle).min_margin == used


def test_without_a_threshold_everybody_stays_unknown():
    decision = settled(decider(threshold=None), [0.001])
    assert (decision.status, decision.vote.why, decision.vote.nearest) == (UNKNOWN, Why.NO_THRESHOLD, "Anna")
    assert decision.distance == pytest.approx(0.001)
    assert np.isnan(decision.threshold)


def play(rules, rows, modalities=Modality.BOTH):
    """Statuses and names of a lone track over its windows: "Anna", "?" (UNKNOWN) or "." (PENDING)."""
    state, told = TrackState(), []
    for row in rows:
        decision = one(rules, state, row, modalities)
        told.append({PENDING: ".", UNKNOWN: "?", KNOWN: decision.name}[decision.status])
    return told


ANNA, BEN, NOBODY = [0.5, 0.9], [0.9, 0.5], [0.95, 0.95]
SLIGHTLY_FAR = [0.86, 1.2]  # above the threshold, below 1.1 times the threshold
CLOSE_CALL = [0.50, 0.48]  # Ben nearer, but not by the margin nor by the hysteresis


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ANNA] * 4, [".", ".", "Anna", "Anna"]),  # three must agree
        ([ANNA, ANNA, BEN, ANNA, ANNA, ANNA], [".", ".", ".", ".", ".", "Anna"]),  # in a row
        ([NOBODY] * 3, [".", ".", "?"]),
        ([NOBODY] * 3 + [ANNA] * 3, [".", ".", "?", "?", "?", "Anna"]),
        ([ANNA] * 3 + [BEN] * 3, [".", ".", "Anna", "Anna", "Anna", "Ben"]),  # kept until another has won
        ([ANNA] * 3 + [BEN, BEN, ANNA, BEN, BEN], [".", ".", "Anna"] + ["Anna"] * 5),  # no flicker
        ([ANNA] * 3 + [SLIGHTLY_FAR] * 5, [".", ".", "Anna"] + ["Anna"] * 5),  # hysteresis
        ([SLIGHTLY_FAR] * 3, [".", ".", "?"]),  # but no name is given there
        ([ANNA] * 3 + [NOBODY] * 3, [".", ".", "Anna", "Anna", "Anna", "?"]),  # too far for long
        ([ANNA] * 3 + [NOBODY, NOBODY, ANNA, NOBODY], [".", ".", "Anna"] + ["Anna"] * 4),
        ([ANNA] * 3 + [CLOSE_CALL] * 5, [".", ".", "Anna"] + ["Anna"] * 5),  # a known name needs no margin to stay
        ([CLOSE_CALL] * 3, [".", ".", "?"]),
    ],
)
def test_agreement_and_hysteresis(rows, told):
    assert play(decider(), rows) == told


def test_one_window_is_enough_when_asked_for():
    assert play(decider(agree_windows=1), [ANNA, BEN, NOBODY]) == ["Anna", "Ben", "?"]


def test_only_new_windows_vote():
    rules, state = decider(), TrackState()
    one(rules, state, ANNA)
    for _ in range(5):
        decision = one(rules, state, ANNA, fresh=False)
    assert decision.status == PENDING
    assert (decision.streak, decision.agree_windows, decision.agree_on) == (1, 3, "Anna")


def test_windows_that_agree_or_are_contrary():
    rules, state = decider(), TrackState()
    first = one(rules, state, NOBODY)
    assert (first.status, first.streak, first.agree_on, first.vote.why) == (PENDING, 1, "", Why.TOO_FAR)
    assert (first.vote.nearest, first.distance) == ("Anna", pytest.approx(0.95))
    for _ in range(3):
        one(rules, state, ANNA)
    kept = one(rules, state, BEN)
    assert (kept.status, kept.name, kept.identity) == (KNOWN, "Anna", 1)
    assert (kept.contrary, kept.streak, kept.agree_on) == (True, 1, "Ben")
    assert (kept.vote.why, kept.vote.nearest, kept.vote.identity) == (Why.NEAR_ENOUGH, "Ben", 2)
    assert (kept.vote.distance, kept.vote.margin) == (pytest.approx(0.5), pytest.approx(0.4))
    assert kept.distance == pytest.approx(0.9)  # the distance to the name that is shown
    assert np.isnan(kept.margin)


@pytest.mark.parametrize(
    ("row", "modalities", "comparable", "status", "why", "nearest"),
    [
        ([0.6], Modality.POINTS, [[True]], KNOWN, Why.NEAR_ENOUGH, "Anna"),
        ([0.7], Modality.POINTS, [[True]], UNKNOWN, Why.TOO_FAR, "Anna"),  # stricter: 0.85 x 0.8
        ([0.7], Modality.BOTH, [[True]], KNOWN, Why.NEAR_ENOUGH, "Anna"),
        ([0.1], Modality.POINTS, [[False]], UNKNOWN, Why.OTHER_SENSORS, "Anna"),  # enrolled with both sensors
        ([0.1, 0.5], Modality.POINTS, [[False, True]], UNKNOWN, Why.MARGIN, "Ben"),  # Anna may still be it
    ],
)
def test_one_sensor(row, modalities, comparable, status, why, nearest):
    decision = settled(decider(), row, modalities=modalities, comparable=comparable)
    assert (decision.status, decision.vote.why, decision.vote.nearest) == (status, why, nearest)
    assert decision.modalities == modalities
    assert decision.threshold == pytest.approx(0.8 if modalities == Modality.BOTH else 0.68)
    assert decision.vote.margin == pytest.approx(-0.4 if why == Why.MARGIN else NAN, nan_ok=True)


def together(rules, rows, rounds=3, states=None, fresh=None):
    states = states or [TrackState() for _ in rows]
    for _ in range(rounds):
        decisions = rules.decide(states, matches(*rows), [Modality.BOTH] * len(rows), fresh or [True] * len(rows))
    return [decision.name for decision in decisions], decisions


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([[0.4, 0.9], [0.9, 0.4]], ["Anna", "Ben"]),
        ([[0.4, 0.9], [0.5, 0.9]], ["Anna", ""]),  # the nearer one gets the name, the other is nobody enrolled
        ([[0.5, 0.9], [0.4, 0.9]], ["", "Anna"]),
        ([[0.95, 0.9], [0.4, 0.9]], ["", "Anna"]),
        ([[0.9], [0.4], [0.5]], ["", "Anna", ""]),  # more people than identities
    ],
)
def test_joint_assignment(rows, names):
    assert together(decider(), rows)[0] == names


def test_the_loser_has_a_reason():
    _, decisions = together(decider(), [[0.4], [0.5]])
    vote = decisions[1].vote
    assert (decisions[1].status, vote.why, vote.nearest) == (UNKNOWN, Why.TAKEN, "Anna")
    assert vote.distance == pytest.approx(0.5)


def test_who_is_known_elsewhere_is_no_rival():
    """Ben is certainly the other one: the walk that lies between Anna and Ben is Anna's."""
    rules = decider()
    between, ben = [0.50, 0.49], [0.9, 0.3]
    assert together(rules, [between], rounds=3)[0] == [""]  # alone: ambiguous
    states = [TrackState(), TrackState()]
    together(rules, [between, ben], rounds=3, states=states)
    names, decisions = together(rules, [between, ben], rounds=3, states=states)
    assert names == ["Anna", "Ben"]
    assert decisions[0].candidates[0].name == "Ben"  # still listed as the nearest


def test_never_one_name_twice_in_any_frame():
    """Random distances of six tracks to four people, tracks coming and going: no frame shows a name twice."""
    random = np.random.default_rng(3)
    rules, states = decider(margin=0.0), [TrackState() for _ in range(6)]
    means, shown = random.uniform(0.4, 0.9, (6, 4)), 0
    for _ in range(500):
        present = np.flatnonzero(random.random(6) < 0.7)
        rows = means[present] + random.normal(0, 0.1, (len(present), 4))
        if not len(present):
            continue
        fresh = (random.random(len(present)) < 0.8).tolist()
        decisions = rules.decide(
            [states[track] for track in present], matches(*rows), [Modality.BOTH] * len(present), fresh
        )
        names = [decision.name for decision in decisions if decision.status == KNOWN]
        assert len(names) == len(set(names))
        shown += len(names)
    assert shown > 300


def test_a_track_that_comes_back_to_a_taken_name_gives_it_up():
    rules, first, second = decider(), TrackState(), TrackState()
    for _ in range(3):
        one(rules, first, ANNA)
    for _ in range(3):  # the first is out of view; its person is followed under a new number
        one(rules, second, [0.4, 0.9])
    names, decisions = together(rules, [[0.6, 0.9], [0.4, 0.9]], rounds=1, states=[first, second])
    assert names == ["", "Anna"]
    assert decisions[0].status == PENDING


def test_a_removed_person_is_no_longer_named():
    rules, state = decider(), TrackState()
    for _ in range(3):
        one(rules, state, BEN)
    only_anna = Matches(np.array([[0.9]], np.float32), np.ones((1, 1), bool), np.array([1]), ("Anna",))
    decision = rules.decide([state], only_anna, [Modality.BOTH], [True])[0]
    assert (decision.status, decision.name) == (PENDING, "")


def test_a_renamed_person_keeps_the_track():
    rules, state = decider(), TrackState()
    for _ in range(3):
        one(rules, state, ANNA)
    renamed = Matches(np.array([[0.5, 0.9]], np.float32), np.ones((1, 2), bool), np.array([1, 2]), ("Annabel", "Ben"))
    assert rules.decide([state], renamed, [Modality.BOTH], [True])[0].name == "Annabel"


def calibration(threshold=0.6, probability=(20.0, -12.0)):
    return Calibration(
        threshold, 0.01, (0.0, 0.02), 1, 200, 0.9, (0.8, 0.95), 50, 0.95, min_margin=0.02, probability=probability
    )


@pytest.mark.parametrize(
    ("option", "held", "threshold", "margin"),
    [
        (0.0, True, 0.6, 0.02),  # the gallery's own takes precedence over the bundle's
        (0.5, True, 0.5, 0.02),  # the user's before both
        (0.0, False, 0.8, 0.05),
    ],
)
def test_the_gallerys_calibration(option, held, threshold, margin):
    rules = Decider(DecisionConfig(threshold=option), 0.8, 0.05, calibration() if held else None)
    assert (rules.threshold, rules.min_margin) == (threshold, margin)
    rules.calibrate(None)
    assert rules.threshold == (option or 0.8)


def test_probability_of_a_calibrated_gallery():
    rules = Decider(DecisionConfig(), 0.8, 0.05, calibration())
    decision = settled(rules, [0.5, 0.9])
    assert decision.probability == pytest.approx(1 / (1 + np.exp(20 * 0.5 - 12)))
    assert (decision.threshold, decision.margin) == (0.6, pytest.approx(0.4))
    assert np.isnan(settled(decider(), [0.5, 0.9]).probability)


def test_weak_windows_count_as_half():
    rules, state, told = decider(), TrackState(), []
    for _ in range(6):
        told += rules.decide([state], matches(ANNA), [Modality.BOTH], [True], weak=[Weakness(dark=True)])
    assert [decision.status for decision in told] == [PENDING] * 5 + [KNOWN]
    assert (told[0].streak, told[0].agree_windows, told[0].agree_on) == (0.5, 3, "Anna")
    assert all(decision.weakness == Weakness(dark=True) for decision in told)


def test_name_changes_are_counted():
    rules, state = decider(), TrackState()
    for row in [ANNA] * 3 + [BEN] * 3 + [NOBODY] * 3 + [ANNA] * 3:
        one(rules, state, row)
    assert rules.name_changes == 2  # Anna to Ben, Ben to nobody; a first name is no change


@pytest.mark.parametrize("sensors", [Modality.IMAGE, Modality.POINTS, Modality.BOTH])
def test_the_full_limit_is_of_all_sensors_that_the_model_looks_at(sensors):
    rules = Decider(DecisionConfig(one_sensor_factor=0.5), 0.8, 0.05, sensors=sensors)
    limits = {seen: rules.limit(seen) for seen in (Modality.IMAGE, Modality.POINTS, Modality.BOTH)}
    assert limits == {seen: pytest.approx(0.8 if seen == sensors else 0.4) for seen in limits}
    assert settled(rules, [0.5], modalities=sensors).complete
    assert not settled(rules, [0.5], modalities=Modality.NONE).complete
