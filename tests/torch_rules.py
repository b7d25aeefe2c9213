"""PyTorch's rules as small scripts. Each takes `torch`, `show` (records values) and `fails` (an error's type and text)."""

import copy
import gc
import threading
import warnings
import weakref


def flags(torch, show, fails):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    show(
        x.is_leaf,
        y.is_leaf,
        y.requires_grad,
        torch.ones(2).requires_grad,
        torch.nn.Parameter(torch.ones(1)).requires_grad,
    )
    fails(lambda: torch.tensor([1, 2]).requires_grad_(), "can require gradients")
    fails(lambda: torch.nn.Parameter(torch.tensor([1])), "can require gradients")
    show(torch.nn.Parameter(torch.tensor([1]), requires_grad=False).requires_grad)
    fails(lambda: setattr(y, "requires_grad", False), "you can only change requires_grad flags of leaf variables")
    fails(lambda: setattr(y, "requires_grad", True), "you can only change requires_grad flags of leaf variables")
    show(y.requires_grad_(True) is y)
    x.requires_grad = False
    y.sum().backward()
    show(x.grad)


def untracked(torch, show, fails):
    x = torch.tensor([1.5, -2.5, 0.0], requires_grad=True)
    show(
        x.long().requires_grad,
        (x > 0).requires_grad,
        x.argmax().requires_grad,
        x.sort()[1].requires_grad,
        x.floor().requires_grad,
    )
    x.floor().sum().backward()
    show(x.grad)
    show(
        torch.zeros_like(x).requires_grad,
        x.new_zeros(2).requires_grad,
        torch.as_tensor(x) is x,
        x.to(torch.float32) is x,
        x.contiguous() is x,
    )
    fails(lambda: bool(x), "ambiguous")
    fails(lambda: x.item(), "")
    fails(lambda: x.numpy(), "tensor.detach().numpy()")
    z = torch.zeros(3)
    z.numpy()[0] = 5
    show(z, z._version)
    fails(lambda: copy.deepcopy(x * 2), "graph leaves")
    show(copy.deepcopy(x).requires_grad)


def names(torch, show, fails):
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    v = torch.tensor([1.0, 2.0], requires_grad=True)
    outs = [
        x + x,
        x - 1,
        1 - x,
        x * x,
        x / 2,
        -x,
        x**2,
        x**x,
        2**x,
        x.exp(),
        x.sum(),
        x.sum(0),
        x.mean(),
        x @ x,
        x @ v,
        v @ v,
        x[0],
        x[1:],
        x[[0, 1]],
        x.view(4),
        x.transpose(0, 1),
        x.t(),
        x.permute(1, 0),
        v.expand(2, 2),
        torch.cat([x, x]),
        torch.stack([x, x]),
        torch.where(x > 1, x, 0.0),
        x.clone(),
        x.double(),
        x.log_softmax(1),
        torch.addmm(v, x, x),
        x.squeeze(),
        x.unsqueeze(0),
        x.tanh(),
        x.sigmoid(),
        x.sqrt(),
        x.relu(),
        x.max(),
        x.max(1)[0],
        x.abs(),
        x.clamp(0, 1),
        x.prod(),
        x.norm(),
        x.diagonal(),
        torch.bmm(x[None], x[None]),
        x.softmax(0),
        x.cumsum(0),
        x.std(),
        x.var(),
        x.flatten(),
        x.select(0, 1),
        x.narrow(0, 0, 1),
    ]
    show(*[o.grad_fn.name() for o in outs])
    show(
        [n.name() if n else None for n, _ in (x * v.detach()).grad_fn.next_functions],
        [k for _, k in (x * 2).grad_fn.next_functions],
    )
    a = x.unbind(0)
    show(a[1].output_nr, a[0].grad_fn is a[1].grad_fn, x.exp().grad_fn(torch.ones(2, 2)))
    leaf = (x * 1).grad_fn.next_functions[0][0]
    show(leaf.variable is x, leaf is (x * 2).grad_fn.next_functions[0][0], leaf.name())
    show(repr(x * 1).split(",")[-1].strip(), repr(x).splitlines()[-1].split("]], ")[-1])


