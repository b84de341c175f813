"""Plays any rosbag2 (sqlite3 or mcap) to the live nodes, without a ROS installation.

  emgait play out/demo/walk.bag                      at recorded pace, all topics
  emgait play walk.bag --rate 0.5 --loop             half as fast, over and over, until Ctrl-C
  emgait play walk.bag --clock                       also /clock, for nodes with use_sim_time
  emgait play walk.bag --topics /lidar/points        only some topics
  emgait play walk.bag --exclude-topics /camera/image
                                                     all but some topics
  emgait play walk.bag --start-offset 12 --playback-duration 5
                                                     5 s, from 12 s on (/tf_static is still sent)
  emgait play walk.bag --start-paused                keys: space pauses and goes on, right plays the next message,
                                                     up and down change the rate by a tenth
  emgait play walk.bag --namespace robot1            as /robot1/lidar/points, /robot1/tf_static ...
  emgait play walk.bag --remap /lidar/points:=/points
  emgait play walk.bag --qos-profile-overrides-path qos.yaml
                                                     quality of service by topic, as `ros2 bag play` takes it
  emgait play walk.bag --clock --follow /gait_recognizer/identities
                                                     hold each cloud back until the one before it is answered: at
                                                     recorded pace where the machine keeps up, slower where it does not

  emgait play walk.bag --wait-for pedestrian_tracker rviz2 /lidar/points:2
                                                     who must have subscribed before it begins: nodes, topics, TOPIC:count

Playing waits until the pedestrian_tracker has subscribed, where clouds are played, else until anybody has (--wait-for,
--wait, --no-wait). Messages go out as they were recorded, byte for byte.
Topics whose message type is not installed here are named and left out. The options are called as those of `ros2 bag play`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import console_of
from emgait_ros.live.keys import pressed_keys
from emgait_ros.live.playback_clock import PlaybackClock
from emgait_ros.recordings.rosbag import BagMessage, Rosbag
from emgait_ros.transport import use_shipped_profile

if TYPE_CHECKING:
    from emgait_ros.live.player import BagPlayer


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bag", type=Path, help="folder of the bag, or a .mcap or .db3 file")
    parser.add_argument(
        "--rate", "-r", type=float, default=1.0, help="speed: 2 is twice as fast as recorded (default 1)"
    )
    parser.add_argument("--loop", "-l", action="store_true", help="start over at the end, until Ctrl-C")
    parser.add_argument("--clock", action="store_true", help="publish the recorded time on /clock")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="only these topics")
    parser.add_argument("--exclude-topics", nargs="+", default=[], metavar="TOPIC", help="none of these topics")
    parser.add_argument(
        "--start-offset", "--start", type=float, default=0.0, metavar="S", help="begin this many seconds into the bag"
    )
    parser.add_argument("--playback-duration", type=float, metavar="S", help="play so many seconds of the bag")
    parser.add_argument(
        "--start-paused", "-p", action="store_true", help="begin paused: space goes on, right is one step"
    )
    parser.add_argument("--disable-keyboard-controls", action="store_true", help="leave the terminal's keys alone")
    parser.add_argument(
        "--qos-profile-overrides-path", type=Path, metavar="FILE", help="YAML of quality of service by topic"
    )
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="wait at most this long for subscribers (default 10)"
    )
    parser.add_argument(
        "--wait-for",
        nargs="+",
        default=[],
        metavar="WHO",
        help="nodes, topics or TOPIC:count to wait for (default: pedestrian_tracker where clouds are played)",
    )
    parser.add_argument("--no-wait", action="store_true", help="begin at once")
    parser.add_argument(
        "--follow", default="", metavar="TOPIC", help="keep step with the answers on this topic; nothing is lost"
    )
    parser.add_argument("--namespace", metavar="NAME", default="", help="put it before every topic of the bag")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write what was played to this file")
    parser.add_argument(
        "--remap", "-m", nargs="+", default=[], metavar="FROM:=TO", help="play topics under other names"
    )


def run(args: argparse.Namespace) -> int:
    """Play the bag; ends with 0, also when stopped by Ctrl-C."""
    use_shipped_profile()
    try:
        from emgait_ros.live.player import PlayOptions, play_bag
        from emgait_ros.live.qos_overrides import read_qos_overrides
    except ImportError as error:
        raise ValueError(
            f"ROS 2 for Python is not here ({error}): run `make setup`, or source your ROS installation (source /opt/ros/jazzy/setup.bash)"
        ) from error
    options = PlayOptions(
        rate=args.rate,
        loop=args.loop,
        clock=args.clock,
        topics=tuple(args.topics),
        exclude=tuple(args.exclude_topics),
        start_s=args.start_offset,
        duration_s=args.playback_duration,
        paused=args.start_paused,
        qos=read_qos_overrides(args.qos_profile_overrides_path) if args.qos_profile_overrides_path else {},
        wait_s=0.0 if args.no_wait else args.wait,
        wait_for=tuple(args.wait_for),
        follow=args.follow,
    )
    console = console_of(stderr=True)
    with Rosbag(args.bag) as bag, ExitStack() as stack:
        if args.start_offset >= max(bag.duration_s, 1e-9):
            raise ValueError(f"--start-offset is {args.start_offset:g} s, but {args.bag} lasts {bag.duration_s:.1f} s")
        for note in bag.notes:
            console.print(note, style="yellow", soft_wrap=True)
        progress = stack.enter_context(_progress(console))
        task = progress.add_task("waiting for subscribers", total=bag.duration_s)

        def say(text: str) -> None:
            console.print(text)

        def on_start(player: BagPlayer) -> None:
            for name, why in player.report.skipped.items():
                say(f"not played: {name}: {why}")
            if not args.disable_keyboard_controls and stack.enter_context(pressed_keys(_keys(player.playback, say))):
                say("keys: space pauses and goes on, right plays the next message, up and down change the rate")

        def on_message(message: BagMessage) -> None:
            done_s = (message.log_time_ns - bag.start_ns) * 1e-9
            progress.update(task, completed=done_s, description=f"playing {done_s:5.1f} s")

        report = play_bag(bag, options, on_start, on_message, say, _ros_args(args))
    if report.waited:
        console.print(report.waited)
    played = f"played {sum(report.published.values())} messages on {len(report.published)} topics"
    print(f"{played} in {report.seconds:.1f} s{_slowed(report, args.follow)}", file=sys.stderr)
    write_json(args.json, vars(report))
    return 0


def _keys(playback: PlaybackClock, say: Callable[[str], None]) -> dict[str, Callable[[], None]]:
    """What the keys of `ros2 bag play` do."""

    def pause_or_go_on() -> None:
        playback.pause_or_go_on()
        say("paused: space goes on, right plays the next message" if playback.paused else "going on")

    def change_rate(factor: float) -> None:
        playback.change_rate(factor)
        say(f"rate {playback.rate:.2g}")

    return {
        " ": pause_or_go_on,
        "right": playback.ask_for_a_step,
        "up": partial(change_rate, 1.1),
        "down": partial(change_rate, 1 / 1.1),
    }


def _ros_args(args: argparse.Namespace) -> list[str]:
    for rule in args.remap:
        if ":=" not in rule:
            raise ValueError(f"--remap is '{rule}': expected FROM:=TO, such as /lidar/points:=/points")
    namespace = args.namespace.strip("/")
    rules = [*([f"__ns:=/{namespace}"] if namespace else []), *args.remap]
    return ["--ros-args", *(word for rule in rules for word in ("-r", rule))] if rules else []


def _slowed(report: Any, follow: str) -> str:
    """What made it take longer than the recording, as an addition to a sentence."""
    text = ""
    if follow and report.held_s + report.stalled_s >= 1.0:
        text += f"; {report.held_s + report.stalled_s:.1f} s of it waiting: this machine is slower than the recording"
    elif not follow and report.stalled_s > 0:
        text += f"; it stood still for {report.stalled_s:.1f} s: this machine could not keep the pace, try --rate"
    if report.unanswered:
        text += f"; {report.unanswered} clouds were never answered"
    return text


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
