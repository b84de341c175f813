"""Several robots, one gallery: what one enrols the others know at once; a lost server is said and got over."""

import os
import signal
import time

import numpy as np
import pytest
from galleries import MODEL, enroll, rows
from made_up_street import CONFIG, BuildEncoder, Street, walk
from postgres_server import network, running_server

from emgait_ros.gallery import schema
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.recognition.view import GalleryView
from emgait_ros.samples import Modality

KEY = b"k" * 32


def nearest(view, seed):
    found = view.matcher.search(rows(seed)[:1], [Modality.BOTH])
    return found.names[int(found.distance[0].argmin())] if len(found.names) else None


def until(happened, seconds=60.0):
    """Look until it happens, as often as a robot does with 1 ms between frames; fails when it does not."""
    start = time.monotonic()
    while not happened():
        assert time.monotonic() - start < seconds
        time.sleep(0.001)


class Robot:
    """A gallery and what its recognizer keeps in memory."""

    def __init__(self, url, key=None):
        self.gallery = Gallery(url, key=key)
        self.view = GalleryView(self.gallery, MODEL, 3)

    def knows(self, name, seed):
        self.view.try_to_follow()
        return nearest(self.view, seed) == name


@pytest.fixture
def url(server):
    yield server.url()
    server.clear()


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def robots(url, request):
    made = [Robot(url, request.param) for _ in range(3)]
    yield made
    for robot in made:
        robot.gallery.close()


def test_enrolled_at_one_robot_known_at_the_others(robots):
    first, *others = robots
    for seed, name in enumerate(["Anna", "Robert'); DROP TABLE identities;--", "👣 %s %(x)s ?"]):
        enroll(first.gallery, name, seed)
        for robot in others:
            until(lambda robot=robot, name=name, seed=seed: robot.knows(name, seed))
    others[0].gallery.rename("Anna", "Annabel")
    until(lambda: others[1].knows("Annabel", 0))
    others[1].gallery.remove("Annabel")
    until(lambda: not first.knows("Annabel", 0))
    until(lambda: not others[0].knows("Annabel", 0))
    assert first.gallery.check() == []
    assert [entry.action for entry in first.gallery.history.audit()] == ["enroll"] * 3 + ["rename", "remove"]


def test_a_change_costs_every_robot_three_statements_that_read_no_table(url, monkeypatch):
    robot, other = Robot(url), Robot(url)
    enroll(other.gallery, "Anna", 1)
    until(lambda: robot.knows("Anna", 1))
    connection, asked = robot.gallery.file.connection, []
    ask = connection.execute
    monkeypatch.setattr(connection, "execute", lambda *words: asked.append(words) or ask(*words))
    enroll(other.gallery, "Ben", 2)
    until(lambda: robot.knows("Ben", 2))
    monkeypatch.undo()
    assert len(asked) == 3
    ask("SET enable_seqscan TO off")  # the tables are so small that they would be read whole
    for statement, values in asked:
        plan = "\n".join(row[0] for row in ask(f"EXPLAIN {statement}", values).fetchall())
        assert "Index Cond" in plan
        assert "Seq Scan" not in plan
    for one in (robot, other):
        one.gallery.close()


