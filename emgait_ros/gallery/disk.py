"""What the file system under a file offers: modes, and memory shared between processes. No hard link is needed anywhere."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
REMOTE = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "beegfs", "virtiofs",
}  # fmt: skip
"""File systems of other machines, on which SQLite's write-ahead log (shared memory) does not work; also ``fuse.*``."""
WITHOUT_MODES = {"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "cifs", "smb3", "smbfs", "9p"}
"""File systems whose files may all have the mode that was given when they were mounted."""


def file_system(path: Path) -> str:
    """Type of the file system a path is, or would be, on, as ``/proc/self/mountinfo`` names it; empty: not known."""
    place = os.path.realpath(path)
    best, found = "", ""
    with contextlib.suppress(OSError):
        for line in MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            mount, _, rest = line.partition(" - ")
            point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), mount.split()[4])
            inside = place == point or place.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):  # a later mount on the same place hides the earlier
                best, found = point, rest.split()[0]
    return found


def remote_file_system(path: Path) -> str:
    """As :func:`file_system` when that is of another machine, else empty."""
    kind = file_system(path)
    return kind if kind in REMOTE or kind.startswith("fuse.") else ""


def made_private(path: Path) -> bool:
    """Close a file to everybody but its owner; False: its file system has no modes, and others may read it.

    Raises:
        OSError: it is somebody else's.
    """
    if not path.stat().st_mode & 0o077:
        return True
    try:
        path.chmod(0o600)
    except OSError:
        if file_system(path) not in WITHOUT_MODES:
            raise
    return not path.stat().st_mode & 0o077


def readable_by_others(path: Path) -> str:
    """That others can read a file, with its name and what to do; empty when they cannot."""
    mode = path.stat().st_mode & 0o777
    return f"{path} can be read by others (mode {mode:04o}): {how_to_close(path)}" if mode & 0o077 else ""


def how_to_close(path: Path) -> str:
    """What to do about a file that others can read."""
    kind = file_system(path)
    if kind in WITHOUT_MODES:
        return f"its file system ({kind}) may have no modes: mount it with umask=077, or use another disk"
    return "chmod 600 it"


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lets one process or thread at a time create ``path``; check inside whether it exists by now.

    The lock file is removed when ``path`` exists, so that whoever still waits for it finds ``path``.
    """
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if path.exists():
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
