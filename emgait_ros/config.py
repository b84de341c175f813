"""Every default of the package, with unit, range and reason, in one place.

The nodes declare their ROS parameters from these dataclasses (``nodes/parameters.py``), a parameter file overrides them
(``config/*.yaml`` are templates for one), and offline commands take them as they are. A field's metadata holds what a
parameter descriptor needs: ``unit``, ``low``/``high`` (inclusive range, ``None`` = open), ``choices`` and ``why``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


def option(
    default: Any,
    why: str,
    *,
    within: tuple[float | None, float | None] | tuple[float | None, float | None, str] = (None, None),
    choices: tuple[str, ...] = (),
    topic: str = "",
) -> Any:
    """A dataclass field with a default and the reason for it.

    Args:
        default: the value; a tuple for an array parameter.
        why: one sentence: what it does and why this default.
        within: inclusive range of allowed values, ``None`` where open, and the unit ("m", "s", "px", ...) of what is not a count or share.
        choices: allowed strings, empty for any.
        topic: "needed" or "optional" (may be empty) where the string names a topic; relative names follow the node's namespace.
    """
    low, high, unit = (*within, "")[:3]
    metadata = {"why": why, "unit": unit, "low": low, "high": high, "choices": choices, "topic": topic}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class PairingConfig:
    """How a LiDAR cloud finds its image (``emgait_ros.sensing.pairing``)."""

    cloud_offset_s: float = option(
        0.0, "Added to every cloud stamp: corrects a constant clock error.", within=(-10, 10, "s")
    )
    image_offset_s: float = option(
        0.0, "Added to every image stamp: corrects exposure or driver delay.", within=(-10, 10, "s")
    )
    max_dt_s: float = option(
        0.05, "Largest stamp difference of a pair; at 1.5 m/s 0.05 s is 7 cm of motion.", within=(0.001, 1, "s")
    )
    image_wait_s: float = option(
        0.04,
        "How long a cloud waits for a nearer image, on top of the lag images are measured to have: a period at 30 Hz and a bit.",
        within=(0, 1, "s"),
    )
    max_wait_s: float = option(
        0.25,
        "Longest wait for images that arrive later than their clouds: a camera may be slow, but pedestrians come this much later.",
        within=(0, 1, "s"),
    )
    image_silent_s: float = option(
        1.0, "Without an image for this long, clouds go on alone (flagged as LiDAR only).", within=(0.1, 60, "s")
    )
    buffer_s: float = option(
        1.0, "Images older than this are dropped: clouds may arrive this much later.", within=(0.1, 10, "s")
    )


@dataclass(frozen=True)
class DetectorConfig:
    """What counts as a pedestrian in a cloud (``emgait_ros.sensing.perception``)."""

    min_range_m: float = option(1.0, "Nearer returns are mostly the robot itself.", within=(0, 20, "m"))
    max_range_m: float = option(55.0, "A bit over the 50 m that a person can be recognised at.", within=(5, 200, "m"))
    sensor_height_m: float = option(
        0.0, "Height of the LiDAR over the ground; 0: found from the cloud itself.", within=(0, 10, "m")
    )
    min_points: int = option(8, "Fewer returns say nothing about a gait; a person at 50 m has 15-25.", within=(3, 1000))
    scorer: str = option("", "Folder of a scorer trained with `emgait train-detector`; empty: the one that ships.")
    min_score: float = option(
        0.5,
        "Shapes that are a person with less probability are no detections; the tracker also gets those down to tracker.weak_score.",
        within=(0, 1),
    )
    static_sensor: bool = option(
        False, "The LiDAR never moves: what stands still before it is learned and left out (poles, parked cars)."
    )
    learn_s: float = option(
        20.0, "How long that takes, and how long somebody may stand without becoming background.", within=(1, 3600, "s")
    )


@dataclass(frozen=True)
class VerifierConfig:
    """A second opinion of the camera on what the LiDAR takes for a person (``emgait_ros.sensing.perception.verifier``)."""

    model: str = option(
        "",
        "'mediapipe' (its pose model, when that package and ai-edge-litert are installed) or the path of an ONNX classifier; empty: none.",
    )
    crops_per_frame: int = option(
        1, "Crops looked at in each frame, the least known tracks first: 16 ms each with mediapipe.", within=(1, 50)
    )
    min_looks: int = option(3, "Looks at a track before it may be taken for something else.", within=(1, 50))
    reject_below: float = option(
        0.06,
        "A track whose crops score less than this on average is not reported; half-hidden people score 0.1.",
        within=(0, 1),
    )
    min_height_px: float = option(
        40.0, "Smaller crops are not judged: people far away score low, too.", within=(8, 500, "px")
    )


@dataclass(frozen=True)
class ImageDetectorConfig:
    """A detector of people in images that helps where the LiDAR is sparse (``emgait_ros.sensing.perception.image_detector``)."""

    model: str = option("", "Path of an ONNX detector (its forms: see the module); empty: none.")
    min_score: float = option(0.4, "Weaker boxes are dropped.", within=(0, 1))


@dataclass(frozen=True)
class BoxesConfig:
    """People that a detector of the user's finds in the clouds (``topics.boxes``; ``emgait_ros.sensing.boxes``)."""

    use: str = option(
        "instead",
        "instead: our own detector does not run; beside: it finds whom that detector misses. Without topics.boxes nothing changes.",
        choices=("instead", "beside"),
    )
    classes: tuple[str, ...] = option(
        ("pedestrian", "person"),
        "Values of class_id that are people, in capitals or not; boxes of other classes are left out.",
    )
    sure_score: float = option(
        0.5, "A score of that detector that makes a person sure: it counts as detector.min_score.", within=(0.01, 1)
    )
    weak_score: float = option(
        0.2, "A score of it that carries a track on but begins none: it counts as tracker.weak_score.", within=(0, 1)
    )
    max_dt_s: float = option(
        0.06,
        "Largest difference between the stamps of boxes and cloud; at 1.5 m/s 0.06 s is 9 cm, which the returns correct.",
        within=(0.001, 1, "s"),
    )
    max_wait_s: float = option(
        0.25,
        "Longest wait of a cloud for its boxes: as long as that detector takes, but pedestrians come this much later.",
        within=(0, 1, "s"),
    )


