"""Checkpointing, gradient accumulation over small batches, grad modes as contexts and decorators, parallel leafs, clipping."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


def filled(module):
    with torch.no_grad():
        for number, p in enumerate(module.parameters()):
            p.copy_(torch.cos(torch.arange(p.numel(), dtype=torch.float32) * 1.1 + number).reshape(p.shape) * 0.4)
    return module


calls: list = []


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        calls.append(torch.is_grad_enabled())
        return x + torch.tanh(self.inner(x))


blocks = filled(nn.Sequential(Block(), Block(), Block()))
x = torch.sin(torch.arange(8.0)).reshape(2, 4).requires_grad_()
blocks(x).pow(2).sum().backward()
plain = [p.grad.clone() for p in blocks.parameters()]
blocks.zero_grad()
calls.clear()
out = x
for block in blocks:
    out = checkpoint(block, out, use_reentrant=False)
out.pow(2).sum().backward()
print(len(calls), [torch.allclose(a, p.grad) for a, p in zip(plain, blocks.parameters(), strict=True)])
blocks.zero_grad()
checkpoint_sequential(blocks, 2, x, use_reentrant=False).pow(2).sum().backward()
print([torch.allclose(a, p.grad) for a, p in zip(plain, blocks.parameters(), strict=True)])

head = filled(nn.Linear(4, 2))
data, target = torch.sin(torch.arange(32.0)).reshape(8, 4), torch.cos(torch.arange(16.0)).reshape(8, 2)
nn.functional.mse_loss(head(data), target).backward()
whole = head.weight.grad.clone()
head.zero_grad()
for part in range(4):
    rows = slice(2 * part, 2 * part + 2)
    (nn.functional.mse_loss(head(data[rows]), target[rows]) / 4).backward()
print(torch.allclose(whole, head.weight.grad), head.bias.grad)
print(torch.nn.utils.clip_grad_norm_(head.parameters(), 0.1), head.weight.grad.norm(), head.bias.grad)
torch.nn.utils.clip_grad_value_(head.parameters(), 0.01)
print(head.weight.grad)
flat = nn.utils.parameters_to_vector(head.parameters())
nn.utils.vector_to_parameters(flat * 2, head.parameters())
print(flat.shape, head.bias)


@torch.no_grad()
def evaluate(model, x):
    return model(x)


@torch.enable_grad()
def always(x):
    return x * 2


print(evaluate(head, data).requires_grad, torch.is_grad_enabled())
w = torch.ones(2, requires_grad=True)
with torch.no_grad():
    print((w * 2).requires_grad, always(w).requires_grad)
    with torch.enable_grad():
        print((w * 2).requires_grad)
    with torch.set_grad_enabled(False):
        print(torch.is_grad_enabled())
torch.set_grad_enabled(False)
print((w * 2).requires_grad)
torch.set_grad_enabled(True)
with torch.inference_mode():
    i = w * 2
    print(i.is_inference(), i.requires_grad, torch.is_inference_mode_enabled())
print((i + 1).requires_grad)
shared = torch.tensor([1.0, 2.0], requires_grad=True)
first, second = (shared * 3).sum(), (shared**2).sum()
torch.autograd.backward([first, second], [torch.tensor(1.0), torch.tensor(10.0)])
print(shared.grad)
(first + second if first.requires_grad else second).detach()
kept = shared.grad
shared.grad = None
(shared * 5).sum().backward()
print(kept, shared.grad)
