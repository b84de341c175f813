"""The recipe of a training run, read from YAML; the files in ``config/training/`` are examples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.inference.preprocessing import POINTS_FRAMES, Preprocessing
from emgait_ros.lab.evaluation.calibration_walks import CalibrationWalks
from emgait_ros.lab.simulated_supervision.passes import PassesConfig
from emgait_ros.lab.systems.configs import ModelConfig, config_type

LIVE = CalibrationWalks()
"""Walks that a threshold is promised for."""


@dataclass(frozen=True)
class PeopleConfig:
    """One simulated set: who walks where.

    Attributes:
        first_identity, identities: identity numbers first_identity .. first_identity + identities - 1; a number always
            gives the same person. Below 100 lie the people of the demo and of the tests: never train on them.
        walks: walks (days) per identity; clothing and the day's gait are drawn anew for each.
        sequences: sequences per walk, each at another view and range.
        frames: frames per sequence at 10 Hz.
        ranges_m: nearest and farthest range, m.
    """

    first_identity: int = 1000
    identities: int = 200
    walks: int = 4
    sequences: int = 2
    frames: int = 25
    ranges_m: tuple[float, float] = (8.0, 50.0)

    def __post_init__(self) -> None:
        if min(self.identities, self.walks, self.sequences, self.frames) < 1 or self.first_identity < 0:
            raise ValueError(
                "people need at least one identity, walk, sequence and frame, and a first_identity of 0 or more"
            )
        if len(self.ranges_m) != 2 or not 1.0 <= self.ranges_m[0] <= self.ranges_m[1]:
            raise ValueError(f"ranges_m is {self.ranges_m}: expected nearest and farthest, at least 1 m")


@dataclass(frozen=True)
class ClipTrainingConfig:
    """Contrastive pretraining of the small CLIP on simulated pictures with captions; 0 steps: none, weights come with the model.

    Attributes:
        steps, batch: batches of picture-caption pairs.
        learning_rate: peak of AdamW, cosine decay to nothing.
    """

    steps: int = 0
    batch: int = 96
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class AugmentConfig:
    """How training input is varied; shares are probabilities, spreads standard deviations.

    Attributes:
        mirror: share of sequences mirrored, crop and points together.
        grayscale: share of sequences without colour.
        colour: gain and offset of each colour channel.
        shift, scale: of the crop, as a part of its size.
        erase: share of sequences with a rectangle of the crop painted over.
        yaw_deg, offset_m: of the points about the vertical and along the ground; heights move by half of it.
        noise_m: of every point.
        thin: share of sequences whose clouds lose points, down to ``thin_to``, as if farther away.
        drop_image, drop_points: share of sequences without that modality; a tenth of it for single frames.
        clip_noise: of CLIP's features, as a part of their own spread: they are computed from crops that were not varied.
    """

    mirror: float = 0.5
    grayscale: float = 0.4
    colour: float = 0.25
    shift: float = 0.04
    scale: float = 0.06
    erase: float = 0.15
    yaw_deg: float = 6.0
    offset_m: float = 0.03
    noise_m: float = 0.01
    thin: float = 0.5
    thin_to: float = 0.2
    drop_image: float = 0.1
    drop_points: float = 0.1
    clip_noise: float = 0.3

    def __post_init__(self) -> None:
        for name in ("mirror", "grayscale", "erase", "thin", "thin_to", "drop_image", "drop_points"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}: expected a share between 0 and 1")
        if self.drop_image + self.drop_points > 1:
            raise ValueError(
                "augment.drop_image and drop_points add up to more than 1: a sequence keeps at least one modality"
            )


@dataclass(frozen=True)
class PosePretrainingConfig:
    """Pose pretraining on single frames, before identities (``training.pose_pretraining``); for simulated sets only.

    Attributes:
        steps: how many; 0: identities from the start.
        frames: single frames of a step.
        text_after: share of the steps after which SeMi's text joins through SGA: untrained features are not ready to be aligned.
        learning_rate: of Muon for the layers' weights and of Adam for the rest (``training.optimizer``); rises over
            ``warmup_steps``, then falls along a cosine.
        weight_decay: of Adam, as elsewhere; at the paper's 5e-4 what 14,000 steps had learnt was lost again within 300.
    """

    steps: int = 0
    frames: int = 192
    text_after: float = 0.7
    learning_rate: float = 4e-3
    warmup_steps: int = 30
    weight_decay: float = 1e-5

    def __post_init__(self) -> None:
        if self.steps < 0 or self.frames < 2:
            raise ValueError("pose_pretraining.steps must be 0 or more, pose_pretraining.frames at least 2")
        if not 0 <= self.text_after <= 1:
            raise ValueError(f"pose_pretraining.text_after is {self.text_after}: expected a share of the steps, 0 to 1")


@dataclass(frozen=True)
class OptimizationConfig:
    """The steps of training.

    Attributes:
        steps: how many; 0: what ``plda_initialization`` gives is all.
        identities, sequences, frames: P x K x T of a step (paper: T = 10).
        learning_rate, weight_decay: of Adam (the paper gives 5e-4 for the latter and nothing for the former).
        warmup_steps: the learning rate rises linearly over these.
        milestones: steps at which it falls to a tenth (paper: 15,000 and 30,000).
        gamma: what it is multiplied with there.
        triplet_weight, cross_entropy_weight: of the losses (paper: 1.0 and 2.0).
        pose_weight, trait_weight, relation_weight: of losses the paper does not have, for simulated sets only; 0: off.
            Each frame predicts the joints (``training.poses``), the embedding predicts the walker's traits (``training.traits``),
            and distances between embeddings follow those between traits. From identities alone a short run learns little.
        plda_initialization: the sequence head starts with a closed form that predicts the traits of the recipe's ``auxiliary_identities``
            (``training.plda_initialization``) instead of random weights; needs model.use_moments, pose and trait weights.
        margin, mining: of the triplet loss; "all" or "hard".
        label_smoothing: of the cross-entropy.
        max_grad_norm: gradients are clipped to this norm.
        precision: "fp32" or "bf16" (autocast; twice as fast on CPUs with AVX-512 BF16).
        checkpoint_every: steps between checkpoints; an interrupted run also writes one.
    """

    steps: int = 1000
    identities: int = 8
    sequences: int = 4
    frames: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    warmup_steps: int = 50
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    triplet_weight: float = 1.0
    cross_entropy_weight: float = 2.0
    pose_weight: float = 0.0
    trait_weight: float = 0.0
    relation_weight: float = 0.0
    plda_initialization: bool = False
    margin: float = 0.2
    mining: str = "all"
    label_smoothing: float = 0.1
    max_grad_norm: float = 5.0
    precision: str = "bf16"
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        if self.mining not in ("all", "hard"):
            raise ValueError(f"optimization.mining is '{self.mining}': expected 'all' or 'hard'")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"optimization.precision is '{self.precision}': expected 'fp32' or 'bf16'")
        if min(self.frames, self.checkpoint_every) < 1:
            raise ValueError("optimization.frames and checkpoint_every must be at least 1")
        if self.steps < (0 if self.plda_initialization else 1):
            raise ValueError(f"optimization.steps is {self.steps}: expected 1 or more, or 0 with plda_initialization")


@dataclass(frozen=True)
class CalibrationConfig:
    """How the acceptance threshold is found, on identities that were not trained on.

    Attributes:
        false_accept_rate: share of strangers' walks that may be given a name.
        gallery_size: identities enrolled in each drawn gallery.
        galleries: how many galleries are drawn; every walk of anybody else is played through the live decision against each.
    """

    false_accept_rate: float = 0.01
    gallery_size: int = 4
    galleries: int = 20


@dataclass(frozen=True)
class TrainingConfig:
    """One run of ``emgait train``.

    Attributes:
        name: of the bundle.
        runs: folder for data, checkpoints and logs of this run.
        data: folder of the generated sets; empty: within the run's own folder. Runs with the same people can share one.
        bundles: folder the finished bundle is written into.
        seed: of everything drawn in training.
        data_seed: of the walks that are planned: runs of several seeds see the same people.
        population: seed of the simulated people.
        threads: CPU threads.
        dataset: folder of a data set to train on (simulated, SUSTech1K, FreeGait, LRGait, MMGait, LReID); empty: generated from ``train``
            into the run folder.
        partition: JSON file with the TRAIN_SET of ``dataset``; empty: everybody in it is trained on.
        local_only: why the weights must not be passed on, in a few words; `emgait export` then refuses them. Empty: they may be.
        start_from: checkpoint.safetensors of another run, or a bundle's folder, whose network this one goes on from, with a schedule of
            its own (what does not fit, such as the classes of other people, begins anew); empty: from nothing.
        segmenter: makes silhouettes of the images of a recorded data set that brings none: an ONNX or tflite file, or mediapipe.
        points_frame: axes of the points (``inference.preprocessing.Preprocessing``).
        architecture: which network: emgaitnet, gaitbase, lidargait++, licaf or hmrnet (``lab.systems``); ``model`` has its sizes.
        train, auxiliary_identities, calibrate, test: who walks in the sets; no identity may be in two of them. ``calibrate``: walk 0
            is enrolled, the others are as long and as far as the strangers' walks of ``emgait gallery calibrate``. Auxiliary identities
            are generated only for ``optimization.plda_initialization``: a regression needs many people the network was not trained on.
        passes: whom ``model.alone_parts`` are fitted to (``simulated_supervision.alone_discriminant``), likewise nobody else's numbers.
    """

    name: str
    runs: str = "runs"
    data: str = ""
    bundles: str = "models"
    seed: int = 1
    data_seed: int = 1
    population: int = 0
    threads: int = 2
    dataset: str = ""
    partition: str = ""
    local_only: str = ""
    start_from: str = ""
    segmenter: str = ""
    points_frame: str = "heading"
    architecture: str = "emgaitnet"
    train: PeopleConfig = field(default_factory=PeopleConfig)
    auxiliary_identities: PeopleConfig = field(
        default_factory=lambda: PeopleConfig(10_000, identities=2000, walks=2, frames=14)
    )
    calibrate: PeopleConfig = field(
        default_factory=lambda: PeopleConfig(100_000, 640, 2, 1, round(LIVE.track_s * LIVE.rate_hz), LIVE.ranges_m)
    )
    test: PeopleConfig = field(default_factory=lambda: PeopleConfig(first_identity=200_000, identities=60))
    passes: PassesConfig = field(default_factory=PassesConfig)
    model: ModelConfig = field(default_factory=EMGaitNetConfig)
    clip: ClipTrainingConfig = field(default_factory=ClipTrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    pose_pretraining: PosePretrainingConfig = field(default_factory=PosePretrainingConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name:
            raise ValueError(f"name is '{self.name}': expected a plain folder name, it becomes the bundle's")
        if self.points_frame not in POINTS_FRAMES:
            raise ValueError(f"points_frame is '{self.points_frame}': expected {', '.join(POINTS_FRAMES)}")
        if self.augment.mirror and self.points_frame == "sensor":
            raise ValueError(
                "augment.mirror needs points_frame 'ray' or 'heading': in the sensor's axes points cannot be mirrored with the crop"
            )
        if self.augment.mirror and (self.optimization.pose_weight or self.pose_pretraining.steps):
            raise ValueError(
                "pose_pretraining.steps and optimization.pose_weight need augment.mirror 0: a mirrored walker's joints lie elsewhere"
            )
        self._check_architecture()
        if self.optimization.plda_initialization and not (
            self.emgaitnet.use_moments and self.optimization.pose_weight and self.optimization.trait_weight
        ):
            raise ValueError(
                "optimization.plda_initialization needs model.use_moments, optimization.pose_weight and trait_weight: it predicts traits "
                "from the moments of poses"
            )
        if getattr(self.model, "alone_parts", 0) and not self.optimization.plda_initialization:
            raise ValueError("model.alone_parts needs optimization.plda_initialization: it is fitted after that")
        sets: dict[str, PeopleConfig | PassesConfig] = {
            "train": self.train,
            "calibrate": self.calibrate,
            "test": self.test,
        }
        if getattr(self.model, "alone_parts", 0):
            sets["passes"] = self.passes
        if self.optimization.plda_initialization:
            sets["auxiliary_identities"] = self.auxiliary_identities
        numbers = {name: range(c.first_identity, c.first_identity + c.identities) for name, c in sorted(sets.items())}
        for (one, a), (other, b) in combinations(numbers.items(), 2):
            if max(a.start, b.start) < min(a.stop, b.stop):
                raise ValueError(f"the identities of {one} and {other} overlap: no identity may be in two sets")

    def _check_architecture(self) -> None:
        if not isinstance(self.model, config_type(self.architecture)):
            raise ValueError(
                f"architecture is '{self.architecture}', but model has the sizes of another ({type(self.model).__name__})"
            )
        optimization = self.optimization
        asked = (
            optimization.pose_weight, optimization.trait_weight, optimization.relation_weight, optimization.plda_initialization,
            self.pose_pretraining.steps, self.clip.steps,
        )  # fmt: skip
        if self.architecture != "emgaitnet" and any(asked):
            raise ValueError(
                "pose_weight, trait_weight, relation_weight, plda_initialization, pose_pretraining.steps and clip.steps are for emgaitnet: "
                f"set them to 0 for {self.architecture}"
            )

    @property
    def emgaitnet(self) -> EMGaitNetConfig:
        """``model``, where the network is EMGaitNet; ValueError for another."""
        if not isinstance(self.model, EMGaitNetConfig):
            raise ValueError(f"architecture is '{self.architecture}': only emgaitnet has this")
        return self.model

    @property
    def run_folder(self) -> Path:
        """Where data, checkpoints and logs of this run lie."""
        return Path(self.runs) / self.name

    @property
    def preprocessing(self) -> Preprocessing:
        """How the bundle's input is prepared."""
        model = self.model
        if not isinstance(model, EMGaitNetConfig):
            return model.preprocessing(self.points_frame)
        return Preprocessing(
            model.crop_height, model.crop_width, model.points, self.points_frame, model.view_coordinates
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for checkpoints and the manifest."""
        return dataclasses.asdict(self)
