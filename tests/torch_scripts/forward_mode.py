"""Forward-mode derivatives: dual numbers, modules, custom Functions with jvp, Jacobians and Hessians by it, and anomalies."""

import torch
import torch.autograd.forward_ad as fwAD
from torch.autograd import detect_anomaly, gradcheck


def fn(x, y):
    return x**2 + y**2


primal = torch.linspace(-1, 1, 4)
tangent = torch.linspace(1, 2, 4)
with fwAD.dual_level():
    dual = fwAD.make_dual(primal, tangent)
    print(fwAD.unpack_dual(dual).tangent is tangent)
    out = fn(dual, dual)
    print(fwAD.unpack_dual(out).tangent)
    print(fwAD.unpack_dual(torch.ones(2)).tangent)
print(torch.allclose(torch.autograd.functional.jvp(lambda p: fn(p, p), primal, tangent)[1], 4 * primal * tangent))

model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh())
with torch.no_grad():
    for k, p in enumerate(model.parameters()):
        p.copy_(torch.sin(torch.arange(p.numel()) + 2.0 * k).reshape(p.shape))
params = {name: p for name, p in model.named_parameters()}
tangents = {name: torch.cos(torch.arange(p.numel()) * 0.5).reshape(p.shape) for name, p in params.items()}
with fwAD.dual_level():
    duals = {name: fwAD.make_dual(p, tangents[name]) for name, p in params.items()}
    out = torch.func.functional_call(model, duals, primal)
    print(fwAD.unpack_dual(out).tangent.detach())


class Fn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, foo):
        result = torch.exp(foo)
        ctx.result = result
        return result

    @staticmethod
    def jvp(ctx, gI):
        gO = gI * ctx.result
        del ctx.result
        return gO


with fwAD.dual_level():
    out = Fn.apply(fwAD.make_dual(primal.double(), tangent.double()))
    print(fwAD.unpack_dual(out).tangent)
print(torch.func.jvp(lambda t: t.softmax(0), (primal,), (tangent,))[1])
print(torch.func.jacfwd(torch.cumsum, argnums=0)(primal, 0))
print(torch.func.jacfwd(torch.func.jacrev(lambda t: t.sin().prod()))(primal))
print(gradcheck(lambda a, b: (a @ b).tanh(), (torch.ones(2, 3, dtype=torch.float64, requires_grad=True) * 0.3,
                                             torch.ones(3, 2, dtype=torch.float64, requires_grad=True)),
                check_forward_ad=True))  # fmt: skip

x = torch.tensor([4.0, -1.0], requires_grad=True)
try:
    with detect_anomaly():
        (x.sqrt() * 0).sum().backward()
except RuntimeError as e:
    print("returned nan values in its 0th output" in str(e), "SqrtBackward0" in str(e))
try:
    with torch.autograd.set_detect_anomaly(True):
        torch.where(x > 0, x.log(), torch.zeros(2)).sum().backward()
    print(x.grad)
except RuntimeError as e:
    print("LogBackward0" in str(e))
with torch.autograd.set_detect_anomaly(False):
    x.grad = None
    (x.sqrt() * 0).sum().backward()
    print(x.grad)
