"""The `emgait` command: one sub-command a module, imported only when it is called."""

from __future__ import annotations

import argparse
import sys

from emgait_ros.cli.commands import Commands, add_commands

COMMANDS: Commands = {
    "demo": ("emgait_ros.cli.demo", "people walk past a LiDAR and a camera, are enrolled and recognised, on live nodes"),
    "demo-real": ("emgait_ros.cli.demo_real", "play real KITTI frames to the live tracker and compare with the labels"),
    "simulate": ("emgait_ros.cli.simulate", "write a bag of simulated people walking past a LiDAR and a camera"),
    "up": ("emgait_ros.cli.up", "start both nodes where there is no ROS launch"),
    "console": ("emgait_ros.cli.console", "a page in the browser: who is in view, enrolling, the gallery, health"),
    "play": ("emgait_ros.cli.play", "play a bag to the live nodes"),
    "evaluate": (
        {
            "bag": ("emgait_ros.cli.evaluate_bag", "who was recognised in a rosbag2, from when on, at what range"),
            "dataset": ("emgait_ros.cli.evaluate_dataset", "Rank-1, mAP, EER and more on a data set, by its protocol"),
            "table": ("emgait_ros.cli.evaluate_table", "every system trained and tested alike: the paper's tables"),
            "detection": ("emgait_ros.cli.evaluate_detection", "labelled people that the detector finds in clouds"),
            "misuse": ("emgait_ros.cli.evaluate_misuse", "people who move in other ways, and errors by groups of people"),
        },
        "measure recognition and detection on recordings and data sets, without ROS",
    ),
    "dataset": ("emgait_ros.cli.dataset", "check a data set of gait recordings: what is missing or broken"),
    "enroll": ("emgait_ros.cli.enroll", "enrol somebody from a recording"),
    "gallery": ("emgait_ros.cli.gallery", "who is enrolled: list, change, export, import, calibrate, encrypt"),
    "soak": ("emgait_ros.cli.soak", "simulated hours through the live nodes: what grows, what is lost"),
    "bench": (
        {
            "model": ("emgait_ros.cli.bench_model", "the network: plain forward, streaming, every stage"),
            "gallery": ("emgait_ros.cli.bench_gallery", "the search over many people, and when somebody new is found"),
            "fleet": ("emgait_ros.cli.bench_fleet", "many robots on one PostgreSQL: when a change is known everywhere"),
            "live": ("emgait_ros.cli.bench_live", "how late the live nodes answer, by number of people in view"),
            "perception": ("emgait_ros.cli.bench_perception", "time, recall and false tracks of sensing on simulated streets"),
            "tracking": ("emgait_ros.cli.bench_tracking", "MOTA, IDF1, HOTA and speed of the tracker"),
            "simulator": ("emgait_ros.cli.bench_simulator", "samples a second, repeatability, spread of people, pictures"),
        },
        "measure speed on this machine",
    ),
    "train": ("emgait_ros.cli.train", "train a network by a recipe, up to a finished bundle"),
    "train-detector": ("emgait_ros.cli.train_detector", "train the scorer that tells people from other shapes, on simulated clouds"),
    "fit-alone": ("emgait_ros.cli.fit_alone", "fit what tells people apart by LiDAR alone, on simulated passes"),
    "adapt": ("emgait_ros.cli.adapt", "fit a bundle to a place, from recordings of people there; nobody needs a name"),
    "export": ("emgait_ros.cli.export", "turn a model bundle into ONNX graphs, TensorRT engines or a faster bundle"),
    "doctor": ("emgait_ros.cli.doctor", "what is wrong with the installation, the live system or a bag, and what to do"),
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one sub-command; returns its exit status (0 done, 1 failed, 2 wrong use)."""
    parser = argparse.ArgumentParser(
        prog="emgait", description="Recognise people by the way they walk, from a LiDAR and a camera."
    )
    add_commands(parser, COMMANDS, "command", "COMMAND")
    try:
        args = parser.parse_args(argv)  # imports the command's module, which can take a second
        return int(args.run(args))
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError) as error:  # what a user can fix: say it in a sentence, not a traceback
        print(f"emgait {args.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
