"""Which backends can run the network here, is the bundle intact, and is the gallery sound?"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import stat
import time
from collections.abc import Iterator
from importlib import metadata

import numpy as np

from emgait_ros.config import RecognitionConfig
from emgait_ros.doctor.findings import Finding, fail, ok, warn
from emgait_ros.doctor.installation import SETUP
from emgait_ros.gallery.database import file_of, is_url
from emgait_ros.gallery.encryption import find_key
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import Bundle, load_bundle
from emgait_ros.inference.encoder import GaitEncoder, fingerprint_with, segmenter_for
from emgait_ros.samples import Sample

REAL_TIME_MS = 50.0  # one pedestrian's share of a 10 Hz frame, with room for another and for the sensing


def check_backends() -> Iterator[Finding]:
    """onnxruntime's providers, the CUDA driver, TensorRT and torch."""
    devices, driver = cuda_devices()
    providers: list[str] = []
    try:
        import onnxruntime

        providers = [name for name in onnxruntime.get_available_providers() if name != "AzureExecutionProvider"]
        yield ok("onnxruntime", f"{onnxruntime.__version__}, providers {', '.join(providers)}", providers=providers)
    except ImportError as error:
        yield fail("onnxruntime", f"cannot be imported: {error}", SETUP)
    if not devices:
        yield ok("CUDA", f"{driver}: the network runs on the CPU")
    elif "CUDAExecutionProvider" not in providers:
        yield warn(
            "CUDA",
            f"{driver}, but onnxruntime has no CUDA provider",
            "pip install onnxruntime-gpu in place of onnxruntime",
        )
    else:
        yield ok("CUDA", f"{driver}: {', '.join(devices)}", devices=devices)
    for subject, modules, use in (
        ("TensorRT", ("tensorrt", "tensorrt_rtx_bindings"), "GPU engines"),
        ("torch", ("torch",), "training and export"),
    ):
        found = next((f"{module} {_distribution_version(module)}" for module in modules if _installed(module)), "")
        yield ok(subject, f"{found}, for {use}" if found else f"not installed, and only needed for {use}")


def cuda_devices() -> tuple[list[str], str]:
    """Names of the GPUs, and the driver in words, straight from the driver library."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [], "no CUDA driver"
    version, count = ctypes.c_int(), ctypes.c_int()
    status = driver.cuInit(0)
    if status != 0:
        return [], f"the CUDA driver library is there but refuses to start (cuInit gives {status})"
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for number in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(128)
        driver.cuDeviceGet(ctypes.byref(device), number)
        driver.cuDeviceGetName(name, 128, device)
        names.append(name.value.decode(errors="replace"))
    return names, f"CUDA driver {version.value // 1000}.{version.value % 1000 // 10}"


def check_model(config: RecognitionConfig) -> Iterator[Finding]:
    """The bundle's files against its manifest, and one real pass through the network."""
    try:
        bundle = load_bundle(config.engine.bundle)
    except (OSError, ValueError) as error:
        yield fail("bundle", str(error), "set engine.bundle to a whole bundle, or fetch or export it again")
        return
    yield ok(
        "bundle",
        f"{bundle.name} at {bundle.folder}, fingerprint {bundle.fingerprint[:12]}: all files as the manifest says",
    )
    if bundle.threshold is None and not config.decision.threshold:
        yield warn(
            "threshold",
            "the bundle has no calibrated threshold",
            "set decision.threshold, or calibrate the bundle: nobody can be named",
        )
    else:
        source = "decision.threshold" if config.decision.threshold else "calibrated in the bundle"
        yield ok("threshold", f"{config.decision.threshold or bundle.threshold:.3f}, {source}")
    frames = max(bundle.min_frames, min(bundle.max_frames, config.window.max_samples))
    try:
        encoder = GaitEncoder(bundle, config.engine)
        sample_ms, head_ms = time_encoder(encoder, frames)
    except ValueError as error:
        yield fail("inference", str(error), "set engine.backend to auto, or install the backend it names")
        return
    figures = {"backend": encoder.backend, "sample_ms": sample_ms, "head_ms": head_ms}
    text = f"{encoder.description}: {sample_ms:.1f} ms a pedestrian and frame, {head_ms:.1f} ms a window of {frames}"
    if sample_ms + head_ms > REAL_TIME_MS:
        yield warn(
            "inference",
            text,
            "too slow for several people at 10 Hz: samples will be left out; use a GPU or a smaller bundle",
            **figures,
        )
    else:
        yield ok("inference", text, **figures)


