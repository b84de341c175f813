"""All stages of ``emgait train``: people walk, CLIP, the network, threshold, test, bundle.

Each stage leaves its result in the run folder and is not done again when the run goes on with ``--resume``.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from emgait_ros.config import SampleConfig
from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.inference.bundle import Bundle
from emgait_ros.inference.segmenter import open_segmenter
from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.datasets.lreid import LReid
from emgait_ros.lab.datasets.opening import gathered, kind_of, load_dataset
from emgait_ros.lab.datasets.plans import SHORT, plan_protocol, plan_training
from emgait_ros.lab.datasets.sequences import SequenceSet, SequenceSource
from emgait_ros.lab.datasets.simulated import SimulatedSet
from emgait_ros.lab.evaluation import other_lidar
from emgait_ros.lab.evaluation.baselines import BASELINES, measured
from emgait_ros.lab.evaluation.protocols import Figure
from emgait_ros.lab.evaluation.published import Scored, as_json, load_partition, protocol_of
from emgait_ros.lab.simulated_supervision.alone_discriminant import find_gain, fit_points_alone
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads
from emgait_ros.lab.simulated_supervision.clip_pretraining import clip_features, pretrain_clip
from emgait_ros.lab.simulated_supervision.plda_initialization import initialize_from_traits
from emgait_ros.lab.simulated_supervision.pose_pretraining import PosePretrainer, initialize_small
from emgait_ros.lab.simulated_supervision.poses import Joints, load_joints
from emgait_ros.lab.simulated_supervision.traits import walker_traits
from emgait_ros.lab.simulation.walk_sets import PlannedWalk, generate, identity_file
from emgait_ros.lab.systems.configs import TITLES, ModelConfig
from emgait_ros.lab.systems.registry import Network, build, with_classes
from emgait_ros.lab.training.card import model_card
from emgait_ros.lab.training.checkpoint import kept_here, start_from
from emgait_ros.lab.training.loop import Trainer
from emgait_ros.lab.training.measurement import calibrate, embed, reference_samples, whole_sequences
from emgait_ros.lab.training.placement import Placement
from emgait_ros.lab.training.recipe import PeopleConfig, TrainingConfig
from emgait_ros.samples import Float32
from emgait_ros.whole_files import written_whole

PEOPLE_AT_ONCE = 250  # auxiliary identities in memory
STAGES = ("data", "clip", "network", "bundle")


class Run:
    """One run of a recipe in its folder.

    Args:
        config: the recipe.
        resume: go on with what the folder holds.
        command: as typed, for the model card.

    Raises:
        FileNotFoundError: the recipe starts from what is not there.
        ValueError: the folder holds an earlier run and ``resume`` is off, or the recipe would pass on weights that must not be.
    """

    def __init__(self, config: TrainingConfig, resume: bool = False, command: str = "") -> None:
        self.config, self.folder, self.command = config, config.run_folder, command
        self._seconds = self.folder / "seconds.json"
        self.placement = Placement.of_environment()
        begun = (self.folder / "checkpoint.safetensors").is_file()
        if begun and not resume:
            raise ValueError(f"{self.folder} holds an earlier run: go on with --resume, or remove the folder")
        starts = config.start_from and not begun  # a run that goes on needs no start any more
        if starts and not config.local_only and (reason := kept_here(Path(config.start_from))):
            raise ValueError(
                f"start_from is {config.start_from}, whose weights must not be passed on ({reason}), nor what is made of them: "
                "give the recipe a local_only of its own"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)

    def all_stages(self, last: str = STAGES[-1]) -> Bundle | None:
        """Everything up to stage ``last``; the bundle when that is the last one."""
        wanted = STAGES[: STAGES.index(last) + 1]
        self._timed("data", lambda: self.placement.first_then_all(lambda: self.people("train")))
        if "clip" in wanted and self.config.clip.steps:
            self._timed("clip", lambda: self.placement.first_then_all(self.train_clip))
        if "network" in wanted:
            self._timed("network", self.train_network)
        if "bundle" not in wanted or not self.placement.is_first:
            return None
        self.placement = Placement(self.placement.device)  # the other processes end here
        return self.write_bundle()

    @property
    def clip_path(self) -> Path:
        """Weights of the CLIP this run pretrained."""
        return self.folder / "clip.safetensors"

    def people(self, which: str) -> Path:
        """Folder of the walks of "train", "auxiliary_identities", "calibrate" or "test", generated when it is not there yet."""
        if which == "train" and self.config.dataset:
            return self._given_dataset()
        folder = (Path(self.config.data) if self.config.data else self.folder / "data") / which
        model = self.config.model
        sample = SampleConfig(model.points, model.crop_height, model.crop_width)
        generate(self._plan(which), folder, self.config.population, sample, self.config.threads)
        return folder

    def _given_dataset(self) -> Path:
        """The recipe's data set, when it can be trained on this way."""
        folder, kind = Path(self.config.dataset), kind_of(self.config.dataset)
        recipe = self.config.optimization
        auxiliary_losses = (
            recipe.pose_weight or recipe.trait_weight or recipe.relation_weight or self.config.pose_pretraining.steps
        )
        if kind != "simulated" and (auxiliary_losses or self.config.clip.steps):
            raise ValueError(
                f"{folder} is recorded ({kind}): set optimization.pose_weight, trait_weight, relation_weight, pose_pretraining.steps and "
                "clip.steps to 0, only simulated walkers tell their joints, build and clothes"
            )
        if kind == "lreid" and not (self.config.partition and self.config.local_only):
            raise ValueError(
                f"{folder} is LReID: give 'partition', which keeps its validation and test people out, and 'local_only', "
                "because it states no licence and weights trained on it must not be passed on"
            )
        return folder

    @property
    def _real(self) -> bool:
        """Real people before several LiDARs are trained on: calibration and test take the set's validation people."""
        return bool(self.config.dataset) and kind_of(self.config.dataset) == "lreid"

    def _validation_passes(self) -> SequenceSet:
        """Whole passes of the partition's TEST_SET; people whom the first LiDAR did not see cannot be enrolled by it."""
        people = load_partition(self.config.partition).test
        data = gathered(LReid(self.config.dataset, self.config.preprocessing, people))
        return data.select(np.isin(data.identity, data.identity[data.walk == 0]))

    def _plan(self, which: str) -> list[PlannedWalk]:
        people: PeopleConfig = getattr(self.config, which)
        first, count, frames = people.first_identity, people.identities, people.frames
        if which == "test":
            return plan_protocol(first, count, frames, SHORT, self.config.data_seed)
        plan = plan_training(
            first, count, people.walks, people.sequences, frames, people.ranges_m, self.config.data_seed
        )
        if which in ("train", "auxiliary_identities"):
            return plan
        return [dataclasses.replace(walk, condition="normal") for walk in plan]

    def load(self, which: str, shrunk: bool) -> SequenceSet:
        """A set in memory; ``shrunk``: crops at the size the gait branch sees."""
        model = self.config.model
        size = (model.image_height, model.image_width) if shrunk else None
        given = which == "train" and self.config.partition
        identities = load_partition(self.config.partition).train if given else None
        segmenter = open_segmenter(self.config.segmenter) if self.config.segmenter else None
        return load_dataset(self.people(which), self.config.preprocessing, size, identities, segmenter)

    def train_clip(self) -> None:
        """Pretrain the small CLIP, unless it is there."""
        if self.clip_path.is_file():
            return
        result = pretrain_clip(self.config, self.load("train", shrunk=False), self.clip_path)
        (self.folder / "clip.json").write_text(json.dumps(result._asdict()), encoding="utf-8")

    def network_config(self, classes: int) -> ModelConfig:
        """The recipe's network with this run's CLIP and ``classes`` identities."""
        model = with_classes(self.config.model, classes)
        if self.config.clip.steps:
            clip = dataclasses.replace(self.config.emgaitnet.clip, pretrained=str(self.clip_path))
            model = dataclasses.replace(self.config.emgaitnet, classes=classes, clip=clip)
        return model

    def train_network(self) -> Network:
        """Train from the last checkpoint, or from the start; returns the network."""
        data, network, auxiliary = self._learner()
        features = self._clip_features(network)
        trainer = Trainer(self.config, data, network, self.folder, features, auxiliary, self.placement)
        if trainer.checkpoint.is_file():
            trainer.resume()
        else:
            if self.config.start_from:
                start_from(Path(self.config.start_from), trainer.learner)
            if self.config.pose_pretraining.steps:
                self._pretrain_poses(data, network, auxiliary)
            if self.config.optimization.plda_initialization:
                assert auxiliary is not None  # noqa: S101
                assert isinstance(network, EMGaitNet)  # noqa: S101
                initialize_from_traits(
                    network, auxiliary, self._auxiliary_identities(data), self.config.optimization.precision
                )
                if isinstance(network, EMGaitNet) and network.config.alone_parts:
                    config, folder = self.config, self.folder / "passes"
                    fit_points_alone(network, config.preprocessing, config.passes, folder, config.threads)
                trainer.keep()
        trainer.run()
        return network.cpu().to(memory_format=torch.contiguous_format)

    def step_seconds(self, timed: int = 4) -> float:
        """Processor time of one step, s (of pose pretraining where the recipe has it): the mean of a few, spread over the recipe's; they
        are thrown away."""
        data, network, auxiliary = self._learner()
        kind = PosePretrainer if self.config.pose_pretraining.steps else Trainer
        features = self._clip_features(network)
        with tempfile.TemporaryDirectory() as scratch:
            trainer = kind(self.config, data, network, Path(scratch), features, auxiliary, self.placement)
            network.train()
            trainer.train_step()  # the first also allocates
            began = time.process_time()
            for step in np.linspace(0, trainer.steps - 1, timed).astype(int).tolist():
                trainer.step = step
                trainer.train_step()
        return (time.process_time() - began) / timed

    def _learner(self) -> tuple[SequenceSet, Network, AuxiliaryHeads | None]:
        """Whom to train on, what is trained, and who knows better."""
        data = self.load("train", shrunk=True)
        sizes = self.network_config(len(np.unique(data.identity)))
        network = build(self.config.architecture, sizes, load_pretrained=True)
        return data, network, self._auxiliary_heads(data)

    def _pretrain_poses(self, data: SequenceSet, network: Network, auxiliary: AuxiliaryHeads | None) -> Path:
        assert isinstance(network, EMGaitNet)  # noqa: S101  # other recipes are refused
        folder = self.folder / "pose_pretraining"
        folder.mkdir(exist_ok=True)
        initialize_small(network.frame)
        features = self._clip_features(network)
        trainer = PosePretrainer(self.config, data, network, folder, features, auxiliary, self.placement)
        if trainer.checkpoint.is_file():
            trainer.resume()
        trainer.run()
        return trainer.checkpoint

    def _auxiliary_heads(self, data: SequenceSet) -> AuxiliaryHeads | None:
        """Knows joints and traits of the training set's walkers, as far as the recipe asks for them."""
        recipe = self.config.optimization
        joints: Joints | None = None
        if recipe.pose_weight or self.config.pose_pretraining.steps:
            folder = self.people("train")
            files = [identity_file(folder, int(identity)) for identity in np.unique(data.identity)]
            joints = load_joints(files, self.config.preprocessing)
        asks_traits = recipe.trait_weight or recipe.relation_weight
        traits = walker_traits(data, self.config.population)[0] if asks_traits else None
        return AuxiliaryHeads(self.config.emgaitnet, joints, traits) if joints or traits else None

    def _auxiliary_identities(self, data: SequenceSet) -> Iterator[tuple[SequenceSet, Float32]]:
        """The auxiliary identities, some hundred at a time, with traits (S, A) in the axes of those of ``data``."""
        self.placement.first_then_all(lambda: self.people("auxiliary_identities"))
        auxiliary_identities = SimulatedSet(self.people("auxiliary_identities"), self.config.preprocessing)
        _, axes = walker_traits(data, self.config.population)
        groups = [
            auxiliary_identities.people[start : start + PEOPLE_AT_ONCE]
            for start in range(0, len(auxiliary_identities.people), PEOPLE_AT_ONCE)
        ]
        for people in track(groups, description="auxiliary_identities"):
            some = auxiliary_identities.load(people)
            yield some, walker_traits(some, self.config.population, axes)[0].today

    def _clip_features(self, network: Network) -> Float32 | None:
        """CLIP's view of every training frame, computed once and kept on disk."""
        if not isinstance(network, EMGaitNet) or not (network.config.use_sga and network.config.use_semi):
            return None
        path = self.folder / "clip_features.npy"
        self.placement.first_then_all(lambda: self._write_clip_features(network, path))
        return np.asarray(np.load(path, allow_pickle=False), np.float32)

    def _write_clip_features(self, network: EMGaitNet, path: Path) -> None:
        if not path.is_file():
            features = clip_features(network, self.load("train", shrunk=False))
            with written_whole(path) as fresh, fresh.open("wb") as file:
                np.save(file, features)

    def write_bundle(self) -> Bundle:
        """Calibrate, test, describe and export the trained network."""
        network = self.train_network()
        precision = self.config.optimization.precision
        people = self._validation_passes() if self._real else self.load("calibrate", shrunk=False)
        limits = calibrate(network, people, self.config.calibration, precision)
        if isinstance(network, EMGaitNet) and network.config.alone_parts:
            config, folder = self.config, self.folder / "strangers"
            find_gain(
                network, config.preprocessing, limits.threshold, folder, config.calibration, workers=config.threads
            )
        measured = self.test(network)
        training = {
            "command": self.command,
            "recipe": self.config.to_dict(),
            "seconds": self._recorded(),
            "machine": f"{machine()}, {self.config.threads} threads, torch {torch.__version__}",
            "measured": measured,
        }
        return write_bundle(
            network,
            Path(self.config.bundles),
            self.config.name,
            self.config.preprocessing,
            threshold=limits.threshold,
            min_margin=limits.min_margin,
            calibration=limits.facts,
            training=training,
            licence=f"not to be passed on: {self.config.local_only}" if self.config.local_only else "Apache-2.0",
            card=model_card(self.config, network, training, limits) if isinstance(network, EMGaitNet) else "",
            samples=reference_samples(people, network=network),
        )

    def test(self, network: Network) -> dict[str, Any]:
        """Figures on people, bodies and motion unseen in training, trivial baselines beside them; percent."""
        data: SequenceSource
        score: Callable[[Scored], dict[str, Figure]]
        if self._real:
            people = load_partition(self.config.partition).test
            source = data = LReid(self.config.dataset, self.config.preprocessing, people, "all")
            windows, protocol, score = gathered(source), protocol_of("lreid"), other_lidar.figures
            trivial = other_lidar.trivial(source, np.ones(len(source), bool))
            facts = {"probes": int(source.is_probe.sum()), "protocol": other_lidar.SENTENCE}
        else:
            windows = data = self.load("test", shrunk=False)
            protocol, score = protocol_of("sim"), Scored.figures
            trivial = {name: measured(windows, measure) for name, measure in BASELINES.items()}
            facts = {"probes": int((data.walk != 0).sum())}
        ours = embed(network, windows, whole_sequences(windows), self.config.optimization.precision)
        figures: dict[str, Any] = {
            name: as_json(score(Scored.of(protocol, data, embedding)))
            for name, embedding in {TITLES[self.config.architecture]: ours, **trivial}.items()
        }
        figures |= {"identities": len(np.unique(data.identity)), **facts}
        (self.folder / "measured.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
        return figures

    def _timed(self, stage: str, work: Callable[[], Any]) -> None:
        """Do a stage and add its wall time to what was recorded (a resumed stage adds up)."""
        began = time.monotonic()
        try:
            work()
        finally:
            if self.placement.is_first:
                self._record(stage, time.monotonic() - began)

    def _record(self, stage: str, spent_s: float) -> None:
        seconds = self._recorded()
        seconds[stage] = round(seconds.get(stage, 0.0) + spent_s, 1)
        self._seconds.write_text(json.dumps(seconds), encoding="utf-8")

    def _recorded(self) -> dict[str, float]:
        return json.loads(self._seconds.read_text(encoding="utf-8")) if self._seconds.is_file() else {}
