"""The text of functions of this folder, for a kernel that has to stand alone."""

import inspect
import re
from types import FunctionType

HELPERS = """\
import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

f32, f64, inf, nan = np.float32, np.float64, np.inf, np.nan


@intrinsic
def bits(context, x):
    result = types.int32 if x == types.float32 else types.int64
    return result(x), lambda c, b, s, a: b.bitcast(a[0], c.get_value_type(result))


@intrinsic
def f32_of_bits(context, i):
    cast = lambda c, b, s, a: b.bitcast(c.cast(b, a[0], s.args[0], types.int32), ir.FloatType())
    return types.float32(i), cast


@intrinsic
def f64_of_bits(context, i):
    cast = lambda c, b, s, a: b.bitcast(c.cast(b, a[0], s.args[0], types.int64), ir.DoubleType())
    return types.float64(i), cast


@intrinsic
def select(context, condition, x, y):
    kind = types.unliteral(x)
    if kind != types.unliteral(y):
        raise TypeError(f"select of {x} and {y}")
    return kind(types.boolean, kind, kind), lambda c, b, s, a: b.select(c.get_argument_value(b, s.args[0], a[0]), a[1], a[2])


@intrinsic
def poly(context, x, coefficients):
    def generate(c, b, s, a):
        terms = [c.cast(b, b.extract_value(a[1], i), coefficients[i], x) for i in range(len(coefficients))]
        result = terms.pop()
        while terms:
            result = b.fadd(b.fmul(result, a[0], flags=["contract"]), terms.pop(), flags=["contract"])
        return result

    return x(x, coefficients), generate


@njit
def rarely(far, slow, x, y):
    return slow(x) if far else y


@njit
def entry(numbers, k):
    return numbers[int(k)]


@njit(error_model="numpy")
def repeat(count, step, x, high, low):
    k = 1.0
    while k <= count:
        high, low = step(k, x, high, low)
        k += 1.0
    return high, low


@intrinsic
def like(context, value, x):
    return x(value, x), lambda c, b, s, a: c.cast(b, a[0], value, x)


sqrt, copysign = njit(lambda x: math.sqrt(x)), njit(lambda x, y: math.copysign(x, y))
libm_sin = njit(lambda x: like(math.sin(f64(x)), x))
libm_cos = njit(lambda x: like(math.cos(f64(x)), x))
libm_tan = njit(lambda x: like(math.tan(f64(x)), x))
"""
"""What helpers.py offers, for numba."""


def dependencies(function: FunctionType) -> list[FunctionType]:
    """The functions of this folder that the function needs, itself last, each after what it needs."""
    found: dict[str, FunctionType] = {}

    def visit(f: FunctionType) -> None:
        for name in f.__code__.co_names:
            other = f.__globals__.get(name)
            if isinstance(other, FunctionType) and not other.__module__.endswith(".helpers") and name not in found:
                visit(other)
        found.setdefault(f.__name__, f)

    visit(function)
    return list(found.values())


def source_of(functions: list[FunctionType]) -> str:
    """A module's text that defines these functions under numba's njit, with the helpers and all they call."""
    needed = {f.__name__: f for wanted in functions for f in dependencies(wanted)}
    texts = [HELPERS.rstrip()]
    for function in needed.values():
        text = re.sub(r": Any(?=[,)])| -> Any(?=:)", "", inspect.getsource(function).rstrip())
        texts.append('@njit(error_model="numpy", fastmath={"contract"})\n' + text)
    return "\n\n\n".join(texts) + "\n"
