"""What a result knows of its history: requires_grad, leafs, grad_fn and its neighbours, accumulation,
freed graphs, retained gradients.
"""

import torch

x = torch.ones(5)
y = torch.zeros(3)
w = torch.arange(15, dtype=torch.float32).reshape(5, 3).div(10).requires_grad_()
b = torch.linspace(-1, 1, 3, requires_grad=True)
z = torch.matmul(x, w) + b
loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
print(loss)
print(type(z.grad_fn).__name__, type(loss.grad_fn).__name__)
print([(type(f).__name__, i) for f, i in z.grad_fn.next_functions])
print(x.is_leaf, w.is_leaf, z.is_leaf, z.requires_grad)
loss.backward()
print(w.grad)
print(b.grad)

with torch.no_grad():
    print((torch.matmul(x, w) + b).requires_grad)
print(z.detach().requires_grad)

inp = torch.eye(4, 5, requires_grad=True)
out = (inp + 1).pow(2).t()
out.backward(torch.ones_like(out), retain_graph=True)
print("First call", inp.grad)
out.backward(torch.ones_like(out), retain_graph=True)
print("Second call", inp.grad)
inp.grad.zero_()
out.backward(torch.ones_like(out))
print("After zeroing", inp.grad)
try:
    out.backward(torch.ones_like(out))
except RuntimeError as e:
    print("RuntimeError:", "Trying to backward through the graph a second time" in str(e))

a = torch.tensor([2.0, 3.0], requires_grad=True)
c = torch.tensor([6.0, 4.0], requires_grad=True)
q = 3 * a**3 - c**2
q.retain_grad()
middle = a * c
q.backward(gradient=torch.tensor([1.0, 1.0]), retain_graph=True)
print(9 * a**2 == a.grad, -2 * c == c.grad, q.grad)
print(middle.grad_fn.name(), middle.retains_grad, q.retains_grad)
try:
    q.backward()
except RuntimeError as e:
    print("RuntimeError:", "grad can be implicitly created only for scalar outputs" in str(e))

frozen = torch.rand(3, 3)
other = torch.rand(3, 3)
trained = torch.rand((3, 3), requires_grad=True)
print((frozen + other).requires_grad, (frozen + trained).requires_grad)
print(torch.autograd.grad((trained * frozen).sum(), trained)[0].equal(frozen))
print(torch.autograd.grad((trained * frozen).sum(), [trained, a], allow_unused=True)[1])
try:
    torch.autograd.grad((trained * frozen).sum(), [trained, a])
except RuntimeError as e:
    print("RuntimeError:", "appears to not have been used in the graph" in str(e))

n = torch.randn(1000)
n.requires_grad_(True)
f, steps = n, 0
while f.data.norm() < 1000:
    f = f * 2
    steps += 1
print(f.grad_fn is not None, steps > 0)
f.backward(torch.ones_like(f))
print(torch.all(n.grad == 2.0**steps))
