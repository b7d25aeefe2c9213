"""`source`: a function as a stand-alone Python module that needs NumPy only (or numba too, if kernels are printed).

The function is traced, as jit would, and its Program written down: one line per equation with the type as a comment,
nested Programs as functions, constants as exact text. How an operation is written is known by its row (`text`), or
else its implementation is written out (`source_impl.py`).
"""

from __future__ import annotations

import builtins
import inspect
import keyword
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import function_name
from funcgrad.api.jit import Jitted
from funcgrad.api.shape_dtype import leaf_type
from funcgrad.api.source_impl import Helpers
from funcgrad.api.source_text import SourceError, Written, array_text, identifier, literal_text
from funcgrad.api.traced import trace_fun
from funcgrad.core.program import Atom, Equation, Literal, Program, Var, eliminate_dead_code, value_names
from funcgrad.core.types import ArrayType
from funcgrad.ops.families import LazyModule
from funcgrad.transforms.custom import ProgramFunction
from funcgrad.transforms.njit_call import NjitFunction

source_kernels: Any = LazyModule("funcgrad.api.source_kernels")
_RESERVED = frozenset([*keyword.kwlist, "np", "math", "scipy", "functools", "base64"])
_USED = frozenset("bool int float complex slice tuple list len range zip enumerate min max sum abs all any".split())
"""The builtins that the text itself may call; an argument may have the name of any other."""
_CONVERSIONS: dict[str, type] = {"b": bool, "i": int, "u": int, "f": float, "c": complex}


class Source(str):
    """The text of a module; shown as it is, also by the interactive prompt and in notebooks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def source(fun: Callable[..., Any], *, kernels: bool | None = None) -> Callable[..., Source]:
    """A function of the same arguments as `fun` that returns `fun` as the text of a stand-alone Python module.

    The arguments give the types only (arrays, numbers or ShapeDtypeStructs in any pytrees). The module imports NumPy, and
    SciPy if an operation is SciPy's, and defines one function for the user: `fun`'s name (`grad_of_f` for `grad(f)`),
    the arguments' names, pytrees in and out. Registered node types become tuples. It holds for these types only.

    kernels: whether the module is the compiled form: kernels as text for numba, with the schedule that runs them, of NumPy and
      numba. None: if `fun` is jitted.

    Raises TypeError that names the operation for what has no stand-alone text (a callback), NotImplementedError if
    kernels are asked for and the function could not be compiled on this machine.

        print(fg.source(fg.grad(loss))(params, x))
    """
    name = _shown_name(fun)

    def source_of(*args: Any, **kwargs: Any) -> Source:
        leaves, in_tree = tree.flatten((args, kwargs))
        traced = trace_fun(fun, in_tree, [leaf_type(leaf) for leaf in leaves], name)
        if traced.captured:
            raise TypeError(f"source of {name}: it closes over a value that is being traced; pass it as an argument.")
        labels = _parameter_names(fun, args, kwargs)
        if isinstance(fun, Jitted) if kernels is None else kernels:
            return Source(source_kernels.kernel_module(traced, name, labels))
        module = Module(name)
        body = Body(module, eliminate_dead_code(traced.program))
        module.write_main(body, labels, traced.in_tree, traced.out_tree)
        return Source(module.text())

    return source_of


def _shown_name(fun: Callable[..., Any]) -> str:
    """The name of a function, `grad_of_f` for a transform of f that took over the name of f."""
    if isinstance(fun, Jitted):
        return _shown_name(inspect.unwrap(fun, stop=lambda f: not isinstance(f, Jitted)))
    name = identifier(function_name(fun))
    code = getattr(fun, "__code__", None)
    prefix = code.co_name if getattr(fun, "__wrapped__", None) is not None and code is not None else ""
    name = f"{prefix}_{name}" if prefix.endswith("_of") else name
    return f"{name}_" if name in _RESERVED else name


def _parameter_names(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> list[str]:
    """A name for each positional argument and, in the order of the tree, for each keyword argument."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument")
    names = [named[i] if i < len(named) else f"{rest}_{i - len(named)}" for i in range(len(args))]
    return names + sorted(kwargs)


