"""jit: a function traced once per types of its arguments, and run as one Program."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import argument_name, flatten_arrays, function_name, normalize_argnums
from funcgrad.compile import execute as execute
from funcgrad.core.array import wrap
from funcgrad.core.program import Program
from funcgrad.core.tracing import Tracer, run, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.families import LazyModule
from funcgrad.transforms.call import call

numba_bridge: Any = LazyModule("funcgrad.api.numba_bridge")

Fun = Callable[..., Any]
_state = threading.local()
_switches: list[bool] = []
"""Not empty while any thread has jit disabled: then no call takes the shortest way."""
_all_jitted: weakref.WeakSet[Jitted] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class ShapeDtypeStruct:
    """Shape and dtype of an array that need not exist; stands for one in `eval_shape`, `lower` and `make_expr`."""

    shape: tuple[int, ...]
    dtype: Any
    weak_type: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Within this context (and thread) jitted functions run as plain Python, for debugging."""
    before = _jit_disabled()
    _state.disabled = disable
    _switches.append(True)
    try:
        yield
    finally:
        _switches.pop()
        _state.disabled = before


def _jit_disabled() -> bool:
    return getattr(_state, "disabled", False)


def clear_caches() -> None:
    """Forgets every traced Program of every jitted function."""
    for jitted in list(_all_jitted):
        jitted.clear_cache()


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A function traced at given types: `.program` (also `.jaxpr`), `.out_info`, `.lower()`."""

    program: Program
    in_tree: tree.PyTreeDef
    out_tree: tree.PyTreeDef
    captured: tuple[Tracer, ...]
    name: str

    @property
    def jaxpr(self) -> Program:
        return self.program

    @property
    def out_info(self) -> Any:
        """The output's tree of ShapeDtypeStruct."""
        return tree.unflatten(self.out_tree, [_struct(t) for t in self.program.out_types])

    def lower(self) -> Lowered:
        """The Program as it will run."""
        return Lowered(self)


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A traced function ready to compile."""

    traced: Traced

    @property
    def in_tree(self) -> tree.PyTreeDef:
        return self.traced.in_tree

    @property
    def out_tree(self) -> tree.PyTreeDef:
        return self.traced.out_tree

    @property
    def out_info(self) -> Any:
        return self.traced.out_info

    def as_text(self) -> str:
        """The printed Program."""
        return str(self.traced.program)

    def compile(self) -> Compiled:
        """The callable for exactly these types."""
        return Compiled(self.traced)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A function for fixed argument types; calling it with others raises TypeError."""

    traced: Traced

    def as_text(self) -> str:
        """The printed Program."""
        return str(self.traced.program)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        t = self.traced
        leaves, in_tree = flatten_arrays((args, kwargs), f"{t.name}: argument")
        want = t.program.in_types[len(t.captured) :]
        if in_tree != t.in_tree:
            raise TypeError(f"{t.name} was compiled for arguments of structure {t.in_tree}, got {in_tree}.")
        for have, need in zip(map(type_of, leaves), want, strict=True):
            if have != need:
                raise TypeError(
                    f"{t.name} was compiled for an argument of type {need}, got {have}; call the jitted function."
                )
        return _apply(t, leaves)

    @property
    def njit(self) -> Any:
        """This function for numba: callable from @njit code, in prange too. Takes the arguments' leaves one by one, as arrays or
        (where they have no dimensions) numbers; gives new arrays and numbers, a tuple if there are several. See docs/numba.md.

        Raises NotImplementedError if a step of the program is a host call, TypeError if the function closes over tracers.
        """
        return numba_bridge.njit_function(self.traced)

    def cfunc(self, signature: str | None = None) -> Any:
        """This function as a C function pointer: `.address`, `.ctypes` (for scipy.LowLevelCallable), `.signature`.

        signature: "double (double, ...)" (the default for float64 numbers), "double (int, double *)", or pointers to
        each input and output, "void (double *, ...)" (the default for arrays).

        Raises NotImplementedError and TypeError as `njit`, ValueError for a signature that the program does not fit.
        """
        return numba_bridge.c_function(self.traced, signature)


def _struct(t: ArrayType) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(t.shape, t.dtype, t.weak)


