"""`torch.optim.swa_utils`: running averages of a model's parameters, and the schedule that goes with them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.torch import dtypes
from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn.images import _BatchNorm
from funcgrad.torch.nn.module import Module
from funcgrad.torch.ops.creation import tensor
from funcgrad.torch.optim.lr_scheduler import LRScheduler
from funcgrad.torch.optim.optimizer import Optimizer
from funcgrad.torch.tensor import Tensor


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """The equal average: a function (average, new value, number averaged) -> average."""

    def average(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        with no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """The exponential average: a function (average, new value, number averaged) -> average."""
    _check_decay(decay)

    def average(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        with no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return average


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """The equal average in place, over lists: a function (averages, new values, number averaged)."""
    return _over_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """The exponential average in place, over lists: a function (averages, new values, number averaged)."""
    return _over_lists(get_ema_avg_fn(decay))


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _over_lists(average: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], None]:
    def update(averages: Any, current: Any, num_averaged: Any) -> None:
        with no_grad():
            for a, c in zip(averages, current, strict=True):
                a.copy_(average(a, c, num_averaged))

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of those that `update_parameters` was given.

    avg_fn: how one parameter is averaged (None: equally); multi_avg_fn: how a list of them is, in place. use_buffers: whether
    buffers are averaged too; else they are those of the last model.
    """

    def __init__(self, model: Module, device: Any = None, avg_fn: Any = None, multi_avg_fn: Any = None,
                 use_buffers: bool = False):  # fmt: skip
        Module.__init__(self)
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=dtypes.int64))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes a model's parameters into the averages; the first ones are copied."""
        with no_grad():
            mine: list[Tensor] = [*self.module.parameters()]
            other: list[Tensor] = [*model.parameters()]
            buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
            if self.use_buffers:
                mine += [a for a, _ in buffers]
                other += [b for _, b in buffers]
            new = [b.detach() for b in other]  # type: ignore[attr-defined]
            if int(self.n_averaged) == 0:
                self._copy(mine, new)
            elif self.avg_fn is not None:
                for a, b in zip(mine, new, strict=True):
                    a.copy_(self.avg_fn(a.detach(), b, self.n_averaged))  # type: ignore[attr-defined]
            else:
                multiple = self.multi_avg_fn or get_swa_multi_avg_fn()
                # As in PyTorch a function of lists sees one dtype at a time.
                for kind in dict.fromkeys(a.dtype for a in mine):
                    at = [i for i, a in enumerate(mine) if a.dtype is kind]
                    multiple([mine[i].detach() for i in at], [new[i] for i in at], self.n_averaged)  # type: ignore[attr-defined]
            if not self.use_buffers:
                self._copy([a for a, _ in buffers], [b for _, b in buffers])
            self.n_averaged += 1

    @staticmethod
    def _copy(targets: list[Any], sources: list[Any]) -> None:
        for a, b in zip(targets, sources, strict=True):
            a.copy_(b)


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes the running statistics of batch norms anew, over all batches of `loader` equally.

    A batch is a tensor, or a list or tuple whose first item is one.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return
    momenta, was_training = [m.momentum for m in norms], model.training
    model.train()
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Goes from the group's rate to `swa_lr` within `anneal_epochs`, along a cosine or a line, and stays there."""

    def __init__(self, optimizer: Optimizer, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos",
                 last_epoch: int = -1):  # fmt: skip
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(f"swa_lr must have the same length as optimizer.param_groups. swa_lr has {len(rates)} values, "
                             f"param_groups has {len(groups)}.")  # fmt: skip
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        for group, rate in zip(groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        LRScheduler.__init__(self, optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of `swa_lr` is in the rate after so many steps."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[float]:
        step = max(self._step_count - 1, 0 if self.anneal_epochs else 1)
        before, now = self._share(step - 1), self._share(step)
        found = []
        for group in self.optimizer.param_groups:
            rate, goal = group["lr"], group["swa_lr"]
            # The rate that it began with, found from the present one, which others may have changed.
            first = goal if before == 1 else (rate - before * goal) / (1 - before)
            found.append(goal * now + first * (1 - now))
        return found