@dataclass(frozen=True)
class TrackerConfig:
    """How detections become tracks (``emgait_ros.sensing.tracking``)."""

    gate_m: float = option(
        0.9,
        "0.1 s after the last detection: a pedestrian moves at most 0.25 m, the rest is cluster noise at 50 m or the sensor's motion.",
        within=(0.1, 5, "m"),
    )
    confirm_hits: int = option(
        2, "Sure detections in a row before a track is believed; of less sure ones it takes more.", within=(1, 50)
    )
    max_coast_s: float = option(
        1.2, "How long a pedestrian without returns is followed blindly.", within=(0.1, 10, "s")
    )
    report_unseen_s: float = option(
        0.35,
        "How long somebody in open view without returns is still reported: three missed frames at 10 Hz.",
        within=(0, 10, "s"),
    )
    weak_score: float = option(
        0.2,
        "Detections down to this score carry on a track, associated second; one that they begin is believed once it walks.",
        within=(0, 1),
    )
    max_hidden_s: float = option(
        3.0,
        "How much longer when something nearer stands in the line of sight: two people who walk abreast. At most twice as long as they were seen, and 1.5 m of the sensor's way.",
        within=(0, 30, "s"),
    )
    relink_s: float = option(
        2.0, "A pedestrian who reappears where a lost track must be by then gets its number back.", within=(0, 30, "s")
    )
    gait_relink_s: float = option(
        60.0,
        "How long a lost track can get its number back when the recognizer says that it is the same person.",
        within=(0, 3600, "s"),
    )
    acceleration_m_s2: float = option(
        0.6,
        "Process noise of the constant-velocity model of who goes straight on; the tracker raises it where a track turns or stops.",
        within=(0.1, 10, "m/s^2"),
    )
    position_noise_m: float = option(
        0.06,
        "Least measurement noise of a box centre up close, doubled at 30 m; the tracker raises it when the data do.",
        within=(0.01, 1, "m"),
    )
    walking_speed_m_s: float = option(
        0.35, "Slower than this is standing: no gait to see, and poles never walk.", within=(0, 2, "m/s")
    )
    fastest_walk_m_s: float = option(
        3.0,
        "Faster is no walk, and not until 3 s after: people walk at up to 2.5 m/s, joggers and cyclists show another gait or none.",
        within=(1, 20, "m/s"),
    )
    walking_distance_m: float = option(
        0.8, "A track has walked once it came this far from where it began.", within=(0, 10, "m")
    )


