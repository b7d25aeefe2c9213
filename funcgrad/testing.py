"""check_grads, for users; and the runner that takes its cases from the primitive rows, for the tests of this project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays
from funcgrad.api.derivatives import jvp, vjp
from funcgrad.core.tracing import type_of
from funcgrad.core.types import is_inexact

Fun = Callable[..., Any]


def check_grads(f: Fun, args: Sequence[Any], order: int, modes: Sequence[str] = ("fwd", "rev"), atol: float | None = None,
                rtol: float | None = None, eps: float | None = None) -> None:  # fmt: skip
    """Compares derivatives of `f` at `args` with central differences along random directions.

    Args:
        f: a function of any pytrees of floating or complex arrays.
        args: its arguments, a tuple or list.
        order: how many derivatives to check (each derivative is checked as a function itself).
        modes: "fwd" checks jvp against differences, "rev" checks vjp against jvp by the inner product.
        atol, rtol: tolerances; by default 1e-5 for float64 and 2e-2 for float32.
        eps: the step of the differences; by default 1e-5 for float64 and 1e-2 for float32.

    Raises AssertionError naming the mode, the order and the two numbers.
    """
    if isinstance(modes, str):
        modes = (modes,)
    unknown = set(modes) - {"fwd", "rev"}
    if unknown:
        raise ValueError(f"check_grads: modes must be among 'fwd' and 'rev', got {sorted(unknown)}.")
    _check(f, tuple(args), order, tuple(modes), atol, rtol, eps, np.random.default_rng(0), 1)


def _check(
    f: Fun, args: Any, order: int, modes: Sequence[str], atol: Any, rtol: Any, eps: Any, rng: Any, level: int
) -> None:
    leaves, _ = flatten_arrays(args, "check_grads: argument")
    single = any(type_of(v).dtype in (np.float32, np.complex64, np.float16) for v in leaves)
    step = eps if eps is not None else (1e-2 if single else 1e-5)
    tolerance = {
        "atol": atol if atol is not None else (2e-2 if single else 1e-5),
        "rtol": rtol if rtol is not None else (2e-2 if single else 1e-5),
    }
    directions = _random_like(args, rng)
    out, tangent = jvp(f, args, directions)
    if "fwd" in modes:
        ahead, behind = f(*_moved(args, directions, step)), f(*_moved(args, directions, -step))
        numeric = tree.map(lambda a, b: (_plain(a) - _plain(b)) / (2 * step), ahead, behind)
        for have, want in zip(tree.leaves(tangent), tree.leaves(numeric), strict=True):
            if np.asarray(have).dtype.kind in "fc":
                _compare(have, want, f"forward mode at order {level}: jvp against differences", tolerance)
    if "rev" in modes:
        value, pull = vjp(f, *args)
        ct = _random_like(value, rng)
        cts = pull(ct)
        # Reverse mode is transposition without conjugation, so the product is without conjugation as well.
        have = _inner(cts, directions)
        want = _inner(ct, tangent)
        _compare(have, want, f"reverse mode at order {level}: <vjp(ct), t> against <ct, jvp(t)>", tolerance)
    if order > 1:
        if "fwd" in modes:
            _check(lambda *a: jvp(f, a, directions)[1], args, order - 1, modes, atol, rtol, eps, rng, level + 1)
        if "rev" in modes:
            ct = _random_like(out, rng)
            _check(lambda *a: vjp(f, *a)[1](ct), args, order - 1, modes, atol, rtol, eps, rng, level + 1)


def _plain(value: Any) -> np.ndarray:
    return np.asarray(value)


def _random_like(value: Any, rng: np.random.Generator) -> Any:
    def one(leaf: Any) -> Any:
        kind = type_of(leaf)
        if not is_inexact(kind.dtype):
            return np.zeros(kind.shape, kind.dtype)
        real = rng.standard_normal(kind.shape)
        whole = real + 1j * rng.standard_normal(kind.shape) if kind.dtype.kind == "c" else real
        return np.asarray(whole).astype(kind.dtype)

    return tree.map(one, value)


def _moved(args: Any, directions: Any, step: float) -> Any:
    def one(leaf: Any, direction: Any) -> Any:
        kind = type_of(leaf).dtype
        return leaf if not is_inexact(kind) else (_plain(leaf) + step * direction).astype(kind)

    return tree.map(one, args, directions)


def _inner(left: Any, right: Any) -> Any:
    total: Any = 0.0
    for a, b in zip(tree.leaves(left), tree.leaves(right), strict=True):
        if np.asarray(a).dtype.kind in "fc" and np.asarray(b).dtype.kind in "fc":
            # Real inputs of complex outputs see the real part only.
            total = total + np.sum(np.asarray(a) * np.asarray(b)).real
    return total


def _compare(have: Any, want: Any, what: str, tolerance: dict[str, Any]) -> None:
    np.testing.assert_allclose(np.asarray(have), np.asarray(want), err_msg=f"check_grads, {what}", **tolerance)
