"""`autograd.Function`: operations whose backward the user writes. The node of the graph is the `ctx` of both methods."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.api.custom import custom_vjp
from funcgrad.core.tracing import Tracer, user_source
from funcgrad.torch import dtypes
from funcgrad.torch.inplace import counted, rebase
from funcgrad.torch.modes import state
from funcgrad.torch.node import FREED, NO_EDGE, Node, edge_of
from funcgrad.torch.ops.views import detach
from funcgrad.torch.saved import Saved
from funcgrad.torch.tensor import Tensor, make, wrap
from funcgrad.torch.views import set_view


class FunctionNode(Node):
    """The node of a custom function, and its ctx. Any attribute may be set on it."""

    function: type[Function]
    needs_input_grad: tuple[bool, ...] = ()
    _saved: list[Saved | None] | None = None
    _asked: Sequence[Tensor | None] = ()
    _dirty: Sequence[Tensor] = ()
    _not_differentiable: Sequence[Tensor] = ()
    _materialize = True
    _freed = False

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors (inputs, outputs or others; None passes) for backward, which checks their versions."""
        self._asked = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Names inputs that forward has written to; it must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Names outputs without gradient."""
        self._not_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs without gradient."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given. Raises RuntimeError when it has been freed or written to."""
        if self._freed:
            raise RuntimeError(FREED)
        if self._saved is None:
            return tuple(self._asked)
        return tuple(None if s is None else s.unpack(self) for s in self._saved)

    saved_variables = saved_tensors

    @property
    def _raw_saved_tensors(self) -> tuple[Any, ...]:
        return tuple(self._saved or ())

    def release(self) -> None:
        if self._saved:
            self._saved = None
            self._freed = True

    def run_tensors(self, grads: list[Tensor | None]) -> Sequence[Tensor | None]:
        if self._freed:
            raise RuntimeError(FREED)
        cls = self.function
        if self._materialize:
            given: list[Any] = [
                make(np.zeros(t.shape, t.dtype)) if g is None else g for g, t in zip(grads, self.out_types, strict=True)
            ]
        else:
            given = list(grads)
        if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                "implement one of them."
            )
        rule = cls.vjp if cls.vjp is not Function.vjp else cls.backward
        found = rule(self, *given)
        return self._checked(found if isinstance(found, tuple) else (found,))

    def _checked(self, found: tuple[Any, ...]) -> list[Tensor | None]:
        expected = len(self.tensor_inputs)
        if len(found) > expected and all(g is None for g in found[expected:]):
            found = found[:expected]
        if len(found) != expected:
            raise RuntimeError(
                f"function {self.title} returned an incorrect number of gradients (expected {expected}, got {len(found)})"
            )
        results: list[Tensor | None] = []
        number = 0
        for i, (grad, shape) in enumerate(zip(found, self.tensor_inputs, strict=True)):
            if shape is None:
                if grad is not None:
                    raise RuntimeError(
                        f"function {self.title} returned a gradient different from None at position {i + 1}, but the "
                        f"corresponding "
                        "forward input was not a Variable"
                    )
                continue
            if grad is not None and not isinstance(grad, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
            results.append(None if grad is None else _fitted(self, grad, shape, number))
            number += 1
        return results

    tensor_inputs: Sequence[tuple[int, ...] | None] = ()
    """For each argument its shape if it is a tensor."""


def _fitted(node: Node, grad: Tensor, shape: tuple[int, ...], number: int) -> Tensor:
    """A gradient summed down to the shape of its input where broadcasting allows that."""
    have = grad._array.shape
    if have == shape:
        return grad
    extra = len(have) - len(shape)
    if extra < 0 or any(n not in (m, 1) for n, m in zip(shape, have[extra:], strict=True)):
        raise RuntimeError(
            f"Function {node.title} returned an invalid gradient at index {number} - got {list(have)} but expected "
            f"shape compatible "
            f"with {list(shape)}"
        )
    axes = [*range(extra), *[i + extra for i, n in enumerate(shape) if n == 1 and have[i + extra] != 1]]
    total: Any = grad.sum(tuple(axes), keepdim=True)  # type: ignore[attr-defined]
    return total.reshape(shape)


class FunctionMeta(type):
    """Gives each Function its class of nodes."""

    def __init__(cls, name: str, bases: Any, namespace: dict[str, Any]):
        title = name + "Backward"
        cls._backward_cls = type(title, (FunctionNode,), {"title": title, "function": cls})
        type.__init__(cls, name, bases, namespace)


class Function(metaclass=FunctionMeta):
    """Base of custom operations: write `forward` and `backward` as static methods, call `apply`.

    forward(ctx, *args), or forward(*args) with setup_context(ctx, inputs, output); backward(ctx, *grads) gives a gradient or
    None for each argument of forward. `jvp(ctx, *tangents)` serves forward mode, `vmap(info, in_dims, *args)` batching.
    """

    _backward_cls: type[FunctionNode]
    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any):
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            f"invoke them on "
            "the class itself. Instantiating an autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with "
            f"static forward method: call {type(self).__name__}.apply(...)."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The values."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Saves for backward, where forward has no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of the arguments from those of the results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        """Another name for `backward`."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Tangents of the results from those of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward and records this function in the graph."""
        tensors = [a for a in args if isinstance(a, Tensor)]
        if state.functional and _has_rule(cls) and any(type(t._array) is Tracer for t in tensors):
            return _under_transforms(cls, args, kwargs)
        node = cls._backward_cls()
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        recorded = state.grad and any(node.needs_input_grad)
        if recorded:
            node.next_functions = tuple([edge_of(t) if t.requires_grad else NO_EDGE for t in tensors])
            node.tensor_inputs = [a._array.shape if isinstance(a, Tensor) else None for a in args]
            node.source = user_source()
        outputs = _forward(cls, node, args, kwargs)
        single = not isinstance(outputs, tuple)
        found = _wired(node, tensors, (outputs,) if single else outputs, recorded)
        if recorded:
            _save(node, found)
        return found[0] if single else tuple(found)


