"""Tensors over given memory, and functions that act on memory or by Python, beside PyTorch's."""

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def both(action):
    found = []
    for torch in (ours, theirs):
        try:
            found.append(action(torch))
        except Exception as error:
            found.append(type(error))
    return found


CASES = {
    "strided": lambda t: t.empty_strided((2, 3), (1, 2)).stride(),
    "strided and wrong": lambda t: t.empty_strided((2, 3), (1,)),
    "permuted": lambda t: (t.empty_permuted((2, 3, 4), (1, 0, 2)).stride(), t.empty_permuted((2,), (0,)).shape),
    "new": lambda t: (t.ones(2).double().new(3, 2).dtype == t.float64, t.ones(2).new([1, 2]).tolist()),
    "new strided": lambda t: t.ones(1).double().new_empty_strided((2, 2), (1, 2)).stride(),
    "buffer": lambda t: t.frombuffer(bytearray(range(8)), dtype=t.int16, offset=2).tolist(),
    "buffer's part": lambda t: t.frombuffer(bytearray(range(8)), dtype=t.uint8, count=3, offset=1).tolist(),
    "empty buffer": lambda t: t.frombuffer(bytearray(), dtype=t.uint8),
    "short buffer": lambda t: t.frombuffer(bytearray(3), dtype=t.int16),
    "long count": lambda t: t.frombuffer(bytearray(4), dtype=t.int16, count=3),
    "far offset": lambda t: t.frombuffer(bytearray(4), dtype=t.int16, offset=4),
    "unravel": lambda t: [c.tolist() for c in t.unravel_index(t.tensor([[5, 0], [11, -1]]), (3, 4))],
    "unravel outside": lambda t: [c.tolist() for c in t.unravel_index(t.tensor([12, -13]), (3, 4))],
    "unravel floats": lambda t: t.unravel_index(t.tensor([1.0]), (3, 4)),
    "nonzero": lambda t: t.nonzero_static(t.tensor([[0, 1], [2, 0]]), size=3).tolist(),
    "nonzero cut": lambda t: t.tensor([3, 0, 4]).nonzero_static(size=1, fill_value=7).tolist(),
    "resize": lambda t: t.arange(6).resize_as_(t.ones(2, 3)).tolist(),
    "sum to size": lambda t: (t.ones(2, 3, 4).sum_to_size(3, 1).tolist(), t.ones(3).sum_to_size((3,)).tolist()),
    "sum to another": lambda t: t.ones(2, 3).sum_to_size(2),
    "apply": lambda t: t.tensor([1.0, 2.0]).apply_(lambda v: v * 3 + 1).tolist(),
    "apply to tracked": lambda t: t.ones(2, requires_grad=True).apply_(abs),
    "map": lambda t: t.tensor([[1.0, 2.0]]).map_(t.tensor([5.0, 7.0]), lambda a, b: a * b).tolist(),
    "map2": lambda t: t.tensor([1.0, 2.0]).map2_(t.ones(2), t.full((2,), 9.0), lambda a, b, c: a + b + c).tolist(),
}


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name):
    mine, other = both(CASES[name])
    assert mine == other


def test_memory_of_buffers_is_shared():
    memory = np.zeros(4, np.float32)
    t = ours.frombuffer(memory, dtype=ours.float32)
    t[1] = 5
    assert memory[1] == 5


def test_the_gradient_of_sum_to_size():
    x = ours.ones(2, 3, requires_grad=True)
    (x.sum_to_size(1, 3) * ours.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [[1, 2, 3], [1, 2, 3]]
