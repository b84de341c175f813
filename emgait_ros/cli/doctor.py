"""One page that says what is wrong with an installation or a live system, and what to do about it.

  emgait doctor                                      interpreter, packages, backends, bundle, gallery, transport
  emgait doctor --live 5                             also watches the running system for 5 s: who publishes, QoS, rates,
                                                     stamps, contents, and whether cloud, image and calibration fit together
  emgait doctor --live 5 --namespace robot1          one robot of several
  emgait doctor --live 5 --params my_robot.yaml      before the nodes run: with the topics and extrinsics of that file
  emgait doctor --live 5 --cloud /ouster/points --image /cam/image_raw --camera-info /cam/camera_info
  emgait doctor BAG                                  a recording: what of it can be read, what its clouds and images contain
  emgait doctor calibration BAG                      only this: do the people in a recording stand where its images show them?

`calibration` needs half a minute of a person walking both ways in front of stationary sensors. It says how many walkers
agree, by how many degrees the camera is turned, and by how many milliseconds its stamps are off. If the sensors move,
image_detector.model (an ONNX detector, see config/) must say where the image's people are.

Nodes that run are asked for their topics and extrinsics, unless --params names a file.
Each line is OK, WARN (it works, but) or FAIL (it does not), and says what to do. Ends with 1 if anything is FAIL.
Run it in the shell, container and user that the nodes run in: it looks at that shell's environment.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import progress
from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig, with_options
from emgait_ros.doctor.findings import Finding, Level, Page, collect, fail, ok, warn

# Nothing else is imported here: on a broken installation the page must still be printed, and say what is broken.
NO_CAMERA = "none"  # as of `emgait up`; its own module needs yaml, which may be what is missing
SHORTEST_S, LONGEST_S = 3.0, 3600.0  # discovery takes a second, and a topic counts as silent after two
NOT_STARTABLE = fail(
    "live system", "was not watched: ROS ends any process that starts with this middleware", "see the section Transport"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[calibration] BAG",
        help="look at a recording (folder of a rosbag2, or a .mcap or .db3 file), or only at its calibration",
    )
    parser.add_argument(
        "--live", type=float, metavar="SECONDS", help="watch the running system for this long (3 or more)"
    )
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes")
    parser.add_argument(
        "--bundle", metavar="DIR", help="model bundle (default: engine.bundle of the parameters, or the shipped one)"
    )
    parser.add_argument("--gallery", metavar="DB", help="gallery file (default: gallery.path)")
    for name in ("cloud", "image", "camera-info"):
        alone = "; none: the LiDAR alone" if name == "image" else ""
        help_text = f"topic (default: topics.{name.replace('-', '_')}){alone}"
        parser.add_argument(f"--{name}", metavar="TOPIC", help=help_text)
    parser.add_argument(
        "--compressed", action="store_true", help="the image topic carries sensor_msgs/CompressedImage (with --live)"
    )
    parser.add_argument("--namespace", metavar="NAME", default="", help="of the nodes and all relative topics")
    parser.add_argument("--namespaced-tf", action="store_true", help="they read tf and tf_static of that namespace")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all findings to this file")


def run(args: argparse.Namespace) -> int:
    """Check, print the page; 1 if something is broken."""
    if args.live is not None and not SHORTEST_S <= args.live <= LONGEST_S:
        raise ValueError(f"--live is {args.live:g} s: expected {SHORTEST_S:g} to {LONGEST_S:g}")
    page = Page()
    if args.words:
        tracker, _, findings = _parameters(args)
        page.add("Parameters", [f for f in findings if f.level is not Level.OK])
        _judge_bag(page, args.words, tracker)
        return _end(page, args.json)
    environment = _found("environment", "check_environment")
    # ROS ends any process that starts with a middleware that is not there.
    watched = args.live is not None and not any(
        f.subject == "middleware" and f.level is Level.FAIL for f in environment
    )
    tracker, recognizer, findings = _parameters(args, watched)
    page.add("Installation", _found("installation", "check_interpreter"))
    page.add("Installation", _found("installation", "check_packages"))
    page.add("ROS", _found("installation", "check_ros"))
    page.add("ROS", findings)
    page.add("Model", _found("backends", "check_backends"))
    page.add("Model", _found("backends", "check_model", recognizer))
    page.add("Gallery", _found("backends", "check_gallery", recognizer))
    page.add("Transport", environment)
    page.add("Transport", _found("environment", "check_shared_memory"))
    if args.live is not None:
        section = f"Live system, watched for {args.live:g} s"
        page.add(section, _live(args, tracker, recognizer) if watched else [NOT_STARTABLE])
    return _end(page, args.json)


def _end(page: Page, file: Path | None) -> int:
    """Show the page, write it, and say whether something is broken."""
    _show(page)
    write_json(file, page.to_dict())
    return 1 if page.level is Level.FAIL else 0


def _found(module: str, name: str, *arguments: Any) -> list[Finding]:
    """What a check of ``emgait_ros.doctor`` finds."""

    def check() -> Iterator[Finding]:
        yield from getattr(import_module(f"emgait_ros.doctor.{module}"), name)(*arguments)

    return collect(check, name.removeprefix("check_"))


def _show(page: Page) -> None:
    try:
        from rich.console import Console
    except ImportError:
        print(page.text())
        return
    # Piped into a file there is no terminal whose width could be asked for.
    page.show(Console(width=min(shutil.get_terminal_size((140, 24)).columns, 160), highlight=False))


def _parameters(
    args: argparse.Namespace, ask: bool = False
) -> tuple[TrackerNodeConfig, RecognizerNodeConfig, list[Finding]]:
    """Options of both nodes: those of the file, or of the nodes that run (``ask``), and what the command line says."""
    tracker, recognizer, findings = TrackerNodeConfig(), RecognizerNodeConfig(), list[Finding]()
    if ask and not args.params:
        options: dict[str, Any] = {"pedestrian_tracker": tracker, "gait_recognizer": recognizer}
        findings = collect(partial(_ask_running, options, args.namespace), "parameters")
        tracker, recognizer = options.values()
    if args.params:
        try:
            from emgait_ros.parameter_file import load_parameters

            tracker, recognizer, unknown = load_parameters(args.params, args.namespace if args.live else None)
            findings = [
                warn("parameters", sentence, "correct the name: `ros2 param list` shows those of a running node")
                for sentence in unknown
            ]
            if not findings:
                findings = [ok("parameters", f"{args.params}: all names and values are known")]
        except (OSError, ValueError, ImportError) as error:
            findings = [fail("parameters", str(error), "correct the file; the checks below go on with the defaults")]
    topics: dict[str, Any] = {
        "topics.cloud": args.cloud,
        "topics.image": "" if args.image == NO_CAMERA else args.image,
        "topics.camera_info": args.camera_info,
        "topics.image_compressed": args.compressed or None,
    }
    files: dict[str, Any] = {"engine.bundle": args.bundle, "gallery.path": args.gallery}
    tracker = with_options(tracker, {name: value for name, value in topics.items() if value is not None})
    recognizer = with_options(recognizer, {name: value for name, value in files.items() if value is not None})
    return tracker, recognizer, findings


def _ask_running(options: dict[str, Any], namespace: str) -> Iterator[Finding]:
    """Put the options of those nodes that run into ``options``, by node."""
    from emgait_ros.live.running_nodes import options_of_running

    found = options_of_running(options, namespace)
    options.update(found)
    if found:
        yield ok("parameters", f"topics, extrinsics and files as {' and '.join(found)} has them now")


def _judge_bag(page: Page, words: list[str], tracker: TrackerNodeConfig) -> None:
    """Put what a recording holds on the page, and whether its camera and LiDAR agree."""
    only_calibration, bags = words[0] == "calibration", words[words[0] == "calibration" :]
    if len(bags) != 1:
        raise ValueError("name one recording: emgait doctor BAG, or emgait doctor calibration BAG")
    bag = Path(bags[0])
    if not only_calibration:
        found = _recording(bag, tracker)
        page.add(f"Recording {bag}", found)
        if not any(finding.values.get("with_image") for finding in found):
            return
    page.add(f"Camera and LiDAR in {bag}", _calibration(bag, tracker, only_calibration))


def _recording(path: Path, tracker: TrackerNodeConfig) -> list[Finding]:
    def look() -> Iterator[Finding]:
        from emgait_ros.doctor.recording import judge_recording
        from emgait_ros.recordings.bag import BagRecording

        with BagRecording(path) as bag, progress("reading the recording") as bar:
            yield from judge_recording(bag, tracker, bar.at)

    return collect(look, "recording")


def _calibration(path: Path, tracker: TrackerNodeConfig, with_messages: bool) -> list[Finding]:
    def look() -> list[Finding]:
        from emgait_ros.doctor.camera_agreement import judge_agreement, measure_agreement
        from emgait_ros.recordings.bag import BagRecording

        with BagRecording(path) as bag, progress("comparing people in clouds and images") as bar:
            found = measure_agreement(bag, tracker, bar.at)
            unusable = [
                warn("messages", f"{sentence} ({count} times)", "correct that first")
                for sentence, count in bag.problems.items()
            ]
        return [*(unusable if with_messages else ()), *judge_agreement(found)]

    return collect(look, "calibration")


def _live(args: argparse.Namespace, tracker: TrackerNodeConfig, recognizer: RecognizerNodeConfig) -> list[Finding]:
    def look() -> list[Finding]:
        from emgait_ros.doctor.live_system import judge
        from emgait_ros.live.probe import watch

        with progress("watching the live system", args.live) as bar:
            system = watch(tracker, recognizer, args.live, bar.at, args.namespace, args.namespaced_tf)
        return list(judge(system, tracker))

    return collect(look, "live system")
