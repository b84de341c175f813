"""The life of a node's process: start, spin until asked to stop, release everything, exit with a status."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from emgait_ros.transport import use_shipped_profile

STOP_CHECK_S = 0.2  # rcl_wait does not return on a signal, so this bounds how late one is seen
STOP_WITHIN_S = (
    1.5  # what is still compiled, loaded or built by then is not waited for; files are written so that they survive it
)


NodeType = TypeVar("NodeType", bound=Node)


class StopSignals:
    """While open, turns SIGINT and SIGTERM into a flag. On leaving, the handlers before it are back.

    rclpy's own handlers shut the context down at once, in the middle of whatever runs, which on Jazzy surfaces as
    KeyboardInterrupt, ExternalShutdownException or RCLError at a random place. A flag leaves the order to us. Python's
    handlers run between two steps of the main thread only, which may be loading a model or building an engine for a
    minute: a thread of its own reads the signals.

    Args:
        ends_process: end the whole process when it has not ended by itself soon after a signal; for a process that is a node.
    """

    def __init__(self, ends_process: bool = False) -> None:
        self.asked = threading.Event()
        self._ends_process = ends_process

    def __enter__(self) -> StopSignals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._write)
        if not self.asked.is_set():
            self._thread.join()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked.set()

    def _watch(self) -> None:
        try:
            while (byte := os.read(self._read, 1)) and byte[0] not in (signal.SIGINT, signal.SIGTERM):
                pass
        finally:
            os.close(self._read)
        if not byte:
            return  # closed
        self.asked.set()
        if self._ends_process:
            time.sleep(STOP_WITHIN_S)
            os._exit(0)  # without flushing: whoever hangs may hold the stream's lock


def run_node(create: Callable[[], NodeType], args: list[str] | None = None) -> int:
    """Create a node and spin it until SIGINT, SIGTERM or a shutdown of the context; returns the exit status.

    The node may have ``close()`` (releases its threads and files) and ``exit_status`` (non-zero makes the process
    stop, with that status). An error while it starts is printed as one sentence and gives status 1.
    """
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] [%(name)s]: %(message)s")
    use_shipped_profile()
    with StopSignals(ends_process=True) as stop:
        return _run(create, args, stop)


def _run(create: Callable[[], NodeType], args: list[str] | None, stop: StopSignals) -> int:
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = create()
    except (ValueError, OSError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.asked.is_set() and rclpy.ok() and not getattr(node, "exit_status", 0):
            _spin_once(executor, node)
    except ExternalShutdownException:
        pass
    finally:
        close = getattr(node, "close", None)
        if close is not None:
            close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return int(getattr(node, "exit_status", 0))


def end_process(status: int) -> NoReturn:
    """End the process now that everything is released.

    Taking the interpreter down in order frees compiled kernels one by one: seconds on a busy machine, while launch kills
    what has not ended 5 s after SIGINT. It would also wait for a worker that hangs.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _spin_once(executor: SingleThreadedExecutor, node: Node) -> None:
    """One callback. What it raises is logged: rclpy itself raises on a wrong life cycle request, and nobody may stop the node."""
    try:
        executor.spin_once(timeout_sec=STOP_CHECK_S)
    except ExternalShutdownException:
        raise
    except Exception:
        if rclpy.ok():
            node.get_logger().error(f"a callback failed, the node goes on: {traceback.format_exc()}")
