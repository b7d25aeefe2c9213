"""A compiled program as a function for other compiled code: numba's, C's, SciPy's.

The frames of executor.py belong to calls from Python. A call from elsewhere brings its own memory: `fg_apply` copies the tables
of the program to the stack (to the heap if they and the arena are large), sets the pointers in them, and runs the steps one
after the other. Nothing is shared between calls but constants, so any number of threads may call at once, without the
interpreter's lock. Steps are cut into the pieces that a call from Python has, so the results are the same bits.

Words of a program for `fg_apply`: 0 words of the tables, 1 bytes of the arena, 2 steps, 3 the word of the tables at which they
begin (see runtime.py), 4 patches, 5 where they are (word, number of the array, bytes to add), 6 addresses in arena and tables, 7
where they are (word, bytes from the arena's start), 8 where the tables are. The last line of the arena is the word in which a
user's own function notes that it failed. Loops and choices are the runtime's, told that there is no pool and no deadline.
"""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.compile import codegen, locks, native
from funcgrad.compile.assembly import load_pointer, load_word
from funcgrad.compile.entries import HostStep
from funcgrad.compile.executor import Executable
from funcgrad.compile.tables import Patch, Place, WordTable

HEADER_WORDS = 9
STACK_BYTES = 32768
"""What a call may take from the stack; more comes from the heap."""
FAILED_BYTES = 64
DONE, NO_MEMORY, FAILED = 0, 1, 2

