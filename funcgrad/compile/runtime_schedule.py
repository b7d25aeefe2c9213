"""Sequences of steps, loops and choices, in LLVM assembly: a part of the text of runtime.py.

A sequence runs steps one after the other and can stop between them, or inside of one, when it is late; its position says where to
go on. The body of a loop and a branch of a choice are *blocks*, sequences whose inputs and outputs get new places each time that
they are entered. tables.py lays out the words that are read here.
"""

from __future__ import annotations

from funcgrad.compile.assembly import load_pointer as _pointer
from funcgrad.compile.assembly import load_word as _word

STEP_WORDS = 4
"""kernel, table, units, grain. A negative grain: pieces in order, one after the other. Zero: a loop or a choice; its kernel is
`fg_loop` or `fg_switch`, its table a block of more steps."""
BLOCK_WORDS = 11
"""steps, step count, step, position, roles, role count, patches, patch count, slots, roles and patches that only the first
iteration needs. A patch is one of runtime.py, with the number of a slot instead of an array's."""
ROLE_WORDS = 4
"""What an input or output of a block is in iteration i, for the slot that it fills: (0, address of a pointer, bytes per slice);
(1, address of the first carry's pointer, two buffers): what iteration i - 1 wrote; (2, any address, two buffers): where it
writes."""
LOOP_WORDS = 20
"""a block, then iteration, length, whether it is inside one, mask of the iterations after which the clock is read, address of the
first condition's pointer (0: none), address of the condition that iterations write, finals, final count, whether slices go
backwards."""
FINAL_WORDS = 5
"""addresses of the pointers to the result and to the first carry, two buffers, bytes."""
SWITCH_WORDS = 4
"""pointer to the index, branch count, chosen branch, whether it is inside; then the addresses of the blocks."""


