"""Every door of the system under some hundred random and damaged inputs; `make fuzz` goes through them by the thousand."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from doors_open import CHOSEN, close
from fuzzing import bounded, run, shares

CASES, SEED = 2000, 20261202


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    close()


@pytest.mark.parametrize(
    "door",
    [pytest.param(d, marks=[pytest.mark.ros] if d.needs == "rclpy" else []) for d in CHOSEN],
    ids=lambda d: d.name,
)
def test_a_door_answers_or_refuses_with_a_sentence(door) -> None:
    assert run(door, shares(CASES, CHOSEN)[door.name], SEED) >= 10


def test_what_hangs_and_what_takes_much_memory_is_found() -> None:
    with pytest.raises(AssertionError, match="longer than"), bounded(longest_s=1):
        time.sleep(5)
    with pytest.raises(AssertionError, match="MiB"), bounded():
        bytes(bytearray(10**9))
