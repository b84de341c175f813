"""Adam, and Muon for the matrices of layers where a recipe wants them learnt sooner.

Muon (Jordan et al. 2024) gives every direction of a matrix the same stride, where Adam follows the few that dominate the
gradient. Learning to see, it tells poses after 800 steps as well as Adam after 1,550 (4e-3 and 2e-3, same batches).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import Adam, Muon, Optimizer


class AdamAndMuon:
    """Steps ``parameters`` by Adam, those among ``matrices`` by Muon.

    Args:
        parameters: all that is trained.
        matrices: weights of layers, of two axes or more (those after the first are taken as one).
        learning_rate: of both: Muon's strides are brought to the root mean square of Adam's.
        weight_decay: of Adam, added to the gradient.
    """

    def __init__(
        self, parameters: Sequence[Tensor], matrices: Sequence[Tensor], learning_rate: float, weight_decay: float
    ) -> None:
        chosen = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in parameters if id(parameter) not in chosen]
        self._adam = Adam(others, lr=learning_rate, weight_decay=weight_decay)
        self._parts: list[Optimizer] = [self._adam]
        self._flat: dict[Tensor, nn.Parameter] = {
            matrix: nn.Parameter(matrix.detach().flatten(1)) for matrix in matrices
        }
        if matrices:
            flat = list(self._flat.values())
            self._muon = Muon(flat, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
            self._parts.append(self._muon)

    def set_learning_rate(self, rate: float) -> None:
        """For the steps from now on."""
        for group in chain.from_iterable(part.param_groups for part in self._parts):
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._adam.zero_grad(set_to_none=True)
        for matrix, flat in self._flat.items():
            matrix.grad = flat.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step with the gradients there are."""
        for matrix, flat in self._flat.items():
            flat.data = matrix.view(len(matrix), -1)
            flat.grad = None if matrix.grad is None else matrix.grad.flatten(1)
        for part in self._parts:
            part.step()

    def moments(self) -> Iterator[tuple[Tensor, int, Tensor, Tensor | None]]:
        """Every parameter that was stepped, how often (Adam's only, else 0), the mean of its gradients, and of their squares
        (Adam's only): for checkpoints."""
        for parameter, state in self._adam.state.items():
            yield parameter, int(state["step"]), state["exp_avg"], state["exp_avg_sq"]
        for matrix, flat in self._flat.items():
            if flat in (self._muon.state if self._flat else ()):
                yield matrix, 0, self._muon.state[flat]["momentum_buffer"].view_as(matrix), None

    def restore(self, parameter: Tensor, count: int, mean: Tensor, square: Tensor | None) -> None:
        """Set what :meth:`moments` gave for a parameter."""
        if parameter in self._flat:
            self._muon.state[self._flat[parameter]] = {"momentum_buffer": mean.flatten(1).to(parameter.device)}
            return
        assert square is not None  # noqa: S101
        self._adam.state[parameter] = {
            "step": torch.tensor(float(count)),
            "exp_avg": mean.to(parameter.device),
            "exp_avg_sq": square.to(parameter.device),
        }


def layer_weights(network: nn.Module) -> list[Tensor]:
    """Trained weights of the linear and convolutional layers."""
    layers = (module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d)))
    return [layer.weight for layer in layers if layer.weight.requires_grad]
