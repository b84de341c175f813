"""`emgait gallery calibrate`: the threshold for a wanted false-accept rate, from walks of people who are not enrolled.

  emgait gallery calibrate --far 0.01                   simulated strangers walk past (made on the first call, kept in --walks)
  emgait gallery calibrate --bags a.bag b.bag           recordings of people of whom none is enrolled: real ones are better
  emgait gallery calibrate --strangers 2000 --far 0.001

Split-conformal: the threshold is the k-th smallest distance of n strangers' walks to this gallery, k = rate x (n + 1), which
promises the rate for strangers like them and a gallery of this size. 1 % takes 99 walks, 0.1 % takes 999. Half of the
simulated strangers are held back and check the promise afterwards. It is stored with the gallery, for this model only;
recognizers take it over at their next frame. Making simulated walks takes about half a second a stranger, and 1.4 MB of disk.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from emgait_ros.cli.commands import add_numbers
from emgait_ros.cli.outputs import output_folder
from emgait_ros.gallery.store import Gallery
from emgait_ros.lab.evaluation.calibration_walks import CalibrationWalks
from emgait_ros.shipped import cache_folder

Answer = tuple[int, dict[str, Any]]


def configure(add: Any) -> None:
    """Declare the action."""
    parser = add("calibrate", _calibrate, "the threshold for a wanted false-accept rate, from walks of strangers")
    parser.epilog = __doc__
    parser.add_argument(
        "--far",
        type=float,
        nargs="+",
        default=[0.01],
        metavar="RATE",
        help="wanted; the first is stored (default: 0.01)",
    )
    parser.add_argument("--bags", type=Path, nargs="+", metavar="BAG", help="recordings of people who are not enrolled")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes, for the bags")
    parser.add_argument(
        "--walks",
        type=output_folder,
        default=cache_folder("calibration-walks"),
        metavar="FOLDER",
        help="simulated walks (default: %(default)s)",
    )
    default = CalibrationWalks()
    add_numbers(
        parser,
        ("members", default.members, "N", "simulated people who are enrolled when the gallery is empty"),
        ("strangers", default.strangers, "N", "simulated strangers"),
    )
    parser.add_argument("--bundle", default="", metavar="FOLDER", help="model bundle; default: the shipped one")
    parser.add_argument("--preview", action="store_true", help="do not store it")


def _calibrate(gallery: Gallery, args: argparse.Namespace) -> Answer:
    # Not before: the other actions on a gallery need no kernels, and work where numba does not.
    from emgait_ros.cli.calibration_sources import from_bags, from_simulation

    for rate in args.far:
        if not 0.0 < rate < 1.0:
            raise ValueError(f"--far is {rate:g}: expected a rate between 0 and 1, such as 0.01")
        needed = 2 * (math.ceil(1 / rate - 1e-9) - 1)
        if not args.bags and args.strangers // 2 < needed // 2:
            raise ValueError(
                f"--strangers is {args.strangers}: --far {rate:g} needs {needed}, half of whom only check the promise"
            )

    found, report = from_bags(gallery, args) if args.bags else from_simulation(gallery, args)
    for calibration in found:
        print(calibration)
    for line in report.pop("said"):
        print(line)
    if not args.preview:
        gallery.set_calibration(report["model"], found[0])
        print(f"stored with {gallery.place} for model {report['model'][:12]}")
    listed = [{k: v for k, v in vars(c).items() if k != "distances"} for c in found]
    return 0, {"stored": not args.preview, "calibrations": listed, **report}
