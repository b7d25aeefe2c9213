"""`backward` and `grad`: the two ways to run the graph, with PyTorch's checks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.torch.dtypes import Size
from funcgrad.torch.engine import Slot, run_backward
from funcgrad.torch.modes import state
from funcgrad.torch.node import GradientEdge, HookDict, RemovableHandle, accumulator, edge_of
from funcgrad.torch.tensor import Tensor, make, wrap

Tensors = Tensor | Sequence[Tensor]


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) or tensors is None else list(tensors)


def _root_gradients(outputs: Sequence[Tensor], grads: Sequence[Any], batched: bool = False) -> list[Tensor]:
    found = []
    for i, (out, grad) in enumerate(zip(outputs, grads, strict=True)):
        array = out._array
        if grad is None:
            if out.requires_grad:
                if out.numel() != 1:
                    raise RuntimeError("grad can be implicitly created only for scalar outputs")
                if array.dtype.kind == "c":
                    raise RuntimeError(
                        f"grad can be implicitly created only for real scalar outputs but got {out.dtype}"
                    )
            grad = make(np.ones(array.shape, array.dtype))
        elif not isinstance(grad, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
        else:
            shape = grad._array.shape[1:] if batched else grad._array.shape
            if shape != array.shape:
                note = (
                    " If you only want some tensors in `grad_output` to be considered batched, consider using vmap."
                    if batched
                    else ""
                )
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {Size(grad._array.shape)} and output[{i}] "
                    f"has a shape of "
                    f"{Size(array.shape)}.{note}"
                )
            if grad._array.dtype.kind == "c" and array.dtype.kind != "c":
                raise RuntimeError(
                    f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
                    f"grad_output[{i}] has a dtype of {grad.dtype} and output[{i}] has a dtype of {out.dtype}."
                )
            if grad._array.dtype != array.dtype:
                grad = grad.to(out.dtype)  # type: ignore[attr-defined]
        found.append(grad)
    return found


def _roots(outputs: Sequence[Tensor]) -> list[Any]:
    roots = []
    for i, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            raise TypeError(f"element {i} of tensors to differentiate must be a Tensor, got {type(out).__name__}")
        edge = edge_of(out)
        if edge[0] is None:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn. Set requires_grad=True on "
                f"an input before "
                "the computation, and check that it was not made under torch.no_grad()."
            )
        roots.append(edge)
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradients of `tensors` (weighted by `grad_tensors`, needed unless they have one element) to the leaves' `.grad`.

    retain_graph: keep what the graph has saved, for another backward; by default as `create_graph`.
    create_graph: record the backward itself, so that gradients can be differentiated again.
    inputs: add to these tensors only, leaves or not.
    Raises RuntimeError as PyTorch does: no history, shapes that differ, a graph used twice, versions that moved.
    """
    if inputs is not None and len(_listed(inputs)) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    outputs = _listed(tensors)
    grads = _listed(grad_variables if grad_tensors is None else grad_tensors)
    grads = grads * len(outputs) if grads == [None] else grads
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    given = _root_gradients(outputs, grads)
    roots = _roots(outputs)
    if create_graph:
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which "
            "can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have to use "
            "this function, make sure to reset the .grad fields of your parameters to None after use to break the "
            "cycle and avoid "
            "the leak.",
            UserWarning,
            stacklevel=2,
        )
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run_backward(roots, given, retain, create_graph)
        return
    targets = _listed(inputs)
    edges = [_input_edge(t) for t in targets]
    found = run_backward(roots, given, retain, create_graph, edges)
    for t, slot in zip(targets, found, strict=True):
        if slot is not None and t.grad_fn is not None:
            grad = _gradient(slot, create_graph)
            t._grad = grad if t._grad is None else t._grad + grad  # type: ignore[operator]


