"""Branch-free scalar mathematics that LLVM vectorises inside kernels: exp_f32(x), exp_f64(x), ...

numba calls libm one element at a time. The functions here are plain Python for one dtype each, straight-line arithmetic over
`helpers`, within 2 ulp on the whole domain (pow too; lgamma and digamma within 4 around their zeros). They are run:
- by `define`, which gives their LLVM in about a millisecond each for numba's or our own builder;
- from the text that `source` gives, which numba compiles as it stands (slowly, and for reading or vendoring);
- by Python itself on NumPy scalars and arrays.
Contraction to fused multiply-adds ("contract") is the one fast-math flag they stand. They ask for round-to-nearest and
keep subnormals, signed zeros, infinities and nan.
"""

from collections.abc import Iterable
from types import FunctionType, ModuleType

from funcgrad.compile.vecmath import (
    error_functions,
    exponentials,
    gammas,
    hyperbolic,
    inverse_hyperbolic,
    inverse_trigonometric,
    logarithms,
    powers,
    trigonometric,
)
from funcgrad.compile.vecmath.lowering import define as define
from funcgrad.compile.vecmath.source import source_of

ROOMS: tuple[ModuleType, ...] = (
    *(exponentials, logarithms, trigonometric, inverse_trigonometric, hyperbolic, inverse_hyperbolic),
    *(error_functions, gammas, powers),
)


def collect(names: Iterable[str]) -> dict[str, FunctionType]:
    """Each name with _f32 and _f64 looked up among the files of this folder."""
    return {f"{name}_{kind}": find(f"{name}_{kind}") for name in names for kind in ("f32", "f64")}


def find(name: str) -> FunctionType:
    """The function of that name. Raises KeyError."""
    for room in ROOMS:
        if name in vars(room):
            return vars(room)[name]
    raise KeyError(f"vecmath has no function {name!r}; it has {', '.join(FUNCTIONS)}")


NAMES = """
exp exp2 expm1 expit log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh
pow cbrt erf erfc erfinv lgamma digamma
"""

FUNCTIONS: dict[str, FunctionType] = collect(NAMES.split())
"""Every function offered: the names of C's libm (expit: the logistic function), then _f32 or _f64."""


def source(names: Iterable[str]) -> str:
    """A stand-alone module that defines the named functions (as "exp_f32") for numba, with all that they call.

    Raises KeyError for a name that is not in FUNCTIONS.
    """
    return source_of([find(name) for name in names])
