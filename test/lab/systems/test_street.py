"""Every architecture on the demo's street: tracked people through the recognizer, as the live node runs it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_systems import TINY  # noqa: E402

from emgait_ros.config import RecognitionConfig, SensingConfig, with_options  # noqa: E402
from emgait_ros.gallery.store import Gallery  # noqa: E402
from emgait_ros.inference.bundle import load_bundle  # noqa: E402
from emgait_ros.inference.encoder import GaitEncoder  # noqa: E402
from emgait_ros.lab.bench.systems import random_system  # noqa: E402
from emgait_ros.lab.simulation.scene import crossing_scene, shortened  # noqa: E402
from emgait_ros.lab.simulation.simulator import StreetSimulator  # noqa: E402
from emgait_ros.lab.systems.registry import SYSTEMS, network_of  # noqa: E402
from emgait_ros.recognition.recognizer import GaitRecognizer  # noqa: E402
from emgait_ros.samples import Modality, PedestrianFrame, SensorFrame, Status  # noqa: E402
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing  # noqa: E402

pytestmark = pytest.mark.long

OPTIONS = {"window.min_samples": 3, "window.max_samples": 8, "window.require_moving": False, "decision.threshold": 1e3}


@pytest.fixture(scope="module")
def street() -> list[PedestrianFrame]:
    """Four seconds of the crossing, an image every third cloud."""
    simulator = StreetSimulator(shortened(crossing_scene(), 4.0))
    sensing = PedestrianSensing(SensingConfig(), "street")
    frames = []
    for k in range(simulator.cloud_count):
        scan, _ = simulator.cloud(k)
        now = simulator.cloud_time_s(k)
        nearest = min(range(simulator.image_count), key=lambda i: abs(simulator.image_time_s(i) - now))
        image = simulator.image(nearest) if k % 3 == 0 else None
        dt_s = simulator.image_time_s(nearest) - now if image is not None else 0.0
        camera = simulator.camera if image is not None else None
        stamp = round((now + 1) * 1e9)
        frames.append(
            sensing.process(SensorFrame(stamp, np.ascontiguousarray(scan.points), image, dt_s, camera), "lidar")
        )
    assert sum(len(frame.pedestrians) for frame in frames) > 10
    return frames


@pytest.mark.parametrize("name", ["emgaitnet", *SYSTEMS])
def test_people_of_the_street_are_encoded_enrolled_and_named(name, street, tmp_path) -> None:
    """The embedding of a track is what torch makes of its samples, and who was enrolled is named (one identity: nobody else)."""
    bundle = random_system(name, TINY[name], tmp_path) if name in SYSTEMS else load_bundle("")
    config = with_options(RecognitionConfig(), {**OPTIONS, "engine.backend": "onnxruntime"})
    encoder = GaitEncoder(bundle, config.engine)
    assert encoder.sensors == (Modality.BOTH if name == "emgaitnet" else Modality.POINTS)  # no segmenter is named
    assert encoder.segmenter is None
    if bundle.preprocessing.silhouettes:
        assert "silhouettes of projected LiDAR returns" in encoder.description
        assert encoder.fingerprint != bundle.fingerprint
    with Gallery(tmp_path / "gallery.db") as gallery:
        recognizer = GaitRecognizer(config, encoder, gallery)
        for frame in street[:-4]:
            recognizer.process(frame)
        tracks = [window for window in recognizer.windows.in_view() if window.embedding is not None]
        assert tracks, recognizer.counters
        longest = max(tracks, key=lambda window: window.taken)
        assert longest.modalities(1) & ~encoder.sensors == Modality.NONE
        assert recognizer.enroll("Anna", longest.track_id).success
        results = [result for frame in street[-4:] for result in recognizer.process(frame)]
    named = [result for result in results if result.track_id == longest.track_id]
    assert named[-1].name == "Anna", named[-1].decision
    assert named[-1].decision.status == Status.KNOWN
    if name in SYSTEMS:
        features = [sample.features.arrays for sample in longest.samples]
        with torch.no_grad():
            windows = [torch.from_numpy(np.stack([f[key] for f in features])[None]) for key in features[0]]
            expected = network_of(bundle).sequence(*windows, torch.ones(1, len(features), dtype=torch.bool)).numpy()
        np.testing.assert_allclose(longest.embedding, expected[0], atol=1e-4)
