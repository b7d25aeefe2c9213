"""Printed source, the implementations: a row's `impl` as stand-alone text, with the helpers that it calls.

A row that says nothing about its text is written from its own code: an implementation that is one expression is put
where it is used, with the arguments in place; a longer one becomes a function of the module.
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import inspect
import math
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.api.source_text import SourceError, is_simple, qualified_name
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import run
from funcgrad.ops.families import LazyModule

Reference = Callable[[Any, str], str]
_MODULES = {np: "np", math: "math", functools: "functools"}
_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr, ast.IfExp)


@functools.lru_cache(maxsize=64)
def _functions_of(path: str) -> list[Any]:
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.Lambda))]


def _first_line(node: Any) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def function_node(f: types.FunctionType) -> ast.FunctionDef:
    """The definition of a function or lambda, without annotations and docstring. Raises OSError without a file."""
    code = f.__code__
    places = [p for p in code.co_positions() if p[0] is not None and p[3]]
    # Several lambdas may share a line: the instructions tell which one, and the innermost that holds all is it.
    found = [
        n
        for n in _functions_of(inspect.getsourcefile(f) or "")
        if _first_line(n) == code.co_firstlineno and (isinstance(n, ast.FunctionDef) or _holds(n.body, places))
    ]
    if not found:
        raise OSError(f"the source of {f.__qualname__} was not found")
    node = copy.deepcopy(min(found, key=lambda n: len(ast.unparse(n))))
    if isinstance(node, ast.Lambda):
        node = ast.FunctionDef("", node.args, [ast.Return(node.body)], [])
    if len(node.body) > 1 and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
        del node.body[0]
    node.decorator_list = []
    return ast.fix_missing_locations(_Plain().visit(node))


def _holds(node: Any, places: Sequence[Any]) -> bool:
    lo, hi = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    return all(lo <= (a, c) and (b, d) <= hi for a, b, c, d in places)


class _Plain(ast.NodeTransformer):
    """Takes the annotations out."""

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return None if node.value is None else self.generic_visit(ast.Assign([node.target], node.value))


class _Replace(ast.NodeTransformer):
    """Puts expressions in the place of names that are read; a starred tuple is spread."""

    def __init__(self, names: dict[str, ast.expr]):
        self.names = names

    def visit_Name(self, node: ast.Name) -> Any:
        return copy.deepcopy(self.names.get(node.id, node)) if isinstance(node.ctx, ast.Load) else node

    def visit_Call(self, node: ast.Call) -> Any:
        node = self.generic_visit(node)  # type: ignore[assignment]
        spread: list[ast.expr] = []
        for a in node.args:
            spread += a.value.elts if isinstance(a, ast.Starred) and isinstance(a.value, ast.Tuple) else [a]
        node.args = spread
        return node


def _free_names(node: ast.FunctionDef) -> list[str]:
    """The names that a function reads and does not bind, in order."""
    bound = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    bound |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}
    read = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return [name for name in dict.fromkeys(read) if name not in bound]


def _bindings(f: types.FunctionType, node: ast.FunctionDef) -> Iterator[tuple[str, Any]]:
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    for name in _free_names(node):
        if name in cells:
            yield name, cells[name].cell_contents
        elif name in f.__globals__:
            yield name, f.__globals__[name]
        elif name not in vars(builtins):
            raise SourceError(f"{f.__qualname__} reads {name}, which is not defined")


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


class Helpers:
    """The functions and imports that the written implementations need."""

    def __init__(self, fresh: Callable[[str], str], literal: Callable[[Any], str]):
        self.fresh, self.literal = fresh, literal
        self.imports: dict[str, None] = {"import numpy as np": None}
        self.blocks: list[str] = []
        self._names: dict[int, tuple[Any, str]] = {}

    def reference(self, value: Any, name: str) -> str:
        """The expression for a value that an implementation reads under a name. Raises SourceError if it has none."""
        if isinstance(value, LazyModule):
            value = value.__name__
            self.imports[f"import {value}"] = None
            return str(value)
        if isinstance(value, types.ModuleType):
            if value not in _MODULES and value.__name__.split(".")[0] not in ("numpy", "scipy"):
                raise SourceError(f"it needs the module {value.__name__}")
            alias = _MODULES.get(value, value.__name__)
            self.imports[f"import {value.__name__}" + (f" as {alias}" if alias == "np" else "")] = None
            return alias
        known = qualified_name(value)
        if known is not None:
            self.imports.update(dict.fromkeys([f"import {known.rpartition('.')[0]}"] if known[:3] != "np." else []))
            return known
        if isinstance(value, Primitive):
            return self.function(value.impl, value.name)
        value = inspect.unwrap(value) if callable(value) else value
        if isinstance(value, types.FunctionType):
            # Short names are those of values.
            return self.function(value, f"function_{name}" if _is_short(name) else name)
        if is_simple(value):
            return self.literal(value)
        raise SourceError(f"it needs {name}, a {type(value).__name__} of this library")

    def function(self, f: Any, name: str) -> str:
        """The name of a module function that is `f`, written with everything it calls."""
        known = self._names.get(id(f))
        if known is not None:
            return known[1]
        if f is run:
            return self._add(f, "run", "def {}(function, *values):\n    return function(*values)")
        if not isinstance(f, types.FunctionType):
            return self.reference(f, name)
        node = function_node(f)
        own = self.fresh(name)
        self._names[id(f)] = (f, own)
        node.name = own
        names = {free: _expression(self.reference(value, free)) for free, value in _bindings(f, node)}
        self.blocks.append(ast.unparse(ast.fix_missing_locations(_Replace(names).visit(node))))
        return own

    def _add(self, f: Any, name: str, text: str) -> str:
        own = self.fresh(name)
        self._names[id(f)] = (f, own)
        self.blocks.append(text.format(own))
        return own

    def inline(self, f: Any, args: Sequence[str], params: dict[str, str]) -> str | None:
        """`f(*args, **params)` as one expression, or None if it is not the kind of function that has one."""
        if not isinstance(f, types.FunctionType):
            return None
        node = function_node(f)
        prepared: dict[str, ast.expr] = {}
        given = _arguments(node.args, args, params)
        while given and len(node.body) > 1 and _is_asarray(node.body[0], given):
            name = node.body.pop(0).targets[0].id  # type: ignore[attr-defined]
            plain = ast.unparse(given[name]).isidentifier()
            prepared[name] = given[name] if plain else _expression(f"np.asarray({ast.unparse(given[name])})")
        last = node.body[0]
        if given is None or len(node.body) != 1 or not isinstance(last, ast.Return) or last.value is None:
            return None
        if any(isinstance(n, _SCOPES) for n in ast.walk(last.value)):
            return None
        read = {n.id for n in ast.walk(last.value) if isinstance(n, ast.Name)}
        outer = {k: _expression(self.reference(v, k)) for k, v in _bindings(f, node) if k in read}
        body = _Replace({**outer, **given, **prepared}).visit(last.value)
        return ast.unparse(ast.fix_missing_locations(body))


def _is_short(name: str) -> bool:
    return name[1:] == "" or name[1:].isdigit()


def _is_asarray(statement: ast.stmt, given: dict[str, ast.expr]) -> bool:
    # x = np.asarray(x): the module's values are arrays already, only literals need it.
    return any(ast.unparse(statement) == f"{name} = np.asarray({name})" for name in given)


def _arguments(signature: ast.arguments, args: Sequence[str], params: dict[str, str]) -> dict[str, ast.expr] | None:
    positional = [*signature.posonlyargs, *signature.args]
    found = {a.arg: _expression(text) for a, text in zip(positional, args, strict=False)}
    if signature.vararg is not None:
        rest = [_expression(text) for text in args[len(positional) :]]
        found[signature.vararg.arg] = ast.Tuple(rest, ast.Load())
    found.update((k, _expression(text)) for k, text in params.items())
    named = {a.arg for a in (*positional, *signature.kwonlyargs)}
    return found if named <= found.keys() and signature.kwarg is None else None