APPLY = (
    """
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; Runs a program on arrays: `arrays` are the addresses of its inputs, then of its outputs. 0, 1 if there is no memory, 2 if a
; user's own function failed.
define i64 @fg_apply(ptr %program, ptr %arrays) nounwind {
entry:
"""
    + load_word("words", "%program", 0)
    + load_word("arena.bytes", "%program", 1)
    + f"""
  %table.bytes = mul i64 %words, 8
  %both = add i64 %table.bytes, %arena.bytes
  %need = add i64 %both, 64
  %small = icmp sle i64 %need, {STACK_BYTES}
  br i1 %small, label %stack, label %heap
stack:
  %s = alloca i8, i64 %need, align 64
  br label %begin
heap:
  %h = call ptr @malloc(i64 %need)
  %none = icmp eq ptr %h, null
  br i1 %none, label %nomemory, label %begin
nomemory:
  ret i64 {NO_MEMORY}
begin:
  %memory = phi ptr [ %s, %stack ], [ %h, %heap ]
  %m0 = ptrtoint ptr %memory to i64
  %m1 = add i64 %m0, 63
  %arena = and i64 %m1, -64
  %t0 = add i64 %arena, %arena.bytes
  %tables = inttoptr i64 %t0 to ptr
  %f0 = sub i64 %t0, {FAILED_BYTES}
  %failed = inttoptr i64 %f0 to ptr
  store i64 0, ptr %failed
"""
    + load_pointer("from", "%program", 8)
    + """
  call void @llvm.memcpy.p0.p0.i64(ptr %tables, ptr %from, i64 %table.bytes, i1 false)
"""
    + load_word("patch.count", "%program", 4)
    + load_pointer("patches", "%program", 5)
    + """
  br label %patch
patch:
  %p = phi i64 [ 0, %begin ], [ %p1, %patch.one ]
  %p.more = icmp slt i64 %p, %patch.count
  br i1 %p.more, label %patch.one, label %places.begin
patch.one:
  %po = mul i64 %p, 3
  %pp = getelementptr i64, ptr %patches, i64 %po
"""
    + load_word("p.word", "%pp", 0)
    + load_word("p.array", "%pp", 1)
    + load_word("p.bytes", "%pp", 2)
    + """
  %p.from = getelementptr i64, ptr %arrays, i64 %p.array
  %p.base = load i64, ptr %p.from
  %p.address = add i64 %p.base, %p.bytes
  %p.to = getelementptr i64, ptr %tables, i64 %p.word
  store i64 %p.address, ptr %p.to
  %p1 = add i64 %p, 1
  br label %patch
places.begin:
"""
    + load_word("place.count", "%program", 6)
    + load_pointer("places", "%program", 7)
    + """
  br label %place
place:
  %q = phi i64 [ 0, %places.begin ], [ %q1, %place.one ]
  %q.more = icmp slt i64 %q, %place.count
  br i1 %q.more, label %place.one, label %steps.begin
place.one:
  %qo = mul i64 %q, 2
  %qp = getelementptr i64, ptr %places, i64 %qo
"""
    + load_word("q.word", "%qp", 0)
    + load_word("q.bytes", "%qp", 1)
    + """
  %q.address = add i64 %arena, %q.bytes
  %q.to = getelementptr i64, ptr %tables, i64 %q.word
  store i64 %q.address, ptr %q.to
  %q1 = add i64 %q, 1
  br label %place
steps.begin:
"""
    + load_word("step.count", "%program", 2)
    + load_word("step.first", "%program", 3)
    + """
  %steps = getelementptr i64, ptr %tables, i64 %step.first
  br label %step
step:
  %n = phi i64 [ 0, %steps.begin ], [ %n1, %step.done ]
  %n.more = icmp slt i64 %n, %step.count
  br i1 %n.more, label %step.one, label %end
step.one:
  %no = mul i64 %n, 4
  %np = getelementptr i64, ptr %steps, i64 %no
"""
    + load_pointer("kernel", "%np", 0)
    + load_pointer("table", "%np", 1)
    + load_word("units", "%np", 2)
    + load_word("size", "%np", 3)
    + """
  %control = icmp eq i64 %size, 0
  br i1 %control, label %nested, label %range
nested:
  %stopped = call i64 %kernel(ptr null, ptr %table, i64 9223372036854775807)
  br label %step.done
range:
  ; Negative: pieces in order, as they are here in any case.
  %chain = icmp slt i64 %size, 0
  %positive = sub i64 0, %size
  %grain = select i1 %chain, i64 %positive, i64 %size
  br label %piece
piece:
  %lo = phi i64 [ 0, %range ], [ %hi, %piece ]
  %far = add i64 %lo, %grain
  %past = icmp sgt i64 %far, %units
  %hi = select i1 %past, i64 %units, i64 %far
  call void %kernel(ptr %table, i64 %lo, i64 %hi)
  %rest = icmp slt i64 %hi, %units
  br i1 %rest, label %piece, label %step.done
step.done:
  %n1 = add i64 %n, 1
  br label %step
end:
  %bad = load i64, ptr %failed
  %wrong = icmp ne i64 %bad, 0
  %status = select i1 %wrong, i64 2, i64 0
  br i1 %small, label %good, label %release
release:
  call void @free(ptr %memory)
  br label %good
good:
  ret i64 %status
}
"""
)

_apply: list[int] = []
_kept: list[Any] = []
"""Programs whose address compiled code holds: nobody can tell when that code is gone, so they stay."""
_numbers = itertools.count()


def apply_address() -> int:
    """The address of `long fg_apply(program, arrays)`."""
    with locks.loading:
        if not _apply:
            _apply.append(native.load_code(APPLY, lambda _: codegen.compile_ir(APPLY), "fg_apply"))
        return _apply[0]


class Export:
    """A compiled program as data for `fg_apply`: `.address` of its words, `.inputs` and `.outputs` (types), `.name`.

    Raises NotImplementedError if a step of it is a host call.
    """

    def __init__(self, executable: Executable, name: str):
        self.name = name
        hosts = sorted({e.label for e in executable.entries if isinstance(e, HostStep)})
        if hosts:
            raise NotImplementedError(
                f"{self.name} cannot be called from compiled code: {', '.join(map(repr, hosts))} "
                f"{'is a host call' if len(hosts) == 1 else 'are host calls'}, which Python runs with NumPy or SciPy. "
                "Compile the parts before and after separately, or call the jitted function from Python."
            )
        self.inputs = [v.type for v in executable.inputs]
        self.outputs = [v.type for v in executable.outputs]
        self.may_fail = bool(executable.stops)
        """Whether a user's own function is called, which may raise."""
        self.words = _program_words(executable)
        self.address: int = self.words.ctypes.data
        # The executable keeps constants alive.
        _kept.append((executable, self.words))