class Module:
    """The text in the making. Names of the module and of the user's arguments are all different, and none is `reserved`."""

    def __init__(self, name: str, reserved: Iterable[str] = ()):
        self.name = name
        self.title = f"{name}, as stand-alone NumPy written by funcgrad.source."
        self.taken = {*_RESERVED, *vars(builtins), *reserved, name}
        self.helpers = Helpers(self.fresh, literal_text)
        self._constants: dict[int, tuple[Any, str, str]] = {}
        self._programs: dict[int, tuple[Program, str]] = {}
        self.unused = "_"
        self._main = ""

    def fresh(self, wanted: str) -> str:
        """A name like the wanted one that nothing else has."""
        wanted = identifier(wanted)
        name, number = wanted, 1
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name

    def _argument(self, wanted: str) -> str:
        if wanted in _RESERVED or wanted in _USED:
            return self.fresh(f"{wanted}_")
        return wanted if wanted in vars(builtins) else self.fresh(wanted)

    def text(self) -> str:
        constants = [f"{name} = {text}" for _, name, text in self._constants.values()]
        imports = dict(self.helpers.imports)
        if any("base64." in c for c in constants):
            imports["import base64"] = None
        head = [f'"""{self.title}"""', "\n".join(sorted(imports))]
        parts = [*head, *(["\n".join(constants)] if constants else [])]
        return "\n\n".join(parts) + "\n\n\n" + "\n\n\n".join([*self.helpers.blocks, self._main]) + "\n"

    def constant(self, value: Any) -> str:
        """The name of an array that the module keeps."""
        if id(value) not in self._constants:
            text = f"{array_text(value)}"
            self._constants[id(value)] = (value, self.fresh(f"constant_{len(self._constants)}"), text)
        return self._constants[id(value)][1]

    def program(self, program: Program, wanted: str) -> Written:
        """The name of a function that is a nested Program."""
        if id(program) not in self._programs:
            body = Body(self, eliminate_dead_code(program))
            inputs = [body.name(v) for v in program.inputs]
            lines = list(body.lines())
            name = self.fresh(wanted)
            self._programs[id(program)] = (program, name)
            outs = ", ".join(body.atom(a) for a in program.outputs)
            last = f"    return [{outs}]"
            self.helpers.blocks.append("\n".join([f"def {name}({', '.join(inputs)}):", *lines, last]))
        return Written(self._programs[id(program)][1])

    def njit_function(self, function: NjitFunction) -> Written:
        """The name of a function from leaves to leaves that calls a user's function, written as Python."""
        fn = self.helpers.function(function.fn.py_func, function.name)
        supply = [f"x{n}" for n in range(function.in_tree.num_leaves)]
        args = _rebuilt(_plain_tree(function.in_tree), iter(supply))
        leaves = ", ".join([text for text, _, _ in _leaves(_plain_tree(function.out_tree), "out", "out")])
        name = self.fresh(f"call_{function.name}")
        lines = [f"def {name}({', '.join(supply)}):", f"    out = {fn}(*{args})", f"    return [{leaves}]"]
        self.helpers.blocks.append("\n".join(lines))
        return Written(name)

    def write_main(self, body: Any, names: Sequence[str], in_tree: Any, out_tree: Any) -> None:
        """The function for the user: `body` knows the Program, names its values and has the lines."""
        program = body.program
        positional, keywords = in_tree.children()
        trees = [*positional.children(), *keywords.children()]
        arguments = []
        for wanted in names:
            arguments.append(self._argument(wanted))
        self.unused = "_" if "_" not in arguments else self.fresh("unused")
        supply, unpacked = iter(body.inputs), []
        for argument, treedef in zip(arguments, trees, strict=True):
            for expression, name, note in _leaves(treedef, argument, argument):
                var = next(supply)
                if expression != name:
                    name = self.fresh(name)
                    unpacked.append(f"    {name} = {expression}  # {var.type}{note}")
                body.known[var] = name
        equations = list(body.lines())
        outs = iter([body.result(a) for a in body.outputs])
        count = len(positional.children())
        parts = arguments[:count] + (["*", *arguments[count:]] if arguments[count:] else [])
        types = iter(program.in_types)
        told = [f"{a}: {_typed(t, types)}" for a, t in zip(arguments, trees, strict=True)]
        told.append(f"Returns {_typed(out_tree, iter(program.out_types))}")
        document = [f'    """{"; ".join(told[:-1]) or "No arguments"}.', "", f"    {told[-1]}.", '    """']
        result = f"    return {_rebuilt(out_tree, outs)}"
        self._main = "\n".join([f"def {self.name}({', '.join(parts)}):", *document, *unpacked, *equations, result])


