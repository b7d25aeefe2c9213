"""Line searches: the last part of a chain, which scales a direction of descent so that the function falls enough.

Searches are `while_loop`s, so they work under jit and vmap, and evaluate the function no more often than they need to.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import lax, tree
from funcgrad.api.derivatives import value_and_grad
from funcgrad.core.tracing import dtype_of
from funcgrad.flatten_util import ravel_pytree
from funcgrad.optim import checks
from funcgrad.optim.base import GradientTransformationExtraArgs, cast_like, count_zero, zeros_like_tree


class LinesearchState(NamedTuple):
    """What the last search found."""

    learning_rate: Any
    """The factor by which the direction was scaled; 0 if no step was found that lowers the function."""
    value: Any
    """The function after the step; infinity before the first search."""
    grad: Any
    """The gradient there, a tree like the parameters; None if the search knows none."""
    evaluations: Any
    """How often the search evaluated the function, a 0-d int array."""
    success: Any
    """Whether the conditions of the search were met, a 0-d boolean array."""


class Line:
    """A function along a line: phi(t) = f(params + t * direction)."""

    def __init__(self, where: str, updates: Any, params: Any, given: dict[str, Any]):
        checks.needs_params(where, params)
        missing = [name for name in ("value", "grad", "value_fn") if given.get(name) is None]
        if missing:
            raise ValueError(
                f"{where} needs {', '.join(missing)}; write update(updates, state, params, value=value, grad=grad, "
                "value_fn=f), with value and grad those of f at params."
            )
        self.start, self._unravel = ravel_pytree(params)
        self.kind = dtype_of(self.start)
        if self.kind.kind != "f":
            raise TypeError(
                f"{where} is for real floating parameters, got {self.kind}; give it real and imaginary parts."
            )
        self.direction = ravel_pytree(updates)[0]
        self.grad = ravel_pytree(given["grad"])[0]
        self.value = fnp.asarray(given["value"]).astype(self.kind)
        self.slope = fnp.vdot(self.direction, self.grad)
        self._fun, self._keywords = given["value_fn"], _known(given["value_fn"], given)

    def at(self, t: Any) -> Any:
        return self._unravel(self.start + t * self.direction)

    def value_at(self, t: Any) -> Any:
        return fnp.asarray(self._fun(self.at(t), **self._keywords)).astype(self.kind)

    def value_and_grad_at(self, t: Any) -> tuple[Any, Any]:
        value, grad = value_and_grad(self._fun)(self.at(t), **self._keywords)
        return value.astype(self.kind), ravel_pytree(grad)[0]

    def tree_of(self, vector: Any) -> Any:
        return self._unravel(vector)

    def number(self, value: float) -> Any:
        return fnp.asarray(value, dtype=self.kind)


def _known(fun: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Those of the keyword arguments of `update` that the function names: others are for other parts of the chain."""
    extra = {k: v for k, v in extra.items() if k not in ("value", "grad", "value_fn")}
    if not extra:
        return extra
    own = inspect.signature(fun).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in own):
        return extra
    return {k: v for k, v in extra.items() if k in {p.name for p in own if p.kind is not p.POSITIONAL_ONLY}}


def start_search(params: Any, with_grad: bool) -> LinesearchState:
    """The state before the first search."""
    kind = dtype_of(ravel_pytree(params)[0])
    grad = zeros_like_tree(params) if with_grad else None
    return LinesearchState(fnp.ones((), dtype=kind), fnp.full((), fnp.inf, dtype=kind), grad, count_zero(),
                           fnp.zeros((), dtype=bool))  # fmt: skip


class Point(NamedTuple):
    """A step along the line, the function there, and its slope along the line."""

    t: Any
    value: Any
    slope: Any


