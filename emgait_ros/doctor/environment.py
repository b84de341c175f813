"""Settings of the shell and the system that silently lose ROS 2 data or keep nodes from finding each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from emgait_ros.doctor.findings import Finding, fail, ok, warn
from emgait_ros.transport import PROFILE_VARIABLES, SMALL_SEGMENT_BYTES, shipped_profile

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Fast DDS puts its segments
NEEDED_SHARED_MEMORY_MB = 256  # driver, tracker, recognizer, rviz and a bag player with 32 MB each, and some room
HIGHEST_DOMAIN = 232  # the DDS port formula ends there
SAFE_DOMAIN = 101  # above it Linux may already have given the ports to another process
RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
EXPORT_PROFILE = "for every process that sends clouds or images: " + "; ".join(
    f"export {name}=" + "{path}" for name in PROFILE_VARIABLES
)


def check_environment(environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Middleware, domain, discovery and the Fast DDS profile, as the shell's environment has them."""
    environ = os.environ if environ is None else environ
    middleware = environ.get("RMW_IMPLEMENTATION", "")
    yield check_middleware(middleware, environ)
    yield check_domain(environ.get("ROS_DOMAIN_ID", ""))
    yield from check_discovery(environ)
    if "fastrtps" in (middleware or "rmw_fastrtps_cpp"):
        yield from check_profile(environ)