def time_encoder(encoder: GaitEncoder, frames: int) -> tuple[float, float]:
    """Milliseconds for one sample and for one window of so many frames (the best of a few), on random input of the right shape."""
    pre = encoder.bundle.preprocessing
    random = np.random.default_rng(0)
    pedestrian = Sample(
        track_id=0,
        center=np.array([10.0, 0.0, 0.0]),
        size=np.array([0.6, 0.6, 1.7]),
        velocity=np.array([0.0, 1.2, 0.0]),
        moving=True,
        range_m=10.0,
        score=1.0,
        point_count=pre.points,
        points=(random.normal(size=(pre.points, 3)) * (0.15, 0.15, 0.5) + (10, 0, 0)).astype(np.float32),
        crop=random.integers(0, 256, (pre.crop_height, pre.crop_width, 3), np.uint8),
        crop_native_height_px=float(pre.crop_height),
    )
    batch = encoder.prepare([pedestrian])
    sample = encoder.encode_frames(batch)[0]  # the first run of a session also allocates
    window = [[sample] * frames]
    encoder.embed(window)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        encoder.encode_frames(batch)
        middle = time.perf_counter()
        encoder.embed(window)
        times.append((middle - start, time.perf_counter() - middle))
    return min(t[0] for t in times) * 1e3, min(t[1] for t in times) * 1e3


def check_gallery(config: RecognitionConfig) -> Iterator[Finding]:
    """The gallery file: readable, whole, private, and made by the model in use."""
    place = config.gallery.path
    if not is_url(place):
        path = file_of(place)
        place = str(path)
        if not path.exists():
            folder = next(parent for parent in path.parents if parent.exists())
            if os.access(folder, os.W_OK):
                yield ok("gallery", f"none at {path} yet: the first enrolment creates it")
            else:
                yield fail(
                    "gallery",
                    f"none at {path}, and {folder} cannot be written",
                    "set gallery.path to a folder of yours",
                )
            return
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield warn(
                "gallery",
                f"{path} could be read by others (mode {mode:04o})",
                "opening a whole gallery makes it 0600; find out who could have copied it",
            )
    try:
        with Gallery(place, create=False, key=find_key(config.gallery.key_file)) as gallery:
            place = gallery.place
            problems = gallery.check()
            identities = gallery.identities()
            fingerprint = _fingerprint(config)
            others = gallery.templates.other_models(fingerprint) if fingerprint else {}
    except (OSError, ValueError) as error:
        yield fail("gallery", str(error), "move it away, or put a backup in its place")
        return
    for problem in problems:
        yield fail(
            "gallery", f"{place}: {problem}", "put a backup in its place, or remove that person and enrol them again"
        )
    if not problems:
        yield ok("gallery", f"{len(identities)} people at {place}, whole", identities=len(identities))
    if others:
        yield warn(
            "gallery",
            f"{sum(others.values())} templates were made by other models ({', '.join(f[:12] for f in others)}): never compared",
            "enrol those people again with the bundle in use, or set engine.bundle to the old one",
        )


def _fingerprint(config: RecognitionConfig) -> str:
    try:
        bundle: Bundle = load_bundle(config.engine.bundle)
        return fingerprint_with(bundle, segmenter_for(bundle, config.engine))
    except (OSError, ValueError):
        return ""  # check_model says so


def _installed(module: str) -> bool:
    """Whether a module is there with code of its own (type stubs alone leave an empty folder)."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def _distribution_version(module: str) -> str:
    names = metadata.packages_distributions().get(module, [])
    return metadata.version(names[0]) if names else ""
