"""Enrols somebody from a recording: the walk of one track in a bag becomes templates in the gallery.

  emgait enroll walk.bag --name "Anna"               the only person who walks in it; with several, they are listed
  emgait enroll walk.bag --name "Anna" --track 4     one of them
  emgait enroll walk.bag --tracks                    only list who walks in it

The bag goes through the same detection, tracking and recognition as on the live nodes (--params: their parameter file).
A walk that is too short, too far or not straight is refused with the reason, and so is one that is unlike the person's
other walks or nearer to somebody else's, and a name that looks like another ("anna" where "Anna" is enrolled): --confirm
accepts it anyway. `emgait gallery undo` takes an enrolment back.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import node_options, progress
from emgait_ros.config import RecognizerNodeConfig, with_options
from emgait_ros.gallery.history import COMMAND_LINE, asked_by
from emgait_ros.gallery.names import normalised_name
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import open_gallery
from emgait_ros.pipeline import open_recognizer
from emgait_ros.recognition.enrollment import enrollable
from emgait_ros.recognition.enrollments_over_time import EnrollmentNews, EnrollmentState
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.enrollment import chosen_track, enroll_track, walking_tracks


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bag", type=Path, help="folder of the bag, or a .mcap or .db3 file")
    parser.add_argument("--name", default="", metavar="NAME", help="who it is, 1 to 64 characters")
    parser.add_argument("--track", type=int, metavar="T", help="whose walk, as --tracks lists them")
    parser.add_argument("--tracks", action="store_true", help="only list who walks in the bag")
    parser.add_argument(
        "--confirm",
        action="store_true",
        help="it is them, although the walk is unlike their others or the name looks like another",
    )
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes")
    parser.add_argument(
        "--gallery", metavar="PLACE", help="gallery file or postgresql:// address (default: the nodes')"
    )
    parser.add_argument("--key-file", metavar="FILE", help="key of an encrypted gallery")
    parser.add_argument("--bundle", metavar="FOLDER", help="model bundle; default: the shipped one")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the answer to this file")


def run(args: argparse.Namespace) -> int:
    """Enrol; 1 when nothing was stored."""
    tracker, recognizer = node_options(args.params, partial(print, file=sys.stderr))
    options = {"gallery.path": args.gallery, "gallery.key_file": args.key_file, "engine.bundle": args.bundle}
    config = with_options(recognizer, {name: value for name, value in options.items() if value})
    if not args.tracks:
        _check_name(config, args.name, args.confirm)
    with BagRecording(args.bag) as bag, progress("looking for walkers", bag.duration_s) as bar:
        tracks = walking_tracks(bag, tracker, config.window.min_samples, bar.at)
        # Above all why no picture is used: templates without pictures do not match people seen with them.
        for note in (*bag.notes, *bag.problems):
            bar.console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        answer: dict[str, Any] = {"bag": str(args.bag), "tracks": [vars(track) for track in tracks]}
        answer["problems"] = list(bag.problems)
        news: list[EnrollmentNews] = []
        if args.tracks:
            for track in tracks:
                bar.console.print(f"track {track}", highlight=False)
        else:
            track = chosen_track(tracks, args.track)
            live = open_recognizer(config)
            try:
                bar.say(f"enrolling track {track.track_id}", 0.0)
                with asked_by(COMMAND_LINE):
                    news = enroll_track(bag, tracker, live, track.track_id, args.name, args.confirm, bar.at)
            finally:
                live.close()
            answer |= {"track": track.track_id, "name": args.name, "gallery": live.gallery.place}
    stored = [item for item in news if item.state == EnrollmentState.STORED]
    for item in news:
        print(f"{item.message} ({item.quality})" if item in stored else item.message)
    answer |= {"stored": [item.message for item in stored], "templates": stored[-1].templates if stored else 0}
    answer["refused"] = [item.message for item in news if item not in stored]
    write_json(args.json, answer)
    return 0 if stored or args.tracks else 1


def _check_name(config: RecognizerNodeConfig, name: str, confirm: bool) -> None:
    """Before a long look at the bag: as the enrolment itself will."""
    normalised_name(name)
    with (
        suppress(GalleryError),
        open_gallery(config.gallery, create=False) as gallery,
    ):  # what is wrong with it comes later
        enrollable(gallery, name, confirm)
