"""Questions on the terminal."""

from __future__ import annotations

import argparse
import sys


def agreed(args: argparse.Namespace, question: str) -> bool:
    """Whether the user wants it; ``args.yes`` answers beforehand.

    Raises:
        ValueError: there is nobody to ask.
    """
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} Nobody can be asked here: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
