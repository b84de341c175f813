"""Message packages that a robot needs only when it is asked for their messages: package.xml does not bring them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def messages_of(package: str, asked: str) -> Any:
    """The messages of a package ("vision_msgs").

    Args:
        package: its name.
        asked: what asks for it, to begin the sentence with: "topics.boxes is '/boxes'".

    Raises:
        ValueError: it is not installed; the sentence says what to do.
    """
    try:
        return import_module(f"{package}.msg")
    except ImportError as error:
        name = package.replace("_", "-")
        raise ValueError(
            f"{asked}, but {package} is not installed here: install it (ros-<distro>-{name}) or do not ask for it"
        ) from error
