"""Random programs under random compositions of transforms: funcgrad against JAX on the same inputs.

A case is Python text written once in terms of `(jax, jnp)`: a function of a few arrays made of 3-8 operations, then up to
three transforms around it. Validity is by construction: while a program is drawn it is also evaluated by NumPy at every
point where the transforms will evaluate it, and an operation is a candidate only if its guard holds there (its domain, and
no ties or kinks, where funcgrad has PyTorch's values and JAX others). A failure prints the text, ready to paste.

`FUNCGRAD_RANDOM_EXAMPLES=2000` searches further than the 150 examples of an ordinary run.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import funcgrad
import funcgrad.numpy

jax = pytest.importorskip("jax")
pytest.importorskip("jax.scipy.special")

EXAMPLES = int(os.environ.get("FUNCGRAD_RANDOM_EXAMPLES", "150"))
TOLERANCE = 1e-8  # of the largest entry: third derivatives lose a few digits to rounding in both libraries
SHAPES = [(), (1,), (3,), (2, 3), (3, 2), (3, 3), (2, 1), (1, 3), (2, 1, 3), (2, 2, 2)]
RANGES = [(-2.0, 2.0), (0.3, 2.5), (-0.85, 0.85)]
LARGEST_SIZE, LARGEST_VALUE = 24, 30.0
GAP = 0.02  # how far values stay from ties, kinks and the ends of domains
MAP_SCALE = 0.75  # `vmap` maps over an input and this multiple of it

Array = np.ndarray[Any, Any]
Point = list[Array]


def distinct(a: Array, axis: int | None = None) -> bool:
    """A guard: no two entries (along `axis`) are closer than `GAP`."""
    return bool(np.all(np.diff(np.sort(a, axis=axis), axis=axis or 0) > GAP)) if a.ndim else True


def between(low: float, high: float) -> Callable[..., bool]:
    """A guard: every entry of the first argument lies strictly between the two."""
    return lambda a, *_: bool(np.all((a > low) & (a < high)))


def away_from(*kinks: float) -> Callable[..., bool]:
    """A guard: no entry of the first argument is near one of `kinks`."""
    return lambda a, *_: all(bool(np.all(np.abs(a - k) > GAP)) for k in kinks)


def always(*_: Any) -> bool:
    """The guard of an operation that is smooth everywhere."""
    return True


def at_least(ndim: int) -> Callable[..., bool]:
    """A guard: the first argument has so many axes."""
    return lambda a, *_: a.ndim >= ndim


def apart(a: Array, b: Array) -> bool:
    """A guard: the broadcast arguments differ in every entry by more than `GAP`."""
    return bool(np.all(np.abs(a - b) > GAP))


def fits_row(a: Array, b: Array) -> bool:
    """A guard: the second argument broadcasts into a row of the first."""
    return a.ndim > b.ndim and all(n in (1, m) for n, m in zip(b.shape[::-1], a.shape[::-1], strict=False))


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: its text over `{a}`, `{b}` and `{axis}`, its guard, and NumPy's text where the name differs."""

    text: str
    guard: Callable[..., bool] = always
    by_numpy: str | None = None


