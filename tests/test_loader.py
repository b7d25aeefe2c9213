"""The loader of object code, beside LLVM's own, and what it leaves to LLVM."""

import ctypes
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from funcgrad.compile import codegen, loader, machine, native

KERNEL = """
declare double @fmod(double, double)
@table = private constant [2 x double] [double 5.0, double 7.0]
@state = internal global i64 0
define double @first(double %x) {
  %p = getelementptr [2 x double], ptr @table, i64 0, i64 1
  %c = load double, ptr %p
  %y = call double @fmod(double %x, double %c)
  ret double %y
}
define i64 @second() {
  %old = load i64, ptr @state
  %new = add i64 %old, 1
  store i64 %new, ptr @state
  ret i64 %new
}
"""
CONSTANT = "@table = constant i64 3\ndefine ptr @where() {\n  ret ptr @table\n}\n"
linux = pytest.mark.skipif(sys.platform != "linux" or struct.calcsize("P") != 8, reason="LLVM's loader serves here")


def code_of(text):
    return codegen.compile_ir(text)


@linux
@pytest.mark.parametrize("link", [native.link, native._link_by_llvm])
def test_functions_with_constants_and_calls_of_the_c_library(link):
    (first,) = link(code_of(KERNEL.replace("@second", f"@second_{link.__name__}")), ["first"])
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(first)(17.5) == np.fmod(17.5, 7.0)


@linux
def test_all_functions_are_found_and_code_is_not_writable():
    found = loader.load(code_of(CONSTANT))
    if found is None:
        pytest.skip("another architecture: LLVM's loader serves here")
    assert set(found) == {"where", "table"}
    where = ctypes.CFUNCTYPE(ctypes.c_uint64)(found["where"])
    assert where() == found["table"]
    assert ctypes.c_int64.from_address(found["table"]).value == 3
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [(line.split()[0].split("-"), line.split()[1]) for line in lines]
    (flags,) = [f for (a, b), f in spans if int(a, 16) <= found["where"] < int(b, 16)]
    assert flags[:3] == "r-x"


@linux
def test_a_file_with_unknown_contents_is_left_to_llvm():
    code = code_of(KERNEL)
    assert loader.load(b"") is None
    assert loader.load(b"MZ" + code[2:]) is None
    other_machine = code[:18] + struct.pack("<H", 183) + code[20:]
    assert loader.load(other_machine) is None
    assert loader.load(code.replace(b"\0fmod\0", b"\0fm0d\0")) is None  # no such function
    if loader.load(code) is None:
        return  # another architecture
    relocations = 0
    table, size, count = struct.unpack_from("<Q10xHH", code, 40)
    changed = bytearray(code)
    for n in range(count):
        kind = struct.unpack_from("<I", code, table + size * n + 4)[0]
        at, length = struct.unpack_from("<QQ", code, table + size * n + 24)
        if kind == 4:
            for place in range(at, at + length, 24):
                info = struct.unpack_from("<Q", code, place + 8)[0]
                struct.pack_into("<Q", changed, place + 8, info & ~0xFFFFFFFF | 10)
                relocations += 1
    assert relocations and loader.load(bytes(changed)) is None


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(RuntimeError, match="did not find the function third"):
        native.link(code_of(KERNEL.replace("@first", "@fourth").replace("@second", "@fifth")), ["third"])


def test_programs_run_the_same_by_llvms_loader(tmp_path):
    script = (
        "import numpy as np, funcgrad as fg, funcgrad.numpy as jnp\n"
        "from funcgrad.compile import loader\n"
        "if CHANGE: loader.load = lambda code: None\n"
        "x = np.linspace(-3, 3, 1000)\n"
        "print(fg.jit(fg.grad(lambda x: jnp.sum(jnp.sin(x) * jnp.exp(x) % 0.7)))(x).tobytes().hex())\n"
    )
    env = {"FUNCGRAD_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)}
    runs = [
        subprocess.run([sys.executable, "-c", script.replace("CHANGE", c)], env=env, capture_output=True, check=True)
        for c in ("False", "True", "False")
    ]
    assert runs[0].stdout == runs[1].stdout == runs[2].stdout and runs[0].stdout


@linux
def test_a_program_whose_kernels_are_on_disk_needs_no_llvm(tmp_path):
    script = (
        "import sys, numpy as np, funcgrad as fg, funcgrad.numpy as jnp\n"
        "w = np.ones((64, 64), np.float32)\n"
        "fg.jit(fg.grad(lambda w: jnp.sum(jnp.tanh(w @ w))))(w)\n"
        "print('llvmlite' in sys.modules, fg.compile_log()['compiled'])\n"
    )
    env = {"FUNCGRAD_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)}
    run = [
        subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True, text=True)
        for _ in range(2)
    ]
    if loader.load(code_of(CONSTANT)) is None:
        pytest.skip("another architecture: LLVM's loader serves here")
    assert run[0].stdout.startswith("True") and run[1].stdout == "False 0\n"


# ---- what the CPU can do ----


def test_features_are_those_that_llvm_finds():
    import llvmlite.binding as llvm

    asked = ("avx2", "avx512f", "avx512dq", "avx512vl", "fma", "aes")
    theirs = llvm.get_host_cpu_features()
    assert {a for a in asked if a in machine.features()} == {a for a in asked if theirs.get(a)}


@pytest.mark.parametrize("text", ["", "processor : 0\n"])
def test_systems_that_describe_no_cpu_ask_llvm(tmp_path, monkeypatch, text):
    import llvmlite.binding as llvm

    (tmp_path / "cpuinfo").write_text(text)
    for place in (tmp_path / "cpuinfo", tmp_path / "missing"):
        monkeypatch.setattr(machine, "_CPUINFO", place)
        for f in (machine._description, machine.features, machine.identity):
            f.cache_clear()
        assert llvm.get_host_cpu_name() in machine.identity()
        assert machine.features() == {k for k, v in llvm.get_host_cpu_features().items() if v}
    monkeypatch.undo()
    for f in (machine._description, machine.features, machine.identity):
        f.cache_clear()
    assert machine.identity()
