"""Who of a crop is the body: masks for networks that look at silhouettes. No model is shipped.

``engine.segmenter`` is ``mediapipe`` (the selfie model inside Google's mediapipe package, Apache-2.0, run by ai-edge-litert; the
package itself is never imported) or the path of an ONNX or tflite segmenter of one's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, UInt8

SELFIE_MODEL = "modules/selfie_segmentation/selfie_segmentation.tflite"


class Segmenter(Protocol):
    """Looks at crops.

    Attributes:
        name: for logs.
        sha256: of the model's file: silhouettes of different segmenters are not compared.
    """

    name: str
    sha256: str

    def masks(self, crops: Sequence[UInt8]) -> list[UInt8]:
        """Of crops (H, W, 3) uint8 RGB, their masks (H, W) uint8, 255 where the body is."""
        ...


def open_segmenter(name: str) -> Segmenter:
    """The segmenter of ``engine.segmenter``.

    Raises:
        ValueError: nothing installed or no such file, or its input or output has another form; says what was found.
    """
    path = _selfie_model() if name == "mediapipe" else Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"engine.segmenter is '{name}', which is no file: name an ONNX or tflite model, or mediapipe")
    return _Tflite(path) if path.suffix == ".tflite" else _Onnx(path)


def _selfie_model() -> Path:
    spec = find_spec("mediapipe")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (path := Path(folder) / SELFIE_MODEL).is_file():
            return path
    raise ValueError(
        f"engine.segmenter is 'mediapipe', but no installed package holds {SELFIE_MODEL}: "
        "pip install --no-deps mediapipe==0.10.14, or name an ONNX or tflite file"
    )


class _Model:
    """What both kinds have in common: the size they take, one channel of body out of one or two."""

    def __init__(self, path: Path) -> None:
        self.name, self.sha256 = path.name, hashlib.sha256(path.read_bytes()).hexdigest()
        self._size = (0, 0)  # height, width

    def masks(self, crops: Sequence[UInt8]) -> list[UInt8]:
        """See ``Segmenter``."""
        height, width = self._size
        found: list[UInt8] = []
        for crop in crops:
            fitted = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
            shares = np.asarray(fitted, np.float32) * np.float32(1 / 255)
            body = cv2.resize(self._body(shares), crop.shape[1::-1])
            found.append(np.rint(body.clip(0, 1) * 255).astype(np.uint8))
        return found

    def _body(self, image: Float32) -> Float32:
        """(height, width, 3) in 0..1 -> (height, width), how surely each pixel is body, 0..1."""
        raise NotImplementedError

    def _of_channels(self, values: NDArray[Any], channel: int) -> Float32:
        """The body of one channel (a probability, or a logit when outside 0..1) or of two logits [something else, body]."""
        layers = np.moveaxis(np.asarray(values, np.float32), channel, 0)
        if len(layers) == 2:
            return 1 / (1 + np.exp(layers[0] - layers[1]))
        if len(layers) != 1:
            raise ValueError(f"engine.segmenter {self.name} gives {len(layers)} channels: expected 1 or 2")
        return layers[0] if layers.min() >= 0 and layers.max() <= 1 else 1 / (1 + np.exp(-layers[0]))


class _Onnx(_Model):
    """Input (N, 3, H, W) float32 RGB 0..1; output (N, 1 or 2, h, w)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own kinds, all derived from Exception only
            raise ValueError(f"engine.segmenter {path} cannot be loaded: {error}") from error
        entry, output = self._session.get_inputs()[0], self._session.get_outputs()[0]
        shape = entry.shape
        fits = len(shape) == 4 and shape[1] == 3 and all(isinstance(n, int) for n in shape[2:])
        if not fits or len(output.shape) != 4:
            raise ValueError(
                f"engine.segmenter {path} takes {shape} and gives {output.shape}: expected (N, 3, H, W) and (N, 1 or 2, h, w)"
            )
        self._input, self._size = entry.name, (int(shape[2]), int(shape[3]))

    def _body(self, image: Float32) -> Float32:
        feed = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
        return self._of_channels(self._session.run(None, {self._input: feed})[0][0], 0)


class _Tflite(_Model):
    """Input (1, H, W, 3) float32 RGB 0..1; output (1, h, w, 1 or 2)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ValueError(f"engine.segmenter {path} needs the package ai-edge-litert: pip install it") from error
        self._interpreter: Any = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        entry, output = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        if len(entry["shape"]) != 4 or entry["shape"][3] != 3 or len(output["shape"]) != 4:
            raise ValueError(
                f"engine.segmenter {path} takes {list(entry['shape'])} and gives {list(output['shape'])}: "
                "expected (1, H, W, 3) and (1, h, w, 1 or 2)"
            )
        self._input, self._output = entry["index"], output["index"]
        self._size = (int(entry["shape"][1]), int(entry["shape"][2]))

    def _body(self, image: Float32) -> Float32:
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return self._of_channels(self._interpreter.get_tensor(self._output)[0], 2)
