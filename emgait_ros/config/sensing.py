"""Options of what pedestrian_tracker computes: pairing, detection, tracks, samples."""

from __future__ import annotations

from dataclasses import dataclass, field

from emgait_ros.config.options import option


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
class SensingConfig:
    """Cloud and image in, pedestrians out: all that the pedestrian_tracker node computes with."""

    pairing: PairingConfig = field(default_factory=PairingConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    image_detector: ImageDetectorConfig = field(default_factory=ImageDetectorConfig)
    verifier: VerifierConfig = field(default_factory=VerifierConfig)
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