def test_the_work_of_a_start_grows_with_the_people_before_the_server_has_statistics(url, monkeypatch):
    blocks, templates = [], np.zeros((2, 1, 8), np.float32)
    with Gallery(url) as gallery:
        gallery.file.connection.execute("ALTER TABLE templates SET (autovacuum_enabled = off)")
        gallery.file.connection.execute("ALTER TABLE identities SET (autovacuum_enabled = off)")
        for first in (0, 400):
            with gallery.file.change():
                for seed in range(first, first + 400):
                    enroll(gallery, f"p{seed}", templates)
            asked = []
            ask = gallery.file.connection.execute
            monkeypatch.setattr(
                gallery.file.connection, "execute", lambda *words, a=asked, do=ask: a.append(words) or do(*words)
            )
            assert len(GalleryView(gallery, MODEL, 3).matcher) == 2 * len(gallery.identities()) == 2 * (first + 400)
            monkeypatch.undo()
            blocks.append(0)
            for statement, values in (words for words in asked if words[0].startswith("SELECT")):
                (((plan,),),) = ask(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", values).fetchall()
                blocks[-1] += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    assert blocks[1] < 2.3 * blocks[0], blocks


def test_a_robot_that_loses_the_database_goes_on_and_says_so(server, url):
    robot, other = Robot(url), Robot(url)
    enroll(robot.gallery, "Anna", 1)
    assert robot.knows("Anna", 1)
    server.stop()
    try:
        until(lambda: (robot.view.try_to_follow(), robot.view.problem)[1])
        assert "is lost" in robot.view.problem
        assert "going on with who was known so far" in robot.view.problem
        assert robot.view.note == robot.view.problem
        start = time.monotonic()
        for _ in range(100):  # frames go on, none waits for the network
            assert robot.knows("Anna", 1)
        assert time.monotonic() - start < 10.0
        with pytest.raises(GalleryError, match=r"cannot be reached .*: nothing was changed"):
            enroll(robot.gallery, "Ben", 2)
    finally:
        server.start()
    until(lambda: (robot.view.try_to_follow(), not robot.view.problem)[1])
    enroll(other.gallery, "Ben", 2)
    until(lambda: robot.knows("Ben", 2))
    assert [person.name for person in robot.gallery.identities()] == ["Anna", "Ben"]  # answered is there
    robot.gallery.close()
    other.gallery.close()


def test_a_server_that_is_away_or_wrong_is_said_without_the_password(server, url):
    address = url.replace("robot@", "robot:secret@")
    for wrong, said in (
        (address.replace(str(server.port), "9"), "cannot be reached"),
        (address + "_none", "cannot be reached|check its address"),
        ("postgresql://robot:secret@127.0.0.1:port/x", "is not understood|cannot be reached"),
    ):
        with pytest.raises(GalleryError, match=said) as raised:
            Gallery(wrong)
        assert "secret" not in str(raised.value)
    with Gallery(address) as gallery:
        assert "secret" not in gallery.place
    with pytest.raises(GalleryError, match="there is no gallery in"):
        Gallery(server.url(), create=False)


def test_keys(url):
    with Gallery(url, key=KEY) as gallery:
        enroll(gallery, "Anna", 1)
        stored = gallery.file.connection.execute("SELECT name FROM identities").fetchone()[0]
        assert stored.startswith("enc1:")
        other = Gallery(url, key=KEY)
        gallery.change_key(b"n" * 32)
        with pytest.raises(GalleryError, match="was given another key by somebody else: nothing was changed"):
            enroll(other, "Ben", 2)
        other.close()
    for key, said in ((None, "is encrypted"), (KEY, "another key")):
        with pytest.raises(GalleryError, match=said):
            Gallery(url, key=key)


def test_a_newer_layout_is_refused(url):
    with Gallery(url) as gallery:
        gallery.file.connection.execute("UPDATE emgait.layout SET version = 99")
    with pytest.raises(GalleryError, match="has layout 99, this version knows up to 4: update emgait_ros"):
        Gallery(url)


def test_a_locked_gallery_says_so_and_recovers(url, monkeypatch):
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.05)
    with Gallery(url) as gallery, Gallery(url) as other, other.file.change():
        with pytest.raises(GalleryError, match=r"is being changed by another process .* try again"):
            enroll(gallery, "Anna", 1)
        assert gallery.identities() == []
    with Gallery(url) as gallery:
        assert enroll(gallery, "Anna", 1) == 2
        with pytest.raises(GalleryError, match="append only"), gallery.file.change() as connection:
            connection.execute("DELETE FROM audit")


