"""Fixtures of the training tests."""

from __future__ import annotations

import pytest

from emgait_ros.lab.datasets.sequences import SequenceSet


@pytest.fixture
def small_set() -> SequenceSet:
    """Ten identities, four sequences each."""
    # A conftest.py must not import torch: a skip there ends the whole run of pytest 7.
    from made_up_sets import made_up_set

    return made_up_set()
