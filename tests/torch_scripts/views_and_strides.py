"""Views share memory and history: slices, transposes, as_strided, unfold, diagonals, and what gradients make of them."""

import torch

base = torch.arange(12.0).reshape(3, 4)
v = base[1:, ::2]
print(v.stride(), v.storage_offset(), v._is_view(), v._base is base, v.is_contiguous())
v.mul_(10)
print(base)
print(base.t()[2], base.diagonal(), base.unfold(1, 2, 1).shape, base.as_strided((2, 2), (5, 1), 1))
same = base.view(-1).view(4, 3)
same[0] = torch.tensor([7.0, 8.0, 9.0])
print(base[0], same._base is base, base._version, same._version)
copy = base.t().reshape(-1)
copy.zero_()
print(base.sum(), base.t().contiguous().data_ptr() == base.data_ptr())
for bad in (lambda: base.t().view(-1), lambda: base.view(5, -1), lambda: base.expand(3, 3)):
    try:
        bad()
    except RuntimeError as e:
        print(str(e)[:50])

x = torch.arange(6.0).reshape(2, 3).requires_grad_()
y = x * 1
row, column = y[0], y[:, 2]
row.mul_(2)
column.add_(1)
print(y.grad_fn.name(), row.grad_fn.name(), column.grad_fn.name())
print(y)
(row * column[0]).sum().backward()
print(x.grad)
x.grad = None
strided = x.as_strided((2, 2), (1, 1))
(strided * torch.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
print(x.grad)
x.grad = None
windows = x.unfold(1, 2, 1)
print(windows.shape, windows.grad_fn.name())
(windows**2).sum().backward()
print(x.grad)
x.grad = None
pieces = torch.cat([x.t().flatten(), x.diagonal(), x.flip(0)[0], x.roll(1, 1)[1], x.narrow(1, 1, 2).reshape(-1)])
(pieces * torch.arange(len(pieces))).sum().backward()
print(x.grad)
x.grad = None
(torch.stack(x.unbind(1)).mT.select(1, 0) * x.expand(4, 2, 3).sum((0, 2))).sum().backward()
print(x.grad)
try:
    x.view(-1)[0] = 1.0
except RuntimeError as e:
    print(str(e))
z = x.detach()
z[0, 0] = 50.0
print(x[0, 0].item(), x._version, z._version, z.requires_grad)
tri = torch.ones(3, 3).tril().mul_(2).triu_(-1)
print(tri, torch.tril_indices(2, 3), tri.fill_diagonal_(9.0), sep="\n")
complexes = torch.view_as_complex(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
print(complexes.real, complexes.imag, complexes.conj(), complexes.abs(), torch.view_as_real(complexes * 1j), sep="\n")
