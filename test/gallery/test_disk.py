"""Disks without hard links, without modes, and of other machines."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from galleries import enroll

from emgait_ros.gallery import disk
from emgait_ros.gallery.export_file import signing_key
from emgait_ros.gallery.store import Gallery

ENROLL = """
import sys, numpy as np
from emgait_ros.gallery.store import Gallery
sys.stdin.readline()  # all at once
with Gallery(sys.argv[1]) as gallery:
    rows = np.ones((1, 4, 8), np.float32)
    gallery.enroll(sys.argv[2], rows, "a" * 64, samples=[10], modalities=3, median_range_m=9.0)
"""
MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home/robot/nas rw - nfs4 server:/data rw
31 22 0:41 / /media/my\\040stick rw - exfat /dev/sdb1 rw
32 22 0:42 / /media/over rw shared:9 master:1 - fuse.sshfs robot@other: rw
"""


def sh(*words):
    return subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)


@pytest.fixture
def exfat(tmp_path):
    """A real exFAT file system: no hard links, no modes."""
    folder, image = tmp_path / "stick", tmp_path / "image"
    folder.mkdir()
    with image.open("wb") as stream:
        stream.truncate(16 * 2**20)
    if os.geteuid() or not shutil.which("mkfs.exfat") or sh("mkfs.exfat", image).returncode:
        pytest.skip("making an exFAT file system takes root and exfatprogs")
    device = sh("losetup", "-f", "--show", image).stdout.strip()
    mounts = (("mount", "-t", "exfat"), ("mount.exfat-fuse",)) if device else ()
    if all(sh(*words, "-o", "umask=022", device, folder).returncode for words in mounts):
        sh("losetup", "-d", device or "none")
        pytest.skip("exFAT cannot be mounted here")
    yield folder
    sh("umount", folder)
    sh("losetup", "-d", device)


@pytest.fixture(params=["exfat", "refused"])
def without_links(request, tmp_path, monkeypatch):
    """A folder in which no hard link can be made."""
    if request.param == "exfat":
        return request.getfixturevalue("exfat")

    def refused(*_args, **_kwargs):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    return tmp_path


def test_a_gallery_without_hard_links(without_links, tmp_path):
    path = without_links / "deep" / "gallery.db"
    with Gallery(path) as gallery:
        enroll(gallery, "Anna")
        gallery.exchange.export(without_links / "people.emgait", signing=tmp_path / "signing.key")
        gallery.back_up()
        gallery.remove("Anna")
    assert sorted(file.name for file in path.parent.iterdir()) == ["gallery.db", "gallery.db.backup"]
    with Gallery(path) as gallery:
        assert gallery.identities() == []
        assert [problem for problem in gallery.check() if "can be read by others" not in problem] == []


def test_a_disk_without_modes_is_warned_of_with_what_helps(exfat, caplog):
    with Gallery(exfat / "gallery.db") as gallery:
        assert [problem for problem in gallery.check() if "umask=077" in problem]
    assert "mount it with umask=077" in caplog.text
    with pytest.raises(ValueError, match="mount it with umask=077"):
        signing_key(exfat / "signing.key")


@pytest.mark.parametrize("where", ["exfat", "tmp_path"])
def test_eight_creators_at_once_lose_nobody(where, request):
    path = request.getfixturevalue(where) / "gallery.db"
    people = [f"n{number}" for number in range(8)]
    words = [sys.executable, "-c", ENROLL, str(path)]
    running = [subprocess.Popen([*words, name], stdin=subprocess.PIPE) for name in people]
    for process in running:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(120) for process in running] == [0] * 8
    with Gallery(path) as gallery:
        assert [person.name for person in gallery.identities()] == people
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".gallery")] == []


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/home/robot/gallery.db", "ext4", ""),
        ("/home/robot/nas/a/gallery.db", "nfs4", "nfs4"),
        ("/home/robot/nas2/gallery.db", "ext4", ""),
        ("/media/my stick/gallery.db", "exfat", ""),
        ("/media/over/gallery.db", "fuse.sshfs", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path(path, kind, remote, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mountinfo")
    disk.MOUNTS.write_text(MOUNTS)
    assert disk.file_system(Path(path)) == kind
    assert disk.remote_file_system(Path(path)) == remote


def test_a_disk_of_another_machine_gets_no_write_ahead_log(tmp_path, monkeypatch, caplog):
    path = tmp_path / "gallery.db"
    with Gallery(path) as gallery:
        enroll(gallery, "Anna")
        assert gallery.file.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mountinfo")
    disk.MOUNTS.write_text(f"22 1 0:40 / {tmp_path} rw - nfs4 server:/data rw\n")
    with Gallery(path) as gallery, Gallery(path) as other:
        assert gallery.file.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        enroll(gallery, "Ben")
        assert enroll(other, "Ben") == 4
        assert gallery.check() == []
    assert "(nfs4): it is kept without a write-ahead log" in caplog.text
