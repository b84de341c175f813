"""What the services say of people whose time is over, and of templates that somebody without the key moved."""

from __future__ import annotations

import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from galleries import enroll, rows
from live_graph import PATIENCE_S, pedestrian, pedestrians, stamp_of
from std_srvs.srv import Trigger

from emgait_msgs.msg import IdentityArray
from emgait_msgs.srv import DisableIdentity, EnrollIdentity, ListIdentities, RemoveIdentity, RenameIdentity
from emgait_ros.gallery.encryption import find_key, write_new_key
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.nodes.gallery_services import BURST_S, SHARE, CallBudget

pytestmark = pytest.mark.ros

DAY = 86_400 * 10**9


def test_expired_people_and_moved_templates_are_said_and_the_others_are_known(graph, start, bundle_folder, tmp_path):
    place, key_file, bundle = tmp_path / "gallery.db", tmp_path / "key", load_bundle(bundle_folder)
    with Gallery(place, key=write_new_key(key_file)) as gallery:
        for seed, (name, age) in enumerate((("Anna", 40), ("Ben", 1), ("Cleo", 1), ("Dan", 1))):
            templates = rows(seed, 1, bundle.embedding_shape)
            enroll(gallery, name, templates, bundle.fingerprint, created_ns=time.time_ns() - age * DAY)
        gallery.file.connection.execute(
            "UPDATE templates SET identity_id = 5 - identity_id WHERE identity_id IN (2, 3)"
        )
    options = {"engine__bundle": str(bundle_folder), "gallery__path": str(place), "gallery__key_file": str(key_file)}
    node = start("gait_recognizer", **options, gallery__keep_days=30.0)

    def listed(templates_of=""):
        request = ListIdentities.Request(templates_of=templates_of)
        return graph.call(ListIdentities, "/gait_recognizer/list", request)

    assert graph.wait(lambda: "identities in" in node.output), node.output
    answer = listed()
    assert dict(zip(answer.names, answer.disabled, strict=True)) == {
        "Anna": True,
        "Ben": False,
        "Cleo": False,
        "Dan": False,
    }
    assert "without the key" in answer.message
    assert "the same with 1 more" in answer.message
    anna = listed("Anna")
    assert (list(anna.template_range_m), list(anna.template_samples)) == ([9.0], [30])
    assert (time.time_ns() - anna.template_enrolled[0].sec * 10**9) / DAY == pytest.approx(40, abs=0.1)
    assert not answer.template_samples
    assert "Nobody" in listed("Nobody").message
    enable = DisableIdentity.Request(name="Anna", disabled=False, caller="fleet")
    assert graph.call(DisableIdentity, "/gait_recognizer/disable", enable).success
    assert not any(listed().disabled)
    with Gallery(place, key=find_key(str(key_file))) as gallery:
        last = gallery.history.audit()[-1]
    assert (last.action, last.name, last.detail) == ("enable", "Anna", "(by fleet)")


def test_a_clock_that_is_not_believed_is_on_diagnostics(graph, start, bundle_folder, tmp_path, monkeypatch):
    """The newest entry of the gallery is of the day after tomorrow: nobody is removed, and that shows."""
    place, now = tmp_path / "gallery.db", time.time_ns()
    with Gallery(place) as gallery, monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: now + 2 * DAY)
        enroll(gallery, "Anna")
    options = {"engine__bundle": str(bundle_folder), "gallery__path": str(place), "gallery__keep_days": 30.0}
    node = start("gait_recognizer", namespace="doubt", **options)
    status = "doubt/gait_recognizer: gallery"
    said = graph.wait(lambda: graph.says(status, "nobody is removed after gallery.keep_days: the clock says"), 60.0)
    assert said, node.output
    assert "cannot be compared with" in said, "what else is wrong with the gallery is said too"
    assert graph.diagnostics[status].level == DiagnosticStatus.WARN
    assert "--trust-clock" in said


def test_calls_get_a_burst_and_then_a_share_of_the_time():
    now_s = [0.0]
    budget = CallBudget(lambda: now_s[0])
    answered = 0
    for _ in range(1000):  # ten seconds of calls that take 20 ms each
        try:
            budget.check()
        except ValueError:
            now_s[0] += 0.001
            continue
        now_s[0] += 0.02
        budget.spend(0.02)
        answered += 1
    assert BURST_S + SHARE * now_s[0] <= answered * 0.02 + 0.02 <= BURST_S + SHARE * now_s[0] + 0.06
    budget.spend(3600.0)  # one long call does not shut the door for hours
    now_s[0] += 4.0
    budget.check()


def test_a_read_only_node_changes_nothing_and_a_flood_of_calls_leaves_it_recognizing(
    graph, start, bundle_folder, tmp_path
):
    place = tmp_path / "gallery.db"
    with Gallery(place) as gallery:
        for number in range(300):
            enroll(gallery, f"n{number}")
        changes = gallery.history.last_change()
    options = {"engine__bundle": str(bundle_folder), "gallery__path": str(place), "services__read_only": True}
    node = start("gait_recognizer", namespace="closed", **options, topics__pedestrians="/closed/pedestrians")
    name = "/closed/gait_recognizer"
    calls = (
        (EnrollIdentity, "enroll", {"name": "n1", "track_id": -1}),
        (RemoveIdentity, "remove", {"name": "n1"}),
        (RenameIdentity, "rename", {"old_name": "n1", "new_name": "n2"}),
        (DisableIdentity, "disable", {"name": "n1", "disabled": True}),
        (Trigger, "undo", {}),
    )
    for kind, service, request in calls:
        answer = graph.call(kind, f"{name}/{service}", kind.Request(**request), 60.0)
        assert not answer.success
        assert "services.read_only" in answer.message
    assert not graph.set_parameter(name, "services.read_only", False).successful
    assert graph.wait(lambda: "identities in" in node.output), node.output

    client, frames = graph.node.create_client(ListIdentities, f"{name}/list"), []
    found = graph.collect(IdentityArray, f"{name}/identities")
    assert client.wait_for_service(PATIENCE_S)
    answers, first = [], time.time_ns()
    for number in range(40):
        answers += [client.call_async(ListIdentities.Request()) for _ in range(25)]
        frames.append(first + number * 100_000_000)
        graph.publish("/closed/pedestrians", pedestrians(frames[-1], pedestrian(1, seed=number)))
        time.sleep(0.05)
    assert graph.wait(lambda: any(stamp_of(m) == frames[-1] for m in found)), node.output[-2000:]

    def listed() -> list:
        return [answer for answer in answers if answer.done() and answer.result().success]

    assert graph.wait(listed)
    assert all(len(answer.result().names) == 300 for answer in listed())
    with Gallery(place) as gallery:
        assert gallery.history.last_change() == changes