def _input_edge(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"expected a Tensor to differentiate by, got {type(tensor).__name__}")
    edge = edge_of(tensor)
    if edge[0] is not None:
        return edge
    if tensor.requires_grad:  # a view made under no_grad says so with its base, but no operation leads to it
        return accumulator(tensor), 0
    raise RuntimeError("One of the differentiated Tensors does not require grad")


def _gradient(slot: Slot, create_graph: bool) -> Tensor:
    if slot.tensor is not None:
        return slot.tensor
    made = wrap(slot.value)
    made._inference = state.inference
    return made


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` (weighted by `grad_outputs`) by `inputs`, as a tuple; `.grad` is not touched.

    inputs: tensors, or edges of `graph.get_gradient_edge`.
    allow_unused: give None for inputs that the outputs do not depend on, instead of an error; materialize_grads: zeros.
    is_grads_batched: grad_outputs have a leading batch dimension, and so have the results.
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True).", FutureWarning, stacklevel=2
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    outs = _listed(outputs)
    ins = [inputs] if isinstance(inputs, GradientEdge) else _listed(inputs)
    given = _listed(grad_outputs)
    given = given * len(outs) if given == [None] else given
    if is_grads_batched:
        return _batched(outs, ins, given, retain_graph, create_graph, bool(allow_unused), materialize_grads)
    roots_given = _root_gradients(outs, given)
    roots = _roots(outs)
    edges = [(t.node, t.output_nr) if isinstance(t, GradientEdge) else _input_edge(t) for t in ins]
    retain = create_graph if retain_graph is None else retain_graph
    found = run_backward(roots, roots_given, retain, create_graph, edges, accumulate=False)
    result: list[Any] = []
    for t, slot in zip(ins, found, strict=True):
        if slot is not None:
            result.append(_gradient(slot, create_graph))
        elif materialize_grads:
            if isinstance(t, GradientEdge):
                raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
            result.append(make(np.zeros(t._array.shape, t._array.dtype)))
        elif allow_unused:
            result.append(None)
        else:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is "
                "the desired behavior."
            )
    return tuple(result)


def _batched(outs: list[Any], ins: list[Any], given: list[Any], retain_graph: bool | None, create_graph: bool,
             allow_unused: bool, materialize: bool) -> tuple[Any, ...]:  # fmt: skip
    # One backward for each row, over a graph that is kept: the same numbers as one batched run.
    _root_gradients(outs, given, batched=True)
    rows = given[0]._array.shape[0]
    parts = []
    for i in range(rows):
        last = i == rows - 1
        keep = True if not last else (create_graph if retain_graph is None else retain_graph)
        row = [None if g is None else g[i] for g in given]
        parts.append(grad(outs, ins, row, keep, create_graph, True, allow_unused or None, False, materialize))
    stack: Any = Tensor.stack_rows  # type: ignore[attr-defined]
    return tuple(None if column[0] is None else stack(list(column)) for column in zip(*parts, strict=True))


# ---- methods of Tensor ----


def _tensor_backward(self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
                     inputs: Any = None) -> None:  # fmt: skip
    """Adds the gradients of this tensor (weighted by `gradient`, needed unless it has one element) to the leaves' `.grad`."""
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def _register_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """Calls hook(grad) when the gradient of this tensor is known; what it returns replaces the gradient."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node = self.grad_fn
    if node is not None:
        return node.hook_output(self._output_nr, hook)
    if self._hooks is None:
        self._hooks = HookDict()
    return RemovableHandle(self._hooks, hook)


def _register_post_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """Calls hook(tensor) each time after a gradient has been added to the leaf's `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if self._post_hooks is None:
        self._post_hooks = HookDict()
    return RemovableHandle(self._post_hooks, hook)


Tensor.backward = _tensor_backward  # type: ignore[attr-defined]
Tensor.register_hook = _register_hook  # type: ignore[attr-defined]
Tensor.register_post_accumulate_grad_hook = _register_post_hook  # type: ignore[attr-defined]