def saved(torch, show, fails):
    c, w = torch.tensor([2.0]), torch.tensor([3.0], requires_grad=True)
    y = c * w
    show(y.grad_fn._saved_self is c, y.grad_fn._saved_other)
    with torch.no_grad():
        w.add_(1)
    y.backward()
    show(w.grad)
    x = torch.tensor([1.0], requires_grad=True)
    z = x.exp()
    show((x * x).grad_fn._saved_self is x, z.grad_fn._saved_result is z, z.grad_fn._saved_result.grad_fn is z.grad_fn)
    z.backward()
    fails(lambda: z.grad_fn._saved_result, "Trying to backward through the graph a second time")
    fails(lambda: z.backward(), "Trying to backward through the graph a second time")
    s = x + 1
    s.backward(retain_graph=False)
    s.backward()
    show(x.grad)


def freed(torch, show, fails):
    x = torch.tensor([1.0], requires_grad=True)
    a = x * 2
    b = a * a
    watch = weakref.ref(a)
    del a
    gc.collect()
    show(watch() is not None)
    b.backward()
    gc.collect()
    show(watch() is None)


def versions(torch, show, fails):
    x = torch.zeros(4)
    v = x[1:]
    show(x._version)
    v.add_(1)
    x[0] = 3
    x += 1
    d = x.detach()
    d.zero_()
    show(x._version, v._version, d._version, x)
    x.data.add_(1)
    show(x._version)
    fails(lambda: setattr(x, "_version", 3), "")
    torch.autograd.graph.increment_version(x)
    show(x._version)
    with torch.autograd._unsafe_preserve_version_counter(x):
        x.add_(1)
    show(x._version)
    p = torch.ones(2, requires_grad=True)
    p.data = torch.zeros(3)
    show(p, p.is_leaf)


def checked(torch, show, fails):
    def broken(change):
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = x * 1
        change(y)

    def result(y):
        z = y.exp()
        z.add_(1)
        z.sum().backward()

    def operand(y):
        z = y.sin()
        y.mul_(2)
        z.sum().backward()

    def detached(y):
        z = y * y
        y.detach().zero_()
        z.sum().backward()

    def restored(y):
        z = y * y
        y.add_(1).sub_(1)
        z.sum().backward()

    def twice(y):
        w = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        loss = (w * w).sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        loss.backward()

    for f in (result, operand, detached, restored, twice):
        fails(lambda f=f: broken(f), "has been modified by an inplace operation: [torch.FloatTensor [3]]")
    x = torch.tensor([1.0], requires_grad=True)
    y = x * 2
    z = y * y
    y.data.add_(10)
    z.backward()
    show(x.grad)
    for name in ("sigmoid", "tanh", "sqrt", "relu"):
        y = getattr(x * 1, name)()
        y.add_(1)
        fails(lambda y=y: y.backward(), "modified by an inplace operation")
    y = (x * 3).relu_()
    y.backward()
    show(x.grad)


def inplace(torch, show, fails):
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    fails(lambda: x.add_(1), "a leaf Variable that requires grad is being used in an in-place operation")
    fails(
        lambda: x.__setitem__(0, 1.0),
        "a view of a leaf Variable that requires grad is being used in an in-place operation",
    )
    fails(
        lambda: x.view(-1).mul_(2),
        "a view of a leaf Variable that requires grad is being used in an in-place operation",
    )
    show(x)
    with torch.no_grad():
        x.add_(1)
    show(x, x.is_leaf)
    y = x * 1
    show(y.relu_() is y, y.grad_fn.name())
    b = torch.zeros(3)
    b.copy_(x)
    show(b.grad_fn.name(), b.requires_grad)
    c = torch.zeros(3)
    c[1] = x[0]
    show(c.grad_fn.name(), c)
    with torch.no_grad():
        y.add_(1)
    show(y.grad_fn.name(), y._version)
    fails(lambda: torch.tensor([1]).add_(1.5), "result type Float can't be cast to the desired output type Long")
    fails(lambda: torch.zeros(3).add_(torch.zeros(2, 3)), "doesn't match the broadcast shape [2, 3]")
    fails(
        lambda: torch.zeros(1).expand(3).add_(1),
        "more than one element of the written-to tensor refers to a single memory location",
    )
    z = torch.zeros(4)
    fails(
        lambda: z[1:].add_(z[:-1]),
        "some elements of the input tensor and the written-to tensor refer to a single memory location",
    )
    fails(
        lambda: torch.add(x, x, out=torch.zeros(3)),
        "functions with out=... arguments don't support automatic differentiation",
    )
    fails(lambda: x.resize_(2), "cannot resize variables that require grad")