SMOOTH = [Op(f"jnp.{name}({{a}})") for name in ("sin", "cos", "tanh", "arctan", "arcsinh", "square")] + [
    Op("-{a}"),
    Op("jax.nn.sigmoid({a})"),
    Op("jax.nn.softplus({a})"),
    Op("jax.nn.silu({a})"),
    Op("jax.scipy.special.erf({a})"),
    Op("jnp.log1p({a} ** 2)"),
    Op("jnp.sqrt(1.0 + {a} * {a})"),
    Op("1.0 / (1.5 + {a} ** 2)"),
    Op("jnp.sinc({a})", away_from(0.0)),
    Op("2 * {a} - 1.5"),
    Op("jax.lax.stop_gradient({a}) * 0.5 + {a}"),
]
GUARDED = [
    Op("jnp.exp({a})", between(-20.0, 3.0)),
    Op("jnp.expm1({a})", between(-20.0, 3.0)),
    Op("jnp.cosh({a})", between(-3.0, 3.0)),
    Op("jnp.tan({a})", between(-1.2, 1.2)),
    Op("jnp.log({a})", between(0.05, 1e9)),
    Op("jnp.sqrt({a})", between(0.05, 1e9)),
    Op("jnp.cbrt({a})", between(0.05, 1e9)),
    Op("{a} ** 1.7", between(0.05, 1e9)),
    Op("{a} ** -2", between(0.2, 1e9)),
    Op("jnp.arcsin({a})", between(-0.9, 0.9)),
    Op("jnp.arctanh({a})", between(-0.9, 0.9)),
    Op("jnp.reciprocal({a})", between(0.1, 1e9)),
    Op("jnp.abs({a})", away_from(0.0)),
    Op("jax.nn.relu({a})", away_from(0.0)),
    Op("jnp.sign({a}) * {a}", away_from(0.0)),
    Op("jnp.clip({a}, -0.8, 1.1)", away_from(-0.8, 1.1)),
    Op("jnp.where({a} > 0.3, jnp.sin({a}), 2.0 * {a})", away_from(0.3)),
    Op("jnp.floor(2.0 * {a}) + {a}", lambda a: bool(np.all(np.abs(2 * a - np.round(2 * a)) > GAP))),
    Op("jnp.max({a})", distinct),
    Op("jnp.linalg.norm({a}.ravel())", lambda a: bool(np.sum(a * a) > 0.05)),
]
SHAPING = [
    Op("{a}.T"),
    Op("{a}.reshape(-1)"),
    Op("{a}[None]"),
    Op("jnp.sum({a})"),
    Op("jnp.mean({a})"),
    Op("jnp.tile({a}, 2)"),
    Op("jnp.broadcast_to({a}, (2,) + {a}.shape)"),
    Op("{a}[0]", at_least(1)),
    Op("{a}[..., -1]", at_least(1)),
    Op("{a}[::-1]", at_least(1)),
    Op("{a}[..., 1:]", lambda a: a.ndim >= 1 and a.shape[-1] >= 2),
    Op("{a}[:, None]", at_least(1)),
    Op("{a}[jnp.array([0, -1, 0])]", at_least(1)),
    Op("jnp.take({a}, jnp.array([[0], [0]]), axis={axis})", at_least(1)),
    Op("jnp.pad({a}, 1)", at_least(1)),
    Op("jnp.repeat({a}, 2, axis={axis})", at_least(1)),
    Op("jnp.roll({a}, 1, axis={axis})", at_least(1)),
    Op("jnp.flip({a}, axis={axis})", at_least(1)),
    Op("jnp.expand_dims({a}, {axis})", at_least(1)),
    Op("jnp.moveaxis({a}, {axis}, 0)", at_least(1)),
    Op("jnp.tril({a})", at_least(2)),
    Op("jnp.trace({a})", lambda a: a.ndim == 2),
    Op("jnp.diag({a})", lambda a: a.ndim == 1),
    Op("jnp.diff({a}, axis={axis})", lambda a, axis: a.shape[axis] >= 2),
    Op("jnp.split({a}, {a}.shape[{axis}], axis={axis})[-1]", at_least(1)),
    Op("{a}.at[0].multiply(3.0)", at_least(1), "np_at({a}, 'multiply', 3.0)"),
]
ALONG_AXIS = [Op(f"jnp.{name}({{a}}, axis={{axis}})") for name in ("sum", "mean", "prod", "cumsum", "cumprod")] + [
    Op("jnp.sum({a}, axis={axis}, keepdims=True)"),
    Op("jnp.max({a}, axis={axis})", distinct),
    Op("jnp.min({a}, axis={axis}, keepdims=True)", distinct),
    Op("jnp.sort({a}, axis={axis})", distinct),
    Op("jnp.take_along_axis({a}, jnp.argsort({a}, axis={axis}), axis={axis})", distinct),
    Op("jnp.median({a}, axis={axis})", distinct),
    Op("jnp.var({a}, axis={axis})"),
    Op("jnp.std({a}, axis={axis})", lambda a, axis: bool(np.all(a.std(axis=axis) > 0.1))),
    Op("jax.nn.softmax({a}, axis={axis})"),
    Op("jax.nn.logsumexp({a}, axis={axis})"),
]
BINARY = [
    Op("{a} + {b}"),
    Op("{a} - {b}"),
    Op("{a} * {b}"),
    Op("{a} / (2.5 + jnp.sin({b}))"),
    Op("{b} / {a}", lambda a, b: bool(np.all(np.abs(a) > 0.2))),
    Op("jnp.logaddexp({a}, {b})"),
    Op("jnp.maximum({a}, {b})", apart),
    Op("jnp.minimum({a}, {b})", apart),
    Op("jnp.where({a} < {b}, {a} * {b}, jnp.cos({b}))", apart),
    Op("jnp.arctan2({a}, {b})", lambda a, b: bool(np.all(np.abs(a) > 0.1) & np.all(np.abs(b) > 0.1))),
    Op("jnp.hypot({a}, {b})", lambda a, b: bool(np.all(np.abs(a) > 0.1) & np.all(np.abs(b) > 0.1))),
    Op("{a} ** {b}", lambda a, b: bool(np.all((a > 0.1) & (a < 3)) and np.all(np.abs(b) < 3))),
    Op("{a} @ {b}", lambda a, b: min(a.ndim, b.ndim) >= 1),
    Op("jnp.dot({a}, {b})"),
    Op("jnp.outer({a}, {b})"),
    Op("jnp.vdot({a}, {b})"),
    Op("jnp.tensordot({a}, {b}, axes=1)", lambda a, b: min(a.ndim, b.ndim) >= 1),
    Op("jnp.einsum('...i,...i->...', {a}, {b})", lambda a, b: a.shape[-1:] == b.shape[-1:] != ()),
    Op("jnp.einsum('ij,kj->ki', {a}, {b})", lambda a, b: a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1]),
    Op("jnp.stack([{a}, {b}], axis={axis})"),
    Op("jnp.concatenate([{a}, {b}], axis={axis})"),
    Op("{a}.at[0].add({b})", fits_row, "np_at({a}, 'add', {b})"),
    Op("{a}.at[0].set({b})", fits_row, "np_at({a}, 'set', {b})"),
]
GROUPS = [SMOOTH, GUARDED, SHAPING, SHAPING, ALONG_AXIS, BINARY, BINARY]