@dataclass(frozen=True)
class SampleConfig:
    """What is cut out for each pedestrian in each frame (``emgait_ros.sensing.perception.crops``)."""

    points: int = option(
        128, "Points per sample, resampled; a fixed number keeps range from leaking identity.", within=(16, 4096)
    )
    crop_height_px: int = option(
        128, "Height of the crop; 128x64 is what gait networks are trained on.", within=(32, 512, "px")
    )
    crop_width_px: int = option(64, "Width of the crop.", within=(16, 512, "px"))
    crop_margin: float = option(0.1, "Margin around the projected 3D box, as a part of its height.", within=(0, 1))


@dataclass(frozen=True)
class WindowConfig:
    """Which samples of a track make a window (``emgait_ros.recognition.recognizer``)."""

    min_samples: int = option(10, "Samples before the first embedding; the paper trains on 10 frames.", within=(1, 200))
    max_samples: int = option(30, "Samples a window keeps: about three strides at 10 Hz.", within=(1, 300))
    min_step_s: float = option(
        0.075,
        "Samples that follow sooner are left out: windows are learnt at 10 Hz, and at 20 Hz ten samples are no stride.",
        within=(0, 1, "s"),
    )
    max_gap_s: float = option(
        1.5, "A longer hole in a track clears its window: it may be somebody else.", within=(0.1, 30, "s")
    )
    min_points: int = option(8, "Samples with fewer LiDAR returns are left out.", within=(1, 1000))
    min_crop_height_px: float = option(
        16.0, "Crops smaller than this in the camera image are not used.", within=(1, 1000, "px")
    )
    min_sharpness: float = option(
        0.0015, "Crops with less fine detail than this are blurred by motion or focus and not used.", within=(0, 1)
    )
    max_occlusion: float = option(
        0.6, "Samples of which something nearer hides more than this part are left out.", within=(0, 1)
    )
    max_image_dt_s: float = option(
        0.1, "Crops of an image farther away in time are not used: a leg swings 0.3 m meanwhile.", within=(0, 1, "s")
    )
    weak_points: int = option(
        20,
        "Windows with fewer LiDAR returns a sample count as half a vote: 50 m away only 15-25 are left.",
        within=(1, 1000),
    )
    weak_brightness: float = option(
        30.0, "Windows whose crops are darker (0-255) count as half a vote: night.", within=(0, 255)
    )
    require_moving: bool = option(True, "Only walking people show a gait.")
    keep_s: float = option(3.0, "A track that left the view can still be enrolled for this long.", within=(0, 60, "s"))
    max_tracks: int = option(200, "Windows kept at most; the longest unseen go first.", within=(1, 10000))


@dataclass(frozen=True)
class DecisionConfig:
    """When a name is given (``emgait_ros.recognition.decision``)."""

    threshold: float = option(
        0.0, "Largest accepted distance; 0: the bundle's own calibrated threshold.", within=(0, None)
    )
    min_margin: float = option(0.0, "Smallest lead over the second identity; 0: the bundle's own.", within=(0, None))
    agree_windows: int = option(
        3, "Windows in a row that must agree before a name is given or changed.", within=(1, 100)
    )
    candidates: int = option(3, "Nearest identities listed with each result.", within=(1, 100))
    templates_per_identity: int = option(
        3, "A person's distance is the mean of this many of their nearest templates.", within=(1, 50)
    )
    hysteresis: float = option(
        1.1, "A name once given is kept up to this many times the threshold: no flicker at the limit.", within=(1, 2)
    )
    one_sensor_factor: float = option(
        0.85, "Threshold factor for windows of LiDAR or camera alone: it is calibrated on both.", within=(0.1, 1)
    )


@dataclass(frozen=True)
class GalleryConfig:
    """Where identities live (``emgait_ros.gallery``)."""

    path: str = option(
        "~/.local/share/emgait/gallery.db",
        "SQLite file, created with mode 0600 (templates are biometric data); or postgresql://user@host/name, for several robots.",
    )
    key_file: str = option(
        "",
        "File with the key the gallery is encrypted with (mode 0600); empty: the environment variable EMGAIT_GALLERY_KEY, or plain.",
    )
    keep_days: float = option(
        0.0,
        "People whose newest template is older are not named any more, and deleted a week later; 0: kept for ever.",
        within=(0, 36500, "d"),
    )
    save_samples: bool = option(
        False,
        "Keep points and pictures of enrolled walks, to make templates anew for another model; off: no picture is ever kept.",
    )
    keep_copy: bool = option(
        True,
        "Of a gallery in PostgreSQL: keep a copy on this robot's disk (mode 0600, encrypted as the gallery is), to start from while the server is down.",
    )
    threads: int = option(
        1, "CPU threads that compare with the templates; more pays from some ten thousand templates on.", within=(1, 16)
    )


