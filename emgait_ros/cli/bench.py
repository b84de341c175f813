"""Measures speed on this machine and writes the figures down.

  emgait bench model          the network: plain forward against streaming, every stage, torch and onnxruntime
  emgait bench gallery        the recognizer's search over 10,000 people, and how soon somebody enrolled is found
  emgait bench fleet          robots that share a gallery in PostgreSQL: how soon a change is known, load of the server
  emgait bench live           the live nodes at 10 Hz: how late they answer with 1 to 32 people in view
  emgait bench perception     cloud and image to tracked pedestrians: time, recall by range, false tracks
  emgait bench tracking       the tracker on real detections and on simulated people who cross
  emgait bench simulator      samples and scenes a second, repeatability, pictures beside real frames

`emgait bench gallery --help` says more, and so for the others.
"""

from __future__ import annotations

import argparse

from emgait_ros.cli.commands import add_commands

KINDS = {
    "model": (
        "emgait_ros.cli.bench_model",
        "the network: plain forward, streaming and the CLIP tower, torch and onnxruntime",
    ),
    "gallery": (
        "emgait_ros.cli.bench_gallery",
        "the recognizer's search over many people, and how soon somebody enrolled is found",
    ),
    "fleet": ("emgait_ros.cli.bench_fleet", "robots that share a gallery in PostgreSQL"),
    "live": ("emgait_ros.cli.bench_live", "how late the live nodes answer, by number of people in view"),
    "perception": ("emgait_ros.cli.bench_perception", "time, recall and false tracks of sensing on simulated streets"),
    "tracking": ("emgait_ros.cli.bench_tracking", "MOTA, IDF1, HOTA and speed of the tracker"),
    "simulator": ("emgait_ros.cli.bench_simulator", "samples a second, repeatability, spread of people, pictures"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured, each with its own arguments."""
    add_commands(parser, KINDS, "kind", "WHAT")