def _apply(
    traced: Traced,
    leaves: Sequence[Any],
    inline: bool = False,
    donated: frozenset[int] = frozenset(),
    tiered: bool | None = None,
) -> Any:
    if (donated or tiered is not None) and not any(type(v) is Tracer for v in (*traced.captured, *leaves)):
        outs: Sequence[Any] = execute.execute(traced.program, *leaves, donated=donated, in_tiers=tiered)
    elif inline:
        outs = run(traced.program, *traced.captured, *leaves)
    else:
        outs = call(*traced.captured, *leaves, program=traced.program, name=traced.name)
    return tree.unflatten(traced.out_tree, [wrap(o) for o in outs])


def leaf_type(leaf: Any) -> ArrayType:
    """The type of an array, number, tracer, or anything with `shape` and `dtype`."""
    if isinstance(leaf, ShapeDtypeStruct):
        return array_type(leaf.shape, leaf.dtype, leaf.weak_type)
    return type_of(leaf)


def trace_fun(fun: Fun, in_tree: tree.PyTreeDef, types: Sequence[ArrayType], name: str) -> Traced:
    """Traces `fun(*args, **kwargs)` where (args, kwargs) has the given structure and leaf types."""
    out: list[tree.PyTreeDef] = []

    def flat(*leaves: Any) -> list[Any]:
        args, kwargs = tree.unflatten(in_tree, leaves)
        outs, out_tree = flatten_arrays(fun(*args, **kwargs), f"output of {name}")
        out[:] = [out_tree]
        return outs

    program, captured = trace_program(flat, types, name)
    return Traced(program, in_tree, out[0], tuple(captured), name)