def np_at(a: Array, verb: str, value: Any) -> Array:
    """NumPy's answer to `a.at[0].<verb>(value)`."""
    out = a.copy()
    out[0] = {"set": value, "add": a[0] + value, "multiply": a[0] * value}[verb]
    return out


NUMPY = {
    "jnp": np,
    "np_at": np_at,
    "jax": SimpleNamespace(
        nn=SimpleNamespace(
            sigmoid=scipy.special.expit,
            softplus=lambda a: np.logaddexp(a, 0.0),
            silu=lambda a: a * scipy.special.expit(a),
            relu=lambda a: np.maximum(a, 0.0),
            softmax=scipy.special.softmax,
            logsumexp=scipy.special.logsumexp,
        ),
        scipy=SimpleNamespace(special=scipy.special),
        lax=SimpleNamespace(stop_gradient=lambda a: a),
    ),
}


def evaluate(op: Op, axis: int | None, args: Point) -> Array | None:
    """The op's value by NumPy, or None where its guard, its shapes or the size limits say no."""
    names = dict(zip("ab", args, strict=False))
    text = (op.by_numpy or op.text).format(a="a", b="b", axis=axis)
    try:
        # Not every binary pair broadcasts; NumPy is asked rather than its rules repeated here.
        if not op.guard(*args, *([] if axis is None or "{b}" in op.text else [axis])):
            return None
        value = np.asarray(eval(text, NUMPY, names), dtype=np.float64)
    except (ValueError, IndexError):
        return None
    fits = value.size <= LARGEST_SIZE and value.ndim <= 4 and bool(np.all(np.abs(value) < LARGEST_VALUE))
    return value if fits else None


