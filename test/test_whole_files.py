"""Files that are there whole or not at all, with the real causes of a failure: a full disk, an interrupt, a kill."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emgait_ros.whole_files import write_text, written_whole

ROOT = Path(__file__).resolve().parent.parent
BEFORE, AFTER = "what was there", "new content " * 100


@contextmanager
def no_more_than(size: int) -> Iterator[None]:
    """Files of this process end at so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full_disk(path: Path, private: bool) -> None:
    with no_more_than(64), written_whole(path, private) as fresh:
        fresh.write_text(AFTER)


def interrupted(path: Path, private: bool) -> None:
    with written_whole(path, private) as fresh:
        fresh.write_text(AFTER)
        Path(f"{fresh}-wal").write_text(AFTER)
        raise KeyboardInterrupt


def of_no_folder(path: Path, private: bool) -> None:
    with written_whole(path / "inside", private) as fresh:
        fresh.write_text(AFTER)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("failing", "error"), [(full_disk, OSError), (interrupted, KeyboardInterrupt), (of_no_folder, OSError)]
)
def test_what_fails_leaves_what_was_there_and_nothing_else(
    failing: Callable[[Path, bool], None], error: type[BaseException], existing: bool, private: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if existing:
        path.write_text(BEFORE)
    with pytest.raises(error):
        failing(path, private)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == ([("file", BEFORE)] if existing else [])


@pytest.mark.parametrize(
    ("private", "umask", "before", "mode"),
    [
        (False, 0o022, None, 0o644),
        (False, 0o077, None, 0o600),
        (False, 0o022, 0o600, 0o644),
        (True, 0o000, None, 0o600),
        (True, 0o000, 0o666, 0o600),
    ],
)
def test_modes(private: bool, umask: int, before: int | None, mode: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_text(BEFORE)
        path.chmod(before)
    usual = os.umask(umask)
    try:
        with written_whole(path, private) as fresh:
            assert stat.S_IMODE(fresh.stat().st_mode) == mode  # from the first byte on
            fresh.write_text(AFTER)
    finally:
        os.umask(usual)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == AFTER


@pytest.mark.parametrize("elsewhere", ["the same disk", "another disk"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_link_stays_and_leads_to_the_new_content(elsewhere: str, existing: bool, tmp_path: Path) -> None:
    beside = tmp_path / "real"
    beside.mkdir()
    disk = Path("/dev/shm") if elsewhere == "another disk" else beside
    if elsewhere == "another disk" and (not disk.is_dir() or disk.stat().st_dev == tmp_path.stat().st_dev):
        pytest.skip("/dev/shm is on the disk of the tests")
    with tempfile.TemporaryDirectory(dir=disk) as folder:
        real, link = Path(folder) / "file", tmp_path / "link"
        if existing:
            real.write_text(BEFORE)
        link.symlink_to(real)
        write_text(link, AFTER)
        assert link.is_symlink()
        assert [(file.name, file.read_text()) for file in Path(folder).iterdir()] == [("file", AFTER)]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, AFTER)
    reader.join(30)
    assert read == [AFTER]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_missing_folders_of_a_text_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "file", "Zoë")
    assert (tmp_path / "a" / "b" / "file").read_text(encoding="utf-8") == "Zoë"


KILLED = """
import os, signal, sys
from pathlib import Path
from emgait_ros.whole_files import written_whole
with written_whole(Path(sys.argv[1])) as fresh:
    fresh.write_text("half")
    Path(f"{fresh}-wal").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_write_and_what_a_running_one_writes_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_text(BEFORE)
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False).returncode == -9
    assert path.read_text() == BEFORE
    assert len(list(tmp_path.iterdir())) == 3
    running = tmp_path / f".file.{os.getppid()}.new"
    running.write_text("of another process")
    write_text(path, AFTER)
    assert sorted(file.name for file in tmp_path.iterdir()) == [running.name, "file"]
    assert path.read_text() == AFTER


def test_two_processes_may_write_one_file_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writes under a name of its own; the last to finish wins."""
    path, parent = tmp_path / "file", os.getppid()
    with written_whole(path) as first:
        first.write_text("first")
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: parent)
            write_text(path, "second")
        assert path.read_text() == "second"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "first")]