def views(torch, show, fails):
    x = torch.arange(6.0).reshape(2, 3)
    made = [
        x[0],
        x[:, 1:],
        x.view(6),
        x.t(),
        x.expand(2, 2, 3),
        x.permute(1, 0),
        x[None],
        x.diagonal(),
        x.split(1)[0],
        x.unbind()[0],
        x.chunk(3, 1)[1],
    ]
    show(
        [m._is_view() for m in made],
        made[0][1:]._base is x,
        x.detach()._is_view(),
        x[[0]]._is_view(),
        x[x > 1]._is_view(),
    )
    p = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = p * 1
    v = y[1:]
    w = y.view(3)
    v.mul_(2)
    show(y.grad_fn.name(), v.grad_fn.name(), w.grad_fn.name(), w)
    y.mul_(3)
    show(v, v.grad_fn.name())
    (v * w[:2]).sum().backward()
    show(p.grad)
    plain = torch.zeros(2)
    u = plain[:1]
    plain.add_(p[:2])
    show(u.requires_grad, u.grad_fn.name())
    parts = (p * 1).split(1)
    fails(
        lambda: parts[0].add_(1),
        "is a view and is being modified inplace. This view is the output of a function that returns multiple views",
    )
    torch.zeros(4).split(2)[0].add_(1)
    with torch.no_grad():
        n = p[0:1]
        m = p * 1
    show(n.requires_grad, n.grad_fn, n.is_leaf, m.requires_grad)
    q = p * 1
    with torch.no_grad():
        n = q[0:1]
    fails(lambda: n.add_(1), "A view was created in no_grad mode and is being modified inplace with grad mode enabled")
    fails(lambda: q[0:2].detach_(), "Can't detach views in-place")
    q.detach_()
    show(q.requires_grad, q.grad_fn)
    e = p.detach().requires_grad_()
    (e * 2).sum().backward()
    show(e.grad, p.grad)


def modes(torch, show, fails):
    x = torch.ones(1, requires_grad=True)

    @torch.no_grad()
    def f():
        return x * 2

    @torch.no_grad()
    def g():
        for _ in range(2):
            yield torch.is_grad_enabled()

    show(f().requires_grad, [(a, torch.is_grad_enabled()) for a in g()])
    try:
        with torch.no_grad():
            with torch.enable_grad():
                show((x * 2).requires_grad)
            raise ValueError
    except ValueError:
        show(torch.is_grad_enabled())
    torch.set_grad_enabled(False)
    show((x * 2).requires_grad)
    torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        show(torch.is_grad_enabled())
    found = []
    with torch.no_grad():
        t = threading.Thread(target=lambda: found.append(torch.is_grad_enabled()))
        t.start()
        t.join()
        show(torch.tensor([1.0], requires_grad=True).requires_grad)
        (x.detach().requires_grad_() * 1)
    show(found)


def inference(torch, show, fails):
    x = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        t = torch.ones(2) * 2
        y = x * 2
        show(torch.is_grad_enabled(), t.is_inference(), y.requires_grad)
        normal = torch.zeros(0)
    fails(lambda: t._version, "Inference tensors do not track version counter.")
    fails(lambda: t.add_(1), "Inplace update to inference tensor outside InferenceMode is not allowed")
    fails(lambda: x * t, "Inference tensors cannot be saved for backward")
    fails(lambda: t.requires_grad_(), "")
    show((x + t).requires_grad, t.clone().is_inference(), t[0:1].is_inference())
    with torch.inference_mode():
        with torch.inference_mode(False):
            show((x * 2).requires_grad)
    del normal