def _has_rule(cls: type[Function]) -> bool:
    return cls.backward is not Function.backward or cls.vjp is not Function.vjp


class _Kept:
    """What a ctx holds, without its tensors: those are residuals, and may be other tracers when backward runs."""

    def __init__(self, node: FunctionNode):
        self.leaves, self.kind = tree.flatten(dict(node.__dict__))
        self.places = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor)]
        self.arrays = [self.leaves[i]._array for i in self.places]

    def restore(self, node: FunctionNode, arrays: Sequence[Any]) -> None:
        leaves = list(self.leaves)
        for i, array in zip(self.places, arrays, strict=True):
            leaves[i] = wrap(array)
        node.__dict__.update(tree.unflatten(self.kind, leaves))


def _mirrored(array: Any) -> Any:
    """A gradient in the other room's convention: PyTorch's of complex numbers is the conjugate of JAX's."""
    return fnp.conj(array) if array.dtype.kind == "c" else array


def _under_transforms(cls: type[Function], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """`apply` inside a transform of torch.func: an operation of the pure room whose derivative is the user's backward."""
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    seen: dict[str, Any] = {}

    def run(arrays: Sequence[Any]) -> tuple[FunctionNode, tuple[Any, ...]]:
        node, full = cls._backward_cls(), list(args)
        for i, array in zip(places, arrays, strict=True):
            full[i] = wrap(array)
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a._array.dtype.kind in "fc" for a in full)
        node.tensor_inputs = [a._array.shape if isinstance(a, Tensor) else None for a in full]
        outputs = _forward(cls, node, full, kwargs)
        if node._dirty:
            raise RuntimeError(f"{cls.__name__}: mark_dirty has no meaning inside torch.func; return a new tensor.")
        outs = outputs if isinstance(outputs, tuple) else (outputs,)
        loose = {id(t) for t in node._not_differentiable}
        seen.update(single=not isinstance(outputs, tuple), outs=outs, loose=[id(o) in loose for o in outs])
        node.out_types = [
            np.empty(o._array.shape, o._array.dtype) if isinstance(o, Tensor) else dtypes_placeholder for o in outs
        ]
        return node, tuple(o._array for o in outs if isinstance(o, Tensor))

    def primal(*arrays: Any) -> Any:
        return run(arrays)[1]

    def fwd(*arrays: Any) -> Any:
        node, outs = run(arrays)
        kept = _Kept(node)
        return outs, (kept, kept.arrays)

    def bwd(residuals: Any, cotangents: Any) -> Any:
        node = cls._backward_cls()
        residuals[0].restore(node, residuals[1])
        coming = iter(cotangents)
        found = [None if t is dtypes_placeholder else next(coming) for t in node.out_types]
        given: list[Any] = [
            None if c is None or t.dtype.kind not in "fc" else make(_mirrored(c))
            for c, t in zip(found, node.out_types, strict=True)
        ]
        return tuple(None if g is None else _mirrored(g._array) for g in node.run_tensors(given))

    call = custom_vjp(primal)
    call.defvjp(fwd, bwd)
    found = iter(call(*[args[i]._array for i in places]))
    results = [wrap(next(found)) if isinstance(o, Tensor) else o for o in seen["outs"]]
    results = [detach(r) if alone else r for r, alone in zip(results, seen["loose"], strict=True)]
    return results[0] if seen["single"] else tuple(results)


