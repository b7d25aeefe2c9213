"""Operations with derivatives of their own under the transforms of torch.func, with a vmap rule made or written."""

import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap


class Cube(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3, 3 * x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output[1])
        ctx.save_for_forward(inputs[0], output[1])

    @staticmethod
    def backward(ctx, g, gd):
        x, d = ctx.saved_tensors
        return g * d + gd * 6 * x

    @staticmethod
    def jvp(ctx, t):
        x, d = ctx.saved_tensors
        return t * d, 6 * t * x


class Mul(torch.autograd.Function):
    @staticmethod
    def forward(x, y):
        return x * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y, g * x

    @staticmethod
    def vmap(info, in_dims, x, y):
        x = x if in_dims[0] is None else x.movedim(in_dims[0], 0)
        y = y if in_dims[1] is None else y.movedim(in_dims[1], 0)
        return x * y, 0


def cube(v):
    return Cube.apply(v)[0]


def total(v):
    return cube(v).sum()


x = torch.tensor([1.0, 2.0, 3.0])
print(grad(total)(x))
print(grad(lambda v: grad(total)(v).sum())(x))
print(vmap(cube)(x), vmap(grad(cube))(x))
print(jvp(cube, (x,), (torch.ones(3),)))
print(vjp(cube, x)[1](torch.ones(3)))
print(jacrev(cube)(x))
print(jacfwd(cube)(x))
print(hessian(total)(x))
print(vmap(Mul.apply, (0, None))(x, torch.tensor(2.0)))
print(vmap(grad(Mul.apply), (0, 0))(x, x))
print(grad(lambda a, b: Mul.apply(a, b).sum(), argnums=(0, 1))(x, 2 * x))