@dataclass(slots=True)
class Transform:
    """A transform by name, with the argument it differentiates or the axes it maps."""

    name: str
    argnum: int
    in_axes: tuple[int | None, ...]


@dataclass(slots=True)
class Case:
    """The text of a program and the inputs to call its `run` with."""

    source: str
    inputs: Point


PRELUDE = """\
def weights(y):
    return jnp.cos(jnp.arange(y.size, dtype=jnp.float64)).reshape(y.shape)

def tangents(xs):
    return tuple(jnp.cos(x + 1.0) for x in xs)
"""
BODIES = {
    "jit": "return jax.jit({f})(*xs)",
    "checkpoint": "return jax.checkpoint({f})(*xs)",
    "grad": "return jax.grad(lambda *xs: jnp.sum(weights({f}(*xs)) * {f}(*xs)), argnums={i})(*xs)",
    "value_and_grad": "v, g = jax.value_and_grad(lambda *xs: jnp.vdot(weights({f}(*xs)), {f}(*xs)), argnums={i})(*xs)\n"
    "    return v + g",
    "jvp": "return jax.jvp({f}, xs, tangents(xs))[1]",
    "linearize": "return jax.linearize({f}, *xs)[1](*tangents(xs))",
    "vjp": "y, pull = jax.vjp({f}, *xs)\n    return pull(weights(y))[{i}]",
    "jacfwd": "return jax.jacfwd({f}, argnums={i})(*xs)",
    "jacrev": "return jax.jacrev({f}, argnums={i})(*xs)",
}
NAMES = [*BODIES, "vmap", "vmap", "grad", "jvp", "vjp"]


@st.composite
def transforms(draw: st.DrawFn, inputs: Point) -> list[Transform]:
    """Up to three transforms, innermost first; Jacobians at most once, for size."""
    out: list[Transform] = []
    count = draw(st.sampled_from([1, 2, 3, 2, 3, 0]))
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=count, max_size=count)):
        if name.startswith("jac") and any(t.name.startswith("jac") for t in out):
            continue
        axes = tuple(draw(st.sampled_from([None, *range(x.ndim + 1), -1])) for x in inputs)
        if all(axis is None for axis in axes):
            axes = (0,) + axes[1:]
        out.append(Transform(name, draw(st.integers(0, len(inputs) - 1)), axes))
    return out


def points(inputs: Point, wrapped: list[Transform]) -> list[Point]:
    """Every point at which the transforms evaluate the program: each `vmap` doubles them."""
    scalings = [
        [tuple(1.0 if axis is None else scale for axis in t.in_axes) for scale in (1.0, MAP_SCALE)]
        for t in wrapped
        if t.name == "vmap"
    ]
    combined = [np.prod(np.array([[1.0] * len(inputs), *choice]), axis=0) for choice in itertools.product(*scalings)]
    return [[x * s for x, s in zip(inputs, scales, strict=True)] for scales in combined]


def applied(op: Op, axis: int | None, args: list[list[Array]]) -> list[Array] | None:
    """The op's value at every point, or None if it may not be used at one of them."""
    values = [evaluate(op, axis, list(at_point)) for at_point in zip(*args, strict=True)]
    return None if any(v is None for v in values) else [v for v in values if v is not None]


@st.composite
def operation(draw: st.DrawFn, values: list[list[Array]]) -> tuple[str, list[Array]]:
    """One line's right-hand side over the values so far (recent ones preferred), and its value at every point."""
    index = st.integers(0, len(values) - 1).map(lambda i: len(values) - 1 - i)
    a, b, group = draw(index), draw(index), draw(st.sampled_from(GROUPS))
    axis_seed = draw(st.integers(0, 3))
    candidates = []
    for op in group:
        ndim = values[a][0].ndim
        axis = axis_seed % max(ndim, 1) if "{axis}" in op.text else None
        if "{axis}" in op.text and ndim == 0 and "stack" not in op.text:
            continue
        result = applied(op, axis, [values[a], values[b]] if "{b}" in op.text else [values[a]])
        if result is not None:
            candidates.append((op.text.format(a=f"v{a}", b=f"v{b}", axis=axis), result))
    tamed = applied(Op("jnp.tanh({a})"), None, [values[a]])
    assert tamed is not None
    return draw(st.sampled_from(candidates or [(f"jnp.tanh(v{a})", tamed)]))


