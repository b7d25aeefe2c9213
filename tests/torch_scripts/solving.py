"""Newton's method, least squares, implicit differentiation and a fixed point with linear algebra; gradients of decompositions."""

import torch

torch.set_default_dtype(torch.float64)


def rosenbrock(p):
    return (1 - p[:-1]).pow(2).sum() + 100 * (p[1:] - p[:-1] ** 2).pow(2).sum()


p = torch.tensor([-1.2, 1.0, 0.8])
for _ in range(30):
    value, g = rosenbrock(p), torch.func.grad(rosenbrock)(p)
    if g.norm() < 1e-9:
        break
    direction = torch.linalg.solve(torch.func.hessian(rosenbrock)(p), -g)
    scale = 1.0
    while scale > 1e-8 and rosenbrock(p + scale * direction) > value:
        scale /= 2
    p = p + scale * direction
print(g.norm() < 1e-9, p)

x = torch.linspace(0, 1, 20)
features = torch.stack([torch.ones(20), x, x**2], dim=1)
truth = torch.tensor([1.0, -2.0, 3.0])
weights = torch.linalg.lstsq(features, features @ truth).solution
print(weights, torch.linalg.matrix_rank(features), torch.linalg.cond(features.T @ features) > 1)

a = torch.tensor([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]], requires_grad=True)
b = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
solution = torch.linalg.solve(a, b)
solution.sum().backward()
print(solution, a.grad, b.grad, sep="\n")
a.grad = None
factor = torch.linalg.cholesky(a)
(2 * factor.diagonal().log().sum()).backward()
print(torch.allclose(a.grad, torch.linalg.inv(a).T.detach(), atol=1e-9), torch.logdet(a), torch.linalg.slogdet(a))
a.grad = None
values = torch.linalg.eigvalsh(a)
values[0].backward()
print(values, a.grad)
u, s, vh = torch.linalg.svd(a.detach()[:, :2], full_matrices=False)
print(s, torch.allclose(u @ torch.diag(s) @ vh, a.detach()[:, :2]))
q, r = torch.linalg.qr(a.detach())
print(torch.allclose(q @ r, a.detach()), torch.linalg.det(a.detach()), torch.linalg.norm(a.detach(), "nuc"))
print(
    torch.linalg.matrix_power(a.detach(), 3)[0],
    torch.linalg.pinv(a.detach()[:2]).shape,
    torch.matrix_exp(a.detach() / 10)[0],
)


class FixedPoint(torch.autograd.Function):
    """z = tanh(w z + x) by iteration, differentiated by the implicit function theorem."""

    @staticmethod
    def forward(ctx, w, x):
        z = torch.zeros_like(x)
        for _ in range(200):
            z = torch.tanh(w @ z + x)
        ctx.save_for_backward(w, z)
        return z

    @staticmethod
    def backward(ctx, g):
        w, z = ctx.saved_tensors
        slope = 1 - z**2
        u = torch.linalg.solve((torch.eye(len(z)) - slope[:, None] * w).T, g) * slope
        return torch.outer(u, z), u


w = (torch.tensor([[0.3, -0.2], [0.1, 0.4]])).requires_grad_()
z0 = torch.tensor([0.5, -0.3], requires_grad=True)
print(torch.autograd.gradcheck(FixedPoint.apply, (w, z0)))
FixedPoint.apply(w, z0).sum().backward()
print(w.grad, z0.grad)
torch.set_default_dtype(torch.float32)
