"""The life of a node's process: start, spin until asked to stop, release everything, exit with a status."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from emgait_ros.stop_signals import StopSignals
from emgait_ros.transport import use_shipped_profile

STOP_CHECK_S = 0.2  # rcl_wait does not return on a signal, so this bounds how late one is seen


NodeType = TypeVar("NodeType", bound=Node)


class LastingExecutor(SingleThreadedExecutor):
    """Spins one node, whatever a callback raises: it is logged, and the node goes on.

    rclpy's own raises it, a wrong life cycle request too. And where a message cannot be taken, as when memory is short for
    a moment, it never takes one of that topic again.

    Args:
        node: is added.
        context: of the node; default: the process's.
    """

    def __init__(self, node: Node, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._node = node
        self.add_node(node)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """One callback.

        Raises:
            rclpy.executors.ExternalShutdownException: the context was shut down.
        """
        try:
            super().spin_once(timeout_sec)
        except ExternalShutdownException:
            raise
        except Exception:
            self._log()

    def _make_handler(self, entity: Any, node: Node, take_from_wait_list: Callable[[Any], Any]) -> Any:
        return super()._make_handler(entity, node, partial(self._take, take_from_wait_list))

    def _take(self, take: Callable[[Any], Any], entity: Any) -> Any:
        try:
            return take(entity)
        except Exception:
            self._log()
            return None

    def _log(self) -> None:
        if self.context.ok():
            self._node.get_logger().error(f"a callback failed, the node goes on: {traceback.format_exc()}")


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
    executor = LastingExecutor(node)
    try:
        while not stop.asked.is_set() and rclpy.ok() and not getattr(node, "exit_status", 0):
            executor.spin_once(timeout_sec=STOP_CHECK_S)
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
