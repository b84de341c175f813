"""All parameters of the nodes and of the console: those of what they compute, and topics, QoS, frames, life cycle and services."""

from __future__ import annotations

from dataclasses import dataclass, field

from emgait_ros.config.options import option
from emgait_ros.config.recognition import RecognitionConfig
from emgait_ros.config.sensing import SensingConfig


@dataclass(frozen=True)
class NodeTopicsConfig:
    """What the topics of all nodes share."""

    output_depth: int = option(5, "Queue depth of what the node publishes.", within=(1, 100))
    start_grace_s: float = option(
        5.0,
        "So long after the start a topic on which nothing has come yet is information; then it is a warning.",
        within=(0, 600, "s"),
    )


@dataclass(frozen=True)
class TrackerTopicsConfig(NodeTopicsConfig):
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
    wait_s: float = option(
        0.5, "How long a cloud waits for its transform: odometry comes later than the clouds.", within=(0, 2, "s")
    )


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
class RecognizerTopicsConfig(NodeTopicsConfig):
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
class BridgesTopicsConfig(NodeTopicsConfig):
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
