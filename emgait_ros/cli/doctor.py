"""One page that says what is wrong with an installation or a live system, and what to do about it.

  emgait doctor                                      interpreter, packages, backends, bundle, gallery, transport
  emgait doctor --live 5                             also watches the running system for 5 s: who publishes, QoS, rates,
                                                     stamps, contents, and whether cloud, image and calibration fit together
  emgait doctor --live 5 --params my_robot.yaml      with the topics and extrinsics of that parameter file
  emgait doctor --live 5 --cloud /ouster/points --image /cam/image_raw --camera-info /cam/camera_info

Each line is OK, WARN (it works, but) or FAIL (it does not), and says what to do. Ends with 1 if anything is FAIL.
Run it in the shell, container and user that the nodes run in: it looks at that shell's environment.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig, with_options
from emgait_ros.doctor.backends import check_backends, check_gallery, check_model
from emgait_ros.doctor.environment import check_environment, check_shared_memory
from emgait_ros.doctor.findings import Finding, Level, Page, collect, fail, ok, warn
from emgait_ros.doctor.installation import check_interpreter, check_packages, check_ros
from emgait_ros.doctor.live import judge
from emgait_ros.doctor.parameter_file import load_parameters


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--live", type=float, metavar="SECONDS", help="watch the running system for this long (3 or more)"
    )
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes")
    parser.add_argument(
        "--bundle", metavar="DIR", help="model bundle (default: engine.bundle of the parameters, or the shipped one)"
    )
    parser.add_argument("--gallery", metavar="DB", help="gallery file (default: gallery.path)")
    for name in ("cloud", "image", "camera-info"):
        parser.add_argument(f"--{name}", metavar="TOPIC", help=f"topic (default: topics.{name.replace('-', '_')})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings to this file")


def run(args: argparse.Namespace) -> int:
    """Check, print the page; 1 if something is broken."""
    page = Page()
    tracker, recognizer, findings = _parameters(args)
    page.add("Installation", collect(check_interpreter, "Python"))
    page.add("Installation", collect(check_packages, "packages"))
    page.add("ROS", collect(check_ros, "ROS packages"))
    page.add("ROS", findings)
    page.add("Model", collect(check_backends, "backends"))
    page.add("Model", collect(lambda: check_model(recognizer), "bundle"))
    page.add("Gallery", collect(lambda: check_gallery(recognizer), "gallery"))
    page.add("Transport", collect(check_environment, "environment"))
    page.add("Transport", collect(check_shared_memory, "shared memory"))
    if args.live is not None:
        page.add(f"Live system, watched for {args.live:g} s", _live(args.live, tracker, recognizer))
    # Piped into a file a line may be as long as it likes.
    page.show(Console(width=min(shutil.get_terminal_size((140, 24)).columns, 160), highlight=False))
    if args.json:
        args.json.write_text(json.dumps(page.to_dict(), indent=2, default=str), encoding="utf-8")
    return 1 if page.level is Level.FAIL else 0


def _parameters(args: argparse.Namespace) -> tuple[TrackerNodeConfig, RecognizerNodeConfig, list[Finding]]:
    tracker, recognizer, findings = TrackerNodeConfig(), RecognizerNodeConfig(), []
    if args.params:
        try:
            tracker, recognizer, unknown = load_parameters(args.params)
            findings = [
                warn("parameters", sentence, "correct the name: `ros2 param list` shows the known ones")
                for sentence in unknown
            ]
            if not findings:
                findings = [ok("parameters", f"{args.params}: all names and values are known")]
        except (OSError, ValueError) as error:
            findings = [fail("parameters", str(error), "correct the file; the checks below go on with the defaults")]
    topics: dict[str, Any] = {
        "topics.cloud": args.cloud,
        "topics.image": args.image,
        "topics.camera_info": args.camera_info,
    }
    files: dict[str, Any] = {"engine.bundle": args.bundle, "gallery.path": args.gallery}
    tracker = with_options(tracker, {name: value for name, value in topics.items() if value is not None})
    recognizer = with_options(recognizer, {name: value for name, value in files.items() if value is not None})
    return tracker, recognizer, findings


def _live(seconds: float, tracker: TrackerNodeConfig, recognizer: RecognizerNodeConfig) -> list[Finding]:
    try:
        from emgait_ros.nodes.graph_probe import watch
    except ImportError as error:
        return [
            fail(
                "rclpy", f"cannot be imported: {error}", "the live system cannot be watched: see the section ROS above"
            )
        ]
    columns = (TextColumn("watching the live system"), BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=seconds)
        system = watch(tracker, recognizer, seconds, lambda elapsed: progress.update(task, completed=elapsed))
    return collect(lambda: judge(system, tracker), "live system")
