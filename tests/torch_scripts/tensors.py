"""Tensors: creation, attributes, arithmetic, indexing, joining, copies, shapes, the bridge to NumPy, printing."""

import numpy as np
import torch

data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
x_np = torch.from_numpy(np.array(data, dtype=np.float32))
print(x_data, x_np, torch.ones_like(x_data), torch.zeros(2, 3), torch.full((2,), 7.5), torch.eye(2), sep="\n")
print(x_np.shape, x_np.dtype, x_np.device, x_np.layout, x_np.size(0), x_np.dim(), x_np.numel(), x_np.stride())
tensor = torch.arange(16, dtype=torch.float32).reshape(4, 4)
print(tensor[0], tensor[:, 0], tensor[..., -1], tensor[1:3, ::2], sep="\n")
tensor[:, 1] = 0
print(torch.cat([tensor, tensor], dim=1).shape, torch.stack([tensor, tensor]).shape)
print(tensor @ tensor.T, tensor * tensor, tensor.matmul(tensor[0]), sep="\n")
agg = tensor.sum()
print(agg.item(), type(agg.item()), agg)
print(tensor.add_(5))
t = torch.ones(5)
n = t.numpy()
t.add_(1)
print(t, n)
np.add(n, 1, out=n)
print(t, n)
print(torch.linspace(0, 1, 5), torch.logspace(0, 2, 3), torch.arange(0, 1, 0.3), torch.arange(3))
a = torch.tensor([[1.0, float("nan")], [float("inf"), -2.0]])
print(a, a.isnan(), a.isinf(), torch.nan_to_num(a, posinf=9.0), sep="\n")
print(torch.tensor([1e-8, 1.0, 1e8]), torch.tensor([1e5, 2.5]), torch.tensor([10000000, 1]), torch.tensor(3.14159))
print(torch.tensor([1 + 2j, 3.5 - 1j]), torch.tensor([True, False]), torch.tensor([]), torch.zeros(0, 3))
print(torch.arange(2000.0).reshape(40, 50))
print((torch.arange(3) / 2).dtype, (torch.arange(3) * 1.5).dtype, (torch.ones(2) + 1j).dtype)
print(torch.result_type(torch.tensor([1], dtype=torch.int8), 1.0), torch.promote_types(torch.int32, torch.float16))
b = torch.arange(24).view(2, 3, 4)
print(b.permute(2, 0, 1).shape, b.transpose(0, 1).is_contiguous(), b.flatten(1).shape, b.unsqueeze(0).squeeze().shape)
print(b.movedim(0, -1).stride(), b.expand(2, 2, 3, 4).shape, b.repeat(1, 2, 1).shape, b.chunk(2, dim=2)[1].shape)
print([p.tolist() for p in torch.split(torch.arange(5), 2)], torch.tensor_split(torch.arange(7), 3))
grid = torch.arange(12.0).reshape(3, 4)
print(grid[torch.tensor([0, 2]), torch.tensor([1, 3])], grid[grid > 8], grid[[True, False, True]], grid[None, :, 0])
print(torch.where(grid > 5, grid, torch.tensor(-1.0)), grid.masked_select(grid % 2 == 0))
print(torch.gather(grid, 1, torch.tensor([[0, 1], [3, 2], [1, 1]])), torch.take(grid, torch.tensor([0, 5])))
c = torch.tensor([[3.0, 1.0, 2.0], [9.0, 7.0, 8.0]])
print(c.max(), c.max(dim=1), c.sort(dim=1, descending=True), c.topk(2), c.argmin(dim=0), sep="\n")
print(
    c.mean(0), c.std(1), c.var(0, correction=0), c.median(), c.cumsum(1), c.prod(), c.norm(), c.logsumexp(1), sep="\n"
)
print(torch.unique(torch.tensor([3, 1, 3, 2]), return_counts=True), torch.bincount(torch.tensor([0, 2, 2])))
print(torch.einsum("ij,kj->ik", c, c), torch.outer(c[0], c[1]), torch.trace(c[:, :2]), torch.diag(c[0]), sep="\n")
d = c.clone().detach().to(torch.float64)
print(d.dtype, d.data_ptr() == c.data_ptr(), d.is_floating_point(), d.type(), torch.is_tensor(d), d.element_size())
try:
    torch.ones(2, 3) + torch.ones(2)
except RuntimeError as e:
    print(e)
try:
    torch.ones(2, 3) @ torch.ones(2, 3)
except RuntimeError as e:
    print(e)
for bad in (
    lambda: grid[5],
    lambda: torch.tensor([1, 2]).item(),
    lambda: grid.view(5, 2),
    lambda: torch.cat([grid, c]),
):
    try:
        bad()
    except (IndexError, RuntimeError, ValueError) as e:
        print(type(e).__name__, str(e).splitlines()[0][:60])
