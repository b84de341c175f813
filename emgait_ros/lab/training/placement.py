"""Where a training process runs, and its share of a step when torchrun started several.

    torchrun --nproc-per-node 4 -m emgait_ros train config/training/paper.yaml

Every process draws the same step and takes every ``world``-th identity of it; gradients and running statistics are
averaged after every step, so all processes hold the same network. Triplets are formed within a process. Process 0 writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from emgait_ros.samples import Int64

PATIENCE = timedelta(hours=4)  # process 0 may be making data for so long
Result = TypeVar("Result")


@dataclass(frozen=True)
class Placement:
    """One process of a training run.

    Attributes:
        device: what it computes on.
        rank, world: its number, and how many there are.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> Placement:
        """As torchrun set it up; one process on the first GPU, or on the CPU, without torchrun."""
        local = int(os.environ.get("LOCAL_RANK", "0"))
        on_gpu = torch.cuda.is_available()
        device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        if on_gpu:
            torch.cuda.set_device(device)
        return cls(device, int(os.environ.get("RANK", "0")), world)

    @property
    def is_first(self) -> bool:
        """This is the process that writes."""
        return self.rank == 0

    def share(self, chosen: Int64, sequences: int) -> Int64:
        """This process' sequences of a step of (P * K,), grouped by identity in K ``sequences``.

        Raises:
            ValueError: fewer than two identities would be left to a process: no triplets.
        """
        groups = chosen.reshape(-1, sequences)
        if len(groups) // self.world < 2:
            raise ValueError(
                f"optimization.identities is {len(groups)}: {self.world} processes need at least {2 * self.world}, two each"
            )
        return groups[self.rank :: self.world].ravel()

    def average(self, learner: nn.Module) -> None:
        """Average gradients and running statistics over all processes, in place."""
        if self.world == 1:
            return
        tensors = [p.grad for p in learner.parameters() if p.grad is not None]
        tensors += [buffer for buffer in learner.buffers() if buffer.is_floating_point()]
        flat = torch.cat([tensor.flatten().float() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        begin = 0
        for tensor in tensors:
            tensor.copy_(flat[begin : begin + tensor.numel()].view_as(tensor))
            begin += tensor.numel()

    def mean(self, values: Iterable[float]) -> list[float]:
        """Figures averaged over all processes."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        if self.device.type == "cuda":
            tensor = tensor.float()
        dist.all_reduce(tensor)
        return [float(value) / self.world for value in tensor]

    def first_then_all(self, work: Callable[[], Result]) -> Result:
        """Process 0 does the work while the others wait; then they call it, too, and find it done."""
        if self.world == 1:
            return work()
        if self.is_first:
            result = work()
            dist.barrier()
            return result
        dist.barrier()
        return work()
