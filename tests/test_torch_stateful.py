"""Random sequences of creations, views, writes in place, detaches, no_grad blocks, hooks and backward passes, on PyTorch and
here: after every step both sides have the same values, versions, flags, gradients, and have raised the same kind of error.
"""

import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")

SHAPES = [(2, 3), (3,), (), (2, 2, 2), (0, 3), (1, 3), (4,)]
VIEWS = {
    "x[0]": lambda t, x: x[0],
    "x[-1:]": lambda t, x: x[-1:],
    "x[..., ::2]": lambda t, x: x[..., ::2],
    "x[None]": lambda t, x: x[None],
    "t": lambda t, x: x.t(),
    "view": lambda t, x: x.view(-1),
    "view_as": lambda t, x: x.view_as(x),
    "reshape": lambda t, x: x.reshape(-1),
    "unsqueeze": lambda t, x: x.unsqueeze(-1),
    "squeeze": lambda t, x: x.squeeze(),
    "expand": lambda t, x: x.expand(2, *x.shape),
    "narrow": lambda t, x: x.narrow(0, 0, 1),
    "select": lambda t, x: x.select(-1, 0),
    "flatten": lambda t, x: x.flatten(),
    "diagonal": lambda t, x: x.diagonal(),
    "transpose": lambda t, x: x.transpose(0, -1),
    "permute": lambda t, x: x.permute(*range(x.dim() - 1, -1, -1)),
    "unbind": lambda t, x: x.unbind(0)[0],
    "chunk": lambda t, x: x.chunk(2)[-1],
    "split": lambda t, x: x.split(1)[0],
    "detach": lambda t, x: x.detach(),
    # Windows that overlap may be written to, with no say in what comes of it.
    "unfold": lambda t, x: x.unfold(0, 2, 2),
    "as_strided": lambda t, x: x.as_strided((1,), (1,)) if x.is_contiguous() else x[0],
}
UNARY = {
    "sin": lambda t, x: x.sin(),
    "exp": lambda t, x: (x * 0.1).exp(),
    "square": lambda t, x: x.pow(2),
    "clone": lambda t, x: x.clone(),
    "contiguous": lambda t, x: x.contiguous(),
    "tanh": lambda t, x: t.tanh(x),
    "relu": lambda t, x: t.relu(x),
    "sum": lambda t, x: x.sum(),
    "mean": lambda t, x: x.mean(-1),
    "max": lambda t, x: x.max(0)[0],
    "cat": lambda t, x: t.cat([x, x]),
    # Whose order depends on the mask's there.
    "masked_fill": lambda t, x: x.contiguous().masked_fill(x.contiguous() > 0, 0.5),
    "float": lambda t, x: x.float(),
    "double": lambda t, x: x.double(),
    "neg": lambda t, x: -x,
}
BINARY = {
    "add": lambda t, x, y: x + y,
    "mul": lambda t, x, y: x * y,
    "sub": lambda t, x, y: t.sub(x, y, alpha=2),
    "where": lambda t, x, y: t.where(x > y, x, y),
    "stack": lambda t, x, y: t.stack([x, y]),
    # Batches are folded there, with a write in place that shows in the version.
    "matmul": lambda t, x, y: x @ y if x.dim() == 2 and y.dim() < 3 else x + y,
}


def inner(x):
    """A view of a tensor: only PyTorch lets a tensor with views and gradients change its own shape."""
    return x.view_as(x)


