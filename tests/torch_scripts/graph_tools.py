"""The tools of torch.autograd.graph: saved tensors in files, edges, mutation of what is saved, versions; and errors."""

import os
import tempfile

import torch
from torch.autograd import graph

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = x.pow(2)
print(y.grad_fn._saved_self.equal(x), y.grad_fn._saved_self is x, y.grad_fn._saved_exponent)
e = x.exp()
print(e.grad_fn._saved_result.equal(e), e.grad_fn._saved_result is e)
p = x.reshape(1, 3) @ torch.ones(3, 1)
print(p.grad_fn.name(), [n.name() for n, _ in p.grad_fn.next_functions if n is not None])
(e * y).sum().backward()
for node in (y.grad_fn,):
    try:
        print(node._saved_self)
    except RuntimeError as error:
        print("after they have already been freed" in str(error))

with tempfile.TemporaryDirectory() as folder:
    files: list[str] = []

    class Saved:
        def __init__(self):
            self.name = os.path.join(folder, f"{len(files)}.pt")
            files.append(self.name)

        def __del__(self):
            os.remove(self.name)

    def pack(t):
        if t.numel() < 3:
            return t
        kept = Saved()
        torch.save(t, kept.name)
        return kept

    def unpack(kept):
        return kept if isinstance(kept, torch.Tensor) else torch.load(kept.name)

    a = torch.linspace(0.1, 1, 5, requires_grad=True)
    with graph.saved_tensors_hooks(pack, unpack):
        out = (a.sigmoid() * a).sum()
        small = (a[:2] * a[1:3]).sum()
    print(len(os.listdir(folder)) > 1)
    (out + small).backward()
    print(a.grad)
    del out, small
    print(os.listdir(folder))

outer: list = []
inner: list = []


def noted(log, t):
    log.append(t.shape)
    return t


with graph.saved_tensors_hooks(lambda t: noted(outer, t), lambda t: t):
    first = x * x
    with graph.saved_tensors_hooks(lambda t: noted(inner, t).clone(), lambda t: t * 2):
        second = x * x
print(len(outer), len(inner), torch.autograd.grad(second.sum(), x), torch.autograd.grad(first.sum(), x))

with graph.allow_mutation_on_saved_tensors():
    a = torch.ones(2, 3, requires_grad=True)
    b = a.clone()
    out = (b**2).sum()
    b.sin_()
    out.sum().backward()
    print(a.grad, b)

t = torch.ones(2)
graph.increment_version(t)
print(t._version)
w = torch.ones(2, requires_grad=True)
v = t * w
graph.increment_version(t)
try:
    v.sum().backward()
except RuntimeError as error:
    print(
        "modified by an inplace operation" in str(error),
        "expected version 1" in str(error),
        "is at version 2" in str(error),
    )

edge = graph.get_gradient_edge(x)
print(edge.node.name(), edge.output_nr)
middle = x * 2
edge = graph.get_gradient_edge(middle)
(found,) = torch.autograd.grad((middle**3).sum(), edge)
print(edge.node.name(), found)
parts = torch.unbind(x * 1)
print([q.output_nr for q in parts], parts[1].grad_fn.name(), parts[0].grad_fn is parts[2].grad_fn)
parts[0].grad_fn.metadata["note"] = "kept"
print(parts[1].grad_fn.metadata)

with torch.autograd.detect_anomaly(check_nan=True):
    z = torch.tensor([-1.0, 4.0], requires_grad=True)
    try:
        z.sqrt().sum().backward()
    except RuntimeError as error:
        print("returned nan values in its 0th output" in str(error), "SqrtBackward0" in str(error))
print(z.grad)


def unused():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    print(torch.autograd.grad(a * 2, [a, b], allow_unused=True))
    print(torch.autograd.grad(a * 2, [a, b], materialize_grads=True))
    return torch.autograd.grad(a * 2, [a, b])


def twice():
    s = (x * x).sum()
    s.backward()
    s.backward()


for action, phrase in (
    (unused, "appears to not have been used in the graph"),
    (twice, "Trying to backward through the graph a second time"),
    (lambda: (x * 2).backward(), "grad can be implicitly created only for scalar outputs"),
    (lambda: torch.ones(1).backward(), "does not require grad and does not have a grad_fn"),
    (lambda: (x * 2).backward(torch.ones(2)), "Mismatch in shape"),
    (lambda: (x * 2).numpy(), "Can't call numpy() on Tensor that requires grad"),
    (lambda: torch.ones(2, dtype=torch.int64, requires_grad=True), "floating point"),
    (lambda: setattr(x * 2, "requires_grad", False), "you can only change requires_grad flags of leaf variables"),
    (lambda: setattr(x, "grad", torch.ones(2)), "size"),
):
    try:
        action()
    except (RuntimeError, TypeError) as error:
        print(type(error).__name__, phrase in str(error), phrase)
