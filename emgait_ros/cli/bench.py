"""Measures speed on this machine and writes the figures down.

  emgait bench gallery        exact search over 100,000 templates, against exhaustive numpy and faiss

`emgait bench gallery --help` says more.
"""

from __future__ import annotations

import argparse
from importlib import import_module

KINDS: dict[str, tuple[str, str]] = {
    # name: (module with configure(parser) and run(args) -> exit status, one line of help)
    "gallery": ("emgait_ros.cli.bench_gallery", "exact search over many templates, against exhaustive numpy and faiss"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured, each with its own arguments."""
    kinds = parser.add_subparsers(dest="kind", metavar="WHAT", required=True)
    for name, (module, summary) in KINDS.items():
        part = import_module(module)
        sub = kinds.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=part.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        part.configure(sub)


def run(args: argparse.Namespace) -> int:
    """Run the chosen measurement."""
    return int(import_module(KINDS[args.kind][0]).run(args))
