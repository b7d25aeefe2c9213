"""Operations: a pure function of the NumPy room becomes a PyTorch function, a method, an in-place twin and an `out=` variant.

    @operation("TanhBackward0", promote="float", saves="result", method=True, inplace=True)
    def tanh(input: Operand) -> Any:
        return fnp.tanh(input)

The body is traced once for each combination of types (`plans.py`) and never differentiated by hand. Parameters annotated
`Operand` are tensors or numbers, `Operands` sequences of tensors; all others are static, part of the plan's key.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer, run, trace_program, type_of, user_source
from funcgrad.core.types import SCALAR_TYPES, array_type
from funcgrad.ops.basics import convert
from funcgrad.torch import dtypes, views
from funcgrad.torch.broadcast import check_broadcast
from funcgrad.torch.inplace import check_overlap, check_result, check_write, rebase, store
from funcgrad.torch.modes import state
from funcgrad.torch.node import NO_EDGE, OperationNode, edge_of, node_class
from funcgrad.torch.plans import Plan
from funcgrad.torch.saved import Saved
from funcgrad.torch.tensor import Tensor, make, wrap
from funcgrad.transforms.jvp import jvp_flat
from funcgrad.transforms.split import restrict

Operand = Any
"""A Tensor or a Python number; None where the default is None."""
Operands = Any
"""A sequence of Tensors."""
TensorOrNumber = Any
"""A Tensor, or a Python number that is part of the plan's key: for numbers that choose the formula, such as exponents."""
STATIC, OPERAND, OPERANDS, MIXED = 0, 1, 2, 3
_KINDS = {"Operand": OPERAND, "Operands": OPERANDS, "TensorOrNumber": MIXED}
_REQUIRED, _GIVEN = object(), object()

ALL: dict[str, Operation] = {}
"""Every operation by name."""


