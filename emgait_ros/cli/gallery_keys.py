"""`emgait gallery new-key`, `rekey`, `signer` and `reembed`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from emgait_ros.cli.terminal import agreed, progress
from emgait_ros.config import EngineConfig, WindowConfig
from emgait_ros.gallery.encryption import KEY_VARIABLE, find_key, write_new_key
from emgait_ros.gallery.export_file import SIGNING_KEY, signer_of, signing_key
from emgait_ros.gallery.store import Gallery


def configure(add: Any, agree: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    new = add("new-key", None, "make a key to encrypt galleries with")
    new.add_argument("file", type=Path, help="a file that is not there yet; keep a copy of it in a safe place")
    rekey = add("rekey", _rekey, "encrypt everything with another key, or decrypt it", agree)
    rekey.add_argument("--new-key-file", type=Path, metavar="FILE", help="made by new-key")
    rekey.add_argument("--decrypt", action="store_true", help="store everything plainly")
    signer = add("signer", None, "the number others trust this robot's exports by")
    signer.add_argument("--signing-key", default=SIGNING_KEY, metavar="FILE", help="default: %(default)s")
    reembed = add("reembed", _reembed, "make templates for another model from saved samples (gallery.save_samples)")
    reembed.add_argument("--bundle", default="", metavar="FOLDER", help="model bundle; default: the shipped one")


def _new_key(args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    write_new_key(args.file.expanduser())
    print(f"{args.file} holds a new key (mode 0600); set gallery.key_file to it, or {KEY_VARIABLE} to what is in it")
    return 0, {"key_file": str(args.file)}


def _signer(args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    signer = signer_of(signing_key(args.signing_key))
    print(signer)
    return 0, {"signer": signer}


WITHOUT_GALLERY = {"new-key": _new_key, "signer": _signer}


def _rekey(gallery: Gallery, args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    if args.decrypt == (args.new_key_file is not None):
        raise ValueError("say either --new-key-file FILE or --decrypt")
    key = None if args.decrypt else find_key(args.new_key_file)
    if args.decrypt and not agreed(args, f"store all of {gallery.place} so that it can be read without a key?"):
        return 1, {"rewritten": 0}
    count = gallery.change_key(key)
    print(f"{count} templates rewritten; whoever has the gallery open must be restarted with the new key")
    return 0, {"rewritten": count, "encrypted": gallery.encrypted}


def _reembed(gallery: Gallery, args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    from emgait_ros.inference.bundle import load_bundle
    from emgait_ros.inference.encoder import GaitEncoder
    from emgait_ros.recognition.reembedding import reembed

    encoder = GaitEncoder(load_bundle(args.bundle), EngineConfig())
    with progress("walks", None) as bar:
        report = reembed(gallery, encoder, WindowConfig(), bar.at)
    print(
        f"{report.templates} templates made for model {encoder.fingerprint[:12]} from {report.walks} saved walks of {len(report.people)} people"
    )
    for problem in report.problems:
        print(problem, file=sys.stderr)
    if report.without:
        print(f"no saved samples, to be enrolled again: {', '.join(report.without)}", file=sys.stderr)
    return int(bool(report.problems)), {
        "model": encoder.fingerprint,
        "walks": report.walks,
        "templates": report.templates,
        "people": report.people,
        "to_enroll_again": report.without,
        "problems": report.problems,
    }
