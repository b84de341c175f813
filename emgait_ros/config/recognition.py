"""Options of what gait_recognizer computes: windows, decisions, the gallery, enrolment, the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from emgait_ros.config.options import option


@dataclass(frozen=True)
class WindowConfig:
    """Which samples of a track make a window (``emgait_ros.recognition.recognizer``)."""

    min_samples: int = option(10, "Samples before the first embedding; the paper trains on 10 frames.", within=(1, 200))
    max_samples: int = option(30, "Samples a window keeps: about three strides at 10 Hz.", within=(1, 300))
    min_step_s: float = option(
        0.09,
        "Samples are this far apart on average, more are left out: windows are learnt at 10 Hz, at 20 Hz ten are no stride.",
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
class RecognitionConfig:
    """Pedestrians in, identities out: all that the gait_recognizer node computes with."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    gallery: GalleryConfig = field(default_factory=GalleryConfig)
    enrollment: EnrollmentConfig = field(default_factory=EnrollmentConfig)
