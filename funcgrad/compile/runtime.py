"""The native part of the executor, in LLVM assembly: binds the arrays of a call to a frame and runs its schedule.

A frame is a table of 64-bit words (see executor.py for its fields). `fg_run` binds the arrays of a call to it, checking their
types natively, and runs its steps: kernels over ranges that threads share (runtime_pool.py), in sequences, loops and choices
(runtime_schedule.py). After about 100 ms it comes back to Python with its position in the frame, so that Ctrl-C is honoured, and
is called again.
"""

from __future__ import annotations

from funcgrad.compile.assembly import load_pointer as _pointer
from funcgrad.compile.assembly import load_word as _word
from funcgrad.compile.runtime_pool import POOL
from funcgrad.compile.runtime_schedule import SCHEDULE

FRAME_WORDS = 18
"""pool cell, patches, patch count, steps, step count, checks, check count, step, position, whether the clock must be watched,
the two types of arrays that need no conversion, how many arrays a call binds, whether code of the user's failed, the objects 0, 1
and 2 of Python, how many references more one of them has when it is given back."""
FAILED = 13
"""The number of the word that says whether code of the user's failed."""
PATCH_WORDS = 3
"""address of the word to set, number of the array, bytes to add to its data pointer."""
CHECK_WORDS = 5
"""number of the array, dtype object, dimensions, address of the sizes, whether it will be written."""
DONE, MISMATCH, AGAIN = 0, 1, 2
"""what `fg_run` gives: done; the arrays are not as the program takes them; it was late, and `fg_steps` goes on from there."""


_SYSTEM = """
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)

define i64 @fg_now() nounwind {
  %t = alloca [2 x i64]
  %r = call i32 @clock_gettime(i32 CLOCK, ptr %t)
  %s = load i64, ptr %t
  %n.p = getelementptr i64, ptr %t, i64 1
  %n = load i64, ptr %n.p
  %big = mul i64 %s, 1000000000
  %all = add i64 %big, %n
  ret i64 %all
}
"""
"""What all parts call: the C library, the clock."""

_BIND = (
    """
; Binds the arrays of the tuple to the frame: checks their types, writes their data pointers into the tables.
define i64 @fg_bind(ptr %frame, ptr %tuple) nounwind {
entry:
"""
    + _pointer("plain", "%frame", 10)
    + _pointer("own", "%frame", 11)
    + """
  %items = getelementptr i8, ptr %tuple, i64 ITEMS
  %count.p = getelementptr i8, ptr %tuple, i64 COUNT
  %count = load i64, ptr %count.p
"""
    + _word("need", "%frame", 12)
    + _pointer("patches", "%frame", 1)
    + _word("npatch", "%frame", 2)
    + _pointer("checks", "%frame", 5)
    + _word("ncheck", "%frame", 6)
    + """
  %complete = icmp eq i64 %count, %need
  br i1 %complete, label %begin, label %bad
begin:
  %anycheck = icmp sgt i64 %ncheck, 0
  br i1 %anycheck, label %check, label %bind
check:
  %c = phi i64 [ 0, %begin ], [ %c1, %next ]
  %co = mul i64 %c, 5
  %cp = getelementptr i64, ptr %checks, i64 %co
"""
    + _word("which", "%cp", 0)
    + _word("descr", "%cp", 1)
    + _word("nd", "%cp", 2)
    + _pointer("sizes", "%cp", 3)
    + """
  %ip = getelementptr ptr, ptr %items, i64 %which
  %obj = load ptr, ptr %ip
  %type.p = getelementptr i8, ptr %obj, i64 TYPE
  %type = load ptr, ptr %type.p
  %isplain = icmp eq ptr %type, %plain
  %isown = icmp eq ptr %type, %own
  %isarray = or i1 %isplain, %isown
  br i1 %isarray, label %array, label %bad
array:
  %ndim.p = getelementptr i8, ptr %obj, i64 NDIM
  %nd32 = load i32, ptr %ndim.p
  %ndim = sext i32 %nd32 to i64
  %samend = icmp eq i64 %ndim, %nd
  %kind.p = getelementptr i8, ptr %obj, i64 DESCR
  %d = load i64, ptr %kind.p
  %samed = icmp eq i64 %d, %descr
  %flags.p = getelementptr i8, ptr %obj, i64 FLAGS
  %flags = load i32, ptr %flags.p
  %fl = and i32 %flags, 257
  %ordered = icmp eq i32 %fl, 257
  %ok1 = and i1 %samend, %samed
  %ok2 = and i1 %ok1, %ordered
  br i1 %ok2, label %dims, label %bad
dims:
  %dims.p = getelementptr i8, ptr %obj, i64 DIMS
  %have = load ptr, ptr %dims.p
  %anydim = icmp sgt i64 %nd, 0
  br i1 %anydim, label %dim, label %next
dim:
  %k = phi i64 [ 0, %dims ], [ %k1, %dimnext ]
  %hp = getelementptr i64, ptr %have, i64 %k
  %h = load i64, ptr %hp
  %wp = getelementptr i64, ptr %sizes, i64 %k
  %w = load i64, ptr %wp
  %eq = icmp eq i64 %h, %w
  br i1 %eq, label %dimnext, label %bad
dimnext:
  %k1 = add i64 %k, 1
  %kmore = icmp slt i64 %k1, %nd
  br i1 %kmore, label %dim, label %next
next:
  %c1 = add i64 %c, 1
  %cmore = icmp slt i64 %c1, %ncheck
  br i1 %cmore, label %check, label %bind
bind:
  %anypatch = icmp sgt i64 %npatch, 0
  br i1 %anypatch, label %patch, label %good
patch:
  %p = phi i64 [ 0, %bind ], [ %p1, %patch ]
  %po = mul i64 %p, 3
  %pp = getelementptr i64, ptr %patches, i64 %po
"""
    + _pointer("slot", "%pp", 0)
    + _word("array.n", "%pp", 1)
    + _word("bytes", "%pp", 2)
    + """
  %aip = getelementptr ptr, ptr %items, i64 %array.n
  %aobj = load ptr, ptr %aip
  %data.p = getelementptr i8, ptr %aobj, i64 DATA
  %data = load i64, ptr %data.p
  %place = add i64 %data, %bytes
  store i64 %place, ptr %slot
  %p1 = add i64 %p, 1
  %pmore = icmp slt i64 %p1, %npatch
  br i1 %pmore, label %patch, label %good
good:
  ret i64 0
bad:
  ret i64 1
}
"""
)

