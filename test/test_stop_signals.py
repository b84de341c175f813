"""Stop signals as a flag."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from emgait_ros.stop_signals import STOP_SIGNALS, asked_to_stop


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_sets_the_flag_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with asked_to_stop() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), number)
        assert asked.wait(60.0)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_signals_are_left_alone():
    before, inside = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with asked_to_stop() as asked:
            inside.extend((signal.getsignal(signal.SIGINT), asked.is_set()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside == [before, False]
