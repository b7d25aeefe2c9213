"""`source` with kernels: the compiled form of a function as a stand-alone NumPy and numba module.

The module defines what kernels call (compile/numba_language.py), the kernels, and one function that allocates each buffer and
runs the schedule: kernels on tables of addresses and numbers, products of matrices and host calls as NumPy text.
Loaded only when kernels are printed: it needs the compiler.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

import numpy as np

from funcgrad.api.source import Body, Module
from funcgrad.api.source_text import dtype_text, literal_text, number_text
from funcgrad.api.traced import Traced
from funcgrad.compile import execute, numba_language
from funcgrad.compile.executor import Entry, Executable, HostStep, NativeStep
from funcgrad.compile.layouts import COPY, Part
from funcgrad.compile.steps import Kernel, Step
from funcgrad.core.lowering import Layout
from funcgrad.core.program import Atom, Equation, Literal, Program, Var
from funcgrad.core.types import ArrayType

RUNNING = '''\
def given(x, shape, dtype):
    """An argument as an array that kernels can read: of these types, in C order."""
    x = np.asarray(x)
    if x.shape != shape or not np.can_cast(x.dtype, dtype, "same_kind"):
        raise TypeError(f"this module is written for an argument of shape {shape} and dtype {dtype}, got {x.shape}, {x.dtype}")
    return np.require(x, dtype, "CA").view(np.ndarray)


def at(array, offset):
    """The address of an element, counted in C order."""
    return array.ctypes.data + offset * array.itemsize


def run(kernel, units, *table):
    """Runs a kernel over the range [0, units): arrays in its table become addresses, floating numbers their bits."""
    words = [x.ctypes.data if isinstance(x, np.ndarray) else np.float64(x).view(np.int64) if isinstance(x, float) else x
             for x in table]
    words = np.array(words, np.int64)
    kernel(words.ctypes.data, 0, units)'''


def kernel_module(traced: Traced, name: str, labels: Sequence[str]) -> str:
    """The text of the module for a traced function whose arguments have these names.

    Raises NotImplementedError if the function was not compiled on this machine, TypeError for an operation without a text.
    """
    made = execute.executable(traced.program)
    if made is None:
        raise NotImplementedError(f"source of {name}: it could not be compiled on this machine; pass kernels=False.")
    texts = [
        e.text
        for s, e in zip(made.origins, made.entries, strict=True)
        if isinstance(e, NativeStep) and (isinstance(s, Kernel) or e.loop is not None)
    ]
    language = numba_language.prelude(texts) + "\n\n" + RUNNING if texts else RUNNING
    imports, blocks = _split(language)
    names = _defined(language)
    module = Module(f"{name}_" if name in names else name, names)
    module.title = f"{module.name}, as stand-alone NumPy and numba written by funcgrad.source."
    for line in imports:
        module.helpers.imports[line] = None
    body = _Schedule(module, made, traced.program)
    module.write_main(body, labels, traced.in_tree, traced.out_tree)
    module.helpers.blocks[:0] = [*blocks, *body.kernels.values()]
    return module.text()


def _split(text: str) -> tuple[list[str], list[str]]:
    """The import lines of a text, each once, and the rest."""
    lines = text.split("\n")
    imports = [line for line in lines if re.match(r"(import|from) ", line)]
    rest = "\n".join(line for line in lines if not re.match(r"(import|from) ", line))
    return list(dict.fromkeys(imports)), [re.sub(r"\n{4,}", "\n\n\n", rest.strip("\n"))]


def _defined(text: str) -> set[str]:
    """The names that a text defines or imports."""
    found: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {a.asname or a.name for a in node.names}
    return found


class _Schedule:
    """The lines of the main function. Has what `Module.write_main` asks of a body: `known`, `inputs`, `outputs`, `lines`,
    `result`. `kernels`: the definition of each kernel text."""

    def __init__(self, module: Module, made: Executable, program: Program):
        self.module, self.made, self.program = module, made, program
        self.inputs: Sequence[Var] = made.inputs
        self.outputs: Sequence[Atom] = made.outputs
        self.known: dict[Var, str] = {}
        self.kernels: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.host = Body(module, Program((), (), (), ()))
        self.buffers = 0

    def result(self, atom: Atom) -> str:
        """The text of an output."""
        assert isinstance(atom, Var)
        return self.known[atom]

    def lines(self) -> Iterator[str]:
        """Arguments made fit, then buffers and steps."""
        read = {v for e in self.made.entries for v in e.reads}
        for v in self.inputs:
            if v in read:
                name = self.known[v]
                yield f"    {name} = given({name}, {v.type.shape}, {dtype_text(v.type.dtype)})  # {v.type}"
        for v, value in self.made.constants.items():
            if v in read:
                self.known[v] = self.module.constant(value)
        first = dict(zip(reversed(self.made.origins), reversed(self.made.entries), strict=True))
        for step in self.made.steps:
            # Of an equation with several steps, NumPy's text stands for all.
            entry = first[step]
            if isinstance(entry, NativeStep) and (isinstance(step, Kernel) or entry.loop is not None):
                yield from self.native(entry)
            else:
                yield from self.numpy(step, entry)

    def buffer(self, v: Var) -> str:
        self.known[v] = self.module.fresh(f"b{self.buffers}")
        self.buffers += 1
        return self.known[v]

    # ---- kernels ----

    def native(self, entry: NativeStep) -> Iterator[str]:
        for v in entry.writes:
            if v not in self.known:
                yield f"    {self.buffer(v)} = np.empty({v.type.shape}, {dtype_text(v.type.dtype)})  # {v.type}"
        pointers = [
            f"at({self.known[v]}, {offset // v.type.dtype.itemsize})" if offset else self.known[v]
            for v, offset in entry.pointers
        ]
        title = self.titles.get(entry.text) or self.define(entry)
        words = [*pointers, *_words(entry)]
        yield f"    run({', '.join([title, str(entry.units), *words])})  # {entry.label}"

    def define(self, entry: NativeStep) -> str:
        title = self.titles[entry.text] = self.module.fresh(f"kernel_{len(self.titles)}")
        text = entry.text.replace("def kernel(", f"def {title}(", 1).rstrip()
        self.kernels[title] = f"@plain\n{text}"
        return title

    # ---- NumPy ----

    def numpy(self, step: Step, entry: Entry) -> Iterator[str]:
        eq = step.equation
        # A number that stands for a whole array (core/lowering.py, Routine) is written as one.
        whole = {a: Var(a.type) for a in eq.inputs if isinstance(a, Literal) and a.type.shape}
        for number, v in whole.items():
            self.host.known[v] = f"np.full({v.type.shape}, {literal_text(number.value)}, {dtype_text(v.type.dtype)})"
        inputs = tuple([whole[a] if isinstance(a, Literal) and a in whole else a for a in eq.inputs])
        eq = Equation(eq.primitive, inputs, eq.params, eq.outputs, eq.source)
        for a in eq.inputs:
            if isinstance(a, Var) and a not in whole.values():
                self.host.known[a] = self.seen(a, self.made.lowered.sources[a])
        text = self.host.atom(eq.inputs[0]) if eq.primitive is COPY else self.host.expression(eq)
        note = f"# {'host call, ' if isinstance(entry, HostStep) else ''}{', '.join(str(v.type) for v in eq.outputs)}"
        outs = [self.buffer(v) for v in eq.outputs]
        if eq.primitive.multiple:
            yield f"    {', '.join(outs)}{',' if len(outs) == 1 else ''} = {text}  {note}"
            sources = outs
        else:
            sources = [text]
        # A copy, unless it is a product: what a host call returns may be a part of its argument.
        make = "np.array" if isinstance(entry, HostStep) else "np.asarray"
        for out, source, v in zip(outs, sources, eq.outputs, strict=True):
            fitted = f'{make}({source}, {dtype_text(v.type.dtype)}, order="C")'
            yield f"    {out} = {fitted}{'' if eq.primitive.multiple else f'  {note}'}"

    def seen(self, v: Var, part: Part) -> str:
        """A value as an expression: a buffer, or a view of one."""
        if isinstance(part.base, Literal):
            return f"np.full({v.type.shape}, {literal_text(part.base.value)}, {dtype_text(v.type.dtype)})"
        name = self.known[part.base]
        return name if part.layout is None else _view(name, part.base.type, part.layout, v.type)


def _words(entry: NativeStep) -> list[str]:
    """The words behind the pointers; which of them are floating numbers, the kernel's text says."""
    first = len(entry.pointers)
    places = {m[1]: int(m[2]) - first for m in re.finditer(r"(\w+) = word\(args, (\d+)\)", entry.text)}
    floats = {places[m[1]] for m in re.finditer(r"\bnumber\((\w+)\)", entry.text)}
    return [
        number_text(float(np.int64(w).view(np.float64))) if n in floats else str(w) for n, w in enumerate(entry.words)
    ]