def backward(torch, show, fails):
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    fails(lambda: (x * 2).backward(), "grad can be implicitly created only for scalar outputs")
    (x * 2).sum().reshape(1, 1).backward()
    fails(
        lambda: (x * 2).backward(torch.ones(2)),
        "Mismatch in shape: grad_output[0] has a shape of torch.Size([2]) and output[0] has a shape of torch.Size([3])",
    )
    (x * 2).backward(torch.ones(3, dtype=torch.float64))
    show(x.grad, x.grad.dtype)
    fails(lambda: torch.ones(1).backward(), "element 0 of tensors does not require grad and does not have a grad_fn")
    one = torch.ones(1, requires_grad=True)
    one.backward()
    show(one.grad)
    y = x * 2
    fails(
        lambda: torch.autograd.grad(y.sum(), torch.ones(1, requires_grad=True)),
        "appears to not have been used in the graph",
    )
    z = torch.ones(1, requires_grad=True)
    show(
        torch.autograd.grad((x * 2).sum(), [x, z], allow_unused=True),
        torch.autograd.grad((x * 2).sum(), [x, z], materialize_grads=True),
    )
    fails(
        lambda: torch.autograd.grad((x * 2).sum(), torch.ones(1)),
        "One of the differentiated Tensors does not require grad",
    )
    mid = x * 2
    show(torch.autograd.grad((mid * mid).sum(), mid))
    g = torch.autograd.grad((x**3).sum(), x)[0]
    fails(lambda: torch.autograd.grad(g.sum(), x), "does not require grad")
    mid = x * 2
    (mid * x).sum().backward(inputs=[mid])
    show(mid.grad, x.grad)
    fails(lambda: (x * 2).sum().backward(inputs=[]), "`inputs` argument to `backward()` cannot be empty.")
    x.grad = None
    torch.autograd.backward([(x * 2).sum(), (x * 3).sum()])
    show(x.grad)
    show(torch.autograd.grad(x * x, x, torch.eye(3), is_grads_batched=True))


def gradients(torch, show, fails):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    kept = x.grad
    (x * 2).sum().backward()
    show(kept, x.grad is kept, x.grad.requires_grad, x.grad.is_leaf)
    fails(
        lambda: setattr(x, "grad", torch.zeros(3)),
        "attempting to assign a gradient of size '[3]' to a tensor of size '[2]'",
    )
    fails(lambda: setattr(x, "grad", torch.zeros(2, dtype=torch.float64)), "grad_dtype")
    fails(lambda: setattr(x, "grad", 3), "")
    fails(lambda: setattr(x, "grad", x), "can't assign Variable as its own grad")
    del x.grad
    show(x.grad)
    y = x * 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        show(y.grad, len(caught))
    y.retain_grad()
    y.retain_grad()
    (y * y).sum().backward()
    show(y.grad, y.retains_grad, x.retains_grad)
    fails(lambda: torch.ones(1).retain_grad(), "can't retain_grad on Tensor that has requires_grad=False")
    layer = torch.nn.Linear(2, 1)
    layer(x).sum().backward()
    layer.zero_grad()
    show(layer.weight.grad)
    layer(x).sum().backward()
    layer.zero_grad(set_to_none=False)
    show(layer.weight.grad)


def hooks(torch, show, fails):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    log = []
    fails(
        lambda: torch.ones(1).register_hook(print), "cannot register a hook on a tensor that doesn't require gradient"
    )
    y = x * 2
    y.retain_grad()
    handle = y.register_hook(lambda g: (log.append(("a", g.tolist())), g * 10)[1])
    y.register_hook(lambda g: log.append(("b", g.tolist())))
    y.grad_fn.register_prehook(lambda gs: log.append("pre"))
    y.grad_fn.register_hook(lambda gi, go: log.append("post"))
    x.register_hook(lambda g: log.append(("leaf", g.tolist())))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("done", p.grad.tolist())))
    (y * 1 + y * 2).sum().backward()
    show(log, y.grad)
    handle.remove()
    bad = x * 1
    bad.register_hook(lambda g: g[:1])
    fails(lambda: bad.sum().backward(), "has changed the size of value")
    wrong = x * 1
    wrong.register_hook(lambda g: 3)
    fails(lambda: wrong.sum().backward(), "expected Variable, but hook returned")
    fails(
        lambda: y.register_post_accumulate_grad_hook(print),
        "post accumulate grad hooks cannot be registered on non-leaf tensors",
    )