def wrap(lines: list[str], wrapped: list[Transform], inputs: Point, ndim: int, out_seed: int) -> None:
    """Appends each transform as a function of the same arguments; the last one is `run`."""
    name = "program"
    for depth, t in enumerate(wrapped):
        if t.name == "vmap":
            stacked = [
                f"xs[{i}]" if axis is None else f"jnp.stack([xs[{i}], {MAP_SCALE} * xs[{i}]], axis={axis})"
                for i, axis in enumerate(t.in_axes)
            ]
            out_axis = out_seed % (ndim + 1)
            body = f"return jax.vmap({name}, in_axes={t.in_axes}, out_axes={out_axis})({', '.join(stacked)})"
            ndim += 1
        else:
            body = BODIES[t.name].format(f=name, i=t.argnum)
            if t.name in ("grad", "value_and_grad", "vjp"):
                ndim = inputs[t.argnum].ndim
            elif t.name.startswith("jac"):
                ndim += inputs[t.argnum].ndim
        name = f"{t.name}_{depth}"
        lines += ["", f"def {name}(*xs):", f"    {body}"]
    lines += ["", f"run = {name}"]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A random program under random transforms."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    rng = np.random.RandomState(draw(st.integers(0, 10_000)))
    inputs = [np.asarray(rng.uniform(*draw(st.sampled_from(RANGES)), size=shape)) for shape in shapes]
    wrapped = draw(transforms(inputs))
    at_points = points(inputs, wrapped)
    values = [[point[i] for point in at_points] for i in range(len(inputs))]
    lines = [PRELUDE, f"def program({', '.join(f'v{i}' for i in range(len(inputs)))}):"]
    for _ in range(draw(st.sampled_from([3, 5, 6, 7, 8]))):
        text, result = draw(operation(values))
        lines.append(f"    v{len(values)} = {text}")
        values.append(result)
    # A value that nothing reads would be dead code: it joins the result.
    read = set(re.findall(r"v\d+", " ".join(line.partition(" = ")[2] for line in lines[2:])))
    dead = [f"v{i}" for i in range(len(inputs), len(values) - 1) if f"v{i}" not in read]
    lines.append(f"    return v{len(values) - 1}" + "".join(f" + jnp.mean(jnp.sin({name}))" for name in dead))
    wrap(lines, wrapped, inputs, values[-1][0].ndim, draw(st.integers(0, 3)))
    return Case("\n".join(lines), inputs)


def run_on(package: Any, numpy_module: Any, case: Case) -> Callable[..., Any]:
    """The case's `run`, its text executed with `jax` and `jnp` bound to these modules."""
    scope: dict[str, Any] = {"jax": package, "jnp": numpy_module}
    exec(case.source, scope)
    run: Callable[..., Any] = scope["run"]
    return run


@pytest.fixture(scope="module")
def _jax_x64() -> Iterator[None]:
    """JAX with float64 switched on, for the length of this module's tests."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("_jax_x64")
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases())
def test_random_program_gives_the_numbers_of_jax(case: Case) -> None:
    note(case.source)
    note(f"inputs: {[x.tolist() for x in case.inputs]}")
    # JAX compiles the whole case once: much faster than its un-jitted dispatch, and the same numbers.
    want = np.asarray(jax.jit(run_on(jax, jax.numpy, case))(*map(jax.numpy.asarray, case.inputs)))
    got = np.asarray(run_on(funcgrad, funcgrad.numpy, case)(*map(funcgrad.numpy.asarray, case.inputs)))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    scale = float(np.max(np.abs(want), initial=0.0, where=np.isfinite(want)))
    np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE * max(scale, 1.0))
