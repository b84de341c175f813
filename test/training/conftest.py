"""Fixtures of the training tests."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from made_up_sets import made_up_set

from emgait_ros.datasets.sequences import SequenceSet


@pytest.fixture
def small_set() -> SequenceSet:
    """Ten identities, four sequences each."""
    return made_up_set()