@dataclass(frozen=True)
class EnrollmentConfig:
    """What a walk must be like to become a template (``emgait_ros.recognition.recognizer``)."""

    min_points: int = option(
        12, "Median LiDAR returns a sample; with fewer, templates hold more noise than gait.", within=(1, 1000)
    )
    min_straightness: float = option(
        0.5, "Distance gained over length of the path: milling about is no walk.", within=(0, 1)
    )
    min_leg_swing_m: float = option(
        0.016,
        "How much the legs open and close; who stands, glides or is wheeled along has no gait. 0: not asked.",
        within=(0, 0.2, "m"),
    )
    consistent_factor: float = option(
        1.5,
        "A known person's new walk within this many thresholds of their templates needs no confirmation.",
        within=(1, 10),
    )


@dataclass(frozen=True)
class EngineConfig:
    """Which network runs, and on what (``emgait_ros.inference``)."""

    bundle: str = option("", "Folder of a model bundle; empty: the one shipped with the package.")
    backend: str = option(
        "auto",
        "Inference backend; auto takes the best available and says which.",
        choices=("auto", "onnxruntime", "tensorrt", "torch"),
    )
    threads: int = option(1, "CPU threads of the inference backend: the sensors need the other cores.", within=(1, 64))
    precision: str = option(
        "fp32", "Precision of TensorRT engines; the other backends run FP32.", choices=("fp32", "fp16")
    )
    clip_stride: int = option(
        0,
        "CLIP looks at every so many-th image of a track: 1 is exact, 5 costs a fifth; 0: the bundle's own.",
        within=(0, 100),
    )
    segmenter: str = option(
        "",
        "For bundles that look at silhouettes: path of an ONNX or tflite model that finds the body in a crop, or mediapipe; "
        "empty: silhouettes are made of projected LiDAR returns.",
    )
    max_batch: int = option(
        16,
        "Pedestrians per run of the network; more are split. Bounds memory and the TensorRT profile.",
        within=(1, 256),
    )


@dataclass(frozen=True)
class SensingConfig:
    """Cloud and image in, pedestrians out: all that the pedestrian_tracker node computes with."""

    pairing: PairingConfig = field(default_factory=PairingConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    image_detector: ImageDetectorConfig = field(default_factory=ImageDetectorConfig)
    verifier: VerifierConfig = field(default_factory=VerifierConfig)
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)