class Body:
    """The lines of one function: names of the values of a Program, and an assignment for each equation."""

    def __init__(self, module: Module, program: Program):
        self.module, self.program = module, program
        self.inputs, self.outputs = program.inputs, program.outputs
        self.known: dict[Var, str] = {}
        self._letters = value_names()
        self._read = {a for eq in program.equations for a in eq.inputs} | set(program.outputs)
        for var, value in program.constants:
            if var in self._read:
                self.known[var] = module.constant(value)

    def name(self, var: Var) -> str:
        """The name of a value: a new one the first time."""
        if var not in self.known:
            # A helper's name is never that short, so only the arguments can clash.
            self.known[var] = next(n for n in self._letters if n not in self.module.taken)
        return self.known[var]

    def atom(self, atom: Atom) -> str:
        return literal_text(atom.value) if isinstance(atom, Literal) else self.name(atom)

    def result(self, atom: Atom) -> str:
        """A value as it is returned: a number written into the Program becomes an array."""
        text = self.atom(atom)
        return f"np.asarray({text})" if isinstance(atom, Literal) or atom.type.weak else text

    def lines(self) -> Iterator[str]:
        scope = ""
        for eq in self.program.equations:
            if eq.scope != scope:
                scope = eq.scope
                yield f"    # scope {scope}" if scope else "    # end of scope"
            text = self.expression(eq)
            outs = [self.name(v) if v in self._read else self.module.unused for v in eq.outputs]
            target = (
                outs[0] if not eq.primitive.multiple else f"{', '.join(outs)}," if len(outs) == 1 else ", ".join(outs)
            )
            yield f"    {target} = {text}  # {', '.join(str(v.type) for v in eq.outputs)}"

    def expression(self, eq: Equation) -> str:
        """The right side of an equation. Raises TypeError that names the primitive if it has no text."""
        primitive = eq.primitive
        try:
            if primitive.effect:
                raise SourceError("it is an effect, which a function of arrays cannot have")
            label = eq.params.get("name")
            params = {k: self._parameter(v, primitive.name, label) for k, v in eq.params.items()}
            text = self._call(eq, [self.atom(a) for a in eq.inputs], params)
        except (SourceError, OSError) as error:
            raise TypeError(
                f"source of {self.module.name}: operation '{primitive.name}' cannot be written as stand-alone NumPy: {error}. "
                "Take it out of the function, or call source on the part without it."
            ) from None
        types = [a.type for a in eq.inputs]
        if not primitive.strong and not primitive.multiple and types and all(t.weak for t in types):
            # Made of Python numbers only, it stays one, so that it takes the dtype of what it meets.
            return f"{_CONVERSIONS[eq.outputs[0].type.dtype.kind].__name__}({text})"
        return text

    def _call(self, eq: Equation, args: list[str], params: dict[str, Any]) -> str:
        primitive, types, helpers = eq.primitive, [a.type for a in eq.inputs], self.module.helpers
        if not isinstance(primitive.impl, np.ufunc) or not all(t.weak for t in types):
            # Python's own operators on Python's own numbers raise where NumPy gives inf or nan.
            text = primitive.text(args, types, params) if primitive.text is not None else None
            if text is not None:
                return text
        named = {k: literal_text(v) for k, v in params.items()}
        if primitive.plain is not None:
            named["kinds"] = literal_text(tuple([(v.type.shape, v.type.dtype) for v in eq.outputs]))
        impl = primitive.plain or primitive.impl
        found = helpers.inline(impl, args, named)
        if found is not None:
            return found
        call = helpers.reference(impl, primitive.name)
        return f"{call}({', '.join([*args, *(f'{k}={v}' for k, v in named.items())])})"

    def _parameter(self, value: Any, kind: str, label: str | None) -> Any:
        if isinstance(value, ProgramFunction):
            value = value.program
        if isinstance(value, NjitFunction):
            return self.module.njit_function(value)
        if callable(getattr(value, "py_func", None)):
            return Written(self.module.helpers.function(value.py_func, value.__name__))
        if isinstance(value, Program):
            return self.module.program(value, f"{kind}_{label or value.name}")
        if isinstance(value, tuple) and any(isinstance(v, Program) for v in value):
            return tuple(self._parameter(v, kind, label) for v in value)
        return value


