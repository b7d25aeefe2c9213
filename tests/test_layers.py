"""The order of the rooms (docs/design.md): a file imports from its own room and from those above it only."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

import funcgrad
from funcgrad.ops.families import TABLE

PACKAGE = pathlib.Path(funcgrad.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS: dict[str, set[str]] = {
    "base": {"errors", "tree", "treedef", "treekind"},
    "core": {"core"},
    "ops": {"ops"},
    "transforms": {"transforms"},
    "compile": {"compile"},
    "api": {"api"},
    "numpy": {
        *{"numpy", "lax", "random", "nn", "scipy", "linalg", "fft", "testing"},
        *{"flatten_util", "tree_util", "debug", "dtypes", "image", "optim"},
    },
    "torch": {"torch"},
    "models": {"models"},
}
"""Each room's files and folders, directly below funcgrad; a room may import from itself and from those before it."""

ORDER = list(ROOMS)
ROOT = "the package root"


def room_of(module: str) -> str:
    """The room of a dotted module name below funcgrad ("core.types"). Raises KeyError for a file without a room."""
    if not module:
        return ROOT
    head = module.split(".")[0]
    for room, heads in ROOMS.items():
        if head in heads:
            return room
    raise KeyError(f"funcgrad/{head} is in no room: give it one in ROOMS of tests/test_layers.py and in docs/design.md")


def module_of(path: pathlib.Path) -> str:
    """The dotted name below funcgrad of a file; a folder's name for its __init__.py, "" for the root's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def targets(node: ast.AST, package: str) -> list[str]:
    """The modules of funcgrad ("" for its root) that an import statement in `package` names."""
    if isinstance(node, ast.Import):
        return [a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "funcgrad"]
    if not isinstance(node, ast.ImportFrom):
        return []
    source = node.module or ""
    if node.level:
        base = ["funcgrad", *package.split(".")] if package else ["funcgrad"]
        source = ".".join([*base[: len(base) - node.level + 1], *([node.module] if node.module else [])])
    if source.split(".")[0] != "funcgrad":
        return []
    if source == "funcgrad":  # `from funcgrad import tree` takes a module; any other name would be the root's own
        return [a.name if any(a.name in heads for heads in ROOMS.values()) else "" for a in node.names]
    return [source.partition(".")[2]]


def faults(where: str, module: str, text: str, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one file: upward, from the root, or of funcgrad inside a function."""
    package = module if is_package else module.rpartition(".")[0]
    own = room_of(module)
    tree = ast.parse(text)
    found = []
    for node in ast.walk(tree):
        for target in targets(node, package):
            room = room_of(target)
            if room == ROOT or ORDER.index(room) > ORDER.index(own):
                name = f"funcgrad.{target}" if target else "funcgrad"
                found.append(f"{where}:{node.lineno}: room '{own}' imports {name} of room '{room}'")  # type: ignore[attr-defined]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = [n for n in ast.walk(node) if n is not node and targets(n, package)]
            found += [f"{where}:{n.lineno}: imports funcgrad inside a function" for n in inner]  # type: ignore[attr-defined]
    return list(dict.fromkeys(found))  # a nested function is walked more than once


def relative(path: pathlib.Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("path", [p for p in FILES if p != PACKAGE / "__init__.py"], ids=relative)
def test_imports_go_one_way(path):
    found = faults(relative(path), module_of(path), path.read_text(), path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_opens_with_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{relative(path)}:1: a module opens with a docstring"


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("core.types", "from funcgrad.api.jit import jit", "room 'core' imports funcgrad.api.jit of room 'api'"),
        (
            "core.types",
            "import funcgrad.numpy.ufuncs as u",
            "room 'core' imports funcgrad.numpy.ufuncs of room 'numpy'",
        ),
        ("ops.basics", "from funcgrad import api", "room 'ops' imports funcgrad.api of room 'api'"),
        ("ops.basics", "from ..api import jit", "room 'ops' imports funcgrad.api of room 'api'"),
        ("numpy.sets", "from funcgrad import grad", f"room 'numpy' imports funcgrad of room '{ROOT}'"),
        ("numpy.sets", "import funcgrad", f"room 'numpy' imports funcgrad of room '{ROOT}'"),
        ("api.jit", "def f():\n    from funcgrad.core import types", "imports funcgrad inside a function"),
    ],
)
def test_the_checker_catches(module, line, fault):
    (found,) = faults("made_up.py", module, f'"""Made up."""\n{line}\n')
    assert found == f"made_up.py:{2 + line.count(chr(10))}: {fault}"


@pytest.mark.parametrize(
    "line",
    ["from funcgrad.core.types import ArrayType", "from funcgrad import tree", "from . import vmap", "import numpy"],
)
def test_the_checker_lets_pass(line):
    assert faults("made_up.py", "api.jit", line) == []


def test_the_checker_wants_a_room_for_every_file():
    with pytest.raises(KeyError, match=r"funcgrad/stray is in no room: give it one in ROOMS"):
        faults("made_up.py", "stray.file", "")


def test_importing_funcgrad_loads_neither_numba_nor_scipy():
    code = "import sys, funcgrad; print([m for m in ('numba', 'scipy', 'llvmlite', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "['numpy']"


OTHER_MEANINGS = {
    ("complex", "funcgrad/api/source.py"),
    ("max", "funcgrad/compile/plan.py"),
    ("cond", "funcgrad/api/control.py"),
    ("sqrt", "funcgrad/api/budget.py"),
    ("sqrt", "funcgrad/api/control.py"),
    ("solve", "funcgrad/api/implicit.py"),
    ("solve", "funcgrad/transforms/implicit.py"),
    ("scan", "funcgrad/api/control.py"),
    ("cond", "funcgrad/transforms/while_loop.py"),
    ("cond", "funcgrad/transforms/loop.py"),
}
"""(text, file) where a primitive's name stands for something else: Python's type, called by the written text; no limit, in the
file where Linux says how much memory a group of processes may have; a value of
scan's `checkpoint`; a parameter that holds the user's solver; the function's name in messages, a loop's parameter."""


KERNEL_LANGUAGE = {"build.py", "functions.py", "kernel_text.py", "numba_language.py", "indexing.py", "cumulative.py"}
"""Files about the language that kernels are written in, which has a floor and a sqrt of its own."""


def test_each_primitive_is_named_in_one_place():
    texts = {p: p.read_text() for room in ("compile", "transforms", "api") for p in (PACKAGE / room).rglob("*.py")}
    for name in TABLE:
        row = re.compile(rf'= (\w*\.)?\w+\(\s*"{name}",')  # `sin = elementwise("sin", ...`
        holders = {
            (name, relative(p))
            for p, text in texts.items()
            if f'"{name}"' in row.sub("", text) and p.name not in KERNEL_LANGUAGE
        }
        assert holders <= OTHER_MEANINGS, f"{name} is named outside its row: {sorted(holders)}"