def test_a_backup_is_a_gallery_file(url, tmp_path):
    with Gallery(url, key=KEY) as gallery:
        enroll(gallery, "Anna", 1)
        gallery.rename("Anna", "Annabel")
        with pytest.raises(GalleryError, match="say where its backup shall go"):
            gallery.back_up()
        copy = gallery.back_up(tmp_path / "copy.db")
    assert copy.stat().st_mode & 0o777 == 0o600
    with Gallery(copy, key=KEY) as gallery:
        assert [person.name for person in gallery.identities()] == ["Annabel"]
        np.testing.assert_array_equal(gallery.templates_for(MODEL).embedding, rows(1))
        assert gallery.check() == []
        gallery.undo()
        assert [person.name for person in gallery.identities()] == ["Anna"]


def test_two_recognizers_share_people_and_survive_the_loss(server, url):
    """As live: enrolled at one, named by the other; named still when the database is gone."""
    first, second = (GaitRecognizer(CONFIG, BuildEncoder(), Gallery(url)) for _ in range(2))
    street, other = Street(1), Street(2)
    walk(first, street, {1: 1})
    walk(second, other, {1: 1})
    assert first.enroll("Anna", 1).success

    def named():
        return second.process(other.frame({1: 1}))[0].name == "Anna"

    until(named)
    server.stop()
    try:
        until(lambda: (second.process(other.frame({1: 1})), "is lost" in second.gallery_note)[1])
        assert all(walk(second, other, {1: 1}, frames=1)[1].name == "Anna" for _ in range(5))
        answer = second.enroll("Ben", 1)
        assert not answer.success
        assert "cannot be reached" in answer.message
    finally:
        server.start()
    until(lambda: (second.process(other.frame({1: 1})), not second.gallery_note)[1])
    for recognizer in (first, second):
        recognizer.close()


# A network that drops everything, and a server that says nothing


@pytest.fixture(scope="module")
def far():
    """A server behind a network that can be cut."""
    for net in network():
        if net is None:
            pytest.skip("a network namespace takes root and iproute2, and is not allowed here")
        for server in running_server(net.host, net.prefix):
            yield server, net


@pytest.fixture(params=["packets are dropped", "nothing is said"])
def silence(request):
    """A server, and what begins and ends the fault."""
    if request.param == "packets are dropped":
        server, net = request.getfixturevalue("far")
        yield server, net.cut, net.join
    else:
        server = request.getfixturevalue("server")

        def each(number):
            for process in server.processes():
                os.kill(process, number)

        yield server, lambda: each(signal.SIGSTOP), lambda: each(signal.SIGCONT)
    server.clear()


@pytest.mark.parametrize("asked", [False, True], ids=["between changes", "while a change is read"])
def test_a_server_without_a_word_is_lost_not_waited_for(silence, asked):
    server, begin, end = silence
    robot = Robot(server.url())
    enroll(robot.gallery, "Anna", 1)
    assert robot.knows("Anna", 1)
    begin()
    try:
        if asked:  # told of a change, and the server is silent before it is read
            robot.gallery.file.connection._listener.take(robot.view.change + 1)
        until(lambda: (robot.view.try_to_follow(), robot.view.problem)[1], 60.0)
        for _ in range(100):  # frames go on, none waits for the network any more
            assert robot.knows("Anna", 1)
            assert "is lost" in robot.view.problem
        with pytest.raises(GalleryError, match="cannot be reached"):
            enroll(robot.gallery, "Ben", 2)
    finally:
        end()
    until(lambda: (robot.view.try_to_follow(), not robot.view.problem)[1], 60.0)
    with Gallery(robot.gallery.file.connection._url) as other:
        enroll(other, "Chen", 3)
        until(lambda: robot.knows("Chen", 3), 60.0)
        assert [person.name for person in other.identities()] == ["Anna", "Chen"]
    robot.gallery.close()
