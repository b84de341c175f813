"""ROS parameters from the config dataclasses: declared with descriptors, read back, checked whenever they are set."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException, NameValidationException
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.validate_full_topic_name import validate_full_topic_name

from emgait_ros.config import check_option, options_of, with_options
from emgait_ros.nodes.distribution import when_parameters_are_set

Config = TypeVar("Config")


class NodeParameters(Generic[Config]):
    """The parameters of a node, mirrored in a frozen config object.

    Topics have their full names there: ``points`` of a node in ``/robot1`` is ``/robot1/points``, before remapping.

    Declares one parameter for each option ("group.option"). Integers given for a float (``40`` for ``40.0``) are
    taken as floats at start. A parameter file's unknown names are warned about: ROS itself ignores them silently.

    Args:
        node: the node to declare on.
        defaults: config object whose values are the defaults.
        read_only: prefixes of the names that can only be set at start ("topics.").
        accept: called with (new config, names) before a change; raises ``ValueError`` with a sentence to refuse it.
        changed: called with (new config, names) after a change.

    Raises:
        ValueError: a value given at start is not allowed; the sentence names the parameter and what is.
    """

    def __init__(
        self,
        node: Node,
        defaults: Config,
        *,
        read_only: Iterable[str] = (),
        accept: Callable[[Config, set[str]], None] | None = None,
        changed: Callable[[Config, set[str]], None] | None = None,
    ) -> None:
        self._options = options_of(defaults)
        self._accept, self._changed = accept, changed
        # rclpy has no public way to see what parameter files and the command line say before it is declared.
        overrides: dict[str, Parameter] = getattr(node, "_parameter_overrides", {})
        self._node_name, self._namespace = node.get_name(), node.get_namespace()
        prefixes = tuple(read_only)
        values: dict[str, Any] = {}
        for name, (default, metadata) in self._options.items():
            descriptor = descriptor_of(name, default, metadata, read_only=bool(prefixes) and name.startswith(prefixes))
            value = _declared(node, name, (default, metadata), descriptor, overrides.get(name))
            values[name] = self._plain(name, value)
        self.config: Config = with_options(defaults, values)
        for name in sorted(set(overrides) - set(self._options)):
            if not node.has_parameter(name):
                node.get_logger().warning(unknown_parameter(name, self._options))
        when_parameters_are_set(node, self._on_set, self._after_set)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            config, names = self._with(parameters)
            if names and self._accept is not None:
                self._accept(config, names)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _after_set(self, parameters: list[Parameter]) -> None:
        config, names = self._with(parameters)
        if not names:
            return
        self.config = config
        if self._changed is not None:
            self._changed(config, names)

    def _with(self, parameters: list[Parameter]) -> tuple[Config, set[str]]:
        """The config with these parameters, and which of its options they are (``use_sim_time`` is none)."""
        given = {p.name: p.value for p in parameters if p.name in self._options}
        for name, value in given.items():
            if value is None:
                raise ValueError(f"parameter '{name}' cannot be deleted: set it to a value")
        values = {name: self._plain(name, value) for name, value in given.items()}
        return with_options(self.config, values), set(values)

    def _plain(self, name: str, value: Any) -> Any:
        """A parameter's value as the config holds it: arrays as tuples, topics with their full names (before remapping)."""
        kind = self._options[name][1]["topic"]
        if not kind or not isinstance(value, str) or (kind == "optional" and not value):
            return plain(value)
        try:
            full_name = expand_topic_name(value, self._node_name, self._namespace)
            validate_full_topic_name(full_name)
        except (ValueError, NameValidationException) as error:  # more lines show the place
            reason = str(error).splitlines()[0].rstrip(":")
            raise ValueError(f"parameter '{name}' is '{value}', which is no topic name: {reason}") from error
        return full_name


def descriptor_of(name: str, default: Any, metadata: dict[str, Any], *, read_only: bool) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows of an option: why it is there, its unit, range and choices."""
    unit, low, high = metadata.get("unit", ""), metadata.get("low"), metadata.get("high")
    choices = metadata.get("choices") or ()
    descriptor = ParameterDescriptor(
        name=name,
        description=metadata.get("why", name) + (f" Unit: {unit}." if unit else ""),
        additional_constraints=f"One of: {', '.join(choices)}." if choices else "",
        read_only=read_only,
    )
    if low is None or high is None:  # ROS has no half-open ranges: the set callback checks those
        return descriptor
    if isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    elif isinstance(default, int) and not isinstance(default, bool):
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return descriptor


def unknown_parameter(name: str, known: Iterable[str]) -> str:
    """The sentence for a parameter that a file sets and no option has."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else "'ros2 param list' shows the known ones"
    return f"parameter '{name}' is set at start but this node has no such parameter, so it does nothing: {hint}"


def _declared(
    node: Node,
    name: str,
    option: tuple[Any, dict[str, Any]],
    descriptor: ParameterDescriptor,
    override: Parameter | None,
) -> Any:
    """Declare one parameter; returns its value."""
    default, metadata = option
    given = None if override is None else plain(override.value)
    if isinstance(default, float) and isinstance(given, int) and not isinstance(given, bool):
        given = float(given)
    if isinstance(default, tuple) and isinstance(given, tuple):
        given = tuple(float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in given)
    value = default if given is None else given
    check_option(name, value, default, metadata)
    try:
        if value == ():
            return _declared_empty(node, name, descriptor)
        given = list(value) if isinstance(value, tuple) else value
        declared = node.declare_parameter(name, given, descriptor, ignore_override=True)
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ValueError(f"parameter '{name}' cannot be {value!r}: {error}") from error
    return plain(declared.value)


def _declared_empty(node: Node, name: str, descriptor: ParameterDescriptor) -> tuple[()]:
    """Declare an array without elements. rclpy takes the type from the elements, so the value is set afterwards.

    A parameter without a value would make every request for all parameters come back empty (rqt, ``ros2 param dump``).
    """
    node.declare_parameter(name, Parameter.Type.DOUBLE_ARRAY, descriptor, ignore_override=True)
    node.set_parameters([Parameter(name, Parameter.Type.DOUBLE_ARRAY, [])])
    return ()


def plain(value: Any) -> Any:
    """Arrays of any kind as tuples, anything else as it is."""
    return tuple(value) if isinstance(value, (list, tuple)) or hasattr(value, "typecode") else value
