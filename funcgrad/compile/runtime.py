"""The native part of the executor, in LLVM assembly: runs a schedule, shares ranges among threads, calls the BLAS.

A frame is a table of 64-bit words (see executor.py for its fields). `fg_run` binds the arrays of a call to it, checking their
types natively, and runs its steps; each step is a kernel `void (words, lo, hi)` and a range, taken in pieces of `grain` units
whose bounds do not depend on the number of threads. After about 100 ms it comes back to Python with its position in the
frame, so that Ctrl-C is honoured, and is called again.

The pool: one job at a time (another caller meanwhile runs its ranges alone). Workers take pieces by an atomic counter; the
caller never waits for a worker that has not begun. Words of the pool: 0-15 mutex, 16-31 condition, 32 generation, 33 kernel,
34 table, 35 units, 36 grain, 37 next unit, 38 active workers, 39 open, 40 busy, 41 sleepers, 42 stop, 43 threads allowed.
"""

from __future__ import annotations

from funcgrad.compile.assembly import load_pointer as _pointer
from funcgrad.compile.assembly import load_word as _word

FRAME_WORDS = 14
"""pool cell, patches, patch count, steps, step count, checks, check count, step, position, whether the clock must be watched,
the two types of arrays that need no conversion, how many arrays a call binds, whether code of the user's failed."""
FAILED = 13
"""The number of the last."""
STEP_WORDS = 4
"""kernel, table, units, grain. A negative grain: pieces in order, one after the other. Zero: a loop or a choice; its kernel is
`fg_loop` or `fg_switch`, its table a block of more steps."""
BLOCK_WORDS = 11
"""steps, step count, step, position, roles, role count, patches, patch count, slots, roles and patches that only the first
iteration needs. A patch here has the number of a slot instead of an array's."""
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
PATCH_WORDS = 3
"""address of the word to set, number of the array, bytes to add to its data pointer."""
CHECK_WORDS = 5
"""number of the array, dtype object, dimensions, address of the sizes, whether it will be written."""
POOL_WORDS = 64
DONE, MISMATCH, AGAIN = 0, 1, 2


