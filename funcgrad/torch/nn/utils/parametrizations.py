"""`torch.nn.utils.parametrizations`: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.torch.linalg import householder_product, qr, solve
from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.utils import norms
from funcgrad.torch.nn.utils.parametrize import register_parametrization
from funcgrad.torch.ops.creation import eye, zeros_like
from funcgrad.torch.ops.joining import cat
from funcgrad.torch.ops.random import randn
from funcgrad.torch.ops.solvers import matrix_exp
from funcgrad.torch.tensor import Tensor, concrete, make


class _WeightNorm(Module):
    """Length and direction of each slice: forward(g, v) is v * g / |v|."""

    def __init__(self, dim: int | None = 0):
        Module.__init__(self)
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return norms.from_length_and_direction(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The lengths and the weight itself."""
        return norms.norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Makes a weight the product of lengths (`original0`) and directions (`original1`) over all dimensions but `dim`.

    dim None: one length for the whole. State dicts of the older `weight_norm` are read too.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def read_older(owner: Module, state_dict: Any, prefix: str, *rest: Any) -> None:
        older = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in older):
            for i, key in enumerate(older):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module.register_load_state_dict_pre_hook(read_older)
    return module


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which the power method follows while training."""

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12):
        Module.__init__(self)
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        norms.check_iterations(n_power_iterations)
        self.dim, self.eps = dim % ndim, eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            with no_grad():
                matrix = norms.as_matrix(weight, self.dim)
                self.register_buffer("_u", norms.unit_vector(matrix.shape[0], matrix, eps))
                self.register_buffer("_v", norms.unit_vector(matrix.shape[1], matrix, eps))
                norms.power_step(matrix, self._u, self._v, eps, 15, "u")

    def forward(self, weight: Any) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = norms.as_matrix(weight, self.dim)
        steps = self.n_power_iterations if self.training else 0
        u, v = norms.power_step(matrix, self._u, self._v, self.eps, steps, "u")
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: its largest singular value is taken to be 1."""
        return value


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:  # fmt: skip
    """Divides a weight by its largest singular value, as a matrix with rows along `dim` (None: the outputs).

    Raises ValueError for names of no tensor and less than one iteration, IndexError for a dim out of range.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    axis = norms.default_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, axis, eps))


_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if it is wide) of any matrix's lower triangle."""

    def __init__(self, weight: Any, orthogonal_map: str, *, use_trivialization: bool = True):
        Module.__init__(self)
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map, self.use_trivialization = weight.shape, orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Tensor:
        wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if wide else X
        q = self._reflected(tall) if self.orthogonal_map == "householder" else self._rotated(tall)
        if self.use_trivialization:
            q = self.base @ q
        return q.mT if wide else q

    def _rotated(self, x: Any) -> Any:
        """The first columns of the orthogonal matrix that a skew-symmetric one gives."""
        n, k = x.shape[-2:]
        lower = x.tril()
        if n != k:
            lower = cat([lower, lower.new_zeros(*lower.shape[:-2], n, n - k)], -1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            q: Any = matrix_exp(skew)
        else:
            one: Any = eye(n, dtype=x.dtype)
            q = solve(one - skew / 2, one + skew / 2)
        return q if n == k else q[..., :k]

    def _reflected(self, x: Any) -> Any:
        """The product of the reflections in the columns below the diagonal; the diagonal has the signs, and no gradient."""
        vectors = x.tril(-1)
        taus = 2.0 / (1.0 + (vectors * vectors).sum(-2))
        product: Any = householder_product(vectors, taus)
        return product * x.detach().diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)

    def right_inverse(self, Q: Any) -> Tensor:
        """What gives an orthogonal matrix; another one is made orthogonal first.

        Raises ValueError for another shape, NotImplementedError where a map has no inverse.
        """
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        with no_grad():
            wide = Q.shape[-2] < Q.shape[-1]
            tall = Q.mT if wide else Q
            if not self.use_trivialization:
                if self.orthogonal_map != "householder":
                    raise NotImplementedError(
                        "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                        "use_trivialization=False."
                    )
                packed: Any = make(_packed_reflections(concrete(tall, "orthogonal")))
                return packed.mT if wide else packed
            n, k = tall.shape[-2:]
            if n != k:
                tall = cat([tall, randn(*tall.shape[:-2], n, n - k, dtype=tall.dtype)], -1)
            self.base = tall.clone() if n == k and _is_orthogonal(tall) else _orthogonalised(tall)
            # Minus the identity gives the identity by all three maps.
            start: Any = zeros_like(Q)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start


def _is_orthogonal(q: Any) -> bool:
    array = concrete(q, "orthogonal")
    n, k = array.shape[-2:]
    near = np.swapaxes(array.conj(), -1, -2) @ array - np.eye(k)
    return bool((np.abs(near) <= 10.0 * n * np.finfo(array.dtype).eps).all())


def _orthogonalised(a: Any) -> Any:
    """The Q of a = QR with a positive diagonal of R."""
    q, r = qr(a)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _packed_reflections(q: np.ndarray) -> np.ndarray:
    """Columns of reflections below the diagonal, and on it the signs that make their product q."""
    raw, taus = np.linalg.qr(q, "raw")
    packed = np.array(np.swapaxes(raw, -1, -2))
    rows = np.arange(packed.shape[-1])
    signs = np.sign(packed[..., rows, rows])
    packed[..., rows, rows] = np.where(taus == 0, -signs, signs)
    return packed


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
               use_trivialization: bool = True) -> Module:  # fmt: skip
    """Makes a matrix (or each matrix of a batch) orthogonal.

    orthogonal_map: "matrix_exp", "cayley" or "householder" (None: the first for square and complex matrices, else the last).
    use_trivialization: multiply by a fixed orthogonal matrix, so that the parametrization begins at the present weight.
    Raises ValueError for names of no tensor, fewer than two dimensions and other maps.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-1] == weight.shape[-2] or weight.is_complex()  # type: ignore[attr-defined]
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