class Operation:
    """One operation: its body and what else PyTorch says of it.

    promote: "arithmetic" (operands get their common dtype), "float" (and integers become the default float dtype), None.
    saves: "result" if backward may read the operation's outputs, "inputs" if it reads inputs only.
    view: whether the result looks into the memory of the first operand: True, or "multi" if there are several, "alias" for
      one that gradients do not follow.
    look: for views that need no Program: a function of an ndarray and the other arguments.
    result: makes the returned value of the tuple of output tensors (a named tuple, say).
    """

    def __init__(self, body: Callable[..., Any], title: str | Callable[..., str], promote: str | None, saves: str,
                 view: Any, look: Callable[..., Any] | None, result: Callable[..., Any] | None,
                 name: str | None = None):  # fmt: skip
        self.body = body
        self.name = name or body.__name__
        self._title = title
        self.promote, self.saves, self.view, self.result = promote, saves, view, result
        self.is_alias = view == "alias"
        self._look = look
        self.check: Callable[[Sequence[Any]], None] | None = None
        """Looks at the data of the arguments before each run, to raise what a body, which sees types only, cannot."""
        self.plans: dict[Any, Any] = {}
        parameters = list(inspect.signature(body).parameters.values())
        self.names = [p.name for p in parameters]
        self.kinds = [_KINDS.get(str(p.annotation), STATIC) for p in parameters]
        self.defaults = [_REQUIRED if p.default is p.empty else p.default for p in parameters]
        self.keyword = [p.kind is p.KEYWORD_ONLY for p in parameters]
        self.arity = len(parameters)
        self.positional = sum(not k for k in self.keyword)

    # ---- arguments ----

    def bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
        """All arguments in the order of the parameters. Raises TypeError as Python does."""
        if len(args) > self.positional:
            raise TypeError(f"{self.name}() takes {self.positional} positional arguments but {len(args)} were given")
        found = [*args, *self.defaults[len(args) :]]
        for key, value in kwargs.items():
            key = _ALIASES.get(key, key) if key not in self.names else key
            if key not in self.names:
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{key}'")
            i = self.names.index(key)
            if i < len(args):
                raise TypeError(f"{self.name}() got multiple values for argument '{key}'")
            found[i] = value
        for value, name in zip(found, self.names, strict=True):
            if value is _REQUIRED:
                raise TypeError(f"{self.name}() missing a required argument: '{name}'")
        return found

    def apply(self, *args: Any) -> Any:
        """The operation on positional arguments."""
        return self.call(self.bound(args, {}))

    def call(self, arguments: Sequence[Any], target: Tensor | None = None) -> Any:
        """Runs the operation; with `target` the result is written into that tensor, which is the first argument."""
        if self.check is not None:
            self.check(arguments)
        tensors: list[Tensor | None] = []
        arrays: list[Any] = []
        key: list[Any] = [target is not None]
        for value, kind, default in zip(arguments, self.kinds, self.defaults, strict=True):
            if kind == STATIC or (kind == MIXED and not isinstance(value, Tensor)):
                key.append(_hashable(value))
            elif value is default:
                key.append(STATIC)
            elif kind != OPERANDS:
                self._operand(value, tensors, arrays, key)
            else:
                if isinstance(value, Tensor) or not isinstance(value, (tuple, list)):
                    raise TypeError(
                        f"{self.name}(): expected a tuple or list of Tensors, but got {type(value).__name__}"
                    )
                key.append(len(value))
                for v in value:
                    self._operand(v, tensors, arrays, key)
        recorder = state.recorder
        if recorder is not None:
            arrays = recorder.lift(tensors, arrays)
        needs = 0
        if state.grad:
            for i, t in enumerate(tensors):
                if t is not None and (t._requires_grad or (t._view is not None and t._view.tracked())):
                    if t._array.dtype.kind in "fc":
                        needs |= 1 << i
        key.append(needs)
        frozen = tuple(key)
        plan = self.plans.get(frozen)
        if plan is None:
            plan = self._plan(frozen, arguments, arrays, tensors, needs, target)
        if target is not None:
            return self._write(plan, arguments, tensors, arrays, target)
        if self._look is None or type(arrays[0]) is Tracer:
            outs = plan.run(*arrays)
            if plan.aliases and not self.view:
                outs = _own(outs, plan.aliases, arrays)
        else:
            seen = self._look(arrays[0], *arguments[1:])
            outs = seen if self.view == "multi" else (seen,)
        n = plan.n_outputs
        results = [wrap(o) for o in (outs if len(outs) == n else outs[:n])]
        if self.view:
            self._views(results, tensors[0], arguments)
        if plan.wanted and not self.is_alias:
            self._record(plan, arguments, tensors, arrays, results, outs[n:])
        if state.dual_level >= 0:
            push_tangents[0](self, plan, tensors, arrays, results)
        if self.result is not None:
            return self.result(*results)
        return results[0] if n == 1 and not plan.multiple else tuple(results)

    def _operand(self, value: Any, tensors: list[Any], arrays: list[Any], key: list[Any]) -> None:
        if isinstance(value, Tensor):
            array = value._array
            tensors.append(value)
            arrays.append(array)
            key.append(array.dtype)
            key.append(array.shape)
        elif value is None:
            key.append(None)
        elif type(value) in SCALAR_TYPES:
            tensors.append(None)
            arrays.append(value)
            key.append(type(value))
        elif type(value) is Tracer:
            tensors.append(None)
            arrays.append(value)
            key.append(value.type)
        elif isinstance(value, np.generic):
            self._operand(value.item(), tensors, arrays, key)
        else:
            position = f"argument '{self.names[0]}'" if not tensors else "an argument"
            raise TypeError(f"{self.name}(): {position} must be Tensor or Number, not {type(value).__name__}")

    # ---- plans ----

    def _plan(self, key: Any, arguments: Sequence[Any], arrays: Sequence[Any], tensors: Sequence[Any], needs: int,
              target: Tensor | None) -> Any:  # fmt: skip
        types = [type_of(a) for a in arrays]
        multiple: list[bool] = [False]
        cast = target._array.dtype if target is not None else None

        def flat(*values: Any) -> list[Any]:
            filled = self._filled(arguments, self._promoted(types, values))
            named = zip(self.names[self.positional :], filled[self.positional :], strict=True)
            try:
                outs = self.body(*filled[: self.positional], **dict(named))
            except (TypeError, ValueError) as error:
                raise self._translated(error) from None
            multiple[0] = isinstance(outs, (tuple, list))
            found = list(outs) if multiple[0] else [outs]
            if cast is not None:
                check_result(target, tuple(found[0].shape), np.dtype(found[0].dtype))  # type: ignore[arg-type]
                found = [convert(found[0], cast)]
            return found

        program, captured = trace_program(flat, types, self.name)
        assert not captured, f"the body of {self.name} closes over nothing traced"
        wanted = tuple(i for i in range(len(arrays)) if needs >> i & 1)
        if wanted and not any(t.dtype.kind in "fc" for t in program.out_types):
            wanted = ()
        plan: Any = OperationPlan(program, wanted, self.saves == "result")
        plan.multiple = multiple[0]
        plan.places = self._places(arguments, tensors)
        plan.edges = tuple(plan.places.index(i) for i in wanted)
        plan.arguments = [
            v if self._is_static(v, kind, default) else len(v) if kind == OPERANDS else None if v is None else _GIVEN
            for v, kind, default in zip(arguments, self.kinds, self.defaults, strict=True)
        ]
        plan.node_type = node_class(self._title if isinstance(self._title, str) else self._title(*arguments))
        self.plans[key] = plan
        return plan

    def _translated(self, error: Exception) -> Exception:
        """What PyTorch raises where the NumPy room finds that shapes or dtypes do not fit: mostly RuntimeError."""
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        raised_in = "" if frame is None else str(frame.tb_frame.f_globals.get("__name__"))
        return error if raised_in.startswith("funcgrad.torch") else RuntimeError(f"{self.name}(): {error}")

    def _places(self, arguments: Sequence[Any], tensors: Sequence[Any]) -> tuple[int, ...]:
        """The numbers of the inputs that have an edge: tensors, and numbers in the place of one, but no masks and indices. -1 for
        one that is not given."""
        found: list[int] = []
        number = 0
        for name, value, kind, default in zip(self.names, arguments, self.kinds, self.defaults, strict=True):
            if value is None and name in ("weight", "bias") and self.name in _OPTIONAL:
                found.append(-1)
            if value is None or self._is_static(value, kind, default):
                continue
            count = len(value) if kind == OPERANDS else 1
            for i in range(number, number + count):
                tensor = tensors[i]
                if name in _NO_EDGES or (tensor is not None and _is_constant(name, tensor)):
                    continue
                if tensor is not None or name in ("input", "other"):
                    found.append(i)
            number += count
        return tuple(found)

    @staticmethod
    def _is_static(value: Any, kind: int, default: Any) -> bool:
        """Whether an argument is part of the key and no input of the Program."""
        return kind == STATIC or value is default or (kind == MIXED and not isinstance(value, Tensor))

    def _promoted(self, types: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
        if self.promote is None:
            return values
        check_broadcast([t.shape for t in types])
        kind = dtypes.result_dtype(types)
        if self.promote == "float" and dtypes.category(kind) < 2:
            kind = dtypes.get_default_dtype().numpy
        return [v if t.weak or v.dtype == kind else convert(v, kind) for v, t in zip(values, types, strict=True)]

    def _filled(self, arguments: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """The arguments with flat values in the places of tensors and numbers."""
        supply = iter(values)
        found: list[Any] = []
        for value, kind, default in zip(arguments, self.kinds, self.defaults, strict=True):
            if value is None or self._is_static(value, kind, default):
                found.append(value)
            elif kind == OPERANDS:
                found.append([None if v is None else next(supply) for v in value])
            else:
                found.append(next(supply))
        return found

    # ---- results ----

    def _views(self, results: list[Tensor], source: Any, arguments: Sequence[Any]) -> None:
        rest = tuple(arguments[1:])
        if self.view != "multi":
            array = results[0]._array
            if type(array) is not Tracer and not np.may_share_memory(array, source._array) and array.size:
                return
            views.set_view(results[0], source, self, rest, not self.is_alias)
            return
        for i, r in enumerate(results):
            views.set_view(r, source, _Part.of(self, i), rest, True, "multi")

    def look(self, value: Any, arguments: Sequence[Any]) -> Any:
        """What a view operation shows of an array or tracer."""
        if self._look is not None and type(value) is not Tracer:
            return self._look(value, *arguments)
        found = self.body(value, *arguments)
        return found if type(found) is Tracer else found.view(np.ndarray)

    def _record(self, plan: Any, arguments: Sequence[Any], tensors: Sequence[Any], arrays: Sequence[Any],
                results: Sequence[Tensor], private: Sequence[Any]) -> OperationNode:  # fmt: skip
        node = self._node(plan, arguments, tensors, private)
        node.saved = [Saved(tensors[i]) if tensors[i] is not None else arrays[i] for i in plan.saved_inputs]
        for i, r in enumerate(results):
            if r._array.dtype.kind in "fc":
                r._node, r._output_nr, r._requires_grad = node, i, True
        node.saved += [Saved(results[i], i) for i in plan.saved_outputs]
        return node

    def _node(
        self, plan: Any, arguments: Sequence[Any], tensors: Sequence[Any], private: Sequence[Any]
    ) -> OperationNode:
        node = plan.node_type()
        node.plan, node.operation, node.private = plan, self, private
        node.source = user_source()
        node.n_outputs = plan.n_outputs
        wanted = plan.wanted
        node.next_functions = tuple([edge_of(tensors[i]) if i in wanted else NO_EDGE for i in plan.places])
        node.saved = []
        return node

    # ---- in place ----

    def _write(
        self, plan: Any, arguments: Sequence[Any], tensors: Sequence[Any], arrays: Sequence[Any], target: Tensor
    ) -> Tensor:
        check_overlap(target, tensors[1:])
        outs = plan.run(*arrays)
        value = outs[0]
        node: OperationNode | None = None
        if plan.wanted:
            node = self._node(plan, arguments, tensors, outs[plan.n_outputs :])
            node.saved = []
            for i in plan.saved_inputs:
                t = tensors[i]
                if i == 0:
                    # The value from before the write is what backward needs.
                    t = make(np.array(arrays[0]) if type(arrays[0]) is np.ndarray else arrays[0])
                node.saved.append(Saved(t) if t is not None else arrays[i])
        if state.dual_level >= 0:
            before = make(np.array(target._array))
            moved = make(value)
            push_tangents[0](
                self, plan, [_dual_copy(target, before), *tensors[1:]], [before._array, *arrays[1:]], [moved]
            )
            target._tangent = moved._tangent
        store(target, value, checked=True)
        if node is not None:
            if plan.saved_outputs:
                node.saved += [Saved(target, i) for i in plan.saved_outputs]
            rebase(target, node)
        return target

    # ---- derivatives of derivatives, and what nodes show ----

    def second(self, plan: Any) -> Callable[..., list[Tensor]]:
        """The backward of a plan as an operation on (saved inputs, saved outputs, cotangents), for `create_graph`."""
        if plan.second is None:
            program = plan.joint
            name = self.name + "_backward"
            plan.second = Operation(_flexible(program, name), name, None, "result", None, None, None, name)
        operation = plan.second

        def call(*values: Any) -> list[Tensor]:
            found = operation.call(list(values))
            return list(found) if isinstance(found, tuple) else [found]

        return call

    def pushed(self, plan: Any, moving: tuple[int, ...]) -> Callable[..., list[Tensor]]:
        """Forward mode of a plan as an operation on (inputs, tangents of the `moving` ones): tangents of the inexact outputs."""
        key = ("push", moving)
        made = plan.pushes.get(key)
        if made is None:
            program, count = plan.traced, len(plan.traced.inputs)
            smooth = [i for i, t in enumerate(program.out_types) if t.dtype.kind in "fc"]

            def body(*values: Any) -> list[Any]:
                partly, points = restrict(program, [i in moving for i in range(count)], values[:count])
                _, tangents = jvp_flat(partly, points, values[count:])
                return [tangents[i] for i in smooth]

            made = plan.pushes[key] = Operation(_with_operands(body, count + len(moving)), self.name + "_forward", None, "inputs",
                                                None, None, None, self.name + "_forward")  # fmt: skip
        operation = made

        def call(*values: Any) -> list[Tensor]:
            found = operation.call(list(values))
            return list(found) if isinstance(found, tuple) else [found]

        return call

    def slot(self, name: str, node: Any) -> tuple[str, Any]:
        """Where a node keeps what PyTorch calls `_saved_<name>`: ("saved", number; outputs count from -1 down) or "
        "("static", value)."""
        name = {"self": "input"}.get(name, name)
        if name.startswith("result"):
            return "saved", -1 - int(name[6:] or 0)
        if name not in self.names and name == "input" and self.names:
            name = self.names[0]
        if name not in self.names:
            raise AttributeError(f"'{node.title}' object has no attribute '_saved_{name}'")
        number = 0
        for n, kind, value in zip(self.names, self.kinds, node.plan.arguments, strict=True):
            static = value is not _GIVEN and kind != OPERANDS
            if n == name:
                return ("static", value) if static else ("saved", number)
            number += 0 if static else value if kind == OPERANDS else 1
        raise AssertionError(name)


def _own(outs: Sequence[Any], aliases: Sequence[int], arrays: Sequence[Any]) -> Sequence[Any]:
    """The outputs, those that lie in memory of others copied: what is written to the result must not show there."""
    found = list(outs)
    for i in aliases:
        if type(found[i]) is np.ndarray and (found[i].base is not None or any(found[i] is a for a in arrays)):
            found[i] = found[i].copy()
    return found


class OperationPlan(Plan):
    """A plan with what the operation knows of its arguments (operands left out) and results."""

    __slots__ = ("arguments", "multiple", "node_type", "places")


class _Part:
    """One output of an operation that gives several views: a view operation of its own, for replaying."""

    is_alias = False
    _known: dict[tuple[int, int], _Part] = {}  # noqa: RUF012

    def __init__(self, operation: Operation, number: int):
        self.operation, self.number = operation, number

    @classmethod
    def of(cls, operation: Operation, number: int) -> Any:
        """The one part object of this operation and number."""
        return cls._known.setdefault((id(operation), number), cls(operation, number))

    def look(self, value: Any, arguments: Sequence[Any]) -> Any:
        """The part of an array or tracer."""
        operation = self.operation
        if operation._look is not None and type(value) is not Tracer:
            return operation._look(value, *arguments)[self.number]
        found = operation.body(value, *arguments)[self.number]
        return found if type(found) is Tracer else found.view(np.ndarray)

    def apply(self, value: Any, *arguments: Any) -> Any:
        """The part of a tensor."""
        return self.operation.apply(value, *arguments)[self.number]


def _flexible(program: Any, name: str) -> Callable[..., Any]:
    """A Program as the body of an operation: a function of as many operands as it has inputs."""

    def body(*values: Any) -> Any:
        return run(program, *values)

    body.__name__ = name
    return _with_operands(body, len(program.inputs))


def _with_operands(body: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A function that says it has `count` operands, which is how an operation reads its parameters."""
    parameters = [
        inspect.Parameter(f"x{i}", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Operand") for i in range(count)
    ]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return body


push_tangents: list[Callable[..., None]] = []
"""Forward mode of one operation; set by `autograd/forward_ad.py`."""


def _dual_copy(tensor: Tensor, copy: Tensor) -> Tensor:
    """A copy of a tensor as it was before a write, with its tangent and history."""
    copy._tangent, copy._node, copy._output_nr, copy._requires_grad = (
        tensor._tangent, tensor.grad_fn, tensor._output_nr, tensor._requires_grad and tensor.grad_fn is not None,
    )  # fmt: skip
    return copy


_NO_EDGES = frozenset({"condition", "mask", "index", "indices", "rng_key"})
"""Parameters that have no gradient in any operation: PyTorch's nodes have no edge for them."""


_OPTIONAL = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d batch_norm_step layer_norm group_norm".split()
)
"""Operations whose nodes have an edge (to nothing) for weights and biases that are not given."""


def _is_constant(name: str, tensor: Tensor) -> bool:
    """Whether a tensor has no edge though others in its place have one: labels, and statistics without a gradient."""
    if name == "target":
        return tensor._array.dtype.kind not in "fc"
    return name in ("running_mean", "running_var") and tensor._node is None and not tensor._requires_grad


_ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other", "self": "input"}
"""Names that PyTorch takes for parameters, after NumPy."""


def _hashable(value: Any) -> Any:
    kind = type(value)
    if kind is list or kind is tuple or kind is dtypes.Size:
        return tuple([_hashable(v) for v in value])
    if kind is slice:
        return (slice, _hashable(value.start), _hashable(value.stop), _hashable(value.step))
    if kind is float or kind is bool or kind is complex:
        return kind, value
    return value


# ---- from bodies to functions ----


def operation(title: str | Callable[..., str] | None = None, *, promote: str | None = None, saves: str = "inputs",
              view: Any = None, look: Callable[..., Any] | None = None, result: Callable[..., Any] | None = None,
              method: bool = True, inplace: bool = False, variadic: bool = False, name: str | None = None) -> Any:  # fmt: skip
    """Makes the decorated pure body an operation (see `Operation` for the options) and returns its function.

    title: the name of its nodes, or a function of its arguments that gives it; by default from its own name.
    method, inplace: whether Tensor gets the method, and the in-place twin with an underscore.
    variadic: whether the last positional parameter, a sequence of ints, may be given as ints one after the other.
    """

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        known = name or body.__name__
        camel = "".join(part.capitalize() for part in known.split("_")) + "Backward0"
        made = ALL[known] = Operation(body, title or camel, promote, saves, view, look, result, known)
        function = _function(made, variadic)
        if method:
            setattr(Tensor, known, function)
        if inplace:
            setattr(Tensor, known + "_", _inplace_function(made))
        return function

    return register


def _function(made: Operation, variadic: bool) -> Callable[..., Any]:
    call, positional, arity = made.call, made.positional, made.arity
    tail = tuple(made.defaults)

    @functools.wraps(made.body)
    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if variadic and len(args) >= positional and not isinstance(args[positional - 1], (tuple, list)):
            args = (*args[: positional - 1], tuple(args[positional - 1 :]))
        count = len(args)
        if kwargs or count > positional or (count < arity and _REQUIRED in tail[count:]):
            arguments: Any = made.bound(args, kwargs)
        else:
            arguments = args if count == arity else args + tail[count:]
        return call(arguments) if out is None else write_out(made.name, arguments, call, out)

    function.operation = made  # type: ignore[attr-defined]
    return function


def _inplace_function(made: Operation) -> Callable[..., Any]:
    def function(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return write_in_place(made, self, made.bound((self, *args), kwargs))

    function.__name__ = function.__qualname__ = made.name + "_"
    function.__doc__ = f"In-place version of `{made.name}`: writes the result into the tensor and returns it."
    return function


def write_in_place(made: Operation, target: Tensor, arguments: Sequence[Any], uniform: bool = False) -> Tensor:
    """Runs an operation and writes the result into its first argument. One that is `uniform`, the same number everywhere, may go
    where several elements share memory."""
    check_write(target, not uniform)
    return made.call(arguments, target)


def write_out(name: str, arguments: Sequence[Any], call: Callable[[Any], Any], out: Any) -> Any:
    """Writes the results of an operation into `out`: a tensor, or a tuple of them. Nothing is recorded.

    Raises RuntimeError if an argument or `out` requires grad, or if the result's dtype does not fit.
    """
    outs = out if isinstance(out, (tuple, list)) else (out,)
    given = [a for v in arguments for a in (v if isinstance(v, (tuple, list)) else (v,)) if isinstance(a, Tensor)]
    if state.grad and any(t.requires_grad for t in (*given, *outs)):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            "requires grad. Leave out= away, or write under torch.no_grad()."
        )
    results = call(arguments)
    for target, value in zip(outs, results if isinstance(results, tuple) else (results,), strict=True):
        kind = np.dtype(value._array.dtype)
        if value._array.shape != target._array.shape:
            check_result(target, target._array.shape, kind)
            if target.numel():
                warnings.warn(
                    f"An output with one or more elements was resized since it had shape {list(target._array.shape)}, "
                    f"which does not "
                    f"match the required output shape {list(value._array.shape)}.",
                    UserWarning,
                    stacklevel=3,
                )
            target._array = np.empty(value._array.shape, target._array.dtype)
        else:
            check_result(target, value._array.shape, kind)
        store(target, value._array)
    return out if len(outs) == 1 else results if type(results) is tuple else type(results)(*outs)


# ---- the history of views ----


def _as_strided(input: Operand, steps: Any) -> Any:
    return views.replay(steps, input)


_replayed = Operation(_as_strided, "AsStridedBackward0", None, "inputs", None, None, None, "as_strided")


def _replay_node(root: Tensor, steps: Any) -> OperationNode:
    """The node of a view of `root` as it is now. Its Program looks at the root's values no more than the view does."""
    array = root._array
    types = [array_type(array.shape, array.dtype)]
    key = (array.dtype, array.shape, tuple((id(o), _hashable(a)) for o, a in steps))
    plan = _replayed.plans.get(key)
    if plan is None:
        program, _ = trace_program(lambda x: [views.replay(steps, x)], types, "as_strided")
        made: Any = OperationPlan(program, (0,), False)
        made.multiple, made.node_type, made.arguments, made.places = False, node_class("AsStridedBackward0"), (), (0,)
        plan = _replayed.plans[key] = made
    return _replayed._node(plan, (root, steps), (root,), ())


views.replay_node[0] = _replay_node


def _forget_plans() -> None:
    for made in ALL.values():
        made.plans.clear()


dtypes.on_default_change.append(_forget_plans)
__all__ = [
    "ALL",
    "Operand",
    "Operands",
    "Operation",
    "TensorOrNumber",
    "make",
    "operation",
    "write_in_place",
    "write_out",
]
