"""torch.func: grad, vjp, jvp, vmap, Jacobians, per-sample gradients, ensembles, tangent kernels."""

import torch
from torch import nn
from torch.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

x = torch.linspace(0.1, 0.9, 5)
print(grad(torch.sin)(torch.tensor(0.3)), grad(grad(torch.sin))(torch.tensor(0.3)))
print(vmap(grad(lambda t: t**3))(x))
print(vmap(torch.dot)(torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)))
print(vmap(lambda a, b: a * b, in_dims=(1, None), out_dims=1)(torch.arange(6.0).reshape(2, 3), torch.ones(2)))
out, pull = vjp(lambda a: a.exp().sum(), x)
print(out, pull(torch.tensor(2.0))[0])
print(jvp(torch.tanh, (x,), (torch.ones(5),)))
value, push = linearize(lambda a: a * a, x)
print(value, push(torch.ones(5)))
weight = torch.sin(torch.arange(25.0)).reshape(5, 5)
bias = torch.linspace(-1, 1, 5)


def predict(weight, bias, x):
    return nn.functional.linear(x, weight, bias).tanh()


backward, forward = jacrev(predict, argnums=2)(weight, bias, x), jacfwd(predict, argnums=2)(weight, bias, x)
print(backward)
print(torch.allclose(backward, forward, atol=1e-6))
print(hessian(lambda a: predict(weight, bias, a).sum())(x))
per_row = vmap(jacrev(predict, argnums=2), in_dims=(None, None, 0))(weight, bias, torch.stack([x, 2 * x]))
print(per_row.shape)


class Net(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
        with torch.no_grad():
            for k, p in enumerate(self.parameters()):
                p.copy_(torch.cos(torch.arange(p.numel()) * 1.3 + k).reshape(p.shape) * scale)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


net = Net()
params = {k: v.detach() for k, v in net.named_parameters()}
data = torch.sin(torch.arange(12.0)).reshape(4, 3)
labels = torch.tensor([0, 1, 1, 0])


def sample_loss(params, sample, label):
    prediction = functional_call(net, params, (sample.unsqueeze(0),))
    return nn.functional.cross_entropy(prediction, label.unsqueeze(0))


each = vmap(grad(sample_loss), in_dims=(None, 0, 0))(params, data, labels)
print({k: tuple(v.shape) for k, v in each.items()})
nn.functional.cross_entropy(net(data), labels).backward()
print([torch.allclose(each[k].mean(0), p.grad, atol=1e-6) for k, p in net.named_parameters()])
gradients, (loss, extra) = grad_and_value(lambda w: ((w * w).sum(), {"norm": w.norm()}), has_aux=True)(x)
print(gradients, loss, extra["norm"])

models = [Net(s) for s in (0.5, 1.0, 1.5)]
stacked, buffers = torch.func.stack_module_state(models)
together = vmap(lambda p, b, d: functional_call(models[0], (p, b), (d,)), in_dims=(0, 0, None))(stacked, buffers, data)
print(together.shape, [torch.allclose(together[i], m(data), atol=1e-6) for i, m in enumerate(models)])


def kernel(a, b):
    """The empirical tangent kernel of two samples."""
    single = lambda p, s: functional_call(net, p, (s.unsqueeze(0),)).squeeze(0)
    ja, jb = jacrev(single)(params, a), jacrev(single)(params, b)
    return sum((ja[k].flatten(1) @ jb[k].flatten(1).T) for k in params)


print(vmap(vmap(kernel, (None, 0)), (0, None))(data, data)[0, 1])
