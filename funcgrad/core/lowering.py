"""What the compiler has to know of a primitive: the field `kernel` of its row. A row without one is a host call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcgrad.core.program import Program
    from funcgrad.core.types import ArrayType

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pointwise:
    """One scalar expression per element.

    text: a format string over the arguments `{0}`, `{1}`, ... and the functions of the compile room by name (`{exp}`), or a
      function from the parameters to one (None: this case is a host call).
    kinds: the dtype kinds that the text is right for, of the dtype in which it computes: the output's, or the promotion
      of the arguments if `compares`. The first `conditions` arguments are booleans and stay so.
    cost: in additions, for the choice between storing a value and computing it again.
    """

    text: str | Callable[[Params], str | None]
    kinds: str = "f"
    cost: int = 1
    compares: bool = False
    conditions: int = 0

    def expression(self, params: Params) -> str | None:
        """The format string for these parameters."""
        return self.text if isinstance(self.text, str) else self.text(params)


@dataclass(frozen=True, slots=True)
class Reduction:
    """Folds the axes in the parameter `axes` with `combine`, from `start` on.

    start: "zero", "one", "ones" (all bits), "lowest" or "highest", of the dtype.
    """

    combine: str
    start: str
    kinds: str = "f"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the elements of a value lie in the buffer it is a view of: index i is at offset + sum(strides * i)."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """Moves nothing: `layout(have, params)` reads the same buffer in another order, or is None if that needs a copy.

    axes(shape, params), where there is one, says which axis of the argument each axis of the result runs along (-1: none;
    only axes of size 1 may be left out): such a view can be fused into the loops that make its argument.
    """

    layout: Callable[[Layout, Params], Layout | None]
    axes: Callable[[tuple[int, ...], Params], tuple[int, ...] | None] | None = None


@dataclass(frozen=True, slots=True)
class Contraction:
    """dot_general: a product of matrices, done by the BLAS."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Writes its arguments into parts of its output. parts(types, params): for each argument the layout of its part in
    the output, the output's own strides being C order, with the slice of the argument that goes there."""

    parts: Callable[[Sequence[ArrayType], Params], Sequence[tuple[int, Layout, Layout]] | None]
    fill: int | None = None


@dataclass(frozen=True, slots=True)
class Inline:
    """Nothing but a Program applied to the arguments."""

    program: Callable[[Params], Program | None]


@dataclass(frozen=True, slots=True)
class Loop:
    """A Program run again and again inside the executor. Parameters of the primitive: `program` of (constants, carry, slices),
    which gives (carry, slices of ys) and, if `length` is None, whether to go on; `consts`, `carry`, `length`, `reverse`.
    Arguments: constants, carry, xs and, if `length` is None, whether to begin."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the Programs in the parameter `programs`, chosen by the first argument, applied to the others."""


@dataclass(frozen=True, slots=True)
class Routine:
    """Code of its own in the compile room, on arguments in C order: the `family` names the module, `form` the case. Argument
    `start`, if it is one number repeated, is given as that number. `foreign`: it runs code of the user's, which may raise."""

    family: str
    form: str
    start: int | None = None
    foreign: bool = False


Kernel = Pointwise | Reduction | View | Contraction | Assembly | Inline | Routine | Loop | Choice
