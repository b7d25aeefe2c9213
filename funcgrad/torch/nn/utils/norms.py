"""Weights by their length and direction, and by their largest singular value: what both kinds of parametrization share."""

from __future__ import annotations

from typing import Any

from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn.images import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from funcgrad.torch.nn.module import Module
from funcgrad.torch.tensor import Tensor


def norm_except(v: Any, dim: int) -> Any:
    """The 2-norms over all dimensions but `dim`, which stay with length 1; for -1 over all, without dimensions."""
    if dim == -1:
        return v.norm()
    return v.norm(2, [d for d in range(v.ndim) if d != dim], True) if v.ndim > 1 else v.abs()


def from_length_and_direction(g: Any, v: Any, dim: int) -> Any:
    """v with the norms g."""
    return v * (g / norm_except(v, dim))


def default_dim(module: Module) -> int:
    """The dimension of a weight that belongs to the outputs."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def as_matrix(weight: Any, dim: int) -> Any:
    """A weight as a matrix with a row for each element of one dimension."""
    if dim:
        weight = weight.permute(dim, *(d for d in range(weight.ndim) if d != dim))
    return weight.reshape(weight.shape[0], -1)


def unit_vector(size: int, like: Any, eps: float) -> Tensor:
    """A random vector of length 1."""
    return F.normalize(like.new_empty(size).normal_(0, 1), dim=0, eps=eps)


def power_step(matrix: Any, u: Any, v: Any, eps: float, count: int, first: str) -> tuple[Any, Any]:
    """The singular vectors u and v after some steps of the power method, written into the given ones.

    What is given back are tensors of their own, which a later step does not change: two passes forward may share one backward.
    """
    with no_grad():
        new_u, new_v = u, v
        for _ in range(count):
            if first == "u":
                new_u = F.normalize(matrix.mv(new_v), dim=0, eps=eps)
            new_v = F.normalize(matrix.t().mv(new_u), dim=0, eps=eps)
            if first == "v":
                new_u = F.normalize(matrix.mv(new_v), dim=0, eps=eps)
        if count:
            u.copy_(new_u)
            v.copy_(new_v)
        return u.clone(), v.clone()


def check_iterations(count: int) -> None:
    """Raises ValueError for less than one step."""
    if count <= 0:
        raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={count}")
