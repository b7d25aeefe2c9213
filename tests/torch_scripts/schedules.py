"""Optimisers with parameter groups and schedulers of the learning rate: what each step prints."""

import torch
from torch import nn, optim

net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
x, y = torch.sin(torch.arange(12.0)).reshape(4, 3), torch.ones(4, 1)


def reset():
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(torch.cos(torch.arange(p.numel()) + 1.0 * k).reshape(p.shape) * 0.5)


makers = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
    "Adam": lambda p: optim.Adam(p, lr=0.05, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.01),
    "Adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "Adamax": lambda p: optim.Adamax(p, lr=0.02),
    "NAdam": lambda p: optim.NAdam(p, lr=0.02),
    "RAdam": lambda p: optim.RAdam(p, lr=0.05),
    "Rprop": lambda p: optim.Rprop(p, lr=0.01),
    "ASGD": lambda p: optim.ASGD(p, lr=0.05),
    "maximize": lambda p: optim.SGD(p, lr=0.01, maximize=True),
}
for name, make in makers.items():
    reset()
    optimizer = make([{"params": net[0].parameters()}, {"params": net[1].parameters(), "lr": 0.01}])
    losses = []
    for _ in range(6):
        optimizer.zero_grad(set_to_none=False)
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 5))
    print(name, losses)

schedulers = {
    "StepLR": lambda o: optim.lr_scheduler.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: optim.lr_scheduler.MultiStepLR(o, [2, 5]),
    "ExponentialLR": lambda o: optim.lr_scheduler.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 6),
    "LambdaLR": lambda o: optim.lr_scheduler.LambdaLR(o, lambda e: 0.95**e),
    "LinearLR": lambda o: optim.lr_scheduler.LinearLR(o, 0.2, total_iters=4),
    "OneCycleLR": lambda o: optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=8),
    "CyclicLR": lambda o: optim.lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
    "Warm restarts": lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2),
    "Sequential": lambda o: optim.lr_scheduler.SequentialLR(
        o, [optim.lr_scheduler.ConstantLR(o, 0.1, 2), optim.lr_scheduler.ExponentialLR(o, 0.9)], [3]
    ),
}
for name, make in schedulers.items():
    reset()
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for _ in range(7):
        optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    print(name, rates)
optimizer = optim.SGD(net.parameters(), lr=1.0)
plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.1)
for value in (3.0, 2.0, 2.5, 2.4, 2.3, 1.0):
    plateau.step(value)
    print(optimizer.param_groups[0]["lr"])
print(optimizer)