def _forward(cls: type[Function], node: FunctionNode, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    before, state.grad = state.grad, False
    try:
        if cls.setup_context is not Function.setup_context:
            outputs = cls.forward(*args, **kwargs)
            cls.setup_context(node, tuple(args), outputs)
        else:
            outputs = cls.forward(node, *args, **kwargs)
    finally:
        state.grad = before
    for out in outputs if isinstance(outputs, tuple) else (outputs,):
        if out is not None and not isinstance(out, Tensor) and not isinstance(outputs, tuple):
            raise TypeError(
                f"{cls.__name__}.forward: expected to return None, Tensor or a tuple, got {type(out).__name__}"
            )
    return outputs


def _wired(node: FunctionNode, inputs: Sequence[Tensor], outputs: Sequence[Any], recorded: bool) -> list[Any]:
    """Outputs with their place in the graph."""
    dirty = {id(t) for t in node._dirty}
    loose = {id(t) for t in node._not_differentiable}
    given = {id(t) for t in inputs}
    results: list[Any] = []
    types = []
    for number, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            results.append(out)
            types.append(dtypes_placeholder)
            continue
        types.append(out._array)
        smooth = out._array.dtype.kind in "fc" and id(out) not in loose
        if id(out) in dirty:
            if recorded and smooth:
                _check_dirty(out)
                rebase(out, node)
                out._output_nr = number
            counted(out)
            results.append(out)
            continue
        if id(out) in given:
            seen: Tensor = detach(out)
            seen._view = None
            set_view(seen, out, detach.operation, (), recorded, "function")  # type: ignore[attr-defined]
            out = seen
        elif out._view is not None and recorded and _root(out) in given:
            out._view.creation = "function"
        if recorded and smooth:
            out._node, out._output_nr, out._requires_grad = node, number, True
            if out._view is not None:
                out._view.version = out._counter.value
        results.append(out)
    node.n_outputs = len(results)
    node.out_types = [np.empty(t.shape, t.dtype) if t is None else t for t in types]
    return results


class _NoTensor:
    """Stands for an output that is no tensor."""

    shape: tuple[int, ...] = ()
    dtype = np.dtype(np.float32)


dtypes_placeholder = _NoTensor()


def _root(tensor: Tensor) -> int:
    return id(tensor._view.root) if tensor._view is not None else id(tensor)


def _check_dirty(tensor: Tensor) -> None:
    if tensor._requires_grad and tensor._node is None and tensor._view is None:
        raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")


def _save(node: FunctionNode, outputs: Sequence[Any]) -> None:
    numbers = {id(o): i for i, o in enumerate(outputs) if isinstance(o, Tensor)}
    kept: list[Saved | None] = []
    for i, t in enumerate(node._asked):
        if t is None:
            kept.append(None)
        elif not isinstance(t, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}"
            )
        else:
            own = t._node is node
            kept.append(Saved(t, numbers.get(id(t), -1) if own else -1))
    node._asked = ()
    node._saved = kept
    node.out_types = [_TypeOf(t) for t in node.out_types]


class _TypeOf:
    """Shape and dtype of an output, without its memory."""

    __slots__ = ("dtype", "shape")

    def __init__(self, array: Any):
        self.shape, self.dtype = array.shape, array.dtype


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a `backward` whose own derivative is not defined: asking for it raises RuntimeError."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        before, state.grad = state.grad, False
        try:
            outputs = fn(ctx, *args)
        finally:
            state.grad = before
        if not state.grad or not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return outputs
        node = _Once()
        node.next_functions = tuple([edge_of(a) for a in args if isinstance(a, Tensor)])
        found = outputs if isinstance(outputs, tuple) else (outputs,)
        node.n_outputs = len(found)
        results = []
        for i, out in enumerate(found):
            if isinstance(out, Tensor):
                out = detach(out)
                out._view = None
                out._node, out._output_nr, out._requires_grad = node, i, True
            results.append(out)
        return tuple(results) if isinstance(outputs, tuple) else results[0]

    return wrapper


class _Once(Node):
    title = "DelayedError"

    def run_tensors(self, grads: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


__all__ = ["Function", "FunctionNode", "dtypes", "once_differentiable"]