_ENTRY = (
    """
; Runs the steps of a bound frame from its position on until the one numbered `last`.
define i64 @fg_steps(ptr %frame, i64 %last) nounwind {
entry:
"""
    + _pointer("cell", "%frame", 0)
    + """
  %pool = load ptr, ptr %cell
"""
    + _pointer("steps", "%frame", 3)
    + _word("watch", "%frame", 9)
    + """
  %pos = getelementptr i64, ptr %frame, i64 7
  %watched = icmp ne i64 %watch, 0
  br i1 %watched, label %time0, label %go
time0:
  %begin = call i64 @fg_now()
  %soon = add i64 %begin, 100000000
  br label %go
go:
  %deadline = phi i64 [ 9223372036854775807, %entry ], [ %soon, %time0 ]
  %r = call i64 @fg_sequence(ptr %pool, ptr %steps, i64 %last, ptr %pos, i64 %deadline)
  ret i64 %r
}

define i64 @fg_run(ptr %frame, ptr %tuple) nounwind {
  %bound = call i64 @fg_bind(ptr %frame, ptr %tuple)
  %good = icmp eq i64 %bound, 0
  br i1 %good, label %go, label %bad
go:
  %s = getelementptr i64, ptr %frame, i64 7
  store i64 0, ptr %s
  %p = getelementptr i64, ptr %frame, i64 8
  store i64 0, ptr %p
"""
    + _word("count", "%frame", 4)
    + """
  %r = call i64 @fg_steps(ptr %frame, i64 %count)
  ret i64 %r
bad:
  ret i64 1
}

; `fg_run` as a method of Python's: `self` is the array of the frame's words, the argument the tuple, and the answer one of
; Python's numbers.
define ptr @fg_call(ptr %self, ptr %tuple) nounwind {
  %data.p = getelementptr i8, ptr %self, i64 DATA
  %frame = load ptr, ptr %data.p
  %code = call i64 @fg_run(ptr %frame, ptr %tuple)
  %which = add i64 %code, 14
"""
    + _pointer("answer", "%frame", "%which")
    + _word("more", "%frame", 17)
    + """
  %count = load i64, ptr %answer
  %counted = add i64 %count, %more
  store i64 %counted, ptr %answer
  ret ptr %answer
}
"""
)

RUN = _SYSTEM + POOL + _BIND + SCHEDULE + _ENTRY
"""The text that native.py translates, once CPU and Python have filled in its words in capitals."""
