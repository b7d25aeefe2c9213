"""jit: a function traced once per types of its arguments, and run as one Program."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import argument_name, flatten_arrays, function_name
from funcgrad.api.imperative import ImperativeFound, doors, watching
from funcgrad.api.shape_dtype import leaf_type
from funcgrad.api.static_arguments import check_hashable, positions_of
from funcgrad.api.traced import Lowered, Traced, run_traced, trace_fun
from funcgrad.compile import execute
from funcgrad.core.types import ArrayType

Fun = Callable[..., Any]
_state = threading.local()
_switches: list[bool] = []
"""Not empty while any thread has jit disabled: then no call takes the shortest way."""
_all_jitted: weakref.WeakSet[Jitted] = weakref.WeakSet()


@contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Within this context (and thread) jitted functions run as plain Python, for debugging."""
    before = jit_disabled()
    _state.disabled = disable
    _switches.append(True)
    try:
        yield
    finally:
        _switches.pop()
        _state.disabled = before


def jit_disabled() -> bool:
    """Whether this thread runs jitted functions as plain Python."""
    return getattr(_state, "disabled", False)


def clear_caches() -> None:
    """Forgets every traced Program of every jitted function."""
    for jitted in list(_all_jitted):
        jitted.clear_cache()


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
        self._step: Fun | None = None
        """What runs the function if it uses Tensors."""
        _all_jitted.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        warm = self._warm
        if warm is not None and not _switches and not execute.nan_checks and not kwargs:
            # The last Program again, if the arguments are plain arrays of just its types: the native side looks.
            outs = warm.call(args if warm.in_tree is None else warm.leaves(args))
            if outs is not None:
                return outs[0] if warm.out_tree is None else tree.unflatten(warm.out_tree, outs)
        if jit_disabled():
            return self._fun(*args, **kwargs)
        if self._step is not None:
            return self._step(*args, **kwargs)
        if doors and doors[0].holds((args, kwargs)):
            return self._imperative(args, kwargs)
        try:
            with watching():
                traced, leaves = self._find(args, kwargs)
        except ImperativeFound:
            return self._imperative(args, kwargs)
        donated = self._donated(traced, len(args))
        outs = run_traced(traced, leaves, self._inline, donated, self._tiered)
        if not kwargs and not self._static and not self._static_names and not traced.captured and not self._inline:
            self._warm = _warm(traced, donated)
        return outs

    def _imperative(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The first call of a function that uses Tensors."""
        self._step = doors[0].compile(self._fun)
        return self._step(*args, **kwargs)

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
            check_hashable(value, f"jit of {self._name}", argument_name(self._fun, n))
        for key, value in fixed_names.items():
            check_hashable(value, f"jit of {self._name}", repr(key))
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
    static, static_names = positions_of(fun, static_argnums, static_argnames, "static")
    donate, donate_names = positions_of(fun, donate_argnums, donate_argnames, "donate")
    return Jitted(fun, static, static_names, inline, donate, donate_names, tiered)
