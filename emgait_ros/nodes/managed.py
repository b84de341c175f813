"""What pedestrian_tracker and gait_recognizer share: the life cycle, with a manager or without, and how they tell of it."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig
from emgait_ros.nodes.bond import Bond
from emgait_ros.nodes.diagnostics import ERROR, OK, WARN, DiagnosticsPublisher, ProblemLog, status
from emgait_ros.nodes.parameters import NodeParameters
from emgait_ros.nodes.worker import Worker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
CLOSE_PATIENCE_S = 1.0  # the process ends 1.5 s after a signal whatever happens
COLLECT_S = 60.0
READ_ONLY = ("topics.", "services.", "autostart", "bond_heartbeat_period")
UNCONFIGURED = WARN, "unconfigured: configure and activate it (ros2 lifecycle set)"
INACTIVE = WARN, "inactive: activate it (ros2 lifecycle set)"

Config = TypeVar("Config", TrackerNodeConfig, RecognizerNodeConfig)


class ManagedNode(LifecycleNode, ABC, Generic[Config]):
    """A lifecycle node that configures and activates itself, unless ``autostart`` leaves that to a manager.

    Args:
        name: of the node.
        defaults: its options, which become parameters.
        arguments: to ``rclpy.node.Node`` (parameter_overrides, context ...).

    Attributes:
        exit_status: non-zero once the process shall end because the node, left to itself, could not start.

    Raises:
        ValueError: a parameter given at start is not allowed, or a bond is asked for without its messages.
    """

    def __init__(self, name: str, defaults: Config, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self.exit_status = 0
        self._problems = ProblemLog(self)
        self._options: NodeParameters[Config] = NodeParameters(
            self, defaults, read_only=READ_ONLY, accept=self._accept, changed=self._change
        )
        self._worker: Worker[Any] | None = None  # while the node is active
        self._failure, self._state = "", UNCONFIGURED
        self._bond = Bond(self, self._options.config.bond_heartbeat_period)
        self._diagnostics = DiagnosticsPublisher(self, self._all_statuses, self._problems)
        self.create_timer(COLLECT_S, _collect, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if self._options.config.autostart:
            self._start_timer = self.create_timer(0.01, self._start, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Stop the worker and let go of everything; called before the node is destroyed."""
        self._end()
        self._bond.close()
        self._release()

    def _start(self) -> None:
        """Configure and activate without a manager; a failure ends the process."""
        self._start_timer.cancel()
        if self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS:
            return
        self.get_logger().fatal(f"{self.get_name()} cannot start: {self._failure or 'see the log above'}")
        self.exit_status = 1

    # What a node does at each step.

    @abstractmethod
    def _load(self) -> None:
        """Configure: open and compile what takes time. An exception refuses the step, after :meth:`_unload`."""

    @abstractmethod
    def _unload(self) -> None:
        """Let go of what :meth:`_load` made; nothing is there when it failed half way."""

    @abstractmethod
    def _begin(self) -> None:
        """Activate: make the worker, and listen."""

    @abstractmethod
    def _stop(self) -> None:
        """Deactivate, once the worker is closed: listen no more, and forget what was seen, because time passes unseen."""

    @abstractmethod
    def _accept(self, config: Config, names: set[str]) -> None:
        """Refuse a change of parameters by raising ValueError."""

    @abstractmethod
    def _change(self, config: Config, names: set[str]) -> None:
        """Take a change of parameters."""

    @abstractmethod
    def _statuses(self) -> Iterator[DiagnosticStatus]:
        """All diagnostics but that of the state."""

    # Life cycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load; what is on the disk is left as it was when that fails."""
        self._failure, self._state = "", (OK, "configuring: the very first start compiles for up to a minute")
        self.get_logger().info("configuring")
        self._diagnostics.publish()  # nothing else is answered or published until it is done
        if not self._succeeds("configure", self._load):
            self._release()
            self._state = ERROR, f"not configured: {self._failure}"
            return FAILURE
        self._state = INACTIVE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start listening and working."""
        if not self._succeeds("activate", self._begin):
            self._end()
            self._state = ERROR, f"not activated: {self._failure}"
            return FAILURE
        self._bond.form()
        _collect_only_what_comes()
        self._state = OK, "active"
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and forget."""
        self._end()
        self._state = INACTIVE
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of what was loaded."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, whatever the state."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, so that configuring again starts afresh."""
        self.close()
        return super().on_error(state)

    def _succeeds(self, what: str, step: Callable[[], None]) -> bool:
        """Take a step; its exception is logged and kept: rclpy would swallow it."""
        try:
            step()
        except Exception as error:  # backends raise classes of their own
            known = isinstance(error, (ValueError, OSError))
            self._failure = str(error) if known else f"{type(error).__name__}: {error}"
            self.get_logger().error(f"cannot {what}: {self._failure}")
            return False
        return True

    def _end(self) -> None:
        self._bond.end()
        worker, self._worker = self._worker, None
        if worker is not None and not worker.close(CLOSE_PATIENCE_S):
            self.get_logger().error(f"the worker did not end within {CLOSE_PATIENCE_S:.0f} s")
        self._stop()

    def _release(self) -> None:
        self._unload()
        gc.unfreeze()
        self._state = UNCONFIGURED

    def _all_statuses(self) -> Iterator[DiagnosticStatus]:
        yield status("state", *self._state)
        bond = self._bond.status()
        if bond is not None:
            yield bond
        yield from self._statuses()


def _collect_only_what_comes() -> None:
    """Take what is loaded out of Python's garbage collection: with it a full pass stops all threads for 30 ms and more."""
    gc.collect()
    gc.freeze()


def _collect() -> None:
    """A full pass of what has come since, a few ms: it also empties Python's lists of objects for reuse.

    By itself none ever comes, because frames free what they make, and those lists grow by some 100 kB an hour for days.
    """
    gc.collect()
