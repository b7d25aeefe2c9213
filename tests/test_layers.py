"""The order of the rooms: a file imports from its own room and from those above it, and nothing else."""

import ast
import pathlib
import subprocess
import sys

import pytest

import funcgrad

PACKAGE = pathlib.Path(funcgrad.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ["base", "core", "ops", "transforms", "compile", "api", "numpy", "torch"]
BASE = {"errors", "treekind", "treedef", "tree", "tree_util"}


def room_of(module: str) -> str:
    """The room of a dotted module name below funcgrad."""
    head = module.split(".")[0]
    if head in BASE:
        return "base"
    return head if head in ROOMS else "numpy"


def imports_of(text: str) -> list[tuple[int, str]]:
    """(line, module below funcgrad) of every import of funcgrad in a source text."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names if a.name.split(".")[0] == "funcgrad"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "funcgrad":
            if node.module == "funcgrad":
                found += [(node.lineno, f"funcgrad.{a.name}") for a in node.names]
            else:
                found.append((node.lineno, str(node.module)))
    return [(line, module.partition(".")[2]) for line, module in found]


def upward(module: str, text: str) -> list[str]:
    """The imports of a file that go up or to the package root, as messages."""
    own = room_of(module)
    bad = []
    for line, target in imports_of(text):
        if not target or ROOMS.index(room_of(target)) > ROOMS.index(own):
            bad.append(f"{module}:{line} (room {own}) imports {target or 'funcgrad'} (room {room_of(target)})")
    return bad


def module_name(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize("path", [p for p in FILES if p.parent != PACKAGE or p.name != "__init__.py"], ids=module_name)
def test_imports_go_one_way(path):
    assert upward(module_name(path), path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_file_says_what_it_is_for_and_imports_at_its_top(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module opens with a docstring"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = [n for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom))]
            assert not any(imports_of(ast.unparse(n)) for n in inner), f"{node.name} imports funcgrad inside a function"


def test_the_checker_sees_an_upward_import():
    assert upward("core.types", "from funcgrad.api.jit import jit") != []
    assert upward("ops.basics", "from funcgrad import api") != []
    assert upward("api.jit", "from funcgrad.core.types import ArrayType") == []


def test_importing_funcgrad_loads_neither_numba_nor_scipy():
    code = "import sys, funcgrad; print([m for m in ('numba', 'scipy', 'llvmlite') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_primitive_is_named_in_one_place():
    from funcgrad.ops.families import TABLE

    texts = {p: p.read_text() for room in ("compile", "transforms", "api") for p in (PACKAGE / room).rglob("*.py")}
    for name, primitive in TABLE.items():
        if primitive.linearize is None and not primitive.effect:
            holders = [module_name(p) for p, text in texts.items() if f'"{name}"' in text]
            assert holders == [], f"{name} is named outside its row"
