"""From sensor to name in one object: what both nodes do, joined, without ROS.

Bag evaluation, the demo's checks and the benchmarks call this, so that what they measure is what runs live.
"""

from __future__ import annotations

from emgait_ros.config import RecognitionConfig, SensingConfig
from emgait_ros.gallery.store import open_gallery
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.recognition.identity_results import IdentityResult
from emgait_ros.recognition.recognizer import EnrollmentResult, GaitRecognizer
from emgait_ros.samples import PedestrianFrame, SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing


def open_recognizer(config: RecognitionConfig) -> GaitRecognizer:
    """Load the bundle, open the gallery and join them: the recognizer as the node and the pipeline run it.

    Raises:
        ValueError, OSError: a damaged or missing bundle or gallery; the sentence names the file.
    """
    bundle = load_bundle(config.engine.bundle)
    return GaitRecognizer(config, GaitEncoder(bundle, config.engine), open_gallery(config.gallery))


class GaitPipeline:
    """Arrays in, results out.

    Args:
        sensing: detection, tracking and sample options (as the pedestrian_tracker node has them).
        recognition: bundle, window, decision and gallery options (as the gait_recognizer node has them).

    Raises:
        ValueError, OSError: as :func:`open_recognizer`.
    """

    def __init__(self, sensing: SensingConfig, recognition: RecognitionConfig) -> None:
        self.sensing = PedestrianSensing(sensing, "offline")  # a fixed name: runs give the same results twice
        self.recognizer = open_recognizer(recognition)

    def process(self, frame: SensorFrame, frame_id: str) -> tuple[PedestrianFrame, list[IdentityResult]]:
        """One cloud, with or without its image: who is in view, and who they are."""
        pedestrians = self.sensing.process(frame, frame_id)
        return pedestrians, self.recognizer.process(pedestrians)

    def enroll(self, name: str, track_id: int) -> EnrollmentResult:
        """Enrol a tracked pedestrian under a name (see ``GaitRecognizer.enroll``)."""
        return self.recognizer.enroll(name, track_id)

    def reset(self) -> None:
        """Forget all tracks and windows (a bag starts over); the gallery stays."""
        self.sensing.reset()
        self.recognizer.forget_tracks()
