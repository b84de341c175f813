"""Nearest-stamp pairing: who gets which image, who waits, and what is said when nothing pairs."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.config import PairingConfig
from emgait_ros.sensing.pairing import Pair, PairingHealth, StampPairer

MS = 1_000_000
START = 1_700_000_000_000 * MS


def play(pairer: StampPairer, events: list[tuple[int, str, int]]) -> list[Pair]:
    """Feed (arrival ms, "c" or "i", stamp ms) in order, polling after each; images and clouds are their stamps."""
    pairs = []
    for arrival, kind, stamp in events:
        add = pairer.add_cloud if kind == "c" else pairer.add_image
        add(START + stamp * MS, stamp, START + arrival * MS)
        pairs += pairer.poll(START + arrival * MS)
    return pairs


def sensors(
    seconds: float, *, image_delay_ms: float = 0.0, lag_ms: float = 5.0, start_ms: float = 0.0
) -> list[tuple[int, str, int]]:
    """A 10 Hz LiDAR and a 29.7 Hz camera: stamps drift past each other; image stamps are ``image_delay_ms`` late."""
    clouds = [(start_ms + 100.0 * k, "c", start_ms + 100.0 * k) for k in range(int(seconds * 10))]
    images = [
        (start_ms + 7 + 1000 / 29.7 * k + lag_ms, "i", start_ms + 7 + 1000 / 29.7 * k - image_delay_ms)
        for k in range(int(seconds * 29.7))
    ]
    return sorted((round(a), kind, round(s)) for a, kind, s in [*clouds, *images])


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        # the image after the cloud is nearer than the one before: the cloud waits for it
        ([(80, "i", 75), (101, "c", 100), (112, "i", 108)], [(100, 108)]),
        # the one before is nearer: known as soon as any image after the cloud is there
        ([(97, "i", 95), (101, "c", 100), (130, "i", 128)], [(100, 95)]),
        # the image was there first, with exactly the cloud's stamp: no waiting at all
        ([(100, "i", 100), (101, "c", 100)], [(100, 100)]),
        # the cloud is late: of three images already there the middle one is nearest
        ([(67, "i", 67), (100, "i", 100), (133, "i", 133), (140, "c", 110)], [(110, 100)]),
        # an image that overtook another on the wire is put in its place
        ([(70, "i", 101), (72, "i", 68), (80, "c", 75)], [(75, 68)]),
        # one image may serve two clouds
        ([(90, "c", 90), (101, "i", 100), (110, "c", 110), (134, "i", 134)], [(90, 100), (110, 100)]),
        # nothing near enough (60 ms): the cloud goes on alone
        ([(40, "i", 40), (101, "c", 100), (170, "i", 170)], [(100, None)]),
    ],
)
def test_nearest_image_wins(events: list[tuple[int, str, int]], expected: list[tuple[int, int | None]]) -> None:
    pairs = play(StampPairer(PairingConfig()), events)
    assert [(p.cloud, p.image) for p in pairs] == expected
    for pair, (cloud, image) in zip(pairs, expected, strict=True):
        assert pair.image_dt_s == pytest.approx(0 if image is None else (image - cloud) / 1000)
        assert not pair.camera_silent


def test_a_cloud_waits_no_longer_than_told() -> None:
    pairer = StampPairer(PairingConfig(image_wait_s=0.04))
    assert play(pairer, [(60, "i", 60), (101, "c", 100)]) == []
    assert pairer.poll(START + 140 * MS) == []
    assert [(p.cloud, p.image) for p in pairer.poll(START + 141 * MS)] == [(100, 60)]


def test_free_running_camera_pairs_every_cloud_with_its_nearest() -> None:
    pairer = StampPairer(PairingConfig())
    pairs = play(pairer, sensors(20.0))
    health = pairer.health(START + 20_000 * MS)
    assert len(pairs) == health.paired == 200
    assert health.unpaired == 0
    assert (
        max(abs(p.image_dt_s) for p in pairs) <= 0.018
    )  # half a camera period; the first within slop would give 67 ms
    assert 0.005 < health.p50_dt_s < 0.012
    assert health.last_dt_s <= health.p95_dt_s + 0.003
    assert health.cloud_rate_hz == pytest.approx(10, abs=0.3)
    assert health.image_rate_hz == pytest.approx(29.7, abs=0.6)
    assert health.problems == ()


@pytest.mark.parametrize("option", ["image_offset_s", "cloud_offset_s"])
def test_offsets_are_added_to_stamps(option: str) -> None:
    # image stamps are 0.31 s late; either correction must give back the nearest pairs
    offset = 0.31 if option == "image_offset_s" else -0.31
    pairer = StampPairer(PairingConfig(**{option: offset}))
    pairs = play(pairer, sensors(5.0, image_delay_ms=310))
    assert len([p for p in pairs if p.image is not None]) >= 49
    assert max(abs(p.image_dt_s) for p in pairs) <= 0.018
    assert pairs[0].cloud_stamp_ns == START + (0 if option == "image_offset_s" else -310 * MS)


@pytest.mark.parametrize(
    ("delay_ms", "max_dt_s", "phrases", "advises_offset"),
    [
        # a later image holds a nearer stamp: a delay on the way, which no offset corrects
        (310, 0.01, ("arrive 0.3", "later than clouds on /lidar with the same stamp", "raise pairing.max_wait_s"), False),
        (2500, 0.05, ("arrive 2.5", "shorten the delay"), False),
        # clouds come later than images are kept
        (-3000, 0.01, ("clouds on /lidar arrive 3.0", "pairing.buffer_s", "set pairing.image_offset_s to about -3.0"), True),
        # no image is ever near enough
        (0, 0.001, ("too rare", "raise pairing.max_dt_s"), False),
    ],
)  # fmt: skip
def test_what_is_said_when_nothing_pairs(
    delay_ms: float, max_dt_s: float, phrases: tuple[str, ...], advises_offset: bool
) -> None:
    pairer = StampPairer(PairingConfig(max_dt_s=max_dt_s), "/lidar", "/camera")
    events = sensors(4.0, image_delay_ms=delay_ms)
    if max_dt_s == 0.001:
        events = [e for e in events if e[1] == "c" or 4 < e[2] % 100 < 96]
    pairs = play(pairer, events)
    assert not [p for p in pairs if p.image is not None]
    (problem,) = pairer.health(START + 4000 * MS).problems
    for phrase in ("nothing pairs", "/camera", *phrases):
        assert phrase in problem
    assert ("image_offset_s" in problem) == advises_offset


def test_a_slow_camera_that_is_triggered_far_from_the_cloud_can_be_paired_all_the_same() -> None:
    pairer = StampPairer(PairingConfig(), "/lidar", "/camera")
    events = sorted(
        [(200 * k, "c", 200 * k) for k in range(50)] + [(200 * k + 80, "i", 200 * k + 80) for k in range(50)]
    )
    assert not [p for p in play(pairer, events) if p.image is not None]
    (problem,) = pairer.health(START + 10_000 * MS).problems
    assert "set pairing.image_offset_s to -0.080" in problem  # stamps that are wrong
    assert "raise pairing.max_dt_s (now 0.05 s) to 0.09" in problem  # and those that are right


def late(events: list[tuple[int, str, int]], kind: str, lag_ms: float, from_ms: float = 0.0) -> list:
    """The same messages; one sensor's arrive later by ``lag_ms`` from then on."""
    return sorted(((a + lag_ms * (k == kind and a >= from_ms), k, s) for a, k, s in events), key=lambda e: e[0])


