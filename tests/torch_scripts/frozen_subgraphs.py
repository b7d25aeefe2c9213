"""Parts of a model without gradients: frozen parameters, a replaced head, parameter groups,
modes of a module, detached branches.
"""

import torch
from torch import nn, optim


def filled(module):
    """The same numbers in every library."""
    with torch.no_grad():
        for number, p in enumerate(module.parameters()):
            p.copy_(torch.sin(torch.arange(p.numel(), dtype=torch.float32) * 0.7 + number).reshape(p.shape) * 0.3)
    return module


model = filled(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)))
print(model)
for p in model.parameters():
    p.requires_grad = False
model[4] = filled(nn.Linear(8, 3))
print([(name, p.requires_grad, tuple(p.shape)) for name, p in model.named_parameters()])
optimizer = optim.SGD(model[4].parameters(), lr=1e-2, momentum=0.9)
data = torch.cos(torch.arange(60, dtype=torch.float32)).reshape(10, 6)
labels = torch.arange(10) % 3
model.eval()
before = {k: v.clone() for k, v in model.state_dict().items()}
for step in range(5):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(data), labels)
    loss.backward()
    optimizer.step()
    print(step, loss.item())
print([p.grad is None for p in model.parameters()])
print({k: bool((v == before[k]).all()) for k, v in model.state_dict().items()})
chain, node = [], loss.grad_fn
while node is not None:
    chain.append(type(node).__name__)
    node = node.next_functions[0][0] if node.next_functions else None
print(chain)

model.train()
hidden = model[:3](data)
print(hidden.requires_grad, model[1].training, model[1].num_batches_tracked)
for name, p in model.named_parameters():
    p.requires_grad_(name.startswith(("1.", "4.")))
model[3].p = 0.0
groups = [{"params": model[1].parameters(), "lr": 1e-3}, {"params": model[4].parameters()}]
optimizer = optim.Adam(groups, lr=1e-2)
for step in range(3):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(data), labels)
    loss.backward()
    optimizer.step()
    print(step, loss.item())
print([g["lr"] for g in optimizer.param_groups], model[0].weight.grad)
print(model[1].running_mean)

teacher = filled(nn.Linear(6, 3)).requires_grad_(False)
student = filled(nn.Linear(6, 3))
target = teacher(data)
kept = student(data)
loss = nn.functional.mse_loss(kept, target + 1) + 0.1 * (kept.detach() * kept).sum()
loss.backward()
print(teacher.weight.grad, student.bias.grad)
