"""`progress`: a bar for a loop, compiled or not. The loop is cut into about a hundred parts; Python runs between them only."""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.api.control import fori_loop, scan, while_loop
from funcgrad.core.tracing import Tracer, shape_of, type_of
from funcgrad.core.types import array_type
from funcgrad.ops.basics import reshape
from funcgrad.ops.elementwise import maximum
from funcgrad.ops.shape import concatenate, slice_axis
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.transforms.callback import Once, emit, pure_callback

Fun = Callable[..., Any]
TOKEN = array_type((), np.dtype(np.int64))


class _Bars:
    """The bars that one wrapped loop shows: one for each run, known by its number."""

    def __init__(self, make: Callable[..., Any], options: dict[str, Any]):
        self.make, self.options = make, options
        self.numbers = itertools.count()
        self.open: dict[int, Any] = {}
        self.threads: dict[int, int] = {}

    def begin(self, total: Any, signal: Any) -> tuple[np.ndarray]:
        """Opens a bar; what a run of this thread left open (it was interrupted) is closed."""
        here = threading.get_ident()
        for number in [n for n, thread in self.threads.items() if thread == here]:
            self.close(number)
        number = next(self.numbers)
        self.start(number, int(np.max(total)))
        return (np.full(np.shape(signal), number, np.int64),)

    def start(self, number: int, total: int) -> Any:
        bar = self.open[number] = self.make(total=total, **self.options)
        self.threads[number] = threading.get_ident()
        return bar

    def move(self, token: Any, done: Any, total: Any, *signals: Any) -> None:
        """Moves a bar to so many steps, of a batch the most, and closes it at the last. Signals say that these are done."""
        number, steps, most = int(np.max(token)), int(np.max(done)), int(np.max(total))
        # A run whose beginning was traced once and for all opens its bar here.
        bar = self.open.get(number) or self.start(number, most)
        bar.update(steps - bar.n)
        if steps >= most:
            self.close(number)

    def close(self, number: int) -> None:
        self.threads.pop(number, None)
        bar = self.open.pop(number, None)
        if bar is not None:
            bar.close()


def progress(loop: Fun, desc: str | None = None, updates: int = 100, **options: Any) -> Fun:
    """A loop that shows a progress bar: `fg.progress(lax.scan)(f, init, xs)`, `fg.progress(lax.fori_loop, "run")(0, n, body, x)`.

    Args:
        loop: `lax.scan` or `lax.fori_loop`.
        desc: the words before the bar.
        updates: how often the bar moves at most. The loop runs in so many parts, each natively; Python is called between them.
        options: of `tqdm.auto.tqdm`, such as `leave=False`, `unit="epoch"`, `file=...`.

    Returns a function with the loop's arguments (checkpoint excepted) and results, for use as it is, under `jit` and every other
    transform; under a derivative the bar shows the forward run, under `vmap` the batch as one. Raises ImportError without tqdm
    (`pip install 'funcgrad[progress]'`), TypeError for another loop, ValueError for fewer than one update.
    """
    if loop is not scan and loop is not fori_loop:
        raise TypeError(
            f"progress takes lax.scan or lax.fori_loop, got {function_name(loop)}; write the loop as one of them."
        )
    if updates < 1:
        raise ValueError(f"progress: updates must be at least 1, got {updates}.")
    try:
        make = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        raise ImportError("progress needs tqdm, which is not installed; pip install 'funcgrad[progress]'.") from None
    bars = _Bars(make, {"desc": desc, **options})
    return _scan_with(bars, updates) if loop is scan else _fori_with(bars, updates)


def _signal(value: Any) -> list[Any]:
    """A number that is there when this tree of arrays is, as a constant to derivatives; nothing if the tree has no numbers."""
    for leaf in tree.leaves(value):
        kind = type_of(leaf)
        if kind.size:
            flat = reshape(leaf, shape=(kind.size,))
            return [stop_gradient_op(reshape(slice_axis(flat, 0, 1, 0), shape=()))]
    return []


def _begin(bars: _Bars, total: Any, start: Any) -> Any:
    """Opens a bar when the start of the loop is there; its number."""
    signals = _signal(start) or [0]
    (token,) = pure_callback(total, *signals, callback=bars.begin, outputs=(TOKEN,), vmap_method="broadcast_all")
    return token


def _scan_with(bars: _Bars, updates: int) -> Fun:
    def scan_with_progress(
        f: Fun, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1
    ) -> tuple[Any, Any]:
        leaves, x_tree = flatten_arrays(xs, "scan: xs")
        sizes = {shape_of(x)[0] if shape_of(x) else -1 for x in leaves} | ({length} if length is not None else set())
        total = sizes.pop() if len(sizes) == 1 else 0
        if total <= 0:
            return scan(f, init, xs, length, reverse)  # nothing to show, or an error to say
        size = -(-total // updates)
        count, left = divmod(total, size)
        cut = left if reverse else 0
        parts = [
            reshape(slice_axis(x, cut, cut + count * size, 0), shape=(count, size, *shape_of(x)[1:])) for x in leaves
        ]

        def part(state: Any, given: Any) -> Any:
            (token, done, carry), block = state, tree.unflatten(x_tree, given)
            carry, ys = scan(f, carry, block, size, reverse)
            emit(token, done + size, total, *_signal((carry, ys)), callback=Once(bars.move), ordered=True)
            return (token, done + size, carry), ys

        start = (_begin(bars, total, (init, xs)), np.int64(0), init)
        (token, done, carry), ys = scan(part, start, parts, count, reverse)
        ys = tree.map(lambda y: reshape(y, shape=(count * size, *shape_of(y)[2:])), ys)
        if not left:
            return carry, ys
        a, b = (0, left) if reverse else (count * size, total)
        rest = tree.unflatten(x_tree, [slice_axis(x, a, b, 0) for x in leaves])
        carry, ends = scan(f, carry, rest, left, reverse)
        emit(token, done + left, total, *_signal((carry, ends)), callback=Once(bars.move), ordered=True)
        return carry, tree.map(lambda y, e: concatenate(*((e, y) if reverse else (y, e)), axis=0), ys, ends)

    return scan_with_progress


def _fori_with(bars: _Bars, updates: int) -> Fun:
    def fori_with_progress(
        lower: Any, upper: Any, body_fun: Fun, init_val: Any, *, unroll: int | bool | None = None
    ) -> Any:
        if type(lower) is not Tracer and type(upper) is not Tracer:
            dtype = np.result_type(np.asarray(lower), np.asarray(upper))
            numbers = np.arange(lower, max(lower, upper), dtype=dtype)
            if not len(numbers):
                return fori_loop(lower, upper, body_fun, init_val)
            return _scan_with(bars, updates)(lambda c, i: (body_fun(i, c), None), init_val, numbers)[0]
        total = maximum(upper - lower, 0)
        size = (total + updates - 1) // updates

        def part(state: Any) -> Any:
            token, i, value = state
            stop = i + size
            value = fori_loop(i, np.minimum(stop, upper), body_fun, value)
            emit(token, np.minimum(stop, upper) - lower, total, *_signal(value), callback=Once(bars.move), ordered=True)
            return token, stop, value

        start = (_begin(bars, total, init_val), lower + 0 * total, init_val)
        return while_loop(lambda s: s[1] < upper, part, start)[2]

    return fori_with_progress