def complex_numbers(torch, show, fails):
    z = torch.tensor([1 + 2j, 0j], requires_grad=True)
    (z * z.conj()).real.sum().backward()
    show(z.grad)
    for f in (
        lambda t: t.real.sum(),
        lambda t: t.imag.sum(),
        lambda t: t.abs().sum(),
        lambda t: (t * (2 + 1j)).real.sum(),
    ):
        z.grad = None
        f(z).backward()
        show(z.grad)
    fails(
        lambda: z.sum().backward(),
        "grad can be implicitly created only for real scalar outputs but got torch.complex64",
    )
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    (w * (1 + 2j)).sum().backward(torch.tensor(1 + 0j))
    show(w.grad)


def kinks(torch, show, fails):
    fs = [
        torch.relu,
        torch.abs,
        lambda t: t.norm(),
        torch.sign,
        lambda t: t.clamp(0, 1),
        lambda t: t.clamp(-1, 0),
        torch.sqrt,
        torch.nn.functional.relu6,
        torch.nn.functional.hardtanh,
        torch.nn.functional.leaky_relu,
        torch.nn.functional.elu,
        torch.log,
        lambda t: t**0.5,
        lambda t: t.std(),
        lambda t: t.max(),
        lambda t: t.amax(),
        lambda t: t.median(),
        lambda t: t.max(0)[0],
        lambda t: torch.maximum(t, torch.zeros(2)),
        lambda t: t.prod(),
        lambda t: torch.where(t > 0, t.log(), 0.0),
    ]
    for f in fs:
        x = torch.zeros(2, requires_grad=True)
        f(x).sum().backward()
        show(x.grad)
    x = torch.tensor([0.0, 2.0, 3.0], requires_grad=True)
    x.prod().backward()
    show(x.grad)


def modules(torch, show, fails):
    nn = torch.nn

    class Early(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(torch.ones(1))

    fails(Early, "cannot assign parameters before Module.__init__() call")
    m = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    show(list(m.state_dict()), [n for n, _ in m.named_parameters()])
    fails(lambda: setattr(m[0], "weight", torch.ones(3, 2)), "cannot assign")
    before = m[0].weight
    m.load_state_dict(m.state_dict())
    show(m[0].weight is before, before._version)
    for p in m.parameters():
        p.requires_grad = False
    m[0] = nn.Linear(2, 3)
    show([p.requires_grad for p in m.parameters()])
    fails(lambda: torch.optim.SGD([]), "optimizer got an empty parameter list")
    fails(lambda: torch.optim.SGD([before * 1 + m[0].weight]), "can't optimize a non-leaf Tensor")
    fails(lambda: torch.optim.SGD(before), "")
    fails(lambda: torch.optim.SGD([before], lr=-1.0), "Invalid learning rate")
    fails(lambda: torch.optim.SGD([before], nesterov=True), "Nesterov momentum requires a momentum and zero dampening")
    show(torch.optim.SGD([before]).param_groups[0]["lr"])
    fails(lambda: nn.BatchNorm1d(3)(torch.ones(1, 3)), "Expected more than 1 value per channel when training")
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    w.grad = torch.tensor([3.0, 4.0])
    show(nn.utils.clip_grad_norm_([w, nn.Parameter(torch.ones(1))], 1.0), w.grad)


def deep(torch, show, fails):
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(20000):
        y = y + 1
    y.backward()
    show(x.grad)


def functions(torch, show, fails):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = Square.apply(x)
    show(y.grad_fn.name(), y.grad_fn.needs_input_grad, y.grad_fn.saved_tensors[0] is x)
    y.sum().backward()
    show(x.grad)
    fails(lambda: y.sum().backward(), "Trying to backward through the graph a second time")
    (g,) = torch.autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    show(torch.autograd.grad(g.sum(), x))

    def made(back, fore=lambda ctx, x, y: x * y):
        return type("Tmp", (torch.autograd.Function,), {"forward": staticmethod(fore), "backward": staticmethod(back)})

    fails(
        lambda: made(lambda ctx, g: g).apply(x, x).sum().backward(),
        "function TmpBackward returned an incorrect number of gradients (expected 2, got 1)",
    )
    fails(lambda: made(lambda ctx, g: (g, 3.0)).apply(x, x).sum().backward(), "expected Variable or None (got float)")
    fails(
        lambda: made(lambda ctx, g: (g[:2], g)).apply(x, x).sum().backward(),
        "returned an invalid gradient at index 0 - got [2] but expected shape compatible with [3]",
    )
    made(lambda ctx, g: (g, g, None, None)).apply(x, x).sum().backward()
    wide = made(lambda ctx, g: g, lambda ctx, x: x.expand(2, 3) * 1)
    x.grad = None
    wide.apply(x).sum().backward()
    show(x.grad)

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    fails(lambda: Double.apply(x), "a leaf Variable that requires grad has been used in an in-place operation.")
    z = x * 1
    w = Double.apply(z)
    show(w is z, z.grad_fn.name(), z._version)
    same = made(lambda ctx, g: g * 3, lambda ctx, x: x)
    z = x * 1
    w = same.apply(z)
    show(w is z, w.grad_fn.name(), w._is_view())
    fails(lambda: w.mul_(2), "This view was created inside a custom Function (or because an input was returned as-is)")

    class Once(Square):
        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    (g,) = torch.autograd.grad(Once.apply(x), x, torch.ones(3, requires_grad=True), create_graph=True)
    show(g)
    fails(lambda: torch.autograd.grad(g.sum(), x), "")
    fails(
        lambda: (
            type("No", (torch.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 1)})
            .apply(x)
            .sum()
            .backward()
        ),
        "You must implement either the backward or vjp method",
    )
    fails(
        lambda: made(lambda ctx, g: g, lambda ctx, x: (ctx.save_for_backward(x, "a"), x * 1)[1]).apply(x),
        "save_for_backward can only save variables, but argument 1 is of type str",
    )

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            a, b = x * 1, x * 2
            ctx.mark_non_differentiable(b)
            return a, b

        @staticmethod
        def backward(ctx, g, h):
            show(h is None)
            return g

    a, b = Pair.apply(x)
    show(a.requires_grad, b.requires_grad)
    a.sum().backward()