RUN = (
    """
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

define void @fg_pool_init(ptr %pool) nounwind {
  %a = call i32 @pthread_mutex_init(ptr %pool, ptr null)
  %c = getelementptr i64, ptr %pool, i64 16
  %b = call i32 @pthread_cond_init(ptr %c, ptr null)
  ret void
}

; Sends the workers home, once they have done what they took.
define void @fg_pool_stop(ptr %pool) nounwind {
  %stop.p = getelementptr i64, ptr %pool, i64 42
  store atomic i64 1, ptr %stop.p seq_cst, align 8
  %cond = getelementptr i64, ptr %pool, i64 16
  %l = call i32 @pthread_mutex_lock(ptr %pool)
  %bc = call i32 @pthread_cond_broadcast(ptr %cond)
  %un = call i32 @pthread_mutex_unlock(ptr %pool)
  ret void
}

; Takes pieces of the open job until none is left (or until the deadline, in the caller). Gives the first unit not taken.
define internal i64 @fg_pieces(ptr %pool, ptr %kernel, ptr %table, i64 %units, i64 %grain, i64 %deadline) nounwind {
entry:
  %next = getelementptr i64, ptr %pool, i64 37
  br label %take
take:
  %lo = atomicrmw add ptr %next, i64 %grain seq_cst
  %more = icmp slt i64 %lo, %units
  br i1 %more, label %work, label %out
work:
  %end = add i64 %lo, %grain
  %past = icmp sgt i64 %end, %units
  %hi = select i1 %past, i64 %units, i64 %end
  call void %kernel(ptr %table, i64 %lo, i64 %hi)
  %timed = icmp ne i64 %deadline, 0
  br i1 %timed, label %look, label %take
look:
  %now = call i64 @fg_now()
  %late = icmp sgt i64 %now, %deadline
  br i1 %late, label %stop, label %take
stop:
  %huge = add i64 %units, 4611686018427387904
  %rest = atomicrmw xchg ptr %next, i64 %huge seq_cst
  %left = icmp slt i64 %rest, %units
  %at = select i1 %left, i64 %rest, i64 %units
  ret i64 %at
out:
  ret i64 %units
}

define void @fg_worker(ptr %pool) nounwind {
entry:
  %cond = getelementptr i64, ptr %pool, i64 16
  %gen.p = getelementptr i64, ptr %pool, i64 32
  %active = getelementptr i64, ptr %pool, i64 38
  %open.p = getelementptr i64, ptr %pool, i64 39
  %sleepers = getelementptr i64, ptr %pool, i64 41
  %stop.p = getelementptr i64, ptr %pool, i64 42
  br label %rest
rest:
  %seen = phi i64 [ 0, %entry ], [ %gen, %leave ]
  br label %spin
spin:
  %n = phi i64 [ 0, %rest ], [ %n1, %spin2 ]
  %g = load atomic i64, ptr %gen.p seq_cst, align 8
  %new = icmp ne i64 %g, %seen
  br i1 %new, label %begin, label %spin2
spin2:
  call void asm sideeffect "PAUSE", ""()
  %n1 = add i64 %n, 1
  %enough = icmp sgt i64 %n1, 2000
  br i1 %enough, label %sleep, label %spin
sleep:
  %l = call i32 @pthread_mutex_lock(ptr %pool)
  %s0 = atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %check
check:
  %g2 = load atomic i64, ptr %gen.p seq_cst, align 8
  %stop = load atomic i64, ptr %stop.p seq_cst, align 8
  %same = icmp eq i64 %g2, %seen
  %run = icmp eq i64 %stop, 0
  %wait = and i1 %same, %run
  br i1 %wait, label %block, label %awake
block:
  %w = call i32 @pthread_cond_wait(ptr %cond, ptr %pool)
  br label %check
awake:
  %s1 = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  %u = call i32 @pthread_mutex_unlock(ptr %pool)
  br i1 %run, label %begin, label %quit
begin:
  %gen = load atomic i64, ptr %gen.p seq_cst, align 8
  %a0 = atomicrmw add ptr %active, i64 1 seq_cst
  %open = load atomic i64, ptr %open.p seq_cst, align 8
  %isopen = icmp eq i64 %open, 1
  br i1 %isopen, label %job, label %leave
job:
"""
    + _pointer("kernel", "%pool", 33)
    + _pointer("table", "%pool", 34)
    + _word("units", "%pool", 35)
    + _word("grain", "%pool", 36)
    + """
  %done = call i64 @fg_pieces(ptr %pool, ptr %kernel, ptr %table, i64 %units, i64 %grain, i64 0)
  br label %leave
leave:
  %a1 = atomicrmw sub ptr %active, i64 1 seq_cst
  br label %rest
quit:
  ret void
}

; One step from unit `from` on. Gives the unit at which it stopped: `units` if it is done. A negative grain: its pieces depend
; on each other, in order.
define internal i64 @fg_step(ptr %pool, ptr %kernel, ptr %table, i64 %units, i64 %size, i64 %from, i64 %deadline) nounwind {
entry:
  %chain = icmp slt i64 %size, 0
  %positive = sub i64 0, %size
  %grain = select i1 %chain, i64 %positive, i64 %size
  %rest = sub i64 %units, %from
  %whole = icmp sle i64 %rest, %grain
  br i1 %whole, label %single, label %several
single:
  call void %kernel(ptr %table, i64 %from, i64 %units)
  ret i64 %units
several:
  %nopool = icmp eq ptr %pool, null
  %alone0 = or i1 %nopool, %chain
  br i1 %alone0, label %serial, label %ask
ask:
"""
    + _word("threads", "%pool", 43)
    + """
  %alone = icmp slt i64 %threads, 2
  br i1 %alone, label %serial, label %claim
claim:
  %busy = getelementptr i64, ptr %pool, i64 40
  %got = cmpxchg ptr %busy, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue { i64, i1 } %got, 1
  br i1 %mine, label %publish, label %serial
publish:
  %k.p = getelementptr i64, ptr %pool, i64 33
  %k.w = ptrtoint ptr %kernel to i64
  store i64 %k.w, ptr %k.p
  %t.p = getelementptr i64, ptr %pool, i64 34
  %t.w = ptrtoint ptr %table to i64
  store i64 %t.w, ptr %t.p
  %u.p = getelementptr i64, ptr %pool, i64 35
  store i64 %units, ptr %u.p
  %g.p = getelementptr i64, ptr %pool, i64 36
  store i64 %grain, ptr %g.p
  %n.p = getelementptr i64, ptr %pool, i64 37
  store atomic i64 %from, ptr %n.p seq_cst, align 8
  %open.p = getelementptr i64, ptr %pool, i64 39
  store atomic i64 1, ptr %open.p seq_cst, align 8
  %gen.p = getelementptr i64, ptr %pool, i64 32
  %gen = atomicrmw add ptr %gen.p, i64 1 seq_cst
  %sl.p = getelementptr i64, ptr %pool, i64 41
  %sl = load atomic i64, ptr %sl.p seq_cst, align 8
  %wake = icmp sgt i64 %sl, 0
  br i1 %wake, label %call, label %share
call:
  %cond = getelementptr i64, ptr %pool, i64 16
  %l = call i32 @pthread_mutex_lock(ptr %pool)
  %bc = call i32 @pthread_cond_broadcast(ptr %cond)
  %un = call i32 @pthread_mutex_unlock(ptr %pool)
  br label %share
share:
  %at = call i64 @fg_pieces(ptr %pool, ptr %kernel, ptr %table, i64 %units, i64 %grain, i64 %deadline)
  store atomic i64 0, ptr %open.p seq_cst, align 8
  %act.p = getelementptr i64, ptr %pool, i64 38
  br label %wait
wait:
  %i = phi i64 [ 0, %share ], [ %i1, %wait2 ], [ %i1, %yield ]
  %act = load atomic i64, ptr %act.p seq_cst, align 8
  %none = icmp eq i64 %act, 0
  br i1 %none, label %finish, label %wait1
wait1:
  call void asm sideeffect "PAUSE", ""()
  %i1 = add i64 %i, 1
  %long = icmp sgt i64 %i1, 20000
  br i1 %long, label %yield, label %wait2
wait2:
  br label %wait
yield:
  %y = call i32 @sched_yield()
  br label %wait
finish:
  store atomic i64 0, ptr %busy seq_cst, align 8
  ret i64 %at
serial:
  %lo = phi i64 [ %from, %several ], [ %from, %ask ], [ %from, %claim ], [ %hi, %serial2 ]
  %end = add i64 %lo, %grain
  %past = icmp sgt i64 %end, %units
  %hi = select i1 %past, i64 %units, i64 %end
  call void %kernel(ptr %table, i64 %lo, i64 %hi)
  %now = call i64 @fg_now()
  %late = icmp sgt i64 %now, %deadline
  %more = icmp slt i64 %hi, %units
  %stop = and i1 %late, %more
  br i1 %stop, label %pause, label %serial2
pause:
  ret i64 %hi
serial2:
  br i1 %more, label %serial, label %ended
ended:
  ret i64 %units
}

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
"""
)
