"""The pool of threads and how it shares the range of a step, in LLVM assembly: a part of the text of runtime.py.

A step is a kernel `void (words, lo, hi)` and a range, taken in pieces of `grain` units whose bounds do not depend on the number
of threads. The pool has one job at a time (another caller meanwhile runs its ranges alone). Workers take pieces by an atomic
counter; the caller never waits for a worker that has not begun.

Words of the pool: 0-15 mutex, 16-31 condition, 32 generation, 33 kernel, 34 table, 35 units, 36 grain, 37 next unit, 38 active
workers, 39 open, 40 busy, 41 sleepers, 42 stop, 43 threads allowed.
"""

from __future__ import annotations

from funcgrad.compile.assembly import load_pointer as _pointer
from funcgrad.compile.assembly import load_word as _word

POOL_WORDS = 64


POOL = (
    """
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
"""
)