WRITES = {
    "add_": lambda t, x: x.add_(1),
    "mul_": lambda t, x: x.mul_(0.5),
    "zero_": lambda t, x: x.zero_(),
    "sin_": lambda t, x: x.sin_(),
    "tanh_": lambda t, x: x.tanh_(),
    "clamp_": lambda t, x: x.clamp_(-0.5, 0.5),
    "fill_": lambda t, x: x.fill_(0.25),
    "relu_": lambda t, x: x.relu_(),
    "x[0] = 2": lambda t, x: x.__setitem__(0, 2.0),
    "x[x > 0] = 1": lambda t, x: x.__setitem__(x > 0, 1.0),
    "data": lambda t, x: x.data.mul_(0.5),
    "detached": lambda t, x: x.detach().add_(1),
    "t_": lambda t, x: inner(x).t_(),
    "unsqueeze_": lambda t, x: inner(x).unsqueeze_(0),
    "squeeze_": lambda t, x: inner(x).squeeze_(),
}
WRITES_TWO = {
    "add_": lambda t, x, y: x.add_(y),
    "mul_": lambda t, x, y: x.mul_(y),
    "copy_": lambda t, x, y: x.copy_(y),
    "x[0] = y": lambda t, x, y: x.__setitem__(0, y),
    "addcmul_": lambda t, x, y: x.addcmul_(y, y),
    "iadd": lambda t, x, y: x.__iadd__(y),
}
FLAGS = {
    "requires_grad_": lambda t, x: x.requires_grad_(),
    "requires_grad_(False)": lambda t, x: x.requires_grad_(False),
    "detach_": lambda t, x: x.detach_(),
    "retain_grad": lambda t, x: x.retain_grad(),
    "grad = None": lambda t, x: setattr(x, "grad", None),
    "hook": lambda t, x: x.register_hook(lambda g: g * 2),
    "post hook": lambda t, x: x.register_post_accumulate_grad_hook(lambda p: None),
}
NUMBERS = st.integers(0, 30)
MOST = 9


