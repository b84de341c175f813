"""Who may use the console: hosts, origins, the token and sessions."""

import os

import pytest

from emgait_ros.console.access import SESSION_S, Access, is_loopback, kept_token

HERE, EVERYWHERE = "127.0.0.1", "0.0.0.0"
GET, CHANGE = False, True


@pytest.mark.parametrize(
    ("bound", "host", "origin", "changes", "passes"),
    [
        # by its own address and names, through a tunnel with another port too
        (HERE, "127.0.0.1:8899", None, GET, True),
        (HERE, "localhost:8899", None, GET, True),
        (HERE, "localhost:9000", None, GET, True),
        (HERE, "[::1]:8899", None, GET, True),
        (HERE, "127.0.0.1:8899", "http://127.0.0.1:8899", CHANGE, True),
        # TLS in front
        (HERE, "localhost", "https://localhost", CHANGE, True),
        # DNS rebinding: the name of a stranger that points here
        (HERE, "evil.example:8899", None, GET, False),
        (HERE, "evil.example:8899", "http://evil.example:8899", CHANGE, False),
        (HERE, "127.0.0.1.evil.example", None, GET, False),
        (HERE, "localhost.evil.example", None, GET, False),
        (HERE, "localhost:8899@evil.example", None, GET, False),
        (HERE, "", None, GET, False),
        (HERE, "localhost:port", None, GET, False),
        (HERE, "[::1", None, GET, False),
        # an address of the network is not asked for when only this machine is listened to
        (HERE, "192.168.1.5:8899", None, GET, False),
        # pages of others, also on another port of this machine
        (HERE, "localhost:8899", "http://evil.example", CHANGE, False),
        (HERE, "localhost:8899", "http://evil.example", GET, False),
        (HERE, "localhost:8899", "http://localhost:3000", CHANGE, False),
        (HERE, "localhost:8899", "http://localhost:8899.evil.example", CHANGE, False),
        (HERE, "localhost:8899", "null", CHANGE, False),
        (HERE, "localhost:8899", "file://localhost:8899", CHANGE, False),
        (HERE, "localhost:8899", "http://[::1", CHANGE, False),
        (HERE, "localhost:8899", None, CHANGE, False),
        # for the network: addresses, which cannot be pointed elsewhere, and names that were allowed
        (EVERYWHERE, "192.168.1.5:8899", "http://192.168.1.5:8899", CHANGE, True),
        (EVERYWHERE, "robot7.example", "https://robot7.example", CHANGE, True),
        (EVERYWHERE, "ROBOT7.example", "https://robot7.example", CHANGE, True),
        (EVERYWHERE, "evil.example", None, GET, False),
    ],
)
def test_hosts_and_origins(bound, host, origin, changes, passes):
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    refusal = Access(bound, names=["robot7.example"]).refusal(headers, changes)
    assert (refusal == "") is passes, refusal


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("robot7", False),
    ],
)
def test_what_is_reached_from_this_machine_alone(host, loopback):
    assert is_loopback(host) is loopback


def test_sessions_open_with_the_token_and_end():
    now = [0.0]
    access = Access(EVERYWHERE, token="t" * 43, clock_s=lambda: now[0])
    assert access.needs_token
    assert not access.may_enter(None)
    assert not access.may_enter("")
    assert access.open_session("t" * 42) == access.open_session("") == access.open_session("ü") == ""
    session = access.open_session("t" * 43)
    assert access.may_enter(session)
    assert not access.may_enter(session + "x")
    now[0] = SESSION_S + 1
    assert not access.may_enter(session)
    assert Access(HERE).may_enter(None), "no token is asked for on this machine's own address"
    assert Access(HERE).open_session("") == ""


def test_the_token_is_made_once_and_is_for_its_owner_alone(tmp_path):
    folder = tmp_path / "new"
    token, path, is_new = kept_token(folder)
    assert is_new
    assert len(token) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_token(folder) == (token, path, False)
    os.chmod(path, 0o640)
    with pytest.raises(ValueError, match="may be read by others"):
        kept_token(folder)
    os.chmod(path, 0o600)
    path.write_text("short")
    with pytest.raises(ValueError, match="holds no token"):
        kept_token(folder)