class _Zoom(NamedTuple):
    """`low` is the best step yet, at which `grad` is; a good one lies between it and `high`, whose t may be infinite."""

    next: Any
    low: Point
    high: Point
    grad: Any
    evaluations: Any
    done: Any
    success: Any


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Any = None,
    increase_factor: Any = 2.0,
    slope_rtol: Any = 1e-4,
    curv_rtol: Any = 0.9,
    approx_dec_rtol: Any = 1e-6,
    initial_guess_strategy: str = "keep",
) -> GradientTransformationExtraArgs:
    """Scales updates by a step that meets the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6).

    max_linesearch_steps: evaluations at most; the best step is taken if none of them meets the conditions.
    max_learning_rate: the longest step (None: any). increase_factor: how steps grow until one goes too far; after that the next
    is the minimum of a cubic. slope_rtol, curv_rtol: the conditions' constants, c1 and c2. approx_dec_rtol: a decrease lost in
    rounding, of this times |value|, is judged by slopes (Hager and Zhang 2005); None for never.
    initial_guess_strategy: begin at "one" or "keep" the last step. `update` needs params, value=, grad=, value_fn=, and passes on
    the keyword arguments that value_fn names. Raises ValueError for numbers out of their range.
    """
    where = "scale_by_zoom_linesearch"
    checks.whole(where, 1, max_linesearch_steps=max_linesearch_steps)
    checks.positive(where, increase_factor=increase_factor, slope_rtol=slope_rtol, curv_rtol=curv_rtol)
    if not increase_factor > 1:
        raise ValueError(f"{where}: increase_factor must be above 1, got {increase_factor}.")
    if not slope_rtol < curv_rtol < 1:
        raise ValueError(f"{where}: needs slope_rtol < curv_rtol < 1, got {slope_rtol} and {curv_rtol}.")
    if max_learning_rate is not None:
        checks.positive(where, max_learning_rate=max_learning_rate)
    if initial_guess_strategy not in ("one", "keep"):
        raise ValueError(f'{where}: initial_guess_strategy must be "one" or "keep", got {initial_guess_strategy!r}.')
    longest = math.inf if max_learning_rate is None else max_learning_rate
    slack = -1.0 if approx_dec_rtol is None else approx_dec_rtol

    def update(updates: Any, state: LinesearchState, params: Any = None, **extra: Any) -> tuple[Any, LinesearchState]:
        line = Line(where, updates, params, extra)
        origin = Point(line.number(0.0), line.value, line.slope)
        guess = fnp.where(state.learning_rate > 0, state.learning_rate, 1.0)
        first = line.number(1.0) if initial_guess_strategy == "one" else guess
        uphill = ~(line.slope < 0)
        begin = _Zoom(fnp.minimum(first, longest).astype(line.kind), origin,
                      Point(line.number(math.inf), line.value, line.slope), line.grad, count_zero(), uphill,
                      fnp.zeros((), dtype=bool))  # fmt: skip

        def step(zoom: _Zoom) -> _Zoom:
            value, grad = line.value_and_grad_at(zoom.next)
            point = Point(zoom.next, value, fnp.vdot(line.direction, grad))
            return _narrowed(zoom, point, grad, origin, (slope_rtol, curv_rtol, slack, increase_factor, longest))

        end = lax.while_loop(lambda z: ~z.done & (z.evaluations < max_linesearch_steps), step, begin)
        found = LinesearchState(end.low.t, end.low.value, line.tree_of(end.grad), end.evaluations, end.success)
        return tree.map(lambda u: cast_like(end.low.t, u) * u, updates), found

    return GradientTransformationExtraArgs(lambda params: start_search(params, True), update)


def _narrowed(zoom: _Zoom, point: Point, grad: Any, origin: Point, constants: tuple[Any, ...]) -> _Zoom:
    """The search after one more evaluation. Until a step went too far, `high` is at infinity, and the same rules hold."""
    c1, c2, slack, increase, longest = constants
    low, high = zoom.low, zoom.high
    decrease = point.value <= origin.value + c1 * point.t * origin.slope
    rounding = (point.value <= origin.value + slack * fnp.abs(origin.value)) & (slack > 0)
    near = rounding & (point.slope <= (2 * c1 - 1) * origin.slope)
    fits = (decrease & (point.value < low.value)) | near  # comparisons, so that nan does not fit
    flat = fnp.abs(point.slope) <= -c2 * origin.slope
    forward = high.t >= low.t
    past = fits & ~flat & fnp.where(forward, point.slope >= 0, point.slope <= 0)

    def choose(pred: Any, a: Any, b: Any) -> Any:
        return tree.map(lambda x, y: fnp.where(pred, x, y), a, b)

    high = choose(~fits, point, choose(past, low, high))
    at_longest = fits & (point.t >= longest) & fnp.isinf(high.t)
    low = choose(fits, point, low)
    onward = fnp.minimum(point.t * increase, longest)
    following = fnp.where(fnp.isinf(high.t), onward, _cubic_minimum(low, high)).astype(point.t.dtype)
    return _Zoom(following, low, high, choose(fits, grad, zoom.grad), zoom.evaluations + 1,
                 (fits & flat) | at_longest, fits & flat)  # fmt: skip


