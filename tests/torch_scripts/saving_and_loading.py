"""Checkpoints: state dicts of modules and optimisers to files and back, strictness, pickles, copies."""

import copy
import io
import pickle
import tempfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn, optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2 * 6 * 6, 3)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.steps += 1
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


def fill(module):
    with torch.no_grad():
        for number, p in enumerate(module.parameters()):
            p.copy_(torch.sin(torch.arange(p.numel(), dtype=torch.float32) + number).reshape(p.shape) * 0.2)
    return module


net = fill(Net())
optimizer = optim.Adam(net.parameters(), lr=0.01)
x, y = torch.cos(torch.arange(256.0)).reshape(4, 1, 8, 8), torch.tensor([0, 1, 2, 1])
for _ in range(3):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
for name, value in net.state_dict().items():
    print(name, tuple(value.shape), value.dtype)
print({k: len(v) for k, v in optimizer.state_dict().items()}, sorted(optimizer.state_dict()["state"][0]))
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "checkpoint.pt"
    torch.save({"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "note": "ok"}, path)
    found = torch.load(path, weights_only=True)
again = fill(Net())
again_optimizer = optim.Adam(again.parameters(), lr=1.0)
print(again.load_state_dict(found["model"]), found["epoch"], found["note"], type(found["model"]) is OrderedDict)
again_optimizer.load_state_dict(found["optimizer"])
for model, o in ((net, optimizer), (again, again_optimizer)):
    o.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    o.step()
    print(loss.item(), o.param_groups[0]["lr"], int(model.steps))
partial = {k: v for k, v in found["model"].items() if not k.startswith("fc")}
partial["extra"] = torch.zeros(1)
print(again.load_state_dict(partial, strict=False))
try:
    again.load_state_dict(partial)
except RuntimeError as e:
    print([w in str(e) for w in ("Missing key(s) in state_dict", '"fc.weight"', "Unexpected key(s)", '"extra"')])
try:
    again.load_state_dict({**found["model"], "fc.bias": torch.zeros(5)})
except RuntimeError as e:
    print("size mismatch for fc.bias" in str(e), "torch.Size([5])" in str(e))

base = torch.arange(6.0)
buffer = io.BytesIO()
torch.save([base, base[2:4], base.view(2, 3).t()], buffer)
buffer.seek(0)
a, b, c = torch.load(buffer)
b.fill_(-1)
print(a, c, c.stride())
twin = copy.deepcopy(net)
with torch.no_grad():
    twin.fc.bias.add_(1)
print(torch.equal(net.fc.weight, twin.fc.weight), torch.equal(net.fc.bias, twin.fc.bias), twin.fc.bias.requires_grad)
p = pickle.loads(pickle.dumps(torch.ones(2, requires_grad=True)))
print(p, p.is_leaf)
try:
    copy.deepcopy(p * 2)
except RuntimeError as e:
    print(str(e)[:60])


class Evil:
    def __reduce__(self):
        return print, ("run",)


buffer = io.BytesIO()
torch.save({"x": Evil()}, buffer)
buffer.seek(0)
try:
    torch.load(buffer, weights_only=True)
except pickle.UnpicklingError as e:
    print("refused", "print" in str(e))
