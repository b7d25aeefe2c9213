"""`autograd.functional`: jacobian, hessian, vjp, jvp, hvp and vhp of functions of Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.torch.autograd.backward import grad
from funcgrad.torch.modes import enable_grad
from funcgrad.torch.ops.views import detach
from funcgrad.torch.tensor import Tensor, make

Function = Callable[..., Any]


def _inputs(inputs: Any, name: str) -> tuple[bool, tuple[Tensor, ...]]:
    is_tuple = isinstance(inputs, tuple)
    given = inputs if is_tuple else (inputs,)
    for i, x in enumerate(given):
        if not isinstance(x, Tensor):
            where = f" at index {i}" if is_tuple else ""
            raise TypeError(
                f"The inputs given to {name} must be either a Tensor or a tuple of Tensors but the value{where} has "
                f"type {type(x)}."
            )
    return is_tuple, given


def _leaves(given: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors that require grad: linked to the originals if the result is to be differentiated."""
    found = []
    for x in given:
        if create_graph and x.requires_grad:
            found.append(x.view(x._array.shape))  # type: ignore[attr-defined]
        else:
            leaf: Any = detach(x)
            leaf._view = None
            found.append(leaf.requires_grad_())
    return tuple(found)


def _outputs(f: Function, leaves: Sequence[Tensor], name: str) -> tuple[bool, tuple[Tensor, ...]]:
    out = f(*leaves)
    is_tuple = isinstance(out, tuple)
    outs = out if is_tuple else (out,)
    for o in outs:
        if not isinstance(o, Tensor):
            raise TypeError(
                f"The outputs of the user-provided function given to {name} must be either a Tensor or a tuple of "
                f"Tensors but the value has type {type(o)}."
            )
    return is_tuple, outs


def _shape(value: Tensor) -> Any:
    return np.zeros(value._array.shape, value._array.dtype)


def _finished(value: Tensor | None, like: Any, create_graph: bool, strict: bool, what: str) -> Tensor:
    if value is None:
        if strict:
            raise RuntimeError(what)
        return make(like)
    return value if create_graph else detach(value)


def _cotangents(v: Any, outs: Sequence[Tensor], is_tuple: bool) -> list[Tensor]:
    if v is None:
        if len(outs) != 1 or outs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single element."
            )
        return [make(np.ones(outs[0]._array.shape, outs[0]._array.dtype))]
    given = list(v) if isinstance(v, tuple) else [v]
    if len(given) != len(outs):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(outs)} but got {len(given)}.")
    for i, (a, o) in enumerate(zip(given, outs, strict=True)):
        if a._array.shape != o._array.shape:
            raise RuntimeError(f"Entry {i} in v has invalid size: should be {o.shape} but got {a.shape}.")
    return given


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs, v-weighted gradients of the inputs) of `func`."""
    is_tuple, given = _inputs(inputs, "vjp")
    with enable_grad():
        leaves = _leaves(given, create_graph)
        outs_tuple, outs = _outputs(func, leaves, "vjp")
        cts = _cotangents(v, outs, outs_tuple)
        found = _grads(outs, leaves, cts, create_graph)
    results = tuple(
        _finished(
            g, _shape(x), create_graph, strict, f"The output of the user-provided function is independent of input {i}."
        )
        for i, (g, x) in enumerate(zip(found, given, strict=True))
    )
    values = tuple(o if create_graph else detach(o) for o in outs)
    return (values if outs_tuple else values[0]), (results if is_tuple else results[0])


def _grads(
    outs: Sequence[Tensor], leaves: Sequence[Tensor], cts: Sequence[Tensor], create_graph: bool
) -> Sequence[Any]:
    pairs = [(o, c) for o, c in zip(outs, cts, strict=True) if o.requires_grad]
    if not pairs:
        return [None] * len(leaves)
    return grad(
        [o for o, _ in pairs],
        leaves,
        [c for _, c in pairs],
        create_graph=create_graph,
        retain_graph=True,
        allow_unused=True,
    )


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(outputs, tangents of the outputs for tangents `v` of the inputs), by differentiating backward twice."""
    _, given = _inputs(inputs, "jvp")
    if v is None:
        if len(given) != 1 or given[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a single Tensor with a "
                "single element."
            )
        tangents = [make(np.ones(given[0]._array.shape, given[0]._array.dtype))]
    else:
        tangents = list(v) if isinstance(v, tuple) else [v]
    with enable_grad():
        leaves = _leaves(given, create_graph)
        outs_tuple, outs = _outputs(func, leaves, "jvp")
        seeds = [make(_shape(o)).requires_grad_() for o in outs]
        first = _grads(outs, leaves, seeds, True)
        moving = [(g, t) for g, t in zip(first, tangents, strict=True) if g is not None and g.requires_grad]
        if moving:
            found: Sequence[Any] = grad(
                [g for g, _ in moving],
                seeds,
                [t for _, t in moving],
                create_graph=create_graph,
                retain_graph=True,
                allow_unused=True,
            )
        else:
            found = [None] * len(outs)
    results = tuple(
        _finished(
            t,
            _shape(o),
            create_graph,
            strict,
            f"Output {i} of the user-provided function is independent of the inputs.",
        )
        for i, (t, o) in enumerate(zip(found, outs, strict=True))
    )
    values = tuple(o if create_graph else detach(o) for o in outs)
    return (values, results) if outs_tuple else (values[0], results[0])