@dataclass(frozen=True, slots=True, eq=False)
class _Warm:
    """The warm call of a jitted function. The trees are None where they say nothing: every argument an array, one array back."""

    call: Callable[[tuple[Any, ...]], tuple[Any, ...] | None]
    in_tree: tree.PyTreeDef | None
    out_tree: tree.PyTreeDef | None

    def leaves(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The leaves of the arguments; none at all, which no Program with trees takes, if their structure is another."""
        leaves, in_tree = tree.flatten(args)
        return tuple(leaves) if in_tree == self.in_tree else ()


def _warm(traced: Traced, donated: frozenset[int]) -> _Warm | None:
    """The warm call for a Program that was just run; None if it needs the long way (host calls, no arguments)."""
    compiled = execute.compiled(traced.program)
    call = compiled.warm(donated) if compiled is not None and traced.program.inputs else None
    if call is None:
        return None
    leaf = tree.structure(0)
    args_tree = traced.in_tree.children()[0]
    flat = all(child == leaf for child in args_tree.children())
    return _Warm(call, None if flat else args_tree, None if traced.out_tree == leaf else traced.out_tree)


class Jitted:
    """What `jit` returns: calls the Program of the arguments' types, tracing it the first time."""

    def __init__(self, fun: Fun, static: tuple[int, ...], static_names: frozenset[str], inline: bool,
                 donate: tuple[int, ...] = (), donate_names: frozenset[str] = frozenset(),
                 tiered: bool | None = None):  # fmt: skip
        functools.update_wrapper(self, fun)
        self._fun, self._static, self._static_names, self._inline = fun, static, static_names, inline
        self._donate, self._donate_names, self._tiered = donate, donate_names, tiered
        self._name = function_name(fun)
        self._cache: dict[Any, Traced] = {}
        self._warm: _Warm | None = None
        _all_jitted.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        warm = self._warm
        if warm is not None and not _switches and not execute.nan_checks and not kwargs:
            # The last Program again, if the arguments are plain arrays of just its types: the native side looks.
            outs = warm.call(args if warm.in_tree is None else warm.leaves(args))
            if outs is not None:
                return outs[0] if warm.out_tree is None else tree.unflatten(warm.out_tree, outs)
        if _jit_disabled():
            return self._fun(*args, **kwargs)
        traced, leaves = self._find(args, kwargs)
        donated = self._donated(traced, len(args))
        outs = _apply(traced, leaves, self._inline, donated, self._tiered)
        if not kwargs and not self._static and not self._static_names and not traced.captured and not self._inline:
            self._warm = _warm(traced, donated)
        return outs

    def _donated(self, traced: Traced, count: int) -> frozenset[int]:
        """The numbers of the leaves that belong to donated arguments."""
        if not self._donate and not self._donate_names:
            return frozenset()
        args_tree, kwargs_tree = traced.in_tree.children()
        moving = [n for n in range(count) if n not in self._static]
        given = [n in self._donate for n in moving] + [k in self._donate_names for k in kwargs_tree.node_data()[1]]  # type: ignore[index]
        flags = [
            g
            for g, t in zip(given, [*args_tree.children(), *kwargs_tree.children()], strict=True)
            for _ in range(t.num_leaves)
        ]
        return frozenset(i for i, flag in enumerate(flags) if flag)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<jit of {self._name}>"

    def _split(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, Any, Fun]:
        """(static part for the cache key, (args, kwargs) that are traced, the function of these)."""
        chosen = {n for n in self._static if n < len(args)}
        names = self._static_names & kwargs.keys()
        if not chosen and not names:
            return None, (tuple(args), kwargs), self._fun
        fixed = {n: args[n] for n in chosen}
        fixed_names = {k: kwargs[k] for k in names}
        for n, value in fixed.items():
            _check_hashable(value, f"jit of {self._name}", argument_name(self._fun, n))
        for key, value in fixed_names.items():
            _check_hashable(value, f"jit of {self._name}", repr(key))
        moving = tuple(a for n, a in enumerate(args) if n not in chosen)

        def with_statics(*rest: Any, **named: Any) -> Any:
            supply = iter(rest)
            full = [fixed[n] if n in fixed else next(supply) for n in range(len(args))]
            return self._fun(*full, **named, **fixed_names)

        static_key = (tuple(sorted(fixed.items())), tuple(sorted(fixed_names.items(), key=lambda kv: kv[0])))
        rest_kwargs = {k: v for k, v in kwargs.items() if k not in names}
        return static_key, (moving, rest_kwargs), with_statics

    def _find(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Traced, list[Any]]:
        static_key, moving, fun = self._split(args, kwargs)
        leaves, in_tree = tree.flatten(moving)
        leaves, types = self._checked(leaves, moving)
        key = (static_key, in_tree, types)
        traced = self._cache.get(key)
        # A Program that closed over tracers serves as long as their traces run.
        if traced is None or not all(t.owner.open for t in traced.captured):
            traced = self._cache[key] = trace_fun(fun, in_tree, types, self._name)
        return traced, leaves

    def _checked(self, leaves: Sequence[Any], moving: Any) -> tuple[list[Any], tuple[ArrayType, ...]]:
        plain = [leaf.view(np.ndarray) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        try:
            return plain, tuple([leaf_type(leaf) for leaf in plain])
        except TypeError:
            try:
                flatten_arrays(moving, "")
            except TypeError as error:
                raise TypeError(
                    f"jit of {self._name}: argument {error} Arguments of other kinds must be marked static "
                    "(static_argnums or static_argnames)."
                ) from None
            raise

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """The traced function for these arguments (arrays or ShapeDtypeStructs)."""
        return self._find(args, kwargs)[0]

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """As `trace(...).lower()`."""
        return self.trace(*args, **kwargs).lower()

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The output's tree of ShapeDtypeStruct for these arguments."""
        return self.trace(*args, **kwargs).out_info

    def clear_cache(self) -> None:
        """Forgets the traced Programs."""
        self._warm = None
        self._cache.clear()

    def _cache_size(self) -> int:
        return len(self._cache)


def _check_hashable(value: Any, what: str, which: str) -> None:
    try:
        hash(value)
    except TypeError:
        raise ValueError(
            f"{what}: static argument {which} is {value!r} of type {type(value).__name__}, which is not hashable; a static "
            "argument is part of the cache's key. Pass a tuple instead of a list, or do not mark it static."
        ) from None
    if type(value) is Tracer:
        raise ValueError(f"{what}: static argument {which} is a traced value; only Python values can be static.")


def _positions(fun: Fun, nums: Any, names: Any, what: str) -> tuple[tuple[int, ...], frozenset[str]]:
    """Positions and names of static (or donated) arguments, each completed from the other by the signature."""
    listed = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters) or not parameters
    known = {p.name for p in parameters}
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"jit: {what}_argnames must hold strings, got {name!r}.")
        if name not in known and not open_ended:
            raise ValueError(
                f"jit: {what}_argnames names {name!r}, but {function_name(fun)} has parameters {sorted(known)}."
            )
    count = 10**6 if open_ended else len(positional)
    given = () if nums is None else nums
    if not open_ended or not isinstance(given, (int, tuple, list)) or isinstance(given, bool):
        positions = normalize_argnums(given, count, f"jit: {what}")
    else:
        positions = (given,) if isinstance(given, int) else tuple(given)
    named = {positional.index(n) for n in listed if n in positional}
    numbered = {positional[n] for n in positions if 0 <= n < len(positional)}
    return tuple(sorted({*positions, *named})), frozenset({*listed, *numbered})