@dataclass(frozen=True)
class RecognitionConfig:
    """Pedestrians in, identities out: all that the gait_recognizer node computes with."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    gallery: GalleryConfig = field(default_factory=GalleryConfig)
    enrollment: EnrollmentConfig = field(default_factory=EnrollmentConfig)


@dataclass(frozen=True)
class TrackerTopicsConfig:
    """Topics, frames and QoS of the pedestrian_tracker node. Relative names can be remapped and follow a namespace."""

    cloud: str = option("lidar/points", "sensor_msgs/PointCloud2, frame with z up (REP-103).", topic="needed")
    image: str = option(
        "camera/image",
        "sensor_msgs/Image, or CompressedImage when image_compressed is set; empty: LiDAR only.",
        topic="optional",
    )
    camera_info: str = option("camera/camera_info", "sensor_msgs/CameraInfo of that image.", topic="needed")
    boxes: str = option(
        "",
        "vision_msgs/Detection3DArray of a detector of yours; empty: none (see the options boxes.*).",
        topic="optional",
    )
    image_compressed: bool = option(False, "The image topic carries sensor_msgs/CompressedImage (JPEG or PNG).")
    reliability: str = option(
        "best_effort", "QoS reliability of the sensor subscriptions.", choices=("best_effort", "reliable")
    )
    depth: int = option(
        1, "Queue depth of the cloud subscription: 1 is latest wins; deeper queues deliver old data.", within=(1, 100)
    )
    output_depth: int = option(5, "Queue depth of what the node publishes.", within=(1, 100))
    start_grace_s: float = option(
        5.0,
        "So long after the start a topic on which nothing has come yet is information; then it is a warning.",
        within=(0, 600, "s"),
    )
    identities: str = option(
        "",
        "emgait_msgs/IdentityArray of the recognizer: a lost track gets its number back when the same person reappears; empty: by place alone.",
        topic="optional",
    )


@dataclass(frozen=True)
class CameraConfig:
    """Where the camera sits, when TF does not say."""

    T_camera_lidar: tuple[float, ...] = option(
        (),
        "LiDAR to camera optical frame, 4x4 row-major (16 numbers); empty: looked up in TF.",
        within=(None, None, "m"),
    )
    overlay: bool = option(False, "Publish ~/overlay: the image with boxes, projected points and |dt|.")
    overlay_rate_hz: float = option(
        2.0, "How often the overlay is drawn at most: it costs a copy of the image.", within=(0.1, 30, "Hz")
    )


@dataclass(frozen=True)
class FramesConfig:
    """The frame tracks are kept in."""

    fixed: str = option("", "TF frame that does not move with the robot (odom, map); empty: the LiDAR stands still.")


@dataclass(frozen=True)
class LifeCycleConfig:
    """What both nodes share."""

    autostart: bool = option(True, "Configure and activate by itself; false where a lifecycle manager does that.")
    bond_heartbeat_period: float = option(
        0.0,
        "Between two heartbeats to Nav2's lifecycle manager while active, as its own nodes send them (0.25); 0: no bond.",
        within=(0, 1, "s"),
    )


@dataclass(frozen=True)
class TrackerNodeConfig(SensingConfig, LifeCycleConfig):
    """All parameters of the pedestrian_tracker node."""

    topics: TrackerTopicsConfig = field(default_factory=TrackerTopicsConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    frames: FramesConfig = field(default_factory=FramesConfig)


@dataclass(frozen=True)
class RecognizerTopicsConfig:
    """Topics and QoS of the gait_recognizer node."""

    pedestrians: str = option(
        "pedestrian_tracker/pedestrians", "emgait_msgs/PedestrianArray, from our tracker or yours.", topic="needed"
    )
    reliability: str = option(
        "reliable",
        "QoS reliability of that subscription; best_effort for a publisher that offers no more.",
        choices=("best_effort", "reliable"),
    )
    depth: int = option(
        10,
        "Queue depth of that subscription, and frames of one tracker that may wait: the newest is answered, those before it are looked at for who is in view.",
        within=(1, 100),
    )
    output_depth: int = option(5, "Queue depth of what the node publishes.", within=(1, 100))
    start_grace_s: float = option(
        5.0,
        "So long after the start a topic on which nothing has come yet is information; then it is a warning.",
        within=(0, 600, "s"),
    )


@dataclass(frozen=True)
class ServicesConfig:
    """What the services of the gait_recognizer node may do."""

    read_only: bool = option(
        False,
        "Refuse enroll, remove, rename, disable and undo, so that nobody on the network changes the gallery; list answers. Fixed at start.",
    )


@dataclass(frozen=True)
class RecognizerNodeConfig(RecognitionConfig, LifeCycleConfig):
    """All parameters of the gait_recognizer node."""

    topics: RecognizerTopicsConfig = field(default_factory=RecognizerTopicsConfig)
    services: ServicesConfig = field(default_factory=ServicesConfig)


@dataclass(frozen=True)
class BridgesTopicsConfig:
    """Topics of the bridges node. Those of REP-155 have fixed names (/humans/...)."""

    identities: str = option(
        "gait_recognizer/identities", "emgait_msgs/IdentityArray of the recognizer.", topic="needed"
    )
    pedestrians: str = option(
        "pedestrian_tracker/pedestrians",
        "emgait_msgs/PedestrianArray that these answer: velocities and scores are taken from it.",
        topic="needed",
    )
    people: str = option(
        "people", "people_msgs/People that is published; Nav2's social layers read /people.", topic="needed"
    )
    depth: int = option(10, "Queue depth of both subscriptions.", within=(1, 100))
    output_depth: int = option(5, "Queue depth of what the node publishes.", within=(1, 100))
    start_grace_s: float = option(
        5.0,
        "So long after the start a topic on which nothing has come yet is information; then it is a warning.",
        within=(0, 600, "s"),
    )


@dataclass(frozen=True)
class BridgesNodeConfig:
    """All parameters of the bridges node: which messages of others are published. All of them are off by default."""

    vision: bool = option(
        False, "Publish ~/detections, vision_msgs/Detection3DArray: boxes, tracks, and names as hypotheses."
    )
    people: bool = option(False, "Publish people_msgs/People, for social layers of Nav2.")
    hri: bool = option(False, "Publish /humans/bodies/tracked, /humans/candidate_matches and TF body_<id> (REP-155).")
    hri_persons: bool = option(
        True, "With hri: also /humans/persons/...; false where hri_person_manager or the like publishes these."
    )
    topics: BridgesTopicsConfig = field(default_factory=BridgesTopicsConfig)


@dataclass(frozen=True)
class ConsoleConfig:
    """The page in the browser (``emgait console``)."""

    host: str = option("127.0.0.1", "Address to listen on; any other than this machine's own asks for a token.")
    port: int = option(8899, "TCP port; 0: a free one.", within=(0, 65535))
    picture_hz: float = option(
        5.0, "Camera pictures a second, only while somebody looks: enough to follow people.", within=(0.2, 30, "Hz")
    )
    picture_width: int = option(
        960, "Width pictures are made smaller to: a far person is still 30 px high.", within=(160, 4096, "px")
    )
    map_hz: float = option(
        2.5, "Bird's-eye views of the cloud a second, only while somebody looks.", within=(0.2, 20, "Hz")
    )
    people_hz: float = option(
        5.0, "Updates a second of who is in view, only while somebody looks.", within=(0.5, 20, "Hz")
    )
    timeout_s: float = option(
        15.0, "How long the recognizer may take to answer: a large gallery on a slow disk.", within=(1, 120, "s")
    )


def full_name(name: str, namespace: str = "") -> str:
    """The full name of a topic or node in this namespace ("robot1", "/robot1", "" for none); an empty name stays empty."""
    if not name or name.startswith("/"):
        return name
    return "/".join(["", *filter(None, namespace.split("/")), name])


def options_of(config: Any, prefix: str = "") -> dict[str, tuple[Any, dict[str, Any]]]:
    """All options of a nested config as ``{"group.name": (value, metadata)}``, in order of declaration."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            found.update(options_of(value, f"{prefix}{item.name}."))
        else:
            found[prefix + item.name] = (value, dict(item.metadata))
    return found


