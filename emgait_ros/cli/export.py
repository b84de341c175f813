"""Turn a model bundle into what another runtime takes, or into a bundle with other options.

  emgait export models/emgait-sim --to onnx --precision fp16 --out exported
      its ONNX graphs at that precision, checked against what the network gives in FP32

  emgait export models/emgait-sim --to tensorrt-rtx --compute-capability SM89 --max-batch 16
      TensorRT-RTX engines, built ahead of time: no GPU is needed here. They go into the cache where the live
      nodes look for them (or into --out); a GPU of that compute capability runs them

  emgait export models/emgait-sim --to tensorrt --precision fp16
      TensorRT engines for the GPU of this machine

  emgait export models/emgait-sim --to bundle --name fast --precision int8 --clip-stride 5 --out models
      a bundle whose CLIP runs in INT8 on CPUs, and on every 5th image of a track only. Not exact: measure what it costs
      with `emgait evaluate dataset sim --bundle models/fast`. Also updates bundles of an older format

TensorRT-RTX: pip install tensorrt-rtx; TensorRT: pip install tensorrt; the GPU is asked through cuda-python.
Engines are caches: the live nodes build a missing or stale one themselves, and use none that disagrees with FP32.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from emgait_ros.cli.commands import add_numbers
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import console_of, table
from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import CLIP_PRECISIONS, Bundle, default_bundle_path, load_bundle, refuse_local_only
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.precision import PRECISIONS, check_precision, write_graph
from emgait_ros.inference.reference import check_parity


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `emgait export`."""
    parser.add_argument("bundle", nargs="?", default="", help="folder of the bundle (default: the shipped one)")
    parser.add_argument("--to", choices=("onnx", "tensorrt", "tensorrt-rtx", "bundle"), required=True)
    parser.add_argument(
        "--precision",
        choices=(*PRECISIONS, "int8"),
        default="fp32",
        help="of graphs and engines: fp32 or fp16; of a bundle's CLIP: fp32 or int8 (default: %(default)s)",
    )
    parser.add_argument("--name", default="", help="bundle: name of the new one (default: that of the old one)")
    add_numbers(
        parser,
        ("clip-stride", 1, "N", "bundle: CLIP looks at every N-th image of a track; 1: exact"),
        ("max-batch", EngineConfig().max_batch, "N", "largest batch of an engine"),
    )
    parser.add_argument(
        "--compute-capability",
        action="append",
        metavar="SMxx",
        help="TensorRT-RTX: GPU generation to build for, may be repeated (default: the GPU here)",
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        help="folder to write to (default: the engine cache; for onnx and bundle the current folder)",
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write what was made as JSON")


def run(args: argparse.Namespace) -> int:
    """Export and print what was made."""
    if args.max_batch < 1:
        raise ValueError(f"--max-batch is {args.max_batch}: expected 1 or more")
    if args.compute_capability and args.to != "tensorrt-rtx":
        raise ValueError(f"--compute-capability is for --to tensorrt-rtx: {args.to} does not take it")
    _check_precision(args)
    refuse_local_only(Path(args.bundle).expanduser() if args.bundle else default_bundle_path())
    if args.to == "bundle":
        name, made = _export_bundle(args)
    else:
        bundle = load_bundle(args.bundle)
        name, made = bundle.name, _export_onnx(bundle, args) if args.to == "onnx" else _export_engines(bundle, args)
    rows = []
    for row in made:
        cosine = "measured where it runs" if row["cosine"] is None else f"{row['cosine']:.6f}"
        rows.append((row["graph"], row["file"], f"{row['bytes'] / 1e6:.1f}", f"{row['seconds']:.1f}", cosine))
    headings = ("graph", "file", "MB", "seconds", "cosine to FP32")
    console_of().print(table(f"{name}: {args.to}, {args.precision}", headings, rows, left=(0, 1)))
    write_json(args.json, {"bundle": name, "to": args.to, "precision": args.precision, "files": made})
    return 0


def _check_precision(args: argparse.Namespace) -> None:
    allowed = CLIP_PRECISIONS if args.to == "bundle" else PRECISIONS
    if args.precision not in allowed:
        raise ValueError(f"--to {args.to} does not take --precision {args.precision}: expected {' or '.join(allowed)}")
    if args.to != "bundle" and (args.clip_stride != 1 or args.name):
        raise ValueError("--clip-stride and --name are for --to bundle")


def _export_bundle(args: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    try:
        from emgait_ros.emgaitnet.export import rewrite_bundle
        from emgait_ros.lab.systems.registry import build
    except ImportError as error:
        raise ValueError(
            f"writing a bundle needs torch, open_clip and onnx ({error}): install requirements/dev.txt"
        ) from error
    start, folder = time.perf_counter(), Path(args.bundle).expanduser() if args.bundle else default_bundle_path()
    out_dir = args.out or Path()
    bundle = rewrite_bundle(folder, out_dir, args.name, args.clip_stride, args.precision, build)
    paths = {name: graph.path for name, graph in bundle.graphs.items()}
    if bundle.int8_path:
        paths["semantic_encoder (INT8)"] = bundle.int8_path
    cosine = bundle.manifest["options"].get("int8_cosine")
    return bundle.name, [_row(name, path, start, cosine if "INT8" in name else 1.0) for name, path in paths.items()]


def _export_onnx(bundle: Bundle, args: argparse.Namespace) -> list[dict[str, Any]]:
    check_precision(bundle.architecture, args.precision)
    folder, reference = args.out or Path(), bundle.reference()
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, graph in bundle.graphs.items():
        start, path = time.perf_counter(), folder / f"{name}.{args.precision}.onnx"
        write_graph(graph.path, path, args.precision)
        try:
            cosine = check_parity(OnnxRuntimeEngine(path), reference, path)
        except ValueError:
            path.unlink()
            raise
        made.append(_row(name, path, start, cosine))
    return made


def _export_engines(bundle: Bundle, args: argparse.Namespace) -> list[dict[str, Any]]:
    from emgait_ros.inference.tensorrt_builder import build_engine, cache_folder, engine_key, load_tensorrt

    load_tensorrt(args.to)  # says what to install before anything else is asked for
    made = []
    for target in _targets(args):
        for name in bundle.graphs:
            start = time.perf_counter()
            key = engine_key(bundle, name, args.to, target, args.precision, args.max_batch)
            with console_of().status(f"building {name} for {target}"):
                file = build_engine(bundle, name, args.out or cache_folder(bundle), key)
            made.append(_row(f"{name} ({target})", file.path, start, None))
    return made


def _targets(args: argparse.Namespace) -> list[str]:
    from emgait_ros.inference.engine import BackendUnavailableError
    from emgait_ros.inference.tensorrt_engine import gpu_name, target_of

    if args.compute_capability:
        return list(args.compute_capability)
    try:
        return [target_of(gpu_name(), args.to)]
    except BackendUnavailableError as error:
        hint = (
            "name the GPU to build for with --compute-capability SM89, or its own"
            if args.to == "tensorrt-rtx"
            else "use --to tensorrt-rtx to build without one"
        )
        raise ValueError(f"{error}: {hint}") from error


def _row(graph: str, path: Path, start: float, cosine: float | None) -> dict[str, Any]:
    return {
        "graph": graph,
        "file": str(path),
        "bytes": path.stat().st_size,
        "seconds": time.perf_counter() - start,
        "cosine": cosine,
    }