def jit(fun: Fun | None = None, *, static_argnums: int | Sequence[int] | None = None,
        static_argnames: str | Sequence[str] | None = None, donate_argnums: int | Sequence[int] | None = None,
        donate_argnames: str | Sequence[str] | None = None, inline: bool = False, tiered: bool | None = None) -> Any:  # fmt: skip
    """`fun` as a Program, traced once for each combination of argument types and static values.

    Args:
        fun: a function of arrays or pytrees of arrays.
        static_argnums, static_argnames: arguments that are Python values, part of the cache's key; must be hashable.
        donate_argnums, donate_argnames: arguments that the caller will not use again: their memory may serve for the
            outputs, and what is in them after the call is undefined.
        tiered: whether the first calls are answered at once by NumPy, while another process compiles into the disk cache;
            None: as `set_tiered` says, by default no.
        inline: whether a call inside another trace becomes its equations instead of one `call` equation.

    Returns a callable with `.trace`, `.lower`, `.eval_shape` and `.clear_cache`. Works as a decorator with or without
    arguments. Raises TypeError for arguments that are not arrays, ValueError for unhashable static ones.
    """
    if fun is None:
        return functools.partial(
            jit, static_argnums=static_argnums, static_argnames=static_argnames, donate_argnums=donate_argnums,
            donate_argnames=donate_argnames, inline=inline, tiered=tiered,
        )  # fmt: skip
    if not callable(fun):
        raise TypeError(f"jit needs a function, got {fun!r}.")
    static, static_names = _positions(fun, static_argnums, static_argnames, "static")
    donate, donate_names = _positions(fun, donate_argnums, donate_argnames, "donate")
    return Jitted(fun, static, static_names, inline, donate, donate_names, tiered)


def eval_shape(fun: Fun, *args: Any, **kwargs: Any) -> Any:
    """The output of `fun` as a tree of ShapeDtypeStruct, computed from types alone."""
    return _trace_once(fun, args, kwargs).out_info


def make_expr(fun: Fun, static_argnums: int | Sequence[int] = (), return_shape: bool = False) -> Fun:
    """A function of the same arguments that returns the printable Program of `fun` (also named `make_jaxpr`).

    With `return_shape` it returns `(program, output tree of ShapeDtypeStruct)`.
    """

    @functools.wraps(fun)
    def expr_of(*args: Any, **kwargs: Any) -> Any:
        fixed = dict.fromkeys(normalize_argnums(static_argnums, len(args), f"make_expr of {function_name(fun)}"))
        moving = [a for n, a in enumerate(args) if n not in fixed]

        @functools.wraps(fun)
        def rest(*values: Any, **named: Any) -> Any:
            supply = iter(values)
            return fun(*[a if n in fixed else next(supply) for n, a in enumerate(args)], **named)

        traced = _trace_once(rest, moving, kwargs)
        return (traced.program, traced.out_info) if return_shape else traced.program

    return expr_of


def _trace_once(fun: Fun, args: Sequence[Any], kwargs: dict[str, Any]) -> Traced:
    name = function_name(fun)
    leaves, in_tree = tree.flatten((tuple(args), kwargs))
    return trace_fun(fun, in_tree, [leaf_type(leaf) for leaf in leaves], name)