def quiet(function, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def described(x):
    """Everything that can be asked of a tensor and must be the same on both sides."""
    try:
        node = x.grad_fn
    except RuntimeError as error:  # of a part of a split whose base was written to
        return {"refused": type(error).__name__}
    grad = x.grad
    return {
        "shape": tuple(x.shape),
        # Along one element a stride means nothing.
        "stride": tuple(s if n > 1 and x.numel() else None for n, s in zip(x.shape, x.stride(), strict=True)),
        "offset": x.storage_offset(),
        "dtype": str(x.dtype).split(".")[-1],
        "requires_grad": x.requires_grad,
        "is_leaf": x.is_leaf,
        "version": x._version,
        "contiguous": x.is_contiguous(),
        "view": x._is_view(),
        "retains_grad": x.retains_grad,
        "grad_fn": None if node is None else node.name(),
        # PyTorch folds batches of a product into one matrix, which is another view.
        "next": None if node is None or node.name().startswith("UnsafeView") else len(node.next_functions),
        "output_nr": x.output_nr,
        "value": x.detach().numpy(),
        "grad": None if grad is None else grad.detach().numpy(),
    }


class BothSides(RuleBasedStateMachine):
    """The same actions on a list of tensors here and a list of tensors there."""

    def __init__(self):
        super().__init__()
        self.pairs = []
        self.log = []

    def act(self, what, function, *numbers, keep=True):
        """Runs an action on tensors chosen by numbers on both sides; its result joins the tensors."""
        if len(self.pairs) < 1:
            return
        chosen = [self.pairs[n % len(self.pairs)] for n in numbers]
        self.log.append((what, [n % len(self.pairs) for n in numbers]))
        found, raised = [], []
        for side, library in enumerate((ours, theirs)):
            try:
                found.append(quiet(function, library, *[pair[side] for pair in chosen]))
                raised.append(None)
            except Exception as error:
                found.append(None)
                raised.append(error)
        kinds = [type(e).__name__ for e in raised]
        assert kinds[0] == kinds[1], f"{self.log}: {raised!r}"
        if (
            raised[0] is None
            and keep
            and all(isinstance(f, t.Tensor) for f, t in zip(found, (ours, theirs), strict=True))
        ):
            if len(self.pairs) < MOST:
                self.pairs.append(tuple(found))
            else:
                self.pairs[sum(numbers) % MOST] = tuple(found)

    @initialize(shape=st.integers(0, 3), seed=NUMBERS)
    def begin(self, shape, seed):
        self.create(shape, True, seed)

    @rule(shape=st.integers(0, len(SHAPES) - 1), grad=st.booleans(), seed=NUMBERS)
    def create(self, shape, grad, seed):
        data = np.random.default_rng(seed).normal(size=SHAPES[shape]).astype(np.float32)
        if len(self.pairs) < MOST:
            self.log.append(("create", [shape, grad, seed]))
            self.pairs.append(tuple(t.tensor(data.tolist() if data.size else np.array(data), requires_grad=grad, dtype=t.float32)
                                    for t in (ours, theirs)))  # fmt: skip

    @rule(name=st.sampled_from(sorted(VIEWS)), i=NUMBERS)
    def view(self, name, i):
        self.act(f"view {name}", VIEWS[name], i)

    @rule(name=st.sampled_from(sorted(UNARY)), i=NUMBERS)
    def unary(self, name, i):
        # Of an expanded tensor the elements of a result lie in an order that follows no rule of strides.
        self.act(name, lambda t, x: UNARY[name](t, x if 0 not in x.stride() else x.contiguous()), i)

    @rule(name=st.sampled_from(sorted(BINARY)), i=NUMBERS, j=NUMBERS)
    def binary(self, name, i, j):
        # In what order the elements of a result lie is settled there by all operands together.
        self.act(name, lambda t, x, y: BINARY[name](t, x.contiguous(), y.contiguous()), i, j)

    @rule(name=st.sampled_from(sorted(WRITES)), i=NUMBERS, grad=st.booleans())
    def write(self, name, i, grad):
        def step(t, x):
            with t.set_grad_enabled(grad):
                return WRITES[name](t, x)

        self.act(f"{name} grad={grad}", step, i, keep=False)

    @rule(name=st.sampled_from(sorted(WRITES_TWO)), i=NUMBERS, j=NUMBERS, grad=st.booleans())
    def write_two(self, name, i, j, grad):
        def step(t, x, y):
            # What comes of reading memory while it is written to is nobody's promise.
            other = y.clone() if x is not y and shares(i, j) else y
            with t.set_grad_enabled(grad):
                return WRITES_TWO[name](t, x, other)

        def shares(i, j):
            x, y = (self.pairs[n % len(self.pairs)][1].untyped_storage().data_ptr() for n in (i, j))
            return x == y

        self.act(f"{name} grad={grad}", step, i, j, keep=False)

    @rule(name=st.sampled_from(sorted(VIEWS)), i=NUMBERS)
    def view_without_grad(self, name, i):
        def step(t, x):
            with t.no_grad():
                return VIEWS[name](t, x)

        self.act(f"no_grad view {name}", step, i)

    @rule(name=st.sampled_from(sorted(FLAGS)), i=NUMBERS)
    def flag(self, name, i):
        self.act(name, FLAGS[name], i, keep=False)

    @rule(i=NUMBERS, retain=st.booleans())
    def backward(self, i, retain):
        self.act(f"backward retain={retain}", lambda t, x: x.sum().backward(retain_graph=retain), i, keep=False)

    @rule(i=NUMBERS, j=NUMBERS, create=st.booleans())
    def grad(self, i, j, create):
        self.act(f"grad create={create}", lambda t, x, y: t.autograd.grad(x.sum(), [y], create_graph=create, allow_unused=True,
                                                                           retain_graph=True)[0] * 1, i, j)  # fmt: skip

    @rule(i=NUMBERS)
    def drop(self, i):
        if len(self.pairs) > 2:
            self.log.append(("drop", [i % len(self.pairs)]))
            del self.pairs[i % len(self.pairs)]

    @invariant()
    def both_sides_agree(self):
        for number, (mine, yours) in enumerate(self.pairs):
            a, b = quiet(described, mine), quiet(described, yours)
            assert a.keys() == b.keys(), f"tensor {number}: {a} here, {b} there, after {self.log}"
            for key in a:
                if key in ("value", "grad") and a[key] is not None and b[key] is not None:
                    np.testing.assert_allclose(
                        a[key], b[key], rtol=2e-5, atol=1e-6, err_msg=f"{key} of {number}: {self.log}"
                    )
                else:
                    assert a[key] == b[key], (
                        f"{key} of tensor {number} is {a[key]} here, {b[key]} there, after {self.log}"
                    )


EXAMPLES = os.environ.get("FUNCGRAD_STATEFUL_EXAMPLES")
"""How many random sequences to look at; without it the same ones each time."""
TestBothSides = BothSides.TestCase
TestBothSides.settings = settings(
    max_examples=int(EXAMPLES or "60"),
    derandomize=EXAMPLES is None,
    stateful_step_count=25,
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