@pytest.mark.parametrize("kind", ["i", "c"])
@pytest.mark.parametrize("lag_ms", [60, 120, 190])
@pytest.mark.parametrize("triggered", [False, True])
def test_a_late_sensor_is_waited_for_from_the_start(kind: str, lag_ms: int, triggered: bool) -> None:
    events = sensors(8.0)
    if triggered:  # a camera at 30 Hz, every third image with a cloud's stamp
        events = [(100 * k, "c", 100 * k) for k in range(80)]
        events += [(round(100 / 3 * k) + 5, "i", round(100 / 3 * k)) for k in range(240)]
    pairer = StampPairer(PairingConfig(), "/lidar", "/camera")
    pairs = play(pairer, late(events, kind, lag_ms))
    dt_s = [abs(p.image_dt_s) for p in pairs if p.image is not None]
    assert len(dt_s) >= len(pairs) - 1 >= 75
    assert max(dt_s) <= (0.0 if triggered else 0.018)
    health = pairer.health(START + (8000 + lag_ms) * MS)
    assert health.problems == ()
    assert health.hint == "", "a delay is no offset of the stamps"
    lag_s = lag_ms / 1000 * (1 if kind == "i" else -1)
    assert health.arrival_offset_s == pytest.approx(lag_s + 0.005, abs=0.005)
    assert health.wait_s == pytest.approx(0.04 + max(health.arrival_p95_s, 0.0))