def with_options(config: Any, values: dict[str, Any]) -> Any:
    """A copy of a nested config with ``{"group.name": value}`` replaced.

    Raises:
        ValueError: an unknown option, a value of another type, out of range or not among the choices;
            the sentence names the option, what was found and what is allowed.
    """
    known = options_of(config)
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"unknown parameter '{name}': known are {', '.join(sorted(known))}")
        check_option(name, value, *known[name])
    return _replaced(config, values, "")


def check_option(name: str, value: Any, default: Any, metadata: dict[str, Any]) -> None:
    """Raise ``ValueError`` with a full sentence unless ``value`` is allowed for this option."""
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if (number and isinstance(value, bool)) or not isinstance(value, _accepted_types(default)):
        raise ValueError(f"parameter '{name}' is {value!r}: expected {type(default).__name__}")
    unit = f" {metadata['unit']}" if metadata.get("unit") else ""
    low, high = metadata.get("low"), metadata.get("high")
    if number and ((low is not None and not value >= low) or (high is not None and not value <= high)):
        raise ValueError(
            f"parameter '{name}' is {value}{unit}: allowed is {low} to {'any' if high is None else high}{unit}"
        )
    choices = metadata.get("choices")
    if choices and value not in choices:
        raise ValueError(f"parameter '{name}' is '{value}': allowed are {', '.join(choices)}")
    names = isinstance(default, tuple) and any(isinstance(v, str) for v in default)
    if names and not (isinstance(value, (tuple, list)) and value and all(isinstance(v, str) and v for v in value)):
        raise ValueError(f"parameter '{name}' is {value!r}: expected at least one name, and no empty one")
    if name.endswith("T_camera_lidar") and isinstance(value, (tuple, list)) and len(value) not in (0, 16):
        raise ValueError(f"parameter '{name}' has {len(value)} numbers: expected 16 (4x4, row-major) or none")


def _accepted_types(default: Any) -> tuple[type, ...]:
    if isinstance(default, float):
        return (float, int)
    if isinstance(default, tuple):
        return (tuple, list)
    return (type(default),)


def _replaced(config: Any, values: dict[str, Any], prefix: str) -> Any:
    changes: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        current, name = getattr(config, item.name), prefix + item.name
        if dataclasses.is_dataclass(current):
            changes[item.name] = _replaced(current, values, f"{name}.")
        elif name in values:
            new = values[name]
            changes[item.name] = tuple(new) if isinstance(current, tuple) else type(current)(new)
    return dataclasses.replace(config, **changes)