def check_middleware(name: str, environ: Mapping[str, str]) -> Finding:
    """RMW_IMPLEMENTATION: is what it names installed?"""
    if not name:
        return ok("middleware", "RMW_IMPLEMENTATION is not set: Fast DDS, the default")
    prefixes = [Path(prefix) for prefix in environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    prefixes.append(Path(sys.prefix))
    if not any((prefix / "lib" / f"lib{name}.so").exists() for prefix in prefixes):
        return fail(
            "middleware",
            f"RMW_IMPLEMENTATION is {name}, which is not installed",
            "unset RMW_IMPLEMENTATION, or install it",
        )
    if "fastrtps" not in name:
        return warn(
            "middleware",
            f"RMW_IMPLEMENTATION is {name}: not tested with this project",
            "see its manual about messages of several MB",
        )
    return ok("middleware", f"RMW_IMPLEMENTATION is {name}")


def check_domain(value: str) -> Finding:
    """ROS_DOMAIN_ID: a number DDS can use."""
    subject = "domain"
    if not value:
        return ok(subject, "ROS_DOMAIN_ID is not set: 0")
    if not value.isdigit() or int(value) > HIGHEST_DOMAIN:
        return fail(subject, f"ROS_DOMAIN_ID is '{value}'", f"set it to 0 to {SAFE_DOMAIN}, the same everywhere")
    if int(value) > SAFE_DOMAIN:
        return warn(subject, f"ROS_DOMAIN_ID is {value}: its ports may be taken on Linux", f"use 0 to {SAFE_DOMAIN}")
    return ok(subject, f"ROS_DOMAIN_ID is {value}: only nodes with the same one are seen")


def check_discovery(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Who can be found: discovery range, discovery server, the old localhost switch."""
    value = environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    subject = "discovery"
    if value and value not in RANGES:
        yield warn(
            subject,
            f"ROS_AUTOMATIC_DISCOVERY_RANGE is '{value}', which ROS does not know",
            f"use one of {', '.join(RANGES)}",
        )
    elif value == "OFF":
        yield fail(
            subject,
            "ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: no other node is found",
            "unset it, or set LOCALHOST or SUBNET",
        )
    elif value == "LOCALHOST":
        yield ok(subject, "ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST: only nodes on this machine are found")
    else:
        yield ok(
            subject, f"ROS_AUTOMATIC_DISCOVERY_RANGE is {value or 'not set'}: nodes on the local network are found"
        )
    if environ.get("ROS_LOCALHOST_ONLY", "0") == "1":
        yield warn(
            subject,
            "ROS_LOCALHOST_ONLY is 1: outdated, and it overrides the discovery range",
            "unset it; use ROS_AUTOMATIC_DISCOVERY_RANGE",
        )
    server = environ.get("ROS_DISCOVERY_SERVER", "")
    if server:
        yield warn(
            subject,
            f"ROS_DISCOVERY_SERVER is {server}: publishers are only seen by subscribers of their topics",
            "the live check may miss some",
        )


def check_profile(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The Fast DDS profile file: without a larger segment, large best-effort messages are lost silently."""
    subject = "Fast DDS profile"
    chosen = {name: environ[name] for name in PROFILE_VARIABLES if environ.get(name)}
    export = EXPORT_PROFILE.format(path=shipped_profile())
    if not chosen:
        what = f"none is set: our nodes set their own, but a driver that sends more than {SMALL_SEGMENT_BYTES / 1e6:.1f} MB loses it silently"
        yield warn(subject, what, export)
        return
    if len(set(chosen.values())) > 1:
        yield warn(
            subject, " and ".join(f"{name} is {path}" for name, path in chosen.items()), "set both to the same file"
        )
    if len(chosen) == 1:
        yield warn(
            subject,
            f"only {next(iter(chosen))} is set: Jazzy reads {PROFILE_VARIABLES[0]}, Kilted {PROFILE_VARIABLES[1]}",
            "set both",
        )
    for path in sorted(set(chosen.values())):
        yield judge_profile(Path(path), export)


def judge_profile(path: Path, export: str) -> Finding:
    """One profile file: readable, and with a segment that takes a cloud."""
    subject = "Fast DDS profile"
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - a file the user's own environment names
    except OSError as error:
        return fail(subject, f"{path} cannot be read: {error.strerror}", export)
    except ElementTree.ParseError as error:
        return fail(subject, f"{path} is not XML: {error}", export)
    segments = [int(text) for text in _texts(root, "segment_size") if text.isdigit()]
    if not segments:
        return warn(subject, f"{path} sets no shared-memory segment size", export)
    if max(segments) < 8 * SMALL_SEGMENT_BYTES:
        return warn(
            subject,
            f"{path} has a segment of {max(segments) / 1e6:.1f} MB: one cloud of 128,000 points takes 2 to 4 MB",
            export,
        )
    return ok(subject, f"{path}, shared-memory segment {max(segments) / 1e6:.0f} MB", segment_bytes=max(segments))


def _texts(root: ElementTree.Element, tag: str) -> Iterator[str]:
    """Texts of all elements of that name, in any XML namespace."""
    for element in root.iter():
        if element.tag.rsplit("}", 1)[-1] == tag:
            yield (element.text or "").strip()


def check_shared_memory(folder: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """Room for the segments; containers come with 64 MB."""
    subject = str(folder)
    if not folder.is_dir():
        yield warn(subject, "is not there: messages go through UDP, which is slower", "mount a tmpfs there")
        return
    if not os.access(folder, os.W_OK):
        yield fail(subject, "cannot be written: shared memory does not work", f"chmod 1777 {folder}")
        return
    state = os.statvfs(folder)
    total_mb, free_mb = (blocks * state.f_frsize / 1e6 for blocks in (state.f_blocks, state.f_bavail))
    segments = len([entry for entry in os.scandir(folder) if entry.name.startswith("fastrtps_")])
    figures = {"total_mb": round(total_mb), "free_mb": round(free_mb), "segments": segments}
    text = f"{free_mb:.0f} of {total_mb:.0f} MB free, {segments} files of Fast DDS"
    if free_mb < NEEDED_SHARED_MEMORY_MB:
        fix = "in a container: docker run --ipc=host or --shm-size=1g; else `fastdds shm clean` removes what dead processes left"
        yield (fail if free_mb < 40 else warn)(
            subject, f"{text}: each process with the profile takes 32 MB", fix, **figures
        )
    else:
        yield ok(subject, text, **figures)
