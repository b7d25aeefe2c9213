"""How the imperative room records history: requires_grad, frozen parts, grad_fn, writes in place and the check of versions.

Prints what PyTorch prints for the same lines, and draws the graph of the loss:

    python examples/autograd_mechanics.py --out graph.svg
"""

import argparse

import funcgrad.torch as torch
from funcgrad.torch import nn, viz


def leaves_and_results() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * 2).exp()
    print("x is a leaf:", x.is_leaf, "- y is not:", y.is_leaf)
    print("y was made by", y.grad_fn.name(), "from", y.grad_fn.next_functions[0][0].name())
    y.sum().backward()
    print("dy/dx =", x.grad)


def frozen_parts() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    out = model(torch.ones(3, 4))
    out.sum().backward()
    print(
        "the graph begins at",
        out.grad_fn.name(),
        "and goes to",
        [n and n.name() for n, _ in out.grad_fn.next_functions],
    )
    print("gradients:", {name: p.grad is not None for name, p in model.named_parameters()})


def writes_in_place() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    part = y[1:]
    part.mul_(10)
    print("after a write to a view:", y, "version", y._version)
    print("its history is", y.grad_fn.name(), "and the view's", part.grad_fn.name())
    y.sum().backward()
    print("x.grad =", x.grad)
    try:
        x.add_(1)
    except RuntimeError as error:
        print("a leaf refuses:", error)


def the_version_check() -> torch.Tensor:
    x = torch.tensor([0.5], requires_grad=True)
    y = x.exp()
    loss = y * y
    y.add_(1)
    try:
        loss.backward()
    except RuntimeError as error:
        print("the check of versions:", str(error).split(" Hint")[0])
        print("  and what PyTorch does not tell:", "and last written to at" in str(error))
    z = x.exp()
    return (z * z + z).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="graph.svg", help="where the drawing goes (.svg or .dot)")
    out = parser.parse_args().out
    leaves_and_results()
    frozen_parts()
    writes_in_place()
    loss = the_version_check()
    viz.graph(loss).save(out)
    print("graph of the loss:", out)


if __name__ == "__main__":
    main()