def test_the_wait_follows_the_lag_and_is_bounded() -> None:
    pairer = StampPairer(PairingConfig(max_wait_s=0.2), "/lidar", "/camera")
    assert pairer.wait_s == 0.2, "nothing is known yet"
    waits = []
    for begin, lag_ms in ((0, 0), (6000, 120), (12_000, 170), (18_000, 400), (24_000, 0)):
        pairs = play(pairer, late(sensors(6.0, start_ms=begin), "i", lag_ms))
        waits.append(pairer.wait_s)
        health = pairer.health(START + (begin + 6000) * MS)
        if lag_ms < 200:
            assert sum(p.image is not None and abs(p.image_dt_s) < 0.018 for p in pairs) >= 55, lag_ms
            assert health.problems == ()
        else:
            assert "raise pairing.max_wait_s" in " ".join(health.problems)
        assert "image_offset_s" not in health.hint + " ".join(health.problems)
    assert waits == pytest.approx([0.045, 0.165, 0.2, 0.04, 0.045], abs=0.006)


def test_a_lag_that_was_not_waited_for_is_no_offset() -> None:
    """A triggered camera whose images come 120 ms late, and nobody waits: the image before is 100 ms too old."""
    events = [(100 * k, "c", 100 * k) for k in range(80)] + [(100 * k + 120, "i", 100 * k) for k in range(80)]
    pairer = StampPairer(PairingConfig(max_wait_s=0.0, max_dt_s=0.15), "/lidar", "/camera")
    pairs = play(pairer, sorted(events, key=lambda e: e[0]))
    assert {p.image_dt_s for p in pairs[5:]} == {-0.2} or {round(p.image_dt_s, 3) for p in pairs[5:-2]} == {-0.1}
    health = pairer.health(START + 8000 * MS)
    assert health.late_share > 0.8
    assert health.hint == ""
    assert health.constant_offset_s == 0.0
    assert "raise pairing.max_wait_s to 0.1" in health.problems[0]


def test_clocks_of_different_epochs_are_called_that() -> None:
    pairer = StampPairer(PairingConfig(), "/lidar", "/camera")
    play(pairer, sensors(3.0, image_delay_ms=60_000))
    (problem,) = pairer.health(START + 3000 * MS).problems
    assert "different clocks" in problem


def test_a_silent_camera_lets_clouds_go_on_alone_at_once() -> None:
    pairer = StampPairer(PairingConfig(image_silent_s=1.0), "/lidar", "/camera")
    events = [e for e in sensors(5.0) if e[1] == "c" or e[0] < 2000]
    pairs = play(pairer, events)
    alone = [p for p in pairs if p.camera_silent]
    assert alone[0].cloud in (2900, 3000)
    assert all(p.image is None for p in alone)
    assert pairs[-1].cloud == 4900  # not waited for
    health = pairer.health(START + 4900 * MS)
    assert health.camera_silent
    assert any("no image on /camera for 2.9 s" in p and "LiDAR only" in p for p in health.problems)
    # the camera comes back: pairs again
    again = play(pairer, sensors(1.0, start_ms=5000))
    assert again[-1].image is not None
    assert pairer.health(START + 6000 * MS).problems == ()


def test_without_a_camera_nothing_waits() -> None:
    pairer = StampPairer(PairingConfig(), "/lidar", "")
    pairs = play(pairer, [(0, "c", 1), (100, "c", 100)])
    assert [(p.cloud, p.image, p.camera_silent) for p in pairs] == [(1, None, True), (100, None, True)]
    assert pairer.health(START + 100 * MS).problems == ()


def test_a_silent_lidar_is_named() -> None:
    pairer = StampPairer(PairingConfig(), "/lidar", "/camera")
    play(pairer, [e for e in sensors(5.0) if e[1] == "i" or e[0] < 1000])
    (problem,) = pairer.health(START + 5000 * MS).problems
    assert problem == "no cloud on /lidar for 4.1 s"


def test_zero_stamps_are_refused_and_counted() -> None:
    pairer = StampPairer(PairingConfig(), "/lidar", "/camera")
    assert "/lidar has a stamp of zero" in pairer.add_cloud(0, "cloud", START)
    assert "/camera has a stamp of zero" in pairer.add_image(0, "image", START)
    assert pairer.poll(START + 1000 * MS) == []
    health = pairer.health(START + 100 * MS)
    assert (health.cloud.zero_stamp, health.image.zero_stamp) == (1, 1)
    assert any("1 of 1 messages on /lidar had a stamp of zero" in p for p in health.problems)