SCHEDULE = (
    """
; Runs steps from the position (step, unit) at `pos` on until the one numbered `last`. Gives 2 if it was late, else 0.
define internal i64 @fg_sequence(ptr %pool, ptr %steps, i64 %last, ptr %pos, i64 %deadline) nounwind {
entry:
  %first = load i64, ptr %pos
  %unit.p = getelementptr i64, ptr %pos, i64 1
  %from0 = load i64, ptr %unit.p
  %any = icmp slt i64 %first, %last
  br i1 %any, label %step, label %done
step:
  %s = phi i64 [ %first, %entry ], [ %s1, %look ], [ %s1, %clock ]
  %from = phi i64 [ %from0, %entry ], [ 0, %look ], [ 0, %clock ]
  %so = mul i64 %s, 4
  %sp = getelementptr i64, ptr %steps, i64 %so
"""
    + _pointer("kernel", "%sp", 0)
    + _pointer("table", "%sp", 1)
    + _word("units", "%sp", 2)
    + _word("grain", "%sp", 3)
    + """
  %control = icmp eq i64 %grain, 0
  br i1 %control, label %nested, label %plain
nested:
  %stopped = call i64 %kernel(ptr %pool, ptr %table, i64 %deadline)
  %inner = icmp eq i64 %stopped, 0
  br i1 %inner, label %next, label %later
plain:
  %reached = call i64 @fg_step(ptr %pool, ptr %kernel, ptr %table, i64 %units, i64 %grain, i64 %from, i64 %deadline)
  %whole = icmp sge i64 %reached, %units
  br i1 %whole, label %next, label %later
next:
  %s1 = add i64 %s, 1
  %more = icmp slt i64 %s1, %last
  br i1 %more, label %look, label %done
look:
  %every = and i64 %s1, 63
  %time = icmp eq i64 %every, 0
  br i1 %time, label %clock, label %step
clock:
  %now = call i64 @fg_now()
  %late = icmp sgt i64 %now, %deadline
  br i1 %late, label %between, label %step
between:
  store i64 %s1, ptr %pos
  store i64 0, ptr %unit.p
  ret i64 2
later:
  %at = phi i64 [ 0, %nested ], [ %reached, %plain ]
  store i64 %s, ptr %pos
  store i64 %at, ptr %unit.p
  ret i64 2
done:
  store i64 %last, ptr %pos
  store i64 0, ptr %unit.p
  ret i64 0
}

; Writes the places of a block's inputs and outputs in iteration i (slice number at) into the tables of its steps.
define internal void @fg_enter(ptr %block, i64 %i, i64 %at) nounwind {
entry:
"""
    + _pointer("roles", "%block", 4)
    + _word("nrole", "%block", 5)
    + _pointer("patches", "%block", 6)
    + _word("npatch", "%block", 7)
    + _pointer("slots", "%block", 8)
    + _word("crole", "%block", 9)
    + _word("cpatch", "%block", 10)
    + """
  %begin = icmp eq i64 %i, 0
  %r0 = select i1 %begin, i64 0, i64 %crole
  %p0 = select i1 %begin, i64 0, i64 %cpatch
  %anyrole = icmp slt i64 %r0, %nrole
  br i1 %anyrole, label %role, label %bind
role:
  %r = phi i64 [ %r0, %entry ], [ %r1, %role ]
  %ro = mul i64 %r, 4
  %rp = getelementptr i64, ptr %roles, i64 %ro
"""
    + _word("kind", "%rp", 0)
    + _pointer("source", "%rp", 1)
    + _word("b", "%rp", 2)
    + _word("c", "%rp", 3)
    + """
  %given = load i64, ptr %source
  %step = mul i64 %at, %b
  %moved = add i64 %given, %step
  %isslice = icmp eq i64 %kind, 0
  %direct = select i1 %isslice, i64 %moved, i64 %given
  %isread = icmp eq i64 %kind, 1
  %back = zext i1 %isread to i64
  %turn = sub i64 %i, %back
  %odd = and i64 %turn, 1
  %isodd = icmp ne i64 %odd, 0
  %buffer = select i1 %isodd, i64 %c, i64 %b
  %initial = and i1 %isread, %begin
  %plain = or i1 %isslice, %initial
  %value = select i1 %plain, i64 %direct, i64 %buffer
  %slot = getelementptr i64, ptr %slots, i64 %r
  store i64 %value, ptr %slot
  %r1 = add i64 %r, 1
  %rmore = icmp slt i64 %r1, %nrole
  br i1 %rmore, label %role, label %bind
bind:
  %anypatch = icmp slt i64 %p0, %npatch
  br i1 %anypatch, label %patch, label %done
patch:
  %p = phi i64 [ %p0, %bind ], [ %p1, %patch ]
  %po = mul i64 %p, 3
  %pp = getelementptr i64, ptr %patches, i64 %po
"""
    + _pointer("target", "%pp", 0)
    + _word("which", "%pp", 1)
    + _word("bytes", "%pp", 2)
    + """
  %from = getelementptr i64, ptr %slots, i64 %which
  %base = load i64, ptr %from
  %place = add i64 %base, %bytes
  store i64 %place, ptr %target
  %p1 = add i64 %p, 1
  %pmore = icmp slt i64 %p1, %npatch
  br i1 %pmore, label %patch, label %done
done:
  ret void
}

; A loop: a block run again and again, for `length` iterations or as long as the condition that its last iteration wrote holds.
define i64 @fg_loop(ptr %pool, ptr %table, i64 %deadline) nounwind {
entry:
  %pos = getelementptr i64, ptr %table, i64 2
  %unit = getelementptr i64, ptr %table, i64 3
  %i.p = getelementptr i64, ptr %table, i64 11
  %inside.p = getelementptr i64, ptr %table, i64 13
  %inside = load i64, ptr %inside.p
"""
    + _pointer("steps", "%table", 0)
    + _word("count", "%table", 1)
    + _word("length", "%table", 12)
    + _word("mask", "%table", 14)
    + _pointer("first", "%table", 15)
    + _pointer("going", "%table", 16)
    + _word("reverse", "%table", 19)
    + """
  %resumed = icmp ne i64 %inside, 0
  br i1 %resumed, label %body, label %test
test:
  %i = load i64, ptr %i.p
  %more = icmp slt i64 %i, %length
  br i1 %more, label %ask, label %finish
ask:
  %counted = icmp eq ptr %first, null
  br i1 %counted, label %enter, label %look
look:
  %start = icmp eq i64 %i, 0
  %early = load ptr, ptr %first
  %flag.p = select i1 %start, ptr %early, ptr %going
  %flag = load i8, ptr %flag.p
  %holds = icmp ne i8 %flag, 0
  br i1 %holds, label %enter, label %finish
enter:
  %back = sub i64 %length, %i
  %back1 = sub i64 %back, 1
  %turned = icmp ne i64 %reverse, 0
  %at = select i1 %turned, i64 %back1, i64 %i
  call void @fg_enter(ptr %table, i64 %i, i64 %at)
  store i64 0, ptr %pos
  store i64 0, ptr %unit
  store i64 1, ptr %inside.p
  br label %body
body:
  %r = call i64 @fg_sequence(ptr %pool, ptr %steps, i64 %count, ptr %pos, i64 %deadline)
  %ended = icmp eq i64 %r, 0
  br i1 %ended, label %advance, label %late
advance:
  %i0 = load i64, ptr %i.p
  %i1 = add i64 %i0, 1
  store i64 %i1, ptr %i.p
  store i64 0, ptr %inside.p
  %every = and i64 %i1, %mask
  %time = icmp eq i64 %every, 0
  br i1 %time, label %clock, label %test
clock:
  %now = call i64 @fg_now()
  %over = icmp sgt i64 %now, %deadline
  br i1 %over, label %late, label %test
late:
  ret i64 2
finish:
"""
    + _pointer("finals", "%table", 17)
    + _word("nfinal", "%table", 18)
    + """
  %last = sub i64 %i, 1
  %odd = and i64 %last, 1
  %isodd = icmp ne i64 %odd, 0
  %none = icmp eq i64 %i, 0
  %any = icmp sgt i64 %nfinal, 0
  br i1 %any, label %copy, label %done
copy:
  %f = phi i64 [ 0, %finish ], [ %f1, %copy ]
  %fo = mul i64 %f, 5
  %fp = getelementptr i64, ptr %finals, i64 %fo
"""
    + _pointer("out.p", "%fp", 0)
    + _pointer("init.p", "%fp", 1)
    + _pointer("even", "%fp", 2)
    + _pointer("uneven", "%fp", 3)
    + _word("bytes", "%fp", 4)
    + """
  %out = load ptr, ptr %out.p
  %init = load ptr, ptr %init.p
  %buffer = select i1 %isodd, ptr %uneven, ptr %even
  %from = select i1 %none, ptr %init, ptr %buffer
  call void @llvm.memmove.p0.p0.i64(ptr %out, ptr %from, i64 %bytes, i1 false)
  %f1 = add i64 %f, 1
  %fmore = icmp slt i64 %f1, %nfinal
  br i1 %fmore, label %copy, label %done
done:
  store i64 0, ptr %i.p
  ret i64 0
}

; One of several blocks, chosen by an integer that is clamped into range.
define i64 @fg_switch(ptr %pool, ptr %table, i64 %deadline) nounwind {
entry:
  %chosen.p = getelementptr i64, ptr %table, i64 2
  %inside.p = getelementptr i64, ptr %table, i64 3
  %inside = load i64, ptr %inside.p
"""
    + _word("branches", "%table", 1)
    + _pointer("index.p", "%table", 0)
    + """
  %resumed = icmp ne i64 %inside, 0
  br i1 %resumed, label %body, label %choose
choose:
  %given = load i64, ptr %index.p
  %most = sub i64 %branches, 1
  %high = icmp sgt i64 %given, %most
  %capped = select i1 %high, i64 %most, i64 %given
  %low = icmp slt i64 %capped, 0
  %index = select i1 %low, i64 0, i64 %capped
  store i64 %index, ptr %chosen.p
  store i64 1, ptr %inside.p
  %ep = getelementptr i64, ptr %table, i64 %index
"""
    + _pointer("fresh", "%ep", 4)
    + """
  call void @fg_enter(ptr %fresh, i64 0, i64 0)
  %fresh.pos = getelementptr i64, ptr %fresh, i64 2
  store i64 0, ptr %fresh.pos
  %fresh.unit = getelementptr i64, ptr %fresh, i64 3
  store i64 0, ptr %fresh.unit
  br label %body
body:
  %which = load i64, ptr %chosen.p
  %wp = getelementptr i64, ptr %table, i64 %which
"""
    + _pointer("block", "%wp", 4)
    + _pointer("steps", "%block", 0)
    + _word("count", "%block", 1)
    + """
  %pos = getelementptr i64, ptr %block, i64 2
  %r = call i64 @fg_sequence(ptr %pool, ptr %steps, i64 %count, ptr %pos, i64 %deadline)
  %ended = icmp eq i64 %r, 0
  br i1 %ended, label %done, label %late
done:
  store i64 0, ptr %inside.p
  ret i64 0
late:
  ret i64 2
}
"""
)
