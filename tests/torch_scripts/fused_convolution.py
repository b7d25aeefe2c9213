"""A convolution and a batch normalisation as one Function that saves less and convolves again in backward; a fused linear one
with a second derivative; both checked against finite differences.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function, gradcheck, gradgradcheck
from torch.autograd.function import once_differentiable


def norm_forward(x, eps):
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(unbiased=True, dim=(0, 2, 3), keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


def norm_backward(grad, x, eps):
    count = x.numel() / x.size(1)
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(unbiased=True, dim=(0, 2, 3), keepdim=True)
    scale, centred = 1 / (variance + eps).sqrt(), x - mean
    by_variance = (-0.5 * grad * centred * scale**3).sum(dim=(0, 2, 3), keepdim=True)
    by_mean = (-grad * scale).sum(dim=(0, 2, 3), keepdim=True)
    return grad * scale + by_variance * 2 * centred / (count - 1) + by_mean / count


class FusedConvNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, eps=1e-3):
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return norm_forward(F.conv2d(x, weight), eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        x, weight = ctx.saved_tensors
        grad = norm_backward(grad_output, F.conv2d(x, weight), ctx.eps)
        grad_x = torch.nn.grad.conv2d_input(x.shape, weight, grad)
        return grad_x, torch.nn.grad.conv2d_weight(x, weight.shape, grad), None


class Fused(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return FusedConvNorm.apply(x, self.weight, 1e-3)


x = torch.sin(torch.arange(2 * 2 * 4 * 4, dtype=torch.float64) * 1.7).reshape(2, 2, 4, 4).requires_grad_()
weight = torch.cos(torch.arange(2 * 2 * 2 * 2, dtype=torch.float64) * 0.9).reshape(2, 2, 2, 2)
fused = Fused(weight)
out = fused(x)
print(out.shape, out.grad_fn.name(), out[0, 0])
(out**3).sum().backward()
print(fused.weight.grad, x.grad[0, 1])
print(gradcheck(FusedConvNorm.apply, (x, weight.clone().requires_grad_())))
try:
    (g,) = torch.autograd.grad((fused(x) ** 3).sum(), x, create_graph=True)
    g.sum().backward()
except RuntimeError as e:
    print("once_differentiable" in str(e))


class Cube(Function):
    """A sum of cubes of an affine function; it keeps what backward needs as an output too, for its second derivative."""

    @staticmethod
    def forward(ctx, x, w):
        inner = x @ w
        squared = 3 * inner**2
        ctx.save_for_backward(x, w, inner, squared)
        return inner**3, inner, squared

    @staticmethod
    def backward(ctx, grad_out, grad_inner, grad_squared):
        x, w, inner, squared = ctx.saved_tensors
        by_inner = grad_out * squared + grad_inner + grad_squared * 6 * inner
        return by_inner @ w.T, x.T @ by_inner


def cube(x, w):
    return Cube.apply(x, w)[0]


a = torch.sin(torch.arange(6.0, dtype=torch.float64)).reshape(3, 2).requires_grad_()
w = torch.cos(torch.arange(4.0, dtype=torch.float64)).reshape(2, 2).requires_grad_()
print(gradcheck(cube, (a, w)), gradgradcheck(cube, (a, w)))
(first,) = torch.autograd.grad(cube(a, w).sum(), a, create_graph=True)
(second,) = torch.autograd.grad((first**2).sum(), w)
(plain,) = torch.autograd.grad(((a @ w) ** 3).sum(), a, create_graph=True)
print(first, second, torch.allclose(torch.autograd.grad((plain**2).sum(), w)[0], second))


class Legendre(Function):
    """P3(x) = (5x^3 - 3x) / 2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * (5 * x**3 - 3 * x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 1.5 * (5 * x**2 - 1)


points = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
value = Legendre.apply(points)
for order in range(3):
    (value,) = torch.autograd.grad(value.sum(), points, create_graph=True)
    print(order + 1, value.detach())
print(gradgradcheck(Legendre.apply, (points,)))


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0].sin()


print(gradcheck(Wrong.apply, (points,), raise_exception=False))
try:
    gradcheck(Wrong.apply, (points,))
except RuntimeError as e:
    print("Jacobian mismatch for output 0 with respect to input 0" in str(e))