# ---- the trees of the arguments and of the result ----


def _children(treedef: Any) -> list[tuple[str, str, Any]]:
    """(index expression, name part, structure) of each child of a node."""
    data, children = treedef.node_data(), treedef.children()
    keys = _dict_keys(data)
    if keys is None:
        return [(f"[{i}]", str(i), c) for i, c in enumerate(children)]
    return [(f"[{k!r}]", str(k), c) for k, c in zip(keys, children, strict=True)]


def _dict_keys(data: Any) -> Sequence[Any] | None:
    kind, aux = data
    if not issubclass(kind, dict):
        return None
    return aux[1] if kind.__name__ == "defaultdict" else aux


def _is_container(kind: type) -> bool:
    return kind.__module__ in ("builtins", "collections") or (
        issubclass(kind, tuple) and bool(vars(kind).get("_fields"))
    )


def _leaves(treedef: Any, expression: str, name: str, note: str = "") -> Iterator[tuple[str, str, str]]:
    """(expression, name, comment) of each leaf below an argument."""
    data = treedef.node_data()
    if data is None:
        yield expression, identifier(name), note
        return
    if not _is_container(data[0]):
        note = f", {expression} is a tuple of the parts of {data[0].__name__}"
    for index, part, child in _children(treedef):
        yield from _leaves(child, f"{expression}{index}", f"{name}_{part}", note)


def _rebuilt(treedef: Any, outs: Iterator[str]) -> str:
    """The result's tree as an expression."""
    data = treedef.node_data()
    if data is None:
        return next(outs)
    kind = data[0]
    parts = [_rebuilt(child, outs) for child in treedef.children()]
    keys = _dict_keys(data)
    if kind is type(None):
        return "None"
    if keys is not None:
        return f"{{{', '.join(f'{k!r}: {p}' for k, p in zip(keys, parts, strict=True))}}}"
    if kind is list:
        return f"[{', '.join(parts)}]"
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _plain_tree(treedef: Any) -> Any:
    """A tree of Python's own containers. Raises SourceError for others, of which a user's function would ask more."""
    data = treedef.node_data()
    if data is not None and data[0] not in (tuple, list, dict, type(None)):
        raise SourceError(f"its function takes or returns a {data[0].__name__}")
    for child in treedef.children():
        _plain_tree(child)
    return treedef


def _typed(treedef: Any, types: Iterator[ArrayType]) -> str:
    """A tree as the docstring tells it."""
    return _rebuilt(treedef, iter([str(next(types)) for _ in range(treedef.num_leaves)]))