_unread = np.zeros(1, np.int64)
"""Where compiled callers' indices out of bounds are noted: nobody could raise for them."""


def _program_words(executable: Executable) -> np.ndarray:
    """The words of a program, with absolute addresses inside of them."""
    number = {v: i for i, v in enumerate((*executable.inputs, *executable.outputs))}
    arena = -(-executable.memory.size // 64) * 64 + FAILED_BYTES
    table = WordTable({fault.cell: _unread.ctypes.data for _, fault in executable.faults})
    table.failed = Place(arena - FAILED_BYTES)
    patched: list[Patch] = []
    place = {v: Place(at) for v, at in executable.memory.places.items()}
    first = table.steps(executable.plan, place, number, patched)
    tables, places = table.movable(arena)
    patches = [n for patch in patched for n in patch]
    parts = [patches, places, tables]
    words = np.zeros(HEADER_WORDS + sum(map(len, parts)), np.int64)
    at, starts = HEADER_WORDS, []
    for part in parts:
        words[at : at + len(part)] = part
        starts.append(words.ctypes.data + 8 * at)
        at += len(part)
    words[:HEADER_WORDS] = [
        len(tables), arena, len(executable.entries), first, len(patched), starts[0], len(places) // 2, starts[1], starts[2],
    ]  # fmt: skip
    return words


# ---- C functions ----

SCALARS, VECTOR, POINTERS = "scalars", "vector", "pointers"
_C_NAMES = {
    "b1": "bool", "i1": "int8_t", "i2": "int16_t", "i4": "int32_t", "i8": "int64_t", "u1": "uint8_t", "u2": "uint16_t",
    "u4": "uint32_t", "u8": "uint64_t", "f4": "float", "f8": "double", "c8": "float complex", "c16": "double complex",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class CFunction:
    """A C function pointer. `.address`; `.ctypes`, a ctypes function (what scipy.LowLevelCallable takes); `.signature`, in C.

    It is good for the life of the process, from any thread, without the interpreter's lock.
    """

    name: str
    address: int
    ctypes: Any
    signature: str

    def __repr__(self) -> str:
        return f"<C function {self.name}: {self.signature}>"


def c_function(export: Export, signature: str | None = None) -> CFunction:
    """The program as a C function.

    Args:
        signature: "double (double, ...)" with as many arguments as the program has; "double (int, double *)" with the arguments
            (or the elements of the only one) in an array and their count; "void (double *, ...)" with the address of each
            input, then of each output. None: the first where it fits, else the last.

    Raises ValueError for a signature that the program does not fit.
    """
    forms = _signatures(export)
    if signature is None:
        form = next(iter(forms))
    else:
        wanted = _plain(signature)
        matching = [f for f, text in forms.items() if _plain(text) == wanted]
        if not matching:
            types = f"({', '.join(map(str, export.inputs))}) -> ({', '.join(map(str, export.outputs))})"
            raise ValueError(
                f"cfunc of {export.name}: a program of type {types} has no signature {signature!r}; it can have "
                f"{' or '.join(repr(t) for t in forms.values())}."
            )
        form = matching[0]
    number = next(_numbers)
    symbol = f"fg_export_{number}"
    address = _loaded(_stub(export, form, symbol), symbol)
    return CFunction(export.name, address, _prototype(export, form)(address), forms[form])


def _plain(signature: str) -> str:
    return "".join(signature.split())


def _signatures(export: Export) -> dict[str, str]:
    """The signatures that fit a program, the one to prefer first."""
    found = {}
    doubles = all(t.dtype == np.float64 for t in (*export.inputs, *export.outputs))
    one = len(export.outputs) == 1 and export.outputs[0].shape == () and doubles and export.inputs
    if one and all(t.shape == () for t in export.inputs):
        found[SCALARS] = f"double ({', '.join(['double'] * len(export.inputs))})"
    if one and (SCALARS in found or (len(export.inputs) == 1 and len(export.inputs[0].shape) == 1)):
        found[VECTOR] = "double (int, double *)"
    names = [_C_NAMES.get(t.dtype.str[1:], "void") for t in (*export.inputs, *export.outputs)]
    found[POINTERS] = f"void ({', '.join(f'{n} *' for n in names)})"
    # An array's function takes pointers unless it is asked for otherwise.
    return found if SCALARS in found else {POINTERS: found.pop(POINTERS), **found}


def _prototype(export: Export, form: str) -> Any:
    double = ctypes.c_double
    if form == SCALARS:
        return ctypes.CFUNCTYPE(double, *[double] * len(export.inputs))
    if form == VECTOR:
        return ctypes.CFUNCTYPE(double, ctypes.c_int, ctypes.POINTER(double))
    pointers = [_pointer_type(t.dtype) for t in (*export.inputs, *export.outputs)]
    return ctypes.CFUNCTYPE(None, *pointers)


def _pointer_type(dtype: np.dtype) -> Any:
    if dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype != np.float16:
        return ctypes.POINTER(np.ctypeslib.as_ctypes_type(dtype))
    return ctypes.c_void_p


def _loaded(text: str, symbol: str) -> int:
    """The address of a function of LLVM assembly. It holds addresses of this process, so it is in no cache."""
    with locks.loading:
        return native.link(codegen.compile_ir(text), [symbol])[0]


def _stub(export: Export, form: str, symbol: str) -> str:
    """The LLVM assembly of a C function that puts its arguments into a list of addresses and calls `fg_apply`."""
    count, total = len(export.inputs), len(export.inputs) + len(export.outputs)
    lines = [f"  %list = alloca [{max(total, 1)} x ptr]"]

    def entry(n: int, value: str) -> None:
        lines.append(f"  %l{n} = getelementptr ptr, ptr %list, i64 {n}")
        lines.append(f"  store ptr {value}, ptr %l{n}")

    if form == POINTERS:
        parameters = [f"ptr %p{n}" for n in range(total)]
        for n in range(total):
            entry(n, f"%p{n}")
        kind, failed, result = "void", "ret void", "  ret void"
    else:
        kind, failed = "double", "ret double 0x7FF8000000000000"
        result = "  %value = load double, ptr %result\n  ret double %value"
        lines.append("  %result = alloca double")
        entry(count, "%result")
        if form == SCALARS:
            parameters = [f"double %x{n}" for n in range(count)]
            for n in range(count):
                lines += [f"  %s{n} = alloca double", f"  store double %x{n}, ptr %s{n}"]
                entry(n, f"%s{n}")
        else:
            parameters = ["i32 %n", "ptr %x"]
            (*_, size) = (count, *export.inputs[0].shape)
            for n in range(count):
                lines.append(f"  %e{n} = getelementptr double, ptr %x, i64 {n}")
                entry(n, f"%e{n}")
            # Too few elements would be read beyond their end.
            lines += [f"  %fits = icmp eq i32 %n, {size}", "  br i1 %fits, label %run, label %bad", "run:"]
    lines += [
        f"  %apply = inttoptr i64 {apply_address()} to ptr",
        f"  %program = inttoptr i64 {export.address} to ptr",
        "  %status = call i64 %apply(ptr %program, ptr %list)",
        "  %done = icmp eq i64 %status, 0",
        "  br i1 %done, label %good, label %bad",
        f"bad:\n  {failed}",
        f"good:\n{result}",
    ]
    head = f"define {kind} @{symbol}({', '.join(parameters)}) nounwind {{\nentry:"
    return "\n".join([head, *lines, "}", ""])
