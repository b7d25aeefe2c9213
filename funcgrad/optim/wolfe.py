"""torch's line search for the strong Wolfe conditions, one evaluation at a time, so that a loop of either kind can drive it.

`begin_wolfe` and `advance_wolfe` are pure: inside `scale_by_wolfe_linesearch` a `while_loop` calls them, for the imperative
room's LBFGS a Python loop around the user's closure. `scale_by_zoom_linesearch` is the one for other uses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import lax, tree
from funcgrad.optim import checks
from funcgrad.optim.base import GradientTransformationExtraArgs, cast_like, count_zero
from funcgrad.optim.line_search import Line, LinesearchState, Point, start_search


class WolfeSearch(NamedTuple):
    """A search under way: evaluate the function at `next`, unless it is `done`.

    Then `low` is the step that was found, and `grad` the gradient there.
    """

    next: Any
    done: Any
    low: Point
    """The last step while steps still grow; the better end of the bracket afterwards."""
    grad: Any
    high: Point
    """The other end of the bracket."""
    low_first: Any
    """Whether `low` stands in the first place of the bracket: of two equal values the first place wins."""
    zooming: Any
    hesitant: Any
    """Whether the step before came too near an end of the bracket."""
    rounds: Any
    evaluations: Any


class Conditions(NamedTuple):
    """What a search is held to: where it started (with its gradient) and its constants."""

    origin: Point
    grad: Any
    size: Any
    """The largest entry of the direction."""
    c1: Any = 1e-4
    c2: Any = 0.9
    tolerance_change: Any = 1e-9
    max_rounds: Any = 25


def begin_wolfe(rules: Conditions, first: Any) -> WolfeSearch:
    """The search before its first evaluation, at the step `first`."""
    no, zero = fnp.zeros((), dtype=bool), count_zero()
    return WolfeSearch(first, no, rules.origin, rules.grad, rules.origin, ~no, no, no, zero, zero)


def advance_wolfe(rules: Conditions, search: WolfeSearch, value: Any, slope: Any, grad: Any) -> WolfeSearch:
    """The search after one more evaluation, of value, slope and gradient at `search.next`.

    Steps grow until one is too long (Nocedal and Wright 2006, algorithm 3.5); then the bracket is narrowed (3.6).
    """
    point = Point(search.next, value, slope)
    grown, narrowed = _grow(rules, search, point, grad), _narrow(rules, search, point, grad)
    now = _choose(search.zooming, narrowed, grown)
    now = now._replace(evaluations=search.evaluations + 1)
    inside, hesitant = _inside(now)
    width = fnp.abs(now.high.t - now.low.t) * rules.size
    ended = now.zooming & ((now.rounds >= rules.max_rounds) | (width < rules.tolerance_change))
    following = fnp.where(now.zooming, inside, now.next).astype(point.t.dtype)
    rounds = now.rounds + fnp.where(now.zooming, 1, 0).astype("int32")
    return now._replace(next=following, hesitant=hesitant & now.zooming, done=now.done | ended, rounds=rounds)


def _choose(pred: Any, a: Any, b: Any) -> Any:
    return tree.map(lambda x, y: fnp.where(pred, x, y), a, b)


def _enough(rules: Conditions, point: Point) -> Any:
    return point.value <= rules.origin.value + rules.c1 * point.t * rules.origin.slope


def _flat(rules: Conditions, point: Point) -> Any:
    return fnp.abs(point.slope) <= -rules.c2 * rules.origin.slope


def _grow(rules: Conditions, search: WolfeSearch, point: Point, grad: Any) -> WolfeSearch:
    """While no bracket is known: the point is good, or closes a bracket with the one before, or a longer step follows."""
    last = search.low
    out = search.rounds >= rules.max_rounds
    high = ~_enough(rules, point) | ((search.rounds > 1) & (point.value >= last.value))
    good = ~out & ~high & _flat(rules, point)
    closed = out | high | (~good & (point.slope >= 0))
    other, other_grad = _choose(out, (rules.origin, rules.grad), (last, search.grad))
    stays = closed & (other.value <= point.value)
    low, low_grad = _choose(stays, (other, other_grad), (point, grad))
    far = _cubic(last, point, point.t + 0.01 * (point.t - last.t), 10 * point.t)
    rounds = search.rounds + fnp.where(good | closed, 0, 1).astype("int32")
    return search._replace(next=far.astype(point.t.dtype), done=good, low=low, grad=low_grad,
                           high=_choose(stays, point, other), low_first=stays, zooming=closed, rounds=rounds)  # fmt: skip


def _narrow(rules: Conditions, search: WolfeSearch, point: Point, grad: Any) -> WolfeSearch:
    """In a bracket: the point becomes one of its ends."""
    low, high, first = search.low, search.high, search.low_first
    worse = ~_enough(rules, point) | (point.value >= low.value)
    good = ~worse & _flat(rules, point)
    turned = ~worse & ~good & (point.slope * (high.t - low.t) >= 0)
    # A worse point replaces the far end, which may be the better end all the same.
    wins = fnp.where(first, point.value < low.value, point.value <= low.value)
    swapped = worse & wins
    new_low, new_grad = _choose(worse & ~wins, (low, search.grad), (point, grad))
    new_high = _choose(swapped | turned, low, _choose(worse, point, high))
    return search._replace(done=good, low=new_low, grad=new_grad, high=new_high, low_first=first ^ swapped)


def _inside(search: WolfeSearch) -> tuple[Any, Any]:
    """The next step within the bracket, and whether it came too near an end, which is borne once."""
    a, b = search.low, search.high
    least, most = fnp.minimum(a.t, b.t), fnp.maximum(a.t, b.t)
    t = _cubic(a, b, least, most)
    margin = 0.1 * (most - least)
    near = fnp.minimum(most - t, t - least) < margin
    held = near & (search.hesitant | (t >= most) | (t <= least))
    moved = fnp.where(fnp.abs(t - most) < fnp.abs(t - least), most - margin, least + margin)
    return fnp.where(held, moved, t), near & ~held


def _cubic(a: Point, b: Point, least: Any, most: Any) -> Any:
    """The minimum of the cubic through two points with their slopes, held between bounds; their middle where there is none."""
    a, b = _choose(a.t <= b.t, (a, b), (b, a))
    bend = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    inside = bend * bend - a.slope * b.slope
    root = fnp.sqrt(fnp.maximum(inside, 0))
    t = b.t - (b.t - a.t) * ((b.slope + root - bend) / (b.slope - a.slope + 2 * root))
    return fnp.where(inside >= 0, fnp.minimum(fnp.maximum(t, least), most), (least + most) / 2)


def scale_by_wolfe_linesearch(max_linesearch_steps: int = 25, slope_rtol: Any = 1e-4, curv_rtol: Any = 0.9,
                              tolerance_change: Any = 1e-9) -> GradientTransformationExtraArgs:  # fmt: skip
    """Scales updates by a step that meets the strong Wolfe conditions, found as torch's LBFGS does.

    max_linesearch_steps: evaluations after the first. slope_rtol, curv_rtol: the conditions' c1 and c2. tolerance_change: the
    search ends where its bracket, as a change of the parameter that changes most, is narrower. `update` takes what that of
    `scale_by_zoom_linesearch` does. torch's LBFGS(lr, max_iter=1, max_eval=26, line_search_fn="strong_wolfe") is
    lbfgs(lr, 100, linesearch=scale_by_wolfe_linesearch(25), first_norm=1). Raises ValueError for numbers out of their range.
    """
    where = "scale_by_wolfe_linesearch"
    checks.whole(where, 1, max_linesearch_steps=max_linesearch_steps)
    checks.positive(where, slope_rtol=slope_rtol, curv_rtol=curv_rtol)
    checks.nonnegative(where, tolerance_change=tolerance_change)

    def update(updates: Any, state: LinesearchState, params: Any = None, **extra: Any) -> tuple[Any, LinesearchState]:
        line = Line(where, updates, params, extra)
        origin = Point(line.number(0.0), line.value, line.slope)
        size = fnp.max(fnp.abs(line.direction), initial=0.0)
        rules = Conditions(origin, line.grad, size, slope_rtol, curv_rtol, tolerance_change, max_linesearch_steps)

        def step(search: WolfeSearch) -> WolfeSearch:
            value, grad = line.value_and_grad_at(search.next)
            return advance_wolfe(rules, search, value, fnp.vdot(line.direction, grad), grad)

        begin = begin_wolfe(rules, line.number(1.0))
        end = lax.while_loop(lambda s: ~s.done, step, begin)
        t = end.low.t
        good = _enough(rules, end.low) & _flat(rules, end.low)
        found = LinesearchState(t, end.low.value, line.tree_of(end.grad), end.evaluations, good)
        return tree.map(lambda u: cast_like(t, u) * u, updates), found

    return GradientTransformationExtraArgs(lambda params: start_search(params, True), update)
