"""How long graphs and tensors live, how deep graphs may be, and threads: as PyTorch has them."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest

import funcgrad.torch as ours

try:
    import torch as theirs
except ImportError:
    theirs = None


@pytest.fixture(params=["ours", "theirs"])
def torch(request):
    if request.param == "theirs" and theirs is None:
        pytest.skip("needs PyTorch")
    return ours if request.param == "ours" else theirs


class Watched:
    """Something that a graph keeps alive: the context of a Function of the user's."""


def kept_by(torch):
    """A function whose node holds a Watched, and a list for weak references to these."""
    refs = []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.watched = Watched()
            refs.append(weakref.ref(ctx.watched))
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    return Double.apply, refs


def test_a_graph_dies_with_its_last_result(torch):
    double, refs = kept_by(torch)
    x = torch.ones(3, requires_grad=True)
    y = double(x).sum()
    gc.disable()
    try:
        assert refs[0]() is not None
        del y
        assert refs[0]() is None
        z = double(x)
        w = z.exp()
        del z
        assert refs[1]() is not None
        w = w.detach()
        assert refs[1]() is None
        z = double(x)
        z.detach_()
        assert refs[2]() is None
    finally:
        gc.enable()
    assert w.requires_grad is False


def test_results_die_though_their_graph_lives(torch):
    x = torch.ones(3, requires_grad=True)
    a = x * 2
    ref = weakref.ref(a)
    b = a + 1
    del a
    assert ref() is None
    c = (x * 3).exp()
    ref = weakref.ref(c)
    (c * 2).sum().backward()
    del c
    gc.collect()
    assert ref() is None and b.requires_grad


def test_backward_frees_what_was_saved(torch):
    x = torch.ones(3, requires_grad=True)
    packed, alive = [], []

    class Handle:
        pass

    def pack(t):
        handle = Handle()
        handle.t = t
        alive.append(weakref.ref(handle))
        packed.append(1)
        return handle

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda h: h.t):
        y = (x.sin() * x.cos()).sum()
    assert packed and all(r() is not None for r in alive)
    y.backward()
    gc.collect()
    assert all(r() is None for r in alive)


def test_hooks_make_no_cycle_that_stays(torch):
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g, y=None: g)
    ref = weakref.ref(y)
    y.sum().backward()
    del y
    gc.collect()
    assert ref() is None


DEEP = """
import sys, threading
import {module} as torch
sys.setrecursionlimit(200)
def run():
    x = torch.ones((), requires_grad=True)
    y = x
    for _ in range({count}):
        y = y + 1.0
    y.backward()
    print(x.grad.item(), y.item())
    z = y * 2
    del y
    del z
    print("freed")
threading.stack_size(256 * 1024)
t = threading.Thread(target=run); t.start(); t.join()
"""


def test_a_chain_of_a_million_operations():
    text = DEEP.format(module="funcgrad.torch", count=1_000_000)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["1.0", "1000001.0", "freed"]


def in_threads(count, action):
    errors = []

    def run(i):
        try:
            action(i)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


def test_grad_modes_belong_to_a_thread(torch):
    inside = threading.Barrier(2)
    seen = {}

    def action(i):
        if i == 0:
            with torch.no_grad():
                inside.wait()
                seen[0] = (torch.ones(1, requires_grad=True) * 2).requires_grad
                inside.wait()
        else:
            inside.wait()
            seen[1] = (torch.ones(1, requires_grad=True) * 2).requires_grad
            inside.wait()

    in_threads(2, action)
    assert seen == {0: False, 1: True} and torch.is_grad_enabled()


def test_anomaly_mode_is_the_same_before_and_after(torch):
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        assert torch.is_anomaly_enabled() and not torch.is_anomaly_check_nan_enabled()
        x = torch.tensor([-1.0], requires_grad=True)
        y = x.sqrt()
        y.sum().backward()
        assert x.grad.isnan().all() and "traceback_" in y.grad_fn.metadata
    assert not torch.is_anomaly_enabled() and torch.is_anomaly_check_nan_enabled()


def test_cycles_through_hooks_are_collected():
    # PyTorch never frees this one.
    def tied():
        y = ours.ones(2, requires_grad=True) * 2
        y.register_hook(lambda g: y.detach() + g)
        return weakref.ref(y)

    gc.disable()
    try:
        ref = tied()
        assert ref() is not None
    finally:
        gc.enable()
    gc.collect()
    assert ref() is None


def test_backward_in_many_threads_adds_into_one_leaf(torch):
    w = torch.ones(4, requires_grad=True)

    def action(i):
        for _ in range(25):
            (w * float(i + 1)).sum().backward()

    in_threads(6, action)
    assert w.grad.tolist() == [25.0 * 21] * 4


def test_parts_of_one_graph_from_many_threads(torch):
    x = torch.ones(4, requires_grad=True)
    y = (x * 3).exp()
    heads = [(y * float(i)).sum() for i in range(6)]
    found = {}
    in_threads(6, lambda i: found.__setitem__(i, torch.autograd.grad(heads[i], x, retain_graph=True)[0].sum().item()))
    for i in range(6):
        assert abs(found[i] - i * 4 * 3 * 2.718281828459045**3) < 1e-2


def test_modules_run_in_threads(torch):
    net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    x = torch.ones(3, 8)
    want = net(x).detach()
    found = {}
    in_threads(8, lambda i: found.__setitem__(i, net(x).detach()))
    assert all(torch.equal(found[i], want) for i in range(8))
