"""Every exception of funcgrad and the texts that more than one room uses.

The names of the tracer errors are JAX's, so `except jax.errors.X` keeps its meaning after the imports change.
Each message says what was asked, what came, where it was born, and what to write instead.
"""


class FuncgradError(Exception):
    """Base of all errors that funcgrad itself defines."""


class ConcretizationTypeError(FuncgradError, TypeError):
    """A Python value was asked of a tracer that has a type but no value."""


class TracerBoolConversionError(ConcretizationTypeError):
    """`bool()` (an `if`, a `while`, an `and`) of an abstract tracer."""


class TracerIntegerConversionError(ConcretizationTypeError):
    """`int()` or `operator.index()` of an abstract tracer."""


class TracerArrayConversionError(ConcretizationTypeError):
    """`numpy.asarray()` of a tracer."""


class NonConcreteBooleanIndexError(ConcretizationTypeError, IndexError):
    """A boolean mask without a value was used where the result's shape depends on it."""


class UnexpectedTracerError(FuncgradError, RuntimeError):
    """A tracer was used after the trace that made it had ended."""


class ProgramError(FuncgradError):
    """A Program broke one of its own rules: a fault in funcgrad, found by `check`."""


class MissingRuleError(FuncgradError, NotImplementedError):
    """A primitive has no rule for the transform that met it."""


CONVERSIONS: dict[str, tuple[type[ConcretizationTypeError], str]] = {
    "bool": (
        TracerBoolConversionError,
        "use funcgrad.numpy.where for a choice between values, or mark the argument static "
        "(static_argnums/static_argnames) if Python must branch on it",
    ),
    "int": (
        TracerIntegerConversionError,
        "mark the argument static (static_argnums/static_argnames) or keep it an array",
    ),
    "float": (ConcretizationTypeError, "keep it an array, or take the value outside the transformed function"),
    "complex": (ConcretizationTypeError, "keep it an array, or take the value outside the transformed function"),
    "numpy.asarray": (
        TracerArrayConversionError,
        "use funcgrad.numpy instead of numpy here, or funcgrad.stop_gradient(x) if the value is meant to be a constant",
    ),
}

NEEDS_DATA = (
    ConcretizationTypeError,
    "it needs the data, not only shapes and dtypes: call it outside the compiled function",
)
"""What is said of any other function that a traced value cannot be given to."""


def conversion_error(asked: str, kind: str, name: str, born: str) -> ConcretizationTypeError:
    """The error for `asked(tracer)`, e.g. asked="bool", for a tracer of type text `kind` born at `born`."""
    cls, advice = CONVERSIONS.get(asked, NEEDS_DATA)
    return cls(f"{asked}() was asked of a traced value of type {kind} in {name}; it was born at {born}; {advice}.")


def escaped_tracer_error(kind: str, name: str, born: str) -> UnexpectedTracerError:
    """The error for a tracer that outlived its trace."""
    return UnexpectedTracerError(
        f"a traced value of type {kind} is used after the trace of {name} has ended; it was born at {born}. "
        "Return it from the traced function instead of keeping it in a list, a global or an attribute."
    )


def assignment_error(kind: str, target: str) -> TypeError:
    """The error for `x[i] = v` on a tracer or on a funcgrad.Array."""
    return TypeError(
        f"x[index] = value was asked of {target} of type {kind}, which is immutable; "
        "write x = x.at[index].set(value) instead (also .add, .multiply, .min, .max)."
    )


def closure_error(primitive: str, name: str) -> UnexpectedTracerError:
    """The error for a custom rule whose function closes over a value that is being differentiated."""
    return UnexpectedTracerError(
        f"{primitive}: {name} closes over a value that is being differentiated, for which its rule gives no derivative; "
        "pass that value as an argument."
    )