def _cubic_minimum(a: Point, b: Point) -> Any:
    """The minimum of the cubic through two points, held off the ends; the middle where there is none or a value is not finite."""
    bounded = fnp.isfinite(b.t) & fnp.isfinite(b.value) & fnp.isfinite(b.slope)
    t, value, slope = (fnp.where(bounded, x, y) for x, y in ((b.t, a.t + 1), (b.value, a.value), (b.slope, -a.slope)))
    width = t - a.t
    bend = a.slope + slope - 3 * (value - a.value) / width
    inside = bend * bend - a.slope * slope
    root = fnp.sqrt(fnp.maximum(inside, 0)) * fnp.sign(width)
    below = slope - a.slope + 2 * root
    share = 1 - (slope + root - bend) / fnp.where(below == 0, 1, below)
    usable = bounded & (inside >= 0) & (below != 0) & fnp.isfinite(share)
    share = fnp.where(usable, fnp.clip(share, 0.1, 0.9), 0.5)
    return a.t + share * fnp.where(fnp.isfinite(b.t), b.t - a.t, 0)


class _Backtrack(NamedTuple):
    t: Any
    value: Any
    evaluations: Any
    success: Any


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: Any = 1e-4,
    decrease_factor: Any = 0.8,
    increase_factor: Any = 1.5,
    max_learning_rate: Any = 1.0,
    atol: Any = 0.0,
    rtol: Any = 0.0,
    store_grad: bool = False,
) -> GradientTransformationExtraArgs:
    """Scales updates u by a step t with f(params + t u) <= (1 + rtol) f(params) + t slope_rtol <u, grad> + atol (Armijo 1966).

    The first try is the last step times increase_factor, at most max_learning_rate; each further one is decrease_factor times
    the one before, max_backtracking_steps times at most; if none will do, no step is made. store_grad: keep the gradient after
    the step for `value_and_grad_from_state`, one more evaluation. `update` takes what that of `scale_by_zoom_linesearch` does.
    Raises ValueError for numbers out of their range.
    """
    where = "scale_by_backtracking_linesearch"
    checks.whole(where, 1, max_backtracking_steps=max_backtracking_steps)
    checks.positive(where, decrease_factor=decrease_factor, max_learning_rate=max_learning_rate)
    if increase_factor != math.inf:  # which begins at max_learning_rate each time
        checks.positive(where, increase_factor=increase_factor)
    checks.nonnegative(where, slope_rtol=slope_rtol, atol=atol, rtol=rtol)
    if not decrease_factor < 1:
        raise ValueError(f"{where}: decrease_factor must be below 1, got {decrease_factor}.")

    def update(updates: Any, state: LinesearchState, params: Any = None, **extra: Any) -> tuple[Any, LinesearchState]:
        line = Line(where, updates, params, extra)
        last = fnp.where(state.learning_rate > 0, state.learning_rate, max_learning_rate)
        first = fnp.minimum(last * increase_factor, max_learning_rate).astype(line.kind)

        def tried(t: Any, evaluations: Any) -> _Backtrack:
            value = line.value_at(t)
            wanted = (1 + rtol) * line.value + slope_rtol * t * line.slope + atol
            return _Backtrack(t, value, evaluations + 1, value <= wanted)

        def shorter(b: _Backtrack) -> _Backtrack:
            return tried((b.t * decrease_factor).astype(line.kind), b.evaluations)

        end = lax.while_loop(
            lambda b: ~b.success & (b.evaluations <= max_backtracking_steps), shorter, tried(first, count_zero())
        )
        t, value = fnp.where(end.success, end.t, 0).astype(line.kind), fnp.where(end.success, end.value, line.value)
        grad = line.tree_of(line.value_and_grad_at(t)[1]) if store_grad else None
        new = tree.map(lambda u: cast_like(t, u) * u, updates)
        return new, LinesearchState(t, value, grad, end.evaluations, end.success)

    return GradientTransformationExtraArgs(lambda params: start_search(params, store_grad), update)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """As value_and_grad, of a function called with the keyword `state` as well: what its line search knows is not computed again.

    The state is that of an optimiser whose line search came last. Raises ValueError for a state that holds no line search, or one
    that keeps no gradient.
    """

    def value_and_gradient(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        parts = tree.leaves(state, is_leaf=lambda node: isinstance(node, LinesearchState))
        found = [part for part in parts if isinstance(part, LinesearchState)]
        if len(found) != 1 or found[0].grad is None:
            have = "one that keeps no gradient (store_grad=True)" if len(found) == 1 else f"{len(found)} of them"
            raise ValueError(
                f"value_and_grad_from_state needs a state with a line search and its gradient, got {have}."
            )
        value, grad = found[0].value, found[0].grad

        def compute() -> tuple[Any, Any]:
            new, gradient = value_and_grad(value_fn)(params, *args, **kwargs)
            return new.astype(dtype_of(value)), gradient

        return lax.cond(fnp.isfinite(value), lambda: (value, grad), compute)

    return value_and_gradient
