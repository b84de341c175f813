"""Every default of the package, with unit, range and reason, in one place.

The nodes declare their ROS parameters from these dataclasses (``nodes/parameters.py``), a parameter file overrides them
(``config/*.yaml`` are templates for one), and offline commands take them as they are. A field's metadata holds what a
parameter descriptor needs: ``unit``, ``low``/``high`` (inclusive range, ``None`` = open), ``choices`` and ``why``.
"""

from emgait_ros.config.nodes import (
    BridgesNodeConfig,
    BridgesTopicsConfig,
    CameraConfig,
    ConsoleConfig,
    FramesConfig,
    LifeCycleConfig,
    NodeTopicsConfig,
    RecognizerNodeConfig,
    RecognizerTopicsConfig,
    ServicesConfig,
    TrackerNodeConfig,
    TrackerTopicsConfig,
    full_name,
)
from emgait_ros.config.options import (
    check_option,
    option,
    options_of,
    with_options,
)
from emgait_ros.config.recognition import (
    DecisionConfig,
    EngineConfig,
    EnrollmentConfig,
    GalleryConfig,
    RecognitionConfig,
    WindowConfig,
)
from emgait_ros.config.sensing import (
    BoxesConfig,
    DetectorConfig,
    ImageDetectorConfig,
    PairingConfig,
    SampleConfig,
    SensingConfig,
    TrackerConfig,
    VerifierConfig,
)

__all__ = [
    "BoxesConfig",
    "BridgesNodeConfig",
    "BridgesTopicsConfig",
    "CameraConfig",
    "ConsoleConfig",
    "DecisionConfig",
    "DetectorConfig",
    "EngineConfig",
    "EnrollmentConfig",
    "FramesConfig",
    "GalleryConfig",
    "ImageDetectorConfig",
    "LifeCycleConfig",
    "NodeTopicsConfig",
    "PairingConfig",
    "RecognitionConfig",
    "RecognizerNodeConfig",
    "RecognizerTopicsConfig",
    "SampleConfig",
    "SensingConfig",
    "ServicesConfig",
    "TrackerConfig",
    "TrackerNodeConfig",
    "TrackerTopicsConfig",
    "VerifierConfig",
    "WindowConfig",
    "check_option",
    "full_name",
    "option",
    "options_of",
    "with_options",
]