def jacobian(func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The Jacobian of each output by each input: shape (*output, *input); a tuple of tuples where there are several.

    strategy: "reverse-mode" (a backward for each output element) or "forward-mode" (one for each input element).
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')
    is_tuple, given = _inputs(inputs, "jacobian")
    if strategy == "forward-mode":
        return _forward_jacobian(func, given, is_tuple, create_graph)
    with enable_grad():
        leaves = _leaves(given, create_graph)
        outs_tuple, outs = _outputs(func, leaves, "jacobian")
        table = [_rows(o, leaves, given, create_graph, strict, i) for i, o in enumerate(outs)]
    rows = [tuple(r) if is_tuple else r[0] for r in table]
    return tuple(rows) if outs_tuple else rows[0]


def _rows(
    out: Tensor, leaves: Sequence[Tensor], given: Sequence[Tensor], create_graph: bool, strict: bool, number: int
) -> list[Any]:
    columns: list[list[Tensor]] = [[] for _ in leaves]
    size = out.numel()
    for j in range(size):
        seed = _shape(out)
        seed.reshape(-1)[j] = 1
        found = _grads([out], leaves, [make(seed)], create_graph)
        for k, (g, x) in enumerate(zip(found, given, strict=True)):
            text = f"Output {number} of the user-provided function is independent of input {k}."
            columns[k].append(_finished(g, _shape(x), create_graph, strict, text))
    stack: Any = Tensor.stack_rows  # type: ignore[attr-defined]
    shape = out._array.shape
    return [
        stack(c).reshape((*shape, *x._array.shape)) if c else make(np.zeros((*shape, *x._array.shape), x._array.dtype))
        for c, x in zip(columns, given, strict=True)
    ]


def _forward_jacobian(func: Function, given: Sequence[Tensor], is_tuple: bool, create_graph: bool) -> Any:
    table: list[list[Any]] = []
    outs_tuple = False
    for k, x in enumerate(given):
        columns: list[Any] = []
        for j in range(x.numel()):
            seeds = [_shape(y) for y in given]
            seeds[k].reshape(-1)[j] = 1
            outs, pushed = jvp(func, tuple(given), tuple(make(s) for s in seeds), create_graph)
            outs_tuple = isinstance(outs, tuple)
            columns.append(pushed if outs_tuple else (pushed,))
        shape = x._array.shape
        stack: Any = Tensor.stack_rows  # type: ignore[attr-defined]
        per_output = [stack(list(c)) for c in zip(*columns, strict=True)]
        table.append([p.movedim(0, -1).reshape((*p._array.shape[1:], *shape)) for p in per_output])
    by_output = [tuple(column) if is_tuple else column[0] for column in zip(*table, strict=True)]
    return tuple(by_output) if outs_tuple else by_output[0]


def _scalar(func: Function, name: str) -> Function:
    def checked(*args: Tensor) -> Tensor:
        out = func(*args)
        if not isinstance(out, Tensor):
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        if out.numel() != 1:
            raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
        return out.reshape(())  # type: ignore[attr-defined]

    return checked


def hessian(func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The Hessian of a function with one element: shape (*input, *input), a tuple of tuples for several inputs."""
    is_tuple, given = _inputs(inputs, "hessian")
    scalar = _scalar(func, "hessian")

    def gradient(*xs: Tensor) -> Any:
        found = _grads([scalar(*xs)], xs, [make(np.ones((), xs[0]._array.dtype))], True)
        return tuple(
            _finished(
                g, _shape(x), True, strict, "The output of the user-provided function is independent of an input."
            )
            for g, x in zip(found, xs, strict=True)
        )

    found = jacobian(gradient, tuple(given), create_graph, strict)
    return found if is_tuple else found[0][0]


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(value, v-vector times the Hessian) of a function with one element."""
    is_tuple, given = _inputs(inputs, "vhp")
    weights = (
        tuple(v)
        if isinstance(v, tuple)
        else (v,)
        if v is not None
        else (make(np.ones(given[0]._array.shape, given[0]._array.dtype)),)
    )
    scalar = _scalar(func, "vhp")
    with enable_grad():
        leaves = _leaves(given, create_graph)
        value = scalar(*leaves)
        first = _grads([value], leaves, [make(np.ones((), value._array.dtype))], True)
        pairs = [(g, w) for g, w in zip(first, weights, strict=True) if g is not None and g.requires_grad]
        found: Sequence[Any] = [None] * len(leaves)
        if pairs:
            found = _grads([g for g, _ in pairs], leaves, [w for _, w in pairs], create_graph)
    results = tuple(
        _finished(g, _shape(x), create_graph, strict, "The Hessian is independent of an input.")
        for g, x in zip(found, given, strict=True)
    )
    return (value if create_graph else detach(value)), (results if is_tuple else results[0])


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(value, Hessian times the vector v): the Hessian is symmetric, so this is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)