def test_a_bag_that_loops_starts_a_new_epoch() -> None:
    pairer = StampPairer(PairingConfig())
    first = play(pairer, sensors(3.0))
    # the second round arrives later, with the first round's stamps
    second = play(pairer, [(a + 3000, kind, s) for a, kind, s in sensors(3.0)])
    assert {p.epoch for p in first} == {0}
    assert pairer.health(START + 6000 * MS).time_jumps == second[-1].epoch
    same = [p for p in second if p.epoch == second[-1].epoch]
    assert len(same) == 30
    assert max(abs(p.image_dt_s) for p in same) <= 0.018  # never an image of the round before
    assert all(p.image is not None for p in same[1:])


@pytest.mark.parametrize("kind", ["i", "c"])
@pytest.mark.parametrize("back_ms", [60, 300, 2000, 20_000])
def test_messages_out_of_order_start_no_epoch(kind: str, back_ms: int) -> None:
    """One message of each second comes late, or two: tracks go on."""
    events = sensors(10.0)
    strays = [
        (a + 1 + n, kind, a - back_ms + 7 * n) for a in range(1050, 10_000, 1000) for n in range(1 + (a // 1000) % 2)
    ]
    pairer = StampPairer(PairingConfig())
    pairs = play(pairer, sorted(events + strays, key=lambda e: e[0]))
    assert {p.epoch for p in pairs} == {0}
    assert len(pairs) == 100
    assert sum(p.image is None for p in pairs) == 0


@pytest.mark.parametrize("kind", ["i", "c"])
@pytest.mark.parametrize("ahead_ms", [400, 5000, 60_000])
def test_one_stamp_far_ahead_starts_no_epoch(kind: str, ahead_ms: int) -> None:
    pairer = StampPairer(PairingConfig())
    pairs = play(pairer, sorted([*sensors(6.0), (3050, kind, 3050 + ahead_ms)], key=lambda e: e[0]))
    assert {p.epoch for p in pairs} == {0}
    good = [p for p in pairs if p.cloud != 3050 + ahead_ms]
    assert len(good) == 60
    assert sum(p.image is None for p in good) <= 4
    assert sorted(abs(p.image_dt_s) for p in good)[-3] <= 0.018, "but for those around it"


@pytest.mark.parametrize("with_camera", [True, False])
@pytest.mark.parametrize("back_s", [1.5, 3.0, 60.0])
def test_a_jump_loses_nothing_and_happens_once(back_s: float, with_camera: bool) -> None:
    first = [e for e in sensors(4.0) if with_camera or e[1] == "c"]
    second = [(a + 4000, k, round(s + 4000 - 1000 * back_s)) for a, k, s in first]
    pairer = StampPairer(PairingConfig(), image_topic="images" if with_camera else "")
    pairs = play(pairer, first + second)
    assert [p.epoch for p in pairs] == sorted(p.epoch for p in pairs)
    assert [sum(p.epoch == epoch for p in pairs) for epoch in (0, 1)] == [40, 40]
    assert max(abs(p.image_dt_s) for p in pairs) <= 0.018
    assert pairer.health(START + 8000 * MS).cloud.out_of_order == 0


def test_one_cloud_is_a_jump_when_the_clock_went_back() -> None:
    pairer = StampPairer(PairingConfig(), image_topic="")
    play(pairer, [(5000 + 100 * k, "c", 5000 + 100 * k) for k in range(10)])
    assert [p.epoch for p in play(pairer, [(100, "c", 100)])] == [1]  # simulated time: the bag starts over
    pairer.add_cloud(START + 50 * MS, "late", START + 200 * MS)
    assert pairer.poll(START + 20_000 * MS) == []
    assert [p.epoch for p in play(pairer, [(20_100, "c", 20_100)])] == [1]


def test_options_change_without_a_new_epoch() -> None:
    pairer = StampPairer(PairingConfig())
    play(pairer, sensors(3.0))
    play(pairer, [(a + 3000, kind, s) for a, kind, s in sensors(3.0)])
    pairer.configure(PairingConfig(image_offset_s=-0.01, max_dt_s=0.03))
    pairs = play(pairer, sensors(3.0, start_ms=6000))
    assert {p.epoch for p in pairs} == {1}
    assert len(pairs) == 30
    assert sum(p.image is not None for p in pairs) >= 29
    assert pairer.health(START + 9000 * MS).cloud.received == 90


@pytest.mark.parametrize("lag_ms", [-4000, -300, 0, 300, 1500, 4500])
def test_offline_stamps_alone_decide(lag_ms: int) -> None:
    """However late the recorder wrote one of the topics: every cloud gets the image nearest to it."""
    pairer = StampPairer(PairingConfig(), offline=True)
    events = late(sensors(12.0), "i" if lag_ms > 0 else "c", abs(lag_ms))
    pairs = play(pairer, events) + pairer.flush(START + 20_000 * MS)
    images = np.array([s for _, k, s in events if k == "i"])
    assert [p.cloud for p in pairs] == [100 * k for k in range(120)]
    for pair in pairs:
        assert abs(pair.image - pair.cloud) == np.abs(images - pair.cloud).min()


def test_offline_a_camera_that_ends_holds_back_5_s_of_clouds_at_most() -> None:
    pairer = StampPairer(PairingConfig(), offline=True)
    pairs = play(pairer, [e for e in sensors(20.0) if e[1] == "c" or e[2] < 3000])
    assert len(pairs) >= 148
    assert [p.image is not None for p in pairs] == [p.cloud <= 3000 for p in pairs]


def test_the_same_cloud_twice_counts_once() -> None:
    pairer = StampPairer(PairingConfig())
    pairs = play(pairer, [(100, "i", 100), (101, "c", 100), (102, "c", 100), (103, "c", 80)])
    assert [p.cloud for p in pairs] == [100]
    assert pairer.health(START).cloud.out_of_order == 2


def test_memory_is_bounded_when_one_side_stops() -> None:
    pairer = StampPairer(PairingConfig(buffer_s=0.5))
    for k in range(3000):
        pairer.add_image(START + k * 33 * MS, np.zeros(1), START + k * 33 * MS)
    assert len(pairer._images) <= 17
    for k in range(3000):
        pairer.add_cloud(START + k * 100 * MS, np.zeros(1), START)  # nobody polls
    assert len(pairer._waiting) <= 6
    assert pairer.health(START).cloud.dropped >= 2990


def test_flush_hands_out_what_waits() -> None:
    pairer = StampPairer(PairingConfig())
    play(pairer, [(60, "i", 60), (101, "c", 100)])
    assert [(p.cloud, p.image) for p in pairer.flush(START + 101 * MS)] == [(100, 60)]


def test_health_before_anything_arrives() -> None:
    health = StampPairer(PairingConfig(), "/lidar").health(START)
    assert isinstance(health, PairingHealth)
    assert health.problems == ("nothing has arrived on /lidar yet",)
    assert np.isnan(health.p50_dt_s)


@pytest.mark.parametrize(
    ("offset_ms", "jitter_ms", "estimate_ms", "advice"),
    [
        (23.0, 0.8, 23.0, "set pairing.image_offset_s to -0.023"),  # triggered, exposure counted from another moment
        (-31.0, 0.8, -31.0, "set pairing.image_offset_s to 0.031"),
        (2.0, 0.8, 2.0, ""),  # does no harm
        (0.0, 15.0, np.nan, ""),  # free-running: nothing is constant
    ],
)
def test_a_constant_offset_is_estimated(offset_ms: float, jitter_ms: float, estimate_ms: float, advice: str) -> None:
    pairer = StampPairer(PairingConfig())
    random = np.random.default_rng(0)
    for k in range(60):
        stamp, now = START + 100 * k * MS, START + (100 * k + 60) * MS
        late = round((offset_ms + random.uniform(-jitter_ms, jitter_ms)) * MS)
        pairer.add_image(stamp + late, k, now)
        pairer.add_cloud(stamp, k, now)
        pairer.poll(now + 50 * MS)
        if k == 20:
            assert np.isnan(pairer.health(START + 4000 * MS).constant_offset_s)  # too early to say
    health = pairer.health(now)
    assert health.constant_offset_s * 1e3 == pytest.approx(estimate_ms, abs=0.6, nan_ok=True)
    assert (advice in health.hint) if advice else not health.hint
    assert health.arrival_offset_s * 1e3 == pytest.approx(-offset_ms, abs=2.0)


def test_a_jump_forgets_the_offset() -> None:
    pairer = StampPairer(PairingConfig())
    for k in range(40):
        pairer.add_image(START + (100 * k + 20) * MS, k, START + 100 * k * MS)
        pairer.add_cloud(START + 100 * k * MS, k, START + 100 * k * MS)
        pairer.poll(START + 100 * k * MS)
    assert pairer.health(START + 4000 * MS).constant_offset_s == pytest.approx(0.02)
    for k in range(3):
        pairer.add_cloud(START + (100 * k - 10_000) * MS, 0, START + (4000 + 100 * k) * MS)
    assert np.isnan(pairer.health(START + 4000 * MS).constant_offset_s)
