"""A page in the browser: who is in view, enrolling by a click, the gallery, and what is wrong and what to do.

  emgait console                                  http://127.0.0.1:8899, for this machine alone
  emgait console --namespace robot1               of the nodes in that namespace
  emgait console --host 0.0.0.0                   for the network: asks for a token, which is printed at the first start
  emgait console --ros-args -r gait_recognizer/enroll:=/other/enroll    names are relative and can be remapped

It talks to the nodes by topics and services alone, so it runs on the robot or on a laptop with the same ROS_DOMAIN_ID.
Over a network put a web server with TLS in front of it, or reach it through a tunnel (ssh -L 8899:localhost:8899 robot):
without TLS everybody on the way can read token, pictures and names. Who asked for which change is written to
console-changes.jsonl, in the folder of --data.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emgait_ros.cli.outputs import output_folder
from emgait_ros.config import ConsoleConfig, check_option, options_of
from emgait_ros.stop_signals import StopSignals
from emgait_ros.transport import use_shipped_profile

if TYPE_CHECKING:
    from emgait_ros.console.server import ConsoleServer

INSTALL = "install it with: apt-get install python3-aiohttp, or: pip install aiohttp"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; those of :class:`ConsoleConfig` with its reasons."""
    for name, (default, metadata) in options_of(ConsoleConfig()).items():
        unit = f" {metadata['unit']}" if metadata["unit"] else ""
        text = f"{metadata['why']} (default {default}{unit})".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=text)
    parser.add_argument("--token", action="store_true", help="ask for the token also on this machine's own address")
    parser.add_argument(
        "--allow-host", nargs="+", default=[], metavar="NAME", help="further names the console is reached under"
    )
    parser.add_argument(
        "--data",
        type=output_folder,
        default=Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "emgait",
        metavar="DIR",
        help="where token and record of changes are kept (default ~/.local/share/emgait)",
    )
    parser.add_argument("--namespace", metavar="NAME", default="", help="of the nodes")
    parser.add_argument(
        "--ros-args", nargs=argparse.REMAINDER, default=[], help="what follows is for ROS: -r FROM:=TO ..."
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    values = {}
    for name, (default, metadata) in options_of(ConsoleConfig()).items():
        values[name] = getattr(args, name)
        check_option(name, values[name], default, metadata)
    config = ConsoleConfig(**values)
    use_shipped_profile()
    try:
        from emgait_ros.console.server import ConsoleServer
    except ModuleNotFoundError as error:
        raise ValueError(f"the console needs the package '{error.name}', which is not installed: {INSTALL}") from error
    try:
        from emgait_ros.console.bridge import Bridge
    except ImportError as error:
        raise ValueError(
            f"ROS 2 for Python is not here ({error}): run `make setup`, or source your ROS installation"
        ) from error
    from emgait_ros.console.access import Access, is_loopback, kept_token
    from emgait_ros.console.changes import Changes

    token = ""
    if args.token or not is_loopback(config.host):
        token, file, is_new = kept_token(args.data)
        print(
            f"token: {token} (printed this once; kept in {file})" if is_new else f"the token is in {file}", flush=True
        )
    if not is_loopback(config.host):
        print(
            f"listening on {config.host} without TLS: whoever is on the way can read token, pictures and names. "
            "Put a web server with TLS in front, or use a tunnel (ssh -L).",
            file=sys.stderr,
            flush=True,
        )
    changes = Changes(args.data)
    with StopSignals() as stop:
        bridge = Bridge(config.picture_width, ros_words(args.namespace, args.ros_args))
        try:
            access = Access(config.host, args.allow_host, token)
            asyncio.run(_serve(ConsoleServer(bridge, access, changes, config), config, stop))
        finally:
            bridge.close()
    return 0


def ros_words(namespace: str, given: list[str]) -> list[str]:
    """What rclpy is started with."""
    own = ["-r", f"__ns:=/{namespace.strip('/')}"] if namespace.strip("/") else []
    return ["--ros-args", *own, *given]


async def _serve(server: ConsoleServer, config: ConsoleConfig, stop: StopSignals) -> None:
    from aiohttp import web

    runner = web.AppRunner(server.app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port).start()
        port = runner.addresses[0][1]
        shown = f"[{config.host}]" if ":" in config.host else config.host
        print(f"console: http://{shown}:{port}", flush=True)
        await asyncio.to_thread(stop.asked.wait)
    finally:
        await runner.cleanup()