def _contiguous(shape: Sequence[int]) -> list[int]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return strides[::-1]


def _view(name: str, base: ArrayType, layout: Layout, kind: ArrayType) -> str:
    """The text of a view: the array itself, reshaped, transposed, or with strides written out."""
    have, want = _contiguous(base.shape), list(layout.strides)
    if layout.offset == 0 and all(
        s == c or n == 1 for n, s, c in zip(kind.shape, want, _contiguous(kind.shape), strict=True)
    ):
        if base.size == kind.size:
            return name if base.shape == kind.shape else f"{name}.reshape({kind.shape})"
    axes: list[int] = []
    for n, s in zip(kind.shape, want, strict=True):
        axes += [
            i for i, (m, t) in enumerate(zip(base.shape, have, strict=True)) if i not in axes and (m, t) == (n, s)
        ][:1]
    if layout.offset == 0 and len(axes) == kind.ndim == base.ndim:
        return f"{name}.T" if axes == list(range(base.ndim))[::-1] else f"{name}.transpose({tuple(axes)})"
    size = base.dtype.itemsize
    start = f"{name}.reshape(-1)[{layout.offset}:]" if layout.offset else f"{name}"
    return f"np.lib.stride_tricks.as_strided({start}, {kind.shape}, {tuple(s * size for s in want)})"