def saved_hooks(torch, show, fails):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (packed.append(1), t * 1)[1], lambda t: t):
        y = x.sin() * x
    y.sum().backward()
    show(len(packed), x.grad)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: 3, lambda t: t):
        z = x * x
    fails(
        lambda: z.sum().backward(),
        "Output of saved tensor unpack_hook expected to be a Tensor but got result of type int",
    )
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        a = x * 1
        b = a * a
    a.add_(1)
    b.sum().backward()

    def mutates():
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t):
            c = x * 1
            c * c

    fails(mutates, "A saved tensor pack hook is modifying its input in place")
    d = x * x
    d.grad_fn._raw_saved_self.register_hooks(lambda t: t * 2, lambda t: t)
    fails(lambda: d.grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t), "")
    x.grad = None
    d.sum().backward()
    show(x.grad)

    def disabled():
        with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
            with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
                pass

    fails(disabled, "not here")
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        a = x * 1
        b = a.sin()
        a.mul_(5)
        x.grad = None
        b.sum().backward()
    show(x.grad)
    log = []
    u, v = x * 1, x * 2
    torch.autograd.graph.register_multi_grad_hook([u, v, x * 3], lambda gs: log.append([g is None for g in gs]))
    (u + v).sum().backward()
    show(log)


def forward_mode(torch, show, fails):
    fwd = torch.autograd.forward_ad
    x = torch.tensor([1.0, 2.0, 3.0])
    fails(lambda: fwd.make_dual(x, x), "no level exists")
    with fwd.dual_level():
        d = fwd.make_dual(x, torch.tensor([1.0, 0.0, 2.0]))
        p, t = fwd.unpack_dual((d * d).sin())
        show(p, t, fwd.unpack_dual(x).tangent)
        fails(lambda: fwd.make_dual(x, torch.ones(2)), "")
        fails(lambda: fwd.dual_level().__enter__(), "Nested forward mode AD is not supported")
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with fwd.dual_level():
        t = fwd.unpack_dual(fwd.make_dual(w, torch.ones(3)) ** 3).tangent
        show(torch.autograd.grad(t.sum(), w))


