"""Custom Functions under torch.func: the user's backward is the derivative, also where it is not forward's own."""

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def functions(torch):
    class Straight(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x.round()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 10 * x

    class Parts(torch.autograd.Function):
        """A number among the arguments, an integer result, one without gradient, tensors kept as attributes."""

        generate_vmap_rule = True

        @staticmethod
        def forward(x, factor, y):
            return x * y * factor, x.argmax(), x + y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.x, ctx.factor, ctx.y = inputs
            ctx.mark_non_differentiable(output[1], output[2])

        @staticmethod
        def backward(ctx, g, _, free):
            return g * ctx.y * ctx.factor * 7, None, g * ctx.x * 2

    class Turn(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x * (1 + 2j)

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):
            return g * (3 - 4j)

    return Straight.apply, Parts.apply, Turn.apply


def used(torch):
    """What the transforms give, by name."""
    straight, parts, turn = functions(torch)
    func = torch.func
    x, y = torch.tensor([0.2, 1.7, 3.0]), torch.tensor([2.0, -1.0, 0.5])
    yield "grad", func.grad(lambda v: straight(v).sum())(x)
    yield "twice", func.grad(lambda v: (func.grad(lambda u: (straight(u) * y).sum())(v) * y).sum())(x)
    yield "vjp", func.vjp(straight, x)[1](y)[0]
    yield "jacrev", func.jacrev(straight)(x)
    yield "vmap", func.vmap(straight)(x)
    yield "vmap of grad", func.vmap(func.grad(straight))(x)
    yield "grad of vmap", func.grad(lambda v: (func.vmap(straight)(v) * y).sum())(x)
    yield "values", parts(x, 3.0, y)[0]
    first, second = func.grad(lambda a, b: (parts(a, 3.0, b)[0] * y).sum(), argnums=(0, 1))(x, y)
    yield "first", first
    yield "second", second
    yield "without gradient", func.grad(lambda v: (parts(v, 3.0, y)[2] * 5 + v).sum())(x)
    yield "batched", func.vmap(func.grad(lambda v, w: parts(v, 2.0, w)[0].sum()), (0, None))(torch.stack([x, y]), y)
    yield "complex", func.grad(lambda v: turn(v * (1 + 1j)).real.sum())(x)


def test_the_rule_is_the_users():
    for (name, have), (_, want) in zip(used(ours), used(theirs), strict=True):
        assert str(have.dtype) == str(want.dtype), name
        np.testing.assert_allclose(have.detach().numpy(), want.detach().numpy(), rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("torch", [ours, theirs], ids=["ours", "theirs"])
def test_a_wrong_number_of_gradients_is_refused(torch):
    class Short(torch.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        torch.func.grad(lambda x: Short.apply(x, x))(torch.tensor(2.0))
