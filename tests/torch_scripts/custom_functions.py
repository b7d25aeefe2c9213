"""Operations with derivatives of their own: saved tensors, several outputs, non-differentiable ones,
setup_context, double backward.
"""

import torch
from torch.autograd import Function, gradcheck, gradgradcheck
from torch.autograd.function import once_differentiable


class Exp(Function):
    @staticmethod
    def forward(ctx, i):
        result = i.exp()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        (result,) = ctx.saved_tensors
        return grad_output * result


class LinearFunction(Function):
    @staticmethod
    def forward(input, weight, bias):
        out = input.mm(weight.t())
        return out + bias.unsqueeze(0).expand_as(out) if bias is not None else out

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, weight, bias = inputs
        ctx.save_for_backward(input, weight, bias)

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t().mm(input)
        if bias is not None and ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_input, grad_weight, grad_bias


class MulConstant(Function):
    @staticmethod
    def forward(ctx, tensor, constant):
        ctx.constant = constant
        return tensor * constant

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output * ctx.constant, None


class MulAdd(Function):
    """x and y are scaled by 2 and 3; with materialised gradients off an unused output sends None."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.set_materialize_grads(False)
        return 2 * x, 3 * y

    @staticmethod
    def backward(ctx, gx, gy):
        print("gradients:", gx is None, gy is None)
        return None if gx is None else 2 * gx, None if gy is None else 3 * gy


class SortRows(Function):
    @staticmethod
    def forward(ctx, x):
        values, order = x.sort(dim=1)
        ctx.mark_non_differentiable(order)
        ctx.save_for_backward(order)
        return values, order

    @staticmethod
    @once_differentiable
    def backward(ctx, g, _):
        (order,) = ctx.saved_tensors
        return torch.zeros_like(g).scatter(1, order, g)


class Doubled(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return 2 * g


x = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
y = Exp.apply(x)
print(y, type(y.grad_fn).__name__)
print(torch.autograd.grad(y.sum(), x, create_graph=True)[0])
data = torch.cos(torch.arange(12, dtype=torch.float64)).reshape(4, 3).requires_grad_()
weight = torch.sin(torch.arange(6, dtype=torch.float64)).reshape(2, 3).requires_grad_()
bias = torch.ones(2, dtype=torch.float64, requires_grad=True)
print(gradcheck(LinearFunction.apply, (data, weight, bias)), gradgradcheck(LinearFunction.apply, (data, weight, bias)))
print(gradcheck(LinearFunction.apply, (data, weight.detach(), None)))
MulConstant.apply(x, 5.0).sum().backward()
print(x.grad)
a, b = MulAdd.apply(x, bias)
(a.sum()).backward()
print(x.grad, bias.grad)
rows = torch.tensor([[3.0, 1.0, 2.0], [0.0, -1.0, 5.0]], requires_grad=True)
values, order = SortRows.apply(rows)
print(values, order, order.requires_grad)
(values * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
print(rows.grad)
values, _ = SortRows.apply(rows)
slope = torch.autograd.grad((values**2).sum(), rows, create_graph=True)[0]
try:
    slope.sum().backward()
except RuntimeError as e:
    print("once:", "marked with @once_differentiable" in str(e))
base = torch.ones(3, requires_grad=True) * 1
twice = Doubled.apply(base)
print(twice is base, base._version, twice)