def functional_api(torch, show, fails):
    fun = torch.autograd.functional
    x = torch.tensor([1.0, 2.0, 3.0])
    show(
        fun.hessian(lambda t: (t * t * t).sum(), x),
        fun.jvp(lambda t: t * t, x, torch.ones(3)),
        fun.vjp(lambda t: t * t, x, torch.ones(3)),
    )
    show(
        fun.jacobian(lambda t: (t * 2, t.sum()), x),
        fun.jacobian(lambda a, b: a * b, (x, x)),
        fun.vhp(lambda t: (t**3).sum(), x, x),
    )
    show(
        fun.hvp(lambda t: (t**3).sum(), x, x), fun.jacobian(lambda t: t * t, x, strategy="forward-mode", vectorize=True)
    )
    d = torch.tensor([0.1, 0.5], dtype=torch.float64, requires_grad=True)
    show(
        torch.autograd.gradcheck(lambda t: t.sin() * t, d),
        torch.autograd.gradgradcheck(lambda t: (t.sin() * t).sum(), d),
    )
    show(
        torch.autograd.gradcheck(lambda t: t.sin() * t, d, fast_mode=True),
        torch.autograd.gradcheck(lambda t: t.exp(), d, check_forward_ad=True),
    )
    bad = type(
        "Bad",
        (torch.autograd.Function,),
        {"forward": staticmethod(lambda ctx, x: x * 2), "backward": staticmethod(lambda ctx, g: g)},
    )
    fails(lambda: torch.autograd.gradcheck(bad.apply, d), "Jacobian mismatch for output 0 with respect to input 0")
    show(torch.autograd.gradcheck(bad.apply, d, raise_exception=False))
    fails(lambda: torch.autograd.gradcheck(lambda t: t, d.detach()), "")


def transforms(torch, show, fails):
    f = torch.func
    x, m = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    show(f.grad(lambda t: (t.sin() * t).sum())(x), f.grad(lambda t: f.grad(lambda u: (u**3).sum())(t).sum())(x))
    show(
        f.vmap(lambda t: (t * t).sum())(m),
        f.vmap(f.grad(lambda t: (t**3).sum()))(m),
        f.vmap(lambda a, b: a * b, in_dims=(0, None))(m, x[:2]),
    )
    show(
        f.jacrev(lambda t: t * t)(x),
        f.jacfwd(lambda t: t.exp())(x),
        f.hessian(lambda t: (t**3).sum())(x),
        f.grad_and_value(lambda t: t.sum())(x),
    )
    out, pull = f.vjp(lambda t: t * t, x)
    show(out, pull(torch.ones(3)), f.jvp(lambda t: t * t, (x,), (torch.ones(3),)))

    def writes(t):
        z = t * 1
        z[0] = z[1] * 2
        z.mul_(3)
        return (z * z).sum()

    show(f.grad(writes)(x), f.vmap(writes)(m))
    layer = torch.nn.Linear(2, 1)
    weights = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    show(
        f.functional_call(layer, weights, (m,)),
        f.grad(lambda w: f.functional_call(layer, w, (m,)).sum())(weights)["weight"],
    )


def anomalies(torch, show, fails):
    def nans():
        with torch.autograd.detect_anomaly():
            x = torch.tensor([0.0], requires_grad=True)
            y = (x * 0).sqrt()
            show("traceback_" in y.grad_fn.metadata)
            (y * 0).sum().backward()

    fails(nans, "Function 'SqrtBackward0' returned nan values in its 0th output.")
    from importlib import import_module

    checkpoint = import_module(torch.__name__ + ".utils.checkpoint").checkpoint
    runs = [0]

    def f(t):
        runs[0] += 1
        return torch.nn.functional.dropout((t.sin() * t).exp(), 0.5)

    x = torch.ones(6, requires_grad=True)
    out = checkpoint(f, x, use_reentrant=False)
    out.sum().backward()
    show(runs, bool(((out != 0) == (x.grad != 0)).all()))


RULES = [
    flags,
    untracked,
    names,
    saved,
    freed,
    versions,
    checked,
    inplace,
    views,
    modes,
    inference,
    backward,
    gradients,
    hooks,
    complex_numbers,
    kinks,
    modules,
    deep,
    functions,
    saved_hooks,
    forward_mode,
    functional_api,
    transforms,
    anomalies,
]
