"""Hooks on tensors, nodes, modules and accumulation, in the order in which they run."""

import torch
from torch import nn

v = torch.tensor([0.0, 0.0, 0.0], requires_grad=True)
handle = v.register_hook(lambda grad: grad * 2)
v.backward(torch.tensor([1.0, 2.0, 3.0]))
print(v.grad)
handle.remove()
v.backward(torch.tensor([1.0, 2.0, 3.0]))
print(v.grad)

log = []
x = torch.ones(2, requires_grad=True)
y = x * 3
y.register_hook(lambda g: log.append(("y", g.tolist())))
y.retain_grad()
z = y.exp()
z.grad_fn.register_prehook(lambda gs: log.append(("before exp", [g.tolist() for g in gs])))
z.grad_fn.register_hook(lambda inputs, outputs: log.append(("after exp", [len(inputs), len(outputs)])))
x.register_post_accumulate_grad_hook(lambda t: log.append(("accumulated", t.grad.tolist())))
z.sum().backward()
for entry in log:
    print(entry)
print(y.grad)

net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
with torch.no_grad():
    for n, p in enumerate(net.parameters()):
        p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape) * (n + 1) / 4)
seen: dict = {}
handles = []
for name, module in net.named_children():
    handles.append(module.register_forward_pre_hook(lambda m, args, name=name: print("pre", name, args[0].shape)))
    handles.append(module.register_forward_hook(lambda m, args, out, name=name: seen.__setitem__(name, out.detach())))
    handles.append(
        module.register_full_backward_hook(
            lambda m, gi, go, name=name: print("backward", name, None if gi[0] is None else gi[0].shape, go[0].shape)
        )
    )
out = net(torch.tensor([[1.0, -1.0], [0.5, 2.0]], requires_grad=True))
out.sum().backward()
print({k: t.tolist() for k, t in seen.items()})
for h in handles:
    h.remove()
scaled = net[1].register_forward_hook(lambda m, args, out: out * 10)
print(net(torch.ones(1, 2)))
scaled.remove()
print(net(torch.ones(1, 2)))


class Counter:
    def __init__(self):
        self.packed = self.unpacked = 0

    def pack(self, t):
        self.packed += 1
        return t.detach().numpy().copy()

    def unpack(self, a):
        self.unpacked += 1
        return torch.from_numpy(a)


count = Counter()
p = torch.linspace(0.1, 1, 4, requires_grad=True)
with torch.autograd.graph.saved_tensors_hooks(count.pack, count.unpack):
    q = (p.sin() * p.exp()).sum()
q.backward()
print(count.packed == count.unpacked > 0, p.grad)
with torch.autograd.graph.save_on_cpu():
    r = (p**3).sum()
r.backward()
print(p.grad)
try:
    with torch.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
        with torch.autograd.graph.saved_tensors_hooks(count.pack, count.unpack):
            pass
except RuntimeError as e:
    print(e)
order = []
leaves = [torch.ones(1, requires_grad=True) for _ in range(3)]
multi = torch.autograd.graph.register_multi_grad_hook(
    leaves, lambda grads: order.append([g is not None for g in grads])
)
(leaves[0] * leaves[2]).sum().backward()
multi.remove()
print(order)
