"""Losses with a linear layer inside: for vocabularies so large that most of their scores are better not computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn.containers import ModuleList, Sequential
from funcgrad.torch.nn.layers import Linear
from funcgrad.torch.nn.module import Module
from funcgrad.torch.ops.joining import cat
from funcgrad.torch.tensor import Tensor, concrete, make


class ASMoutput(NamedTuple):
    """The log-probability of each target, and their mean with the sign turned."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Adaptive softmax (Grave et al., 2017): frequent classes in the head, the others in clusters with smaller projections.

    cutoffs: where clusters begin, increasing, within 1 to n_classes - 1. div_value: how much smaller each projection is.
    Raises ValueError for other cutoffs.
    """

    def __init__(self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0, head_bias: bool = False,
                 device: Any = None, dtype: Any = None):  # fmt: skip
        Module.__init__(self)
        listed = list(cutoffs)
        if not listed:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = all(a < b for a, b in zip([0, *listed], [*listed, n_classes], strict=True))
        if not rising or any(int(c) != c for c in listed):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is "
                f"between 1 and n_classes-1, got {listed} with n_classes={n_classes}"
            )
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*listed, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = listed[0], len(listed)
        self.head_size = self.shortlist_size + self.n_clusters
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:], strict=False)):
            width = int(in_features // div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **made), Linear(width, high - low, bias=False, **made)
                )
            )

    def reset_parameters(self) -> None:
        """Begins anew, each linear layer by itself."""
        self.head.reset_parameters()
        for pair in self.tail:
            for layer in pair:  # type: ignore[attr-defined]
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> ASMoutput:
        """(log-probabilities of the targets, loss) for (N, in_features) and (N,), or without the N.

        Raises RuntimeError for other shapes and targets out of range.
        """
        self._check(input_, target_)
        batched = target_.ndim == 1
        x: Any = input_ if batched else input_.unsqueeze(0)  # type: ignore[attr-defined]
        classes = np.atleast_1d(concrete(target_, "AdaptiveLogSoftmaxWithLoss"))
        cluster = np.searchsorted(self.cutoffs, classes, side="right")
        place = np.where(cluster == 0, classes, self.shortlist_size + cluster - 1)
        output: Any = F.log_softmax(self.head(x), 1).gather(1, make(place[:, None])).squeeze(1)  # type: ignore[attr-defined]
        for i in range(self.n_clusters):
            rows = np.flatnonzero(cluster == i + 1)
            if rows.size:
                at: Any = make(rows)
                logs: Any = F.log_softmax(self.tail[i](x.index_select(0, at)), 1)
                within = make((classes[rows] - self.cutoffs[i])[:, None])
                output = output.index_add(0, at, logs.gather(1, within).squeeze(1))
        loss = (-output).mean()
        return ASMoutput(output if batched else output.squeeze(0), loss)

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.ndim > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if input.ndim != target.ndim + 1:
            raise RuntimeError(
                f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with size "
                f"{input.shape}"
            )
        if target.ndim and input.shape[0] != target.shape[0]:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        classes = concrete(target, "AdaptiveLogSoftmaxWithLoss")
        if classes.size and (classes.min() < 0 or classes.max() >= self.n_classes):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range [{classes.min()}, "
                f"{classes.max()}] were found. "
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: (N, n_classes)."""
        head: Any = F.log_softmax(self.head(input), 1)
        n = self.shortlist_size
        tails = [F.log_softmax(tail(input), 1) + head[:, n + i : n + i + 1] for i, tail in enumerate(self.tail)]  # type: ignore[operator]
        return cat([head[:, :n], *tails], 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row; the clusters are asked only where the head points to one."""
        output: Any = self.head(input).argmax(1)
        beyond: Any = output >= self.shortlist_size
        if bool(beyond.any()):
            output[beyond] = self.log_prob(input[beyond]).argmax(1)  # type: ignore[index, attr-defined]
        return output


class LinearCrossEntropyLoss(Module):
    """Cross-entropy of a linear layer's scores: (N, in_features) and targets as in `linear_cross_entropy`.

    Raises RuntimeError for a class weight of another shape and smoothing outside of [0, 1].
    """

    def __init__(self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (), bias: bool = False,
                 device: Any = None, dtype: Any = None, reduction: str = "mean", weight: Tensor | None = None,
                 ignore_index: int | None = None, label_smoothing: float = 0.0, options: Any = None):  # fmt: skip
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        Module.__init__(self)
        self.register_buffer("weight", weight)
        self.reduction, self.num_classes, self.out_features = reduction, num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        scores = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, scores, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss; see `linear_cross_entropy`."""
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*shape, -1), target, linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight, reduction=self.reduction, ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing, options=self.options,
        )  # fmt: skip
