"""Retention: hidden, then deleted; never by one jump of the clock."""

import time

import pytest
from galleries import MODEL, enroll

from emgait_ros.gallery import expiry
from emgait_ros.gallery.clock import ClockState, Moment
from emgait_ros.gallery.expiry import GRACE_DAYS
from emgait_ros.gallery.store import Gallery

KEY = b"k" * 32
DAY = 86_400 * 10**9
START = time.time_ns()
YEARS = 3650


class Robot:
    """A gallery that is opened, checked with ``keep_days`` of 30 and closed again, at days that this test says.

    ``boot``: which boot of the machine; the time since it goes on with the days unless the clock ``jumps``.
    """

    def __init__(self, place, monkeypatch, key):
        self.place, self.key, self._patch = place, key, monkeypatch
        with Gallery(place, key=key) as gallery:
            for seed, (name, age) in enumerate((("Anna", 20), ("Ben", 0))):
                enroll(gallery, name, seed, created_ns=START - age * DAY)

    def at(self, days, boot="", boot_days=None, trust=False):
        moment = Moment(START + int(days * DAY), int((days if boot_days is None else boot_days) * DAY), boot)
        self._patch.setattr(expiry.Moment, "read", lambda: moment)
        with Gallery(self.place, key=self.key) as gallery:
            found = gallery.expire(30, trust)
            assert gallery.clock_doubt == found.doubt
            return found

    def daily(self, first, last, **more):
        return [self.at(day, **more) for day in range(first, last + 1)][-1]

    def named(self):
        with Gallery(self.place, key=self.key) as gallery:
            return sorted(gallery.templates_for(MODEL).names.values())

    def enrolled(self):
        with Gallery(self.place, key=self.key) as gallery:
            return [person.name for person in gallery.identities()]


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def robot(place, monkeypatch, request):
    return Robot(place, monkeypatch, request.param)


def test_hidden_when_the_time_is_over_and_deleted_a_week_later(robot):
    assert robot.daily(0, 10) == expiry.Expiry([], [], [])
    assert robot.at(11).expired == ["Anna"]
    assert (robot.named(), robot.enrolled()) == (["Ben"], ["Anna", "Ben"])
    assert robot.daily(12, 10 + GRACE_DAYS).deleted == []
    assert robot.at(11 + GRACE_DAYS).deleted == ["Anna"]
    assert robot.enrolled() == ["Ben"]
    with Gallery(robot.place, key=robot.key) as gallery:
        actions = [(entry.action, entry.name) for entry in gallery.history.audit()][2:]
        assert actions == [("expire", "Anna"), ("remove", "Anna")]
        gallery.undo()  # Ben's enrolment: nothing brings Anna back
        assert gallery.identities() == []


@pytest.mark.parametrize(
    "bring_back",
    [
        lambda gallery: gallery.undo(),
        lambda gallery: gallery.set_disabled("Anna", False),
        lambda gallery: enroll(gallery, "Anna"),
    ],
)
def test_within_the_week_they_can_be_brought_back(place, monkeypatch, bring_back):
    robot = Robot(place, monkeypatch, None)
    robot.daily(0, 11)
    with Gallery(place) as gallery:
        assert gallery.identities()[0].expired_ns == START + 11 * DAY
        bring_back(gallery)
        assert gallery.check() == []
    assert robot.named() == ["Anna", "Ben"]
    assert robot.at(12) == expiry.Expiry([], [], [])  # and stay


@pytest.mark.parametrize(
    ("boot", "boot_days"),
    [("", None), ("one boot", 1.0)],
    ids=["found at a start", "while it runs"],
)
def test_one_jump_of_the_clock_removes_nobody(robot, boot, boot_days):
    robot.at(0, boot, 0.0)
    for hour in range(5):
        found = robot.at(YEARS + hour / 24, boot, None if boot_days is None else boot_days + hour / 24)
        assert (found.expired, found.deleted) == ([], [])
        assert "it may have jumped" in found.doubt
    assert robot.named() == ["Anna", "Ben"]
    assert robot.at(2, boot, None if boot_days is None else 2.0).doubt == ""  # set right again
    assert robot.named() == ["Anna", "Ben"]


def test_a_clock_that_stays_wrong_hides_after_three_days_and_comes_back_when_it_is_set_right(robot):
    robot.at(0)
    for day in range(3):
        assert robot.at(YEARS + day).doubt
    assert robot.at(YEARS + 3).expired == ["Anna", "Ben"]
    assert robot.named() == []
    assert robot.daily(YEARS + 4, YEARS + 2 + GRACE_DAYS).deleted == []
    assert "the newest entry is of" in robot.at(9).doubt
    assert robot.at(9, trust=True).restored == ["Anna", "Ben"]
    assert robot.named() == ["Anna", "Ben"]
    assert robot.at(10) == expiry.Expiry([], [], [])


def test_a_clock_before_the_newest_entry_removes_nobody(robot):
    robot.daily(0, 10)
    for wrong in (-YEARS, 5):
        assert "the newest entry is of" in robot.at(wrong).doubt
    assert robot.named() == ["Anna", "Ben"]
    assert robot.at(11).expired == ["Anna"]  # and it goes on as if nothing had been


@pytest.mark.parametrize(
    ("state", "days", "boot_days", "boot", "newest", "believed"),
    [
        (ClockState(), 0, 0, "a", 0, True),  # an empty gallery
        (ClockState(), 20, 0, "a", 1, True),
        (ClockState(), 31, 0, "a", 1, False),  # nobody was there for a month, or it jumped
        (ClockState(1, 1, 0, "a"), 31, 31, "a", 1, True),  # the machine ran all the time
        (ClockState(1, 1, 0, "a"), 2, 1, "a", 1, False),  # a day too many, while it ran
        (ClockState(1, 1, 0, "a"), 2, 0, "b", 1, True),  # off for two days
        (ClockState(1, 1, 0, "a"), -1, 0, "b", 1, False),
        (ClockState(1, 1 + 40 * DAY, 0, "a", 1 + 40 * DAY), 43, 3, "a", 1, True),  # went on steadily
        (ClockState(1, 1 + 40 * DAY, 0, "a", 1 + 40 * DAY), 49, 3, "a", 1, False),  # jumped again
        (ClockState(1, 1 + 40 * DAY, 0, "a", 1 + 40 * DAY), 1, 3, "b", 1, True),  # came back
    ],
)
def test_when_a_clock_is_believed(state, days, boot_days, boot, newest, believed):
    moment = Moment(1 + days * DAY, boot_days * DAY, boot)
    after, doubt = state.checked(moment, newest)
    assert (doubt == "") == believed
    assert (after.believed_ns == moment.now_ns) == (believed or moment.now_ns == state.believed_ns)
