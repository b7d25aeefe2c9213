"""gradcheck and gradgradcheck: analytic derivatives against central differences, with PyTorch's options."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.torch.autograd import forward_ad
from funcgrad.torch.autograd.backward import grad
from funcgrad.torch.modes import enable_grad, no_grad
from funcgrad.torch.ops.views import detach
from funcgrad.torch.tensor import Tensor, make


class GradcheckError(RuntimeError):
    """What gradcheck raises where analytic and numerical derivatives differ."""


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _outputs(fn: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    return [o for o in _tuple(fn(*inputs)) if isinstance(o, Tensor)]


def _numerical(fn: Callable[..., Any], inputs: Sequence[Any], target: Tensor, eps: float) -> list[np.ndarray]:
    """For each output the Jacobian by `target`: (elements of target, elements of output), complex by both directions."""
    base = target._array
    flat = [np.unravel_index(i, base.shape) for i in range(base.size)]
    directions = [1.0, 1.0j] if base.dtype.kind == "c" else [1.0]
    columns: list[list[list[np.ndarray]]] = []
    with no_grad():
        for place in flat:
            each = []
            for d in directions:
                before = base[place]
                base[place] = before + eps * d
                up = [np.array(o._array).reshape(-1) for o in _outputs(fn, inputs)]
                base[place] = before - eps * d
                down = [np.array(o._array).reshape(-1) for o in _outputs(fn, inputs)]
                base[place] = before
                each.append([(u - v) / (2 * eps) for u, v in zip(up, down, strict=True)])
            columns.append(each)
    count = len(columns[0][0]) if columns else 0
    found = []
    for k in range(count):
        rows = [[c[k] for c in each] for each in columns]
        # By PyTorch's convention the gradient of a complex input is d/dx + i d/dy of a real loss.
        found.append(np.array([r[0] if len(r) == 1 else r[0] + 1j * r[1] for r in rows]))
    return found


def _analytic(outputs: Sequence[Tensor], number: int, target: Tensor) -> np.ndarray:
    out = outputs[number]
    size = out.numel()
    found = np.zeros((target.numel(), size), np.result_type(target._array.dtype, out._array.dtype))
    for j in range(size):
        seed = np.zeros(out._array.shape, out._array.dtype)
        seed.reshape(-1)[j] = 1
        (g,) = grad(out, target, make(seed), retain_graph=True, allow_unused=True)
        if g is not None:
            found[:, j] = g._array.reshape(-1)
    return found


def _pushed(fn: Callable[..., Any], inputs: Sequence[Any], target: int, count: int) -> list[np.ndarray]:
    columns: list[list[np.ndarray]] = []
    base = inputs[target]
    for i in range(base.numel()):
        seed = np.zeros(base._array.shape, base._array.dtype)
        seed.reshape(-1)[i] = 1
        with forward_ad.dual_level():
            given = [forward_ad.make_dual(detach(x), make(seed)) if k == target else x for k, x in enumerate(inputs)]
            outs = [forward_ad.unpack_dual(o) for o in _outputs(fn, given)]
            columns.append([
                np.zeros(o.primal.numel()) if o.tangent is None else np.array(o.tangent._array).reshape(-1) for o in outs
            ])  # fmt: skip
    return [np.array([c[k] for c in columns]) for k in range(count)]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the analytic derivatives of `func` agree with central differences of step `eps`, to atol + rtol * |numerical|.

    fast_mode compares one random projection of each Jacobian in place of all of it. check_forward_ad compares forward mode,
    check_batched_grad the batched backward (`is_grads_batched`) with the plain one, check_undefined_grad that an output without
    gradient counts as zero. Raises GradcheckError (or gives False, raise_exception=False); ValueError if no input requires grad.
    """
    given = _tuple(inputs)
    targets = [(i, x) for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not targets:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    for i, x in targets:
        if x._array.dtype not in (np.float64, np.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                f"will likely fail if "
                "all the inputs are not of double precision floating point or complex. ",
                stacklevel=2,
            )
    try:
        _check(
            func,
            given,
            targets,
            eps,
            atol,
            rtol,
            fast_mode,
            check_forward_ad,
            check_backward_ad,
            check_batched_grad,
            nondet_tol,
        )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(func: Callable[..., Any], given: Any, targets: Any, eps: float, atol: float, rtol: float, fast: bool,
           forward: bool, backward: bool, batched: bool, nondet_tol: float) -> None:  # fmt: skip
    outputs = _outputs(func, given)
    smooth = [k for k, o in enumerate(outputs) if o._array.dtype.kind in "fc"]
    if not any(outputs[k].requires_grad for k in smooth) and backward:
        return _check_constant(func, given, targets, eps, atol)
    random = np.random.default_rng(0)
    for number, (i, x) in enumerate(targets):
        numerical = _numerical(func, given, x, eps)
        pushed = _pushed(func, given, i, len(outputs)) if forward else None
        for k in smooth:
            if backward:
                analytic = _analytic(outputs, k, x)
                again = _analytic(outputs, k, x)
                if not np.allclose(analytic, again, rtol=0, atol=nondet_tol, equal_nan=True):
                    raise GradcheckError(
                        f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
                        f"different values, although analytical gradient matches numerical gradient, for output {k}."
                    )
                _compare(analytic, numerical[k], atol, rtol, k, number, fast, random, "")
            if pushed is not None:
                _compare(pushed[k], numerical[k], atol, rtol, k, number, fast, random, "forward mode, ")
            if batched and backward:
                _check_batched(outputs[k], x, k, number, atol)
    return None


def _compare(analytic: np.ndarray, numerical: np.ndarray, atol: float, rtol: float, out: int, into: int, fast: bool,
             random: np.random.Generator, note: str) -> None:  # fmt: skip
    a, n = analytic, numerical
    if fast and a.size:
        u, v = random.normal(size=a.shape[0]), random.normal(size=a.shape[1])
        a, n = u @ a @ v, u @ n @ v
    if not np.allclose(a, n, rtol, atol, equal_nan=True):
        raise GradcheckError(
            f"{note}Jacobian mismatch for output {out} with respect to input "
            f"{into},\nnumerical:{numerical}\nanalytical:{analytic}\n"
        )


def _check_batched(out: Tensor, x: Tensor, k: int, number: int, atol: float) -> None:
    seeds = np.random.default_rng(1).normal(size=(3, *out._array.shape)).astype(out._array.dtype)
    (together,) = grad(out, x, make(seeds), retain_graph=True, is_grads_batched=True, allow_unused=True)
    for row, seed in enumerate(seeds):
        (single,) = grad(out, x, make(seed), retain_graph=True, allow_unused=True)
        if (single is None) != (together is None) or (
            single is not None and not np.allclose(together._array[row], single._array, atol=max(atol, 1e-8))
        ):
            raise GradcheckError(f"Batched gradient mismatch for output {k} with respect to input {number}")


def _check_constant(func: Callable[..., Any], given: Any, targets: Any, eps: float, atol: float) -> None:
    for number, (_, x) in enumerate(targets):
        for k, n in enumerate(_numerical(func, given, x, eps)):
            if not np.allclose(n, 0, atol=atol):
                raise GradcheckError(
                    f"Numerical gradient for function expected to be zero, for output {k}, input {number}"
                )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """gradcheck of the gradients of `func`, by its inputs and by `grad_outputs` (random ones by default)."""
    given = _tuple(inputs)
    outputs = [o for o in _outputs(func, given) if o._array.dtype.kind in "fc" and o.requires_grad]
    random = np.random.default_rng(2)
    if grad_outputs is None:
        seeds = [make(random.normal(size=o._array.shape).astype(o._array.dtype)) for o in outputs]
        for s in seeds:
            s.requires_grad = True
    else:
        seeds = list(_tuple(grad_outputs))
    count = len(given)

    def gradients(*values: Any) -> Any:
        args, cts = values[:count], values[count:]
        outs = [o for o in _outputs(func, args) if o._array.dtype.kind in "fc" and o.requires_grad]
        wanted = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        found = grad(outs, wanted, list(cts), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        _tracked(gradients), (*given, *seeds), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
        nondet_tol=nondet_tol, check_batched_grad=check_batched_grad, fast_mode=fast_mode,
    )  # fmt: skip


def _tracked(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function with gradients recorded even where finite differences run it without."""

    def recorded(*args: Any) -> Any:
        with enable_grad():
            return f(*args)

    return recorded
