"""Doors under random and damaged input: what a case is, how it is bounded, and how things are damaged. Seeded throughout."""

from __future__ import annotations

import copy
import faulthandler
import json
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # where galleries need not wait for a disk
LONGEST_S = 60  # of one case, first imports and a busy machine included; what hangs takes for ever
MOST_MIB = 700  # that one case may add to the memory in use
ADDRESS_GIB = 24  # address space a case may ask for: what asks for more is refused by the system, not by us


class HungError(BaseException):
    """No Exception: nobody but the framework may catch it."""


@dataclass(frozen=True)
class Door:
    """A way in: ``case(draw, folder)`` goes through it once with drawn input, and asserts what must hold of the answer.

    ``refusals`` are the documented errors; each must come with a sentence. ``weight``: how many cases it gets of all; ``needs``: a module.
    """

    name: str
    case: Callable[[Any, Path], None]
    refusals: tuple[type[Exception], ...]
    weight: int
    needs: str


DOORS: dict[str, Door] = {}


def door(*refusals: type[Exception], weight: int = 1, needs: str = "") -> Callable[[Any], Any]:
    """Registers a case as a door, under the name of its function."""

    def register(case: Callable[[Any, Path], None]) -> Callable[[Any, Path], None]:
        DOORS[case.__name__] = Door(case.__name__, case, refusals, weight, needs)
        return case

    return register


def shares(cases: int, doors: Sequence[Door]) -> dict[str, int]:
    """How many of all cases each door gets."""
    whole = sum(door.weight for door in doors)
    return {door.name: max(1, cases * door.weight // whole) for door in doors}


def run(door: Door, cases: int, seed: int) -> int:
    """Go through a door; returns how many cases that were. Raises what the first case that fails raises."""
    done = 0
    if door.needs:
        import_module(door.needs)  # takes longer than a case

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(st.data())
    def one(data: Any) -> None:
        nonlocal done
        done += 1
        try:
            with bounded():
                door.case(data.draw, folder)
        except door.refusals as error:
            assert " " in str(error), f"a refusal without a sentence: {error!r}"

    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        one()
    return done


@contextmanager
def bounded(longest_s: int = LONGEST_S) -> Iterator[None]:
    """Fails what hangs, and what takes much memory."""

    def hung(*_: Any) -> None:
        raise HungError

    Path("/proc/self/clear_refs").write_text("5")  # the highest memory so far is that of now
    before = _kib("VmHWM")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_kib("VmSize") * 1024 + ADDRESS_GIB * 2**30, limits[1]))
    handler = signal.signal(signal.SIGALRM, hung)
    signal.alarm(longest_s)
    faulthandler.dump_traceback_later(2 * longest_s, exit=True)  # within C no handler runs
    try:
        yield
    except HungError as error:
        raise AssertionError(f"it took longer than {longest_s} s") from error
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    grown = (_kib("VmHWM") - before) // 1024
    assert grown <= MOST_MIB, f"it took {grown} MiB"


def _kib(name: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split(f"{name}:")[1].split()[0])


# How things are damaged.

NUMBERS = [0, 1, -1, 2, 255, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, -(2**31), 2**63 - 1, -(2**63)]
ODD_NUMBERS = [*map(float, NUMBERS), 1e-300, 1e38, 1e300, float("nan"), float("inf"), float("-inf")]
TEXTS = [
    "",
    " ",
    "\0",
    "\ud800",
    "a" * 100_000,
    "../../etc/passwd",
    "%s%n",
    "\u202e",
    "'; DROP TABLE identities; --",
    "é" * 65,
]
DEEP = "__deep__"  # becomes a hundred thousand brackets
ODD: list[Any] = [None, True, False, 10**30, DEEP, [], {}, [[]], *NUMBERS, *ODD_NUMBERS, *TEXTS]


@st.composite
def damaged(draw: Any, content: bytes, edits: int = 5) -> bytes:
    """Bytes with some of them flipped, replaced by numbers that matter, cut, taken out, copied or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, edits))):
        size = len(data)
        at = draw(st.one_of(st.integers(0, size), st.integers(0, min(64, size)), st.integers(max(0, size - 64), size)))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 16, 100, 5000]))
        kind = draw(st.sampled_from(["flip", "flip", "number", "number", "cut", "take", "copy", "put"]))
        if kind == "flip" and at < size:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            number = draw(st.sampled_from(NUMBERS)) % 2 ** (8 * min(length, 8))
            data[at : at + length] = number.to_bytes(min(length, 8), draw(st.sampled_from(["little", "big"])))
        elif kind == "cut":
            del data[at:]
        elif kind == "take":
            del data[at : at + length]
        elif kind == "copy":
            other = draw(st.integers(0, size))
            data[at:at] = data[other : other + length]
        elif kind == "put":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data)


@st.composite
def odd_json(draw: Any, values: Any, edits: int = 2) -> str:
    """JSON in which some values, or keys, are none that belong there."""
    values = json.loads(json.dumps(values))
    for _ in range(draw(st.integers(1, edits))):
        places = list(_places(values))
        if not places:
            break
        place, key = draw(st.sampled_from(places))
        if isinstance(place, dict) and draw(st.integers(0, 9)) == 0:
            del place[key]
        else:
            place[key] = copy.deepcopy(draw(st.sampled_from(ODD)))  # a later edit may go into it
    return json.dumps(values).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        yield values, key
        if isinstance(value, (dict, list)):
            yield from _places(value)
