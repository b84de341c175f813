"""The training loop: batches, losses, steps, checkpoints, a progress bar."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from emgait_ros.emgaitnet.model import Output
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads
from emgait_ros.lab.systems.parts import GaitSystem
from emgait_ros.lab.systems.registry import Network
from emgait_ros.lab.training.attention import PlainAttention
from emgait_ros.lab.training.augment import Batch, augment
from emgait_ros.lab.training.checkpoint import load_checkpoint, save_checkpoint
from emgait_ros.lab.training.figures_log import FiguresLog
from emgait_ros.lab.training.inputs import varied_inputs
from emgait_ros.lab.training.losses import gait_loss
from emgait_ros.lab.training.optimizer import AdamAndMuon
from emgait_ros.lab.training.placement import Placement
from emgait_ros.lab.training.recipe import OptimizationConfig, TrainingConfig
from emgait_ros.lab.training.sampler import IdentitySampler, draw_frames
from emgait_ros.samples import Float32, Int64
from emgait_ros.stop_signals import asked_to_stop


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; the checkpoint holds every finished step."""


class Trainer:
    """One run: a network, a data set, a recipe, and the folder its checkpoints lie in.

    Args:
        config: the recipe.
        data: sequences of the training identities.
        network: with as many classes as the data has identities; CLIP frozen.
        folder: gets ``checkpoint.safetensors`` and ``log.jsonl``.
        clip_features: (F, E) CLIP image embedding of every frame of ``data``, or None to compute them as needed.
        auxiliary: knows poses and traits of ``data``'s walkers (``optimization.pose_weight`` and others); None: nobody does.
        placement: device and share of this process; default: alone on the CPU.

    Raises:
        ValueError: the network's classes are not the data's identities, or the data is too small for a step.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: SequenceSet,
        network: Network,
        folder: Path,
        clip_features: Float32 | None = None,
        auxiliary: AuxiliaryHeads | None = None,
        placement: Placement | None = None,
    ) -> None:
        self.placement = placement or Placement(torch.device("cpu"))
        self.config, self.data, self.network, self.folder = config, data, network, folder
        self.clip_features = clip_features
        self.learner = nn.ModuleDict({"network": network})
        self.auxiliary = auxiliary
        if auxiliary is not None:
            self.learner["auxiliary"] = auxiliary
        self.names, self.label = np.unique(data.identity, return_inverse=True)
        if network.config.classes != len(self.names):
            raise ValueError(
                f"the network has {network.config.classes} classes, the data {len(self.names)} identities: set model.classes to that"
            )
        recipe = config.optimization
        self.sampler = IdentitySampler(
            data.identity, data.walk, data.setting, recipe.identities, recipe.sequences, config.seed
        )
        self.learner.to(self.placement.device)
        self.log = FiguresLog(folder)
        self._unlogged: list[dict[str, float]] = []
        self.trainable = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
        self.optimizer = AdamAndMuon(self.trainable, self.matrices(), self.learning_rate(0), self.weight_decay)
        self.step = 0

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.folder / "checkpoint.safetensors"

    @property
    def steps(self) -> int:
        """How many there are in all."""
        return self.config.optimization.steps

    @property
    def weight_decay(self) -> float:
        """Of all steps."""
        return self.config.optimization.weight_decay

    def matrices(self) -> list[Tensor]:
        """Weights that Muon steps instead of Adam: none, the paper says Adam."""
        return []

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the steps: kept in checkpoints, and compared when a run goes on."""
        return self.config.to_dict()

    def learning_rate(self, step: int) -> float:
        """Of one step."""
        return learning_rate(self.config.optimization, step)

    def resume(self) -> None:
        """Go on from the checkpoint (errors: see ``load_checkpoint``)."""
        self.step = load_checkpoint(self.checkpoint, self.learner, self.optimizer, self.recipe)

    def run(self, until: int | None = None) -> list[dict[str, float]]:
        """Train up to step ``until`` (default: the recipe's); returns what was logged.

        Raises:
            Interrupted: SIGINT or SIGTERM came; a checkpoint was written first.
            OSError: a checkpoint could not be written.
            FloatingPointError: the loss is not finite.
        """
        until = self.steps if until is None else min(until, self.steps)
        log: list[dict[str, float]] = []
        self.network.train()
        with asked_to_stop() as asked, _progress(self.placement.is_first) as progress:
            bar = progress.add_task(self.folder.name, total=self.steps, completed=self.step, figures="")
            while self.step < until:
                entry = self.train_step()
                log.append(entry)
                progress.update(bar, completed=self.step, figures=f"loss {entry['loss']:.3f}")
                self._unlogged.append(entry)
                stopping = self.placement.mean([float(asked.is_set())])[0] > 0  # all processes stop after the same step
                if stopping or self.step == until or self.step % self.config.optimization.checkpoint_every == 0:
                    self.keep()
                if stopping:
                    raise Interrupted(f"stopped after step {self.step}: go on with --resume")
        self.log.close()
        return log

    def train_step(self) -> dict[str, float]:
        """One step of the optimizer; everything random in it follows from (seed, step)."""
        began = time.perf_counter()
        recipe = self.config.optimization
        self.optimizer.set_learning_rate(self.learning_rate(self.step))
        terms = self.losses()
        figures = dict(zip(terms._fields, self.placement.mean(term.item() for term in terms), strict=True))
        loss = figures.pop("total")
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {self.step}: lower optimization.learning_rate")
        self.optimizer.zero_grad()
        terms.total.backward()
        self.placement.average(self.learner)
        torch.nn.utils.clip_grad_norm_(self.trainable, recipe.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        return {
            "step": self.step,
            "loss": loss,
            **figures,
            "learning_rate": self.learning_rate(self.step - 1),
            "seconds": time.perf_counter() - began,
        }

    def frames_of(self, step: int, chosen: Int64) -> Int64:
        """(B, T) drawn frames of the (B,) chosen sequences."""
        rng = np.random.default_rng((self.config.seed, 3, step))
        return np.stack([self._frames(sequence, rng) for sequence in chosen])

    def batch(self, step: int, frames: Int64) -> Batch:
        """Augmented input of one step."""
        plain = collate(self.data, frames, self.clip_features)
        varied = augment(plain, self.config.augment, self._augmentation(step))
        moved = {name: None if t is None else t.to(self.placement.device) for name, t in varied._asdict().items()}
        return Batch(**moved)  # type: ignore[arg-type]  # clip_features alone may be None

    def _augmentation(self, step: int) -> torch.Generator:
        """Draws how one step's input is varied."""
        seed = int(np.random.default_rng((self.config.seed, 4, step)).integers(2**62))
        return torch.Generator().manual_seed(seed)

    def _frames(self, sequence: int, rng: np.random.Generator) -> Int64:
        start, end = self.data.start[sequence], self.data.start[sequence + 1]
        return start + draw_frames(int(end - start), self.config.optimization.frames, rng)

    def losses(self) -> Any:
        """Named losses of the current step; ``total`` is what is minimised."""
        recipe, device = self.config.optimization, self.placement.device
        chosen = self.placement.share(self.sampler.step(self.step), recipe.sequences)
        frames = self.frames_of(self.step, chosen)
        with PlainAttention() if device.type == "cpu" else nullcontext(), autocast(recipe.precision, device.type):
            output = self.output(frames)
        labels = torch.from_numpy(self.label[chosen]).to(device)
        terms = gait_loss(
            output.embedding,
            output.logits,
            labels,
            margin=recipe.margin,
            mining=recipe.mining,
            smoothing=recipe.label_smoothing,
            triplet_weight=recipe.triplet_weight,
            cross_entropy_weight=recipe.cross_entropy_weight,
        )
        if self.auxiliary is None:
            return terms
        losses = self.auxiliary(output, chosen, frames, labels)
        total = terms.total + recipe.pose_weight * losses.poses + recipe.trait_weight * losses.traits
        return terms._replace(
            total=total + recipe.relation_weight * losses.relations,
            poses=losses.poses.detach(),
            traits=losses.traits.detach(),
            relations=losses.relations.detach(),
        )

    def output(self, frames: Int64) -> Output:
        """Of the network for frames (B, T) of B sequences, augmented for the current step."""
        if isinstance(self.network, GaitSystem):
            return self._system_output(self.network, frames)
        batch = self.batch(self.step, frames)
        frame_mask = torch.ones_like(batch.has_image)
        result: Output = self.network(
            batch.crops, batch.points, batch.has_image, batch.has_points, frame_mask, batch.clip_features
        )
        return result

    def _system_output(self, network: GaitSystem, frames: Int64) -> Output:
        """As :meth:`output`, of another network than EMGaitNet."""
        inputs = varied_inputs(self.data, frames, network.inputs, self.config.augment, self._augmentation(self.step))
        moved = {name: value.to(self.placement.device) for name, value in inputs.items()}
        frame_mask = torch.ones(frames.shape, dtype=torch.bool, device=self.placement.device)
        result: Output = network(frame_mask, **moved)
        return result

    def keep(self) -> None:
        """Write the checkpoint, then the figures of the steps in it that were not logged yet."""
        if self.placement.is_first:
            save_checkpoint(self.checkpoint, self.learner, self.optimizer, self.step, self.recipe)
            self.log.write(self._unlogged)
        self._unlogged = []


def learning_rate(recipe: OptimizationConfig, step: int) -> float:
    """Linear warm-up, then a tenth (``gamma``) at each milestone (MultiStepLR)."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    return recipe.learning_rate * warm * recipe.gamma ** sum(step >= milestone for milestone in recipe.milestones)


def collate(data: SequenceSet, frames: Int64, clip_features: Float32 | None = None) -> Batch:
    """Frames (B, T) of a set as a batch, not augmented."""
    crops = torch.from_numpy(data.crops[frames]).permute(0, 1, 4, 2, 3).float() / 255  # (B, T, 3, H, W)
    return Batch(
        crops=crops,
        points=torch.from_numpy(data.points[frames]),
        point_count=torch.from_numpy(data.point_count[frames]).long(),
        has_image=torch.from_numpy(data.has_image[frames]),
        has_points=torch.from_numpy(data.has_points[frames]),
        clip_features=None if clip_features is None else torch.from_numpy(clip_features[frames]),
    )


def autocast(precision: str, device: str = "cpu") -> Any:
    """The context a forward pass runs in: mixed precision (AMP) where the recipe asks for it."""
    return torch.autocast(device, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def _progress(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        disable=not shown,
    )
