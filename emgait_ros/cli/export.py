"""Turn a model bundle into what another runtime takes.

  emgait export models/emgait-sim --to onnx --precision fp16 --out exported
      both ONNX graphs at that precision, checked against the bundle's own FP32 graphs

  emgait export models/emgait-sim --to tensorrt-rtx --compute-capability SM89 --max-batch 16
      TensorRT-RTX engines, built ahead of time: no GPU is needed here. They go into the cache where the live
      nodes look for them (or into --out); a GPU of that compute capability runs them

  emgait export models/emgait-sim --to tensorrt --precision fp16
      TensorRT engines for the GPU of this machine

TensorRT-RTX: pip install tensorrt-rtx; TensorRT: pip install tensorrt; the GPU is asked through cuda-python.
Engines are caches: the live nodes build a missing or stale one themselves, and use none that disagrees with FP32.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import Bundle, load_bundle
from emgait_ros.inference.half import PRECISIONS, check_parity, gate_samples, write_graph
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `emgait export`."""
    parser.add_argument("bundle", nargs="?", default="", help="folder of the bundle (default: the shipped one)")
    parser.add_argument("--to", choices=("onnx", "tensorrt", "tensorrt-rtx"), required=True)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument(
        "--max-batch",
        type=int,
        default=EngineConfig().max_batch,
        metavar="N",
        help="largest batch of an engine (default %(default)s)",
    )
    parser.add_argument(
        "--compute-capability",
        action="append",
        metavar="SMxx",
        help="TensorRT-RTX: GPU generation to build for, may be repeated (default: the GPU here)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder to write to (default: the engine cache; for onnx the current folder)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was made as JSON")


def run(args: argparse.Namespace) -> int:
    """Export and print what was made."""
    if args.max_batch < 1:
        raise ValueError(f"--max-batch is {args.max_batch}: expected 1 or more")
    if args.compute_capability and args.to != "tensorrt-rtx":
        raise ValueError(f"--compute-capability is for --to tensorrt-rtx: {args.to} does not take it")
    bundle = load_bundle(args.bundle)
    made = _export_onnx(bundle, args) if args.to == "onnx" else _export_engines(bundle, args)
    table = Table(title=f"{bundle.name}: {args.to}, {args.precision}")
    for title in ("graph", "file", "MB", "seconds", "cosine to FP32"):
        table.add_column(title, overflow="fold")
    for row in made:
        cosine = "measured where it runs" if row["cosine"] is None else f"{row['cosine']:.6f}"
        table.add_row(row["graph"], row["file"], f"{row['bytes'] / 1e6:.1f}", f"{row['seconds']:.1f}", cosine)
    Console().print(table)
    if args.json:
        args.json.write_text(
            json.dumps({"bundle": bundle.name, "to": args.to, "precision": args.precision, "files": made}, indent=2)
            + "\n"
        )
    return 0


def _export_onnx(bundle: Bundle, args: argparse.Namespace) -> list[dict[str, Any]]:
    folder, samples = args.out or Path(), gate_samples(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, graph in bundle.graphs.items():
        start, path = time.perf_counter(), folder / f"{name}.{args.precision}.onnx"
        write_graph(graph.path, path, args.precision)
        try:
            cosine = check_parity(OnnxRuntimeEngine(path), OnnxRuntimeEngine(graph.path), samples[name], path)
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
            with Console().status(f"building {name} for {target}"):
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
