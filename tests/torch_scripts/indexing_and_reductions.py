"""A regression whose rows are chosen by masks and indices, with missing targets; reductions that give values and places."""

import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(1)
x = torch.from_numpy(rng.normal(size=(40, 3)).astype(np.float32))
truth = torch.tensor([1.5, -2.0, 0.5])
group = torch.from_numpy(rng.integers(0, 4, size=40))
offset = torch.tensor([0.0, 1.0, -1.0, 2.0])
y = x @ truth + offset[group]
y[::7] = float("nan")
present = ~y.isnan()
print(present.sum(), present.nonzero(as_tuple=True)[0][:6], present.nonzero().shape)

weight = torch.zeros(3, requires_grad=True)
shift = torch.zeros(4, requires_grad=True)
optimizer = torch.optim.SGD([weight, shift], lr=0.2, momentum=0.8)
losses = []
for _ in range(60):
    optimizer.zero_grad()
    prediction = x @ weight + shift.index_select(0, group)
    loss = (prediction[present] - y[present]).square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(losses[0], losses[5], weight.detach().round(decimals=2), shift.detach().round(decimals=2))
assert losses[-1] < 1e-3 * losses[0]
print(
    shift.grad.shape,
    prediction[present].grad_fn.name(),
    prediction[2:4].grad_fn.name(),
    prediction[group].grad_fn.name(),
)
per_group = torch.zeros(4).scatter_add_(0, group, torch.ones(40))
print(per_group, torch.bincount(group), F.one_hot(group[:5], 4))
print(torch.zeros(4).scatter_reduce(0, group, x[:, 0], reduce="amax"))
print(torch.full((4,), 9.0).scatter_reduce(0, group, x[:, 0], reduce="mean", include_self=False))

t = torch.tensor([[3.0, 1.0, 2.0, 1.0], [0.0, 5.0, 5.0, -1.0]], requires_grad=True)
for name in ("max", "min", "median", "mode", "sort", "cummax", "cummin"):
    found = getattr(torch, name)(t, dim=1)
    print(name, type(found).__name__, len(found), found.indices, found.values)
print(torch.kthvalue(t, 2, dim=1, keepdim=True))
top = t.topk(2, dim=1)
print(top)
values, indices = top
(values * torch.tensor([1.0, 10.0])).sum().backward()
print(t.grad)
t.grad = None
t.amax(1).sum().backward()
print(t.grad)
t.grad = None
t.max(1).values.sum().backward()
print(t.grad)
t.grad = None
t.max().backward()
print(t.grad)
print(torch.aminmax(t.detach(), dim=0))
print(torch.var_mean(t, dim=1), torch.std_mean(t, dim=0, correction=0))
print(torch.unique(t.detach(), return_inverse=True, return_counts=True))
print(torch.linalg.slogdet(torch.eye(2) * 3), torch.linalg.qr(torch.tensor([[2.0, 0.0], [0.0, 3.0]])).R.abs())
print(torch.logcumsumexp(t, 1), t.cumprod(1), t.argsort(1, descending=True), t.count_nonzero(1))
picked = t.gather(1, torch.tensor([[0, 0], [3, 1]]))
print(picked, torch.take_along_dim(t, torch.tensor([[1], [0]]), 1), t.take(torch.tensor([0, 5])))
print(t[:, None, [0, 2]].shape, t[..., -1], t[torch.tensor([True, False])], t[[1, 0], [2, 2]])
s = t.detach().clone()
s[s > 2] *= 10
s[0, [1, 3]] = torch.tensor([7.0, 8.0])
s[:, 1:3] += torch.tensor([[100.0], [200.0]])
s[1] = s[0].flip(0)
print(s, s._version)
print(
    torch.bucketize(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0, 3.0])), torch.searchsorted(torch.arange(4.0), 2.0)
)
for action in (
    lambda: t[2],
    lambda: t[:, torch.tensor([4])],
    lambda: t[torch.ones(3, dtype=torch.bool)],
    lambda: t.gather(1, t),
):
    try:
        action()
    except (IndexError, RuntimeError) as e:
        print(type(e).__name__, str(e).splitlines()[0].split(" for dim")[0][:60])
