"""In-place operations: what they do to history, which are refused and how, and the version counters that guard saved tensors."""

import torch


def caught(action, *phrases):
    try:
        action()
    except RuntimeError as e:
        print("refused:", [p in str(e) for p in phrases])
    else:
        print("not refused")


x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
caught(lambda: x.add_(1), "a leaf Variable that requires grad", "in-place operation")
y = x * 2
print(y._version, y.grad_fn.name())
y.add_(1)
print(y._version, y.grad_fn.name(), y.is_leaf)
y.mul_(x)
y.sum().backward()
print(x.grad)

a = torch.tensor([0.5, 1.5], requires_grad=True)
b = a.exp()
c = b.sum()
b.mul_(2)
caught(c.backward)
print(a.grad)
b = a.exp()
c = (b * b).sum()
b.add_(1)
caught(c.backward, "modified by an inplace operation", "version 1", "expected version 0")
b = a.exp()
with torch.no_grad():
    b.zero_()
caught(b.sum().backward, "modified by an inplace operation")
caught(lambda: (a.tanh().detach_().sum()).backward(), "does not require grad")

base = torch.zeros(2, 3)
part = base[0]
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
part.copy_(w * w)
print(base.requires_grad, base.grad_fn.name(), base._version, part._version)
base.sum().backward()
print(w.grad)
view = base.view(-1)
view[4:] = 7.0
print(base.detach(), view._is_view(), view._base is base)

rows = torch.ones(3, 2, requires_grad=True).clone()
for row in rows.split(1):
    caught(lambda row=row: row.mul_(2), "is a view and is being modified inplace")
    break
masked = torch.arange(6.0).reshape(2, 3)
masked[masked > 3] = -1
masked[:, 0] += 10
masked.clamp_(min=0).masked_fill_(masked == 0, 0.5)
print(masked)
index = torch.tensor([0, 1, 1])
print(torch.zeros(3).index_add_(0, index, torch.tensor([1.0, 2.0, 3.0])))
print(torch.zeros(2, 3).scatter_(1, torch.tensor([[0], [2]]), 1.0))
print(torch.zeros(3).index_put_((index,), torch.tensor([1.0, 2.0, 4.0]), accumulate=True))

leaf = torch.ones(2, requires_grad=True)
with torch.no_grad():
    leaf *= 3
print(leaf, leaf._version, leaf.grad_fn)
leaf.data.add_(1)
print(leaf, leaf._version)
with torch.inference_mode():
    quiet = torch.ones(2)
caught(lambda: quiet.add_(leaf), "Inplace update to inference tensor outside InferenceMode")
caught(lambda: (leaf * quiet).sum().backward(), "Inference tensors cannot be saved for backward")
caught(lambda: torch.ones(3).add_(torch.ones(2, 3)), "output with shape [3] doesn't match the broadcast shape [2, 3]")
