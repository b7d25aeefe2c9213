"""Parametrizations, the older norms, fused layers and other helpers of `torch.nn.utils` beside PyTorch's."""

import copy
import io
import pickle

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def plain(t):
    return t.detach().numpy()


def same_state(source, target, torch):
    target.load_state_dict({k: torch.tensor(v.numpy()) for k, v in source.state_dict().items()})


LAYERS = {
    "Linear(5, 3)": (4, 5),
    "Linear(3, 5)": (4, 3),
    "Linear(4, 4)": (2, 4),
    "Conv2d(2, 3, 3)": (2, 2, 6, 6),
    "ConvTranspose2d(2, 3, 3)": (2, 2, 4, 4),
}
KINDS = {
    "weight_norm": lambda t, m: t.nn.utils.parametrizations.weight_norm(m),
    "weight_norm over all": lambda t, m: t.nn.utils.parametrizations.weight_norm(m, dim=None),
    "weight_norm last": lambda t, m: t.nn.utils.parametrizations.weight_norm(m, dim=1),
    "spectral_norm": lambda t, m: t.nn.utils.parametrizations.spectral_norm(m, n_power_iterations=2),
    "orthogonal": lambda t, m: t.nn.utils.parametrizations.orthogonal(m),
    "cayley": lambda t, m: t.nn.utils.parametrizations.orthogonal(m, orthogonal_map="cayley"),
    "matrix_exp": lambda t, m: t.nn.utils.parametrizations.orthogonal(m, orthogonal_map="matrix_exp"),
    "householder": lambda t, m: t.nn.utils.parametrizations.orthogonal(
        m, orthogonal_map="householder", use_trivialization=False
    ),
    "older spectral_norm": lambda t, m: t.nn.utils.spectral_norm(m),
}


def run(torch, model, values):
    """The outputs of two passes forward, the gradients of both together, then the output in evaluation mode."""
    x = torch.tensor(values, requires_grad=True)
    first, second = model(x), model(x * 2)
    (first.sin().sum() + second.cos().sum()).backward()
    grads = {k: plain(p.grad) for k, p in model.named_parameters()}
    model.eval()
    found = [plain(first), plain(second), plain(x.grad), plain(model(x))]
    return found, grads, {k: v.numpy().copy() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_norms_and_orthogonal_matrices_equal_pytorchs(layer, kind):
    values = np.random.default_rng(0).normal(size=LAYERS[layer])
    models = [KINDS[kind](t, eval(f"t.nn.{layer}").double()) for t in (theirs, ours)]
    assert repr(models[0]) == repr(models[1])
    assert type(models[0]).__name__ == type(models[1]).__name__
    assert [k for k, _ in models[0].named_parameters()] == [k for k, _ in models[1].named_parameters()]
    same_state(models[0], models[1], ours)
    want, have = (run(t, m, values) for t, m in zip((theirs, ours), models, strict=True))
    for a, b in zip(want[0], have[0], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11)
    for part in (1, 2):
        assert want[part].keys() == have[part].keys()
        for key, a in want[part].items():
            np.testing.assert_allclose(have[part][key], a, rtol=1e-8, atol=1e-10, err_msg=key)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_the_older_weight_norm_and_its_removal():
    values = np.random.default_rng(1).normal(size=(2, 3, 8))
    models = [t.nn.utils.weight_norm(t.nn.Conv1d(3, 4, 3).double()) for t in (theirs, ours)]
    assert models[0].state_dict().keys() == models[1].state_dict().keys()
    same_state(models[0], models[1], ours)
    want, have = (run(t, m, values) for t, m in zip((theirs, ours), models, strict=True))
    np.testing.assert_allclose(have[0][0], want[0][0], rtol=1e-10)
    for key, a in want[1].items():
        np.testing.assert_allclose(have[1][key], a, rtol=1e-9, atol=1e-12)
    newer = ours.nn.utils.parametrizations.weight_norm(ours.nn.Conv1d(3, 4, 3).double())
    state = models[1].state_dict()
    newer.load_state_dict(state)
    assert "weight_g" in state
    np.testing.assert_allclose(plain(newer(ours.tensor(values))), want[0][0], rtol=1e-10)
    for t, m in zip((theirs, ours), models, strict=True):
        with pytest.raises(RuntimeError, match="two weight_norm hooks"):
            t.nn.utils.weight_norm(m)
        t.nn.utils.remove_weight_norm(m)
        assert list(dict(m.named_parameters())) == ["bias", "weight"] and not m._forward_pre_hooks
        with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
            t.nn.utils.remove_weight_norm(m)
        with pytest.raises(ValueError, match="spectral_norm of 'weight' not found"):
            t.nn.utils.remove_spectral_norm(m)
    np.testing.assert_allclose(plain(models[1](ours.tensor(values))), want[0][0], rtol=1e-10)
    np.testing.assert_allclose(plain(models[1].weight), plain(models[0].weight), rtol=1e-12)


def test_the_older_spectral_norm_is_removed():
    m = ours.nn.utils.spectral_norm(ours.nn.Linear(4, 3).double(), n_power_iterations=50)
    m(ours.ones(1, 4, dtype=ours.float64))
    ours.nn.utils.remove_spectral_norm(m)
    assert np.linalg.norm(plain(m.weight), 2) == pytest.approx(1, rel=1e-6)
    assert list(m.state_dict()) == ["bias", "weight"]


def parts(torch):
    """Parametrizations of a user's own: symmetric, scaled and from two tensors."""

    class Symmetric(torch.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, a):
            return a.triu()

    class Scaled(torch.nn.Module):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.by = torch.nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

        def forward(self, x):
            return x * self.by

        def right_inverse(self, a):
            return a / self.by

    class Ranked(torch.nn.Module):
        def forward(self, u, v):
            return u @ v

        def right_inverse(self, a):
            u, s, v = torch.linalg.svd(a, full_matrices=False)
            return u[:, :2] * s[:2], v[:2]

    return Symmetric(), Scaled(), Ranked()


def test_own_parametrizations_in_turn_assigned_cached_and_removed():
    rng = np.random.default_rng(2)
    start, other = rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
    found = []
    for torch in (theirs, ours):
        P = torch.nn.utils.parametrize
        symmetric, scaled, ranked = parts(torch)
        m = torch.nn.Linear(4, 4, bias=False).double()
        with torch.no_grad():
            m.weight.copy_(torch.tensor(start))
        kept = m.weight
        assert not P.is_parametrized(m)
        P.register_parametrization(m, "weight", symmetric)
        P.register_parametrization(m, "weight", scaled)
        assert P.is_parametrized(m, "weight") and not P.is_parametrized(m, "bias")
        assert m.parametrizations.weight.original is kept and P.type_before_parametrizations(m) is torch.nn.Linear
        assert isinstance(m, torch.nn.Linear)
        first = plain(m.weight).copy()
        m.weight = torch.tensor(other + other.T)
        loss = (m(torch.tensor(start)) ** 2).sum()
        loss.backward()
        with P.cached():
            assert m.weight is m.weight
        assert m.weight is not m.weight
        twin = copy.deepcopy(m)
        if torch is ours:  # in PyTorch a copy shares the class, and the original would lose its weight here
            P.remove_parametrizations(twin, "weight")
            assert type(twin) is torch.nn.Linear and P.is_parametrized(m)
        with pytest.raises(RuntimeError, match="only supported through state_dict"):
            pickle.dump(m, io.BytesIO())
        n = torch.nn.utils.parametrize.register_parametrization(torch.nn.Linear(4, 4).double(), "weight", ranked)
        with pytest.raises(ValueError, match="leave_parametrized=False"):
            P.remove_parametrizations(n, "weight", leave_parametrized=False)
        n.weight = torch.tensor(start)
        found.append(
            [first, plain(m.weight), *(plain(p.grad) for p in m.parameters()), plain(twin.weight), plain(n.weight)]
        )
        names = [k for k, _ in n.named_parameters()]
        assert names == ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
        P.remove_parametrizations(m, "weight", leave_parametrized=False)
        assert m.weight is kept and type(m) is torch.nn.Linear
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_parametrizations_refuse_what_pytorch_refuses():
    for torch in (theirs, ours):
        P = torch.nn.utils.parametrize

        class Half(torch.nn.Module):
            def forward(self, x):
                return x[:1]

        class Cast(torch.nn.Module):
            def forward(self, x, torch=torch):
                return x.to(torch.float64)

        class Number(torch.nn.Module):
            def forward(self, x):
                return 3

        m = torch.nn.Linear(2, 2)
        for bad, text in (
            (Half(), "may not change the shape"),
            (Cast(), "may not change the dtype"),
            (Number(), "must return a tensor"),
        ):
            with pytest.raises(ValueError, match=text):
                P.register_parametrization(m, "weight", bad)
        assert not P.is_parametrized(m) and type(m) is torch.nn.Linear
        with pytest.raises(ValueError, match="does not have a parameter, a buffer"):
            P.register_parametrization(m, "wait", torch.nn.Identity())
        with pytest.raises(ValueError, match="does not have a parametrization on weight"):
            P.remove_parametrizations(m, "weight")
        P.register_parametrization(m, "weight", torch.nn.Tanh())
        with pytest.raises(ValueError, match="may not change the shape"):
            P.register_parametrization(m, "weight", Half())
        with pytest.raises(RuntimeError, match="Tanh does not implement right_inverse"):
            m.weight = torch.ones(2, 2)
        with pytest.raises(ValueError, match="n_power_iterations to be positive"):
            torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(2, 2), n_power_iterations=0)
        with pytest.raises(IndexError, match="Dimension out of range"):
            torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(2, 2), dim=2)
        with pytest.raises(ValueError, match="Expected a matrix or batch of matrices"):
            torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(2, 2), "bias")
        with pytest.raises(ValueError, match="orthogonal_map has to be one of"):
            torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(2, 2), orthogonal_map="qr")


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_weights_take_orthogonal_values(shape, kind):
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(max(shape),) * 2))[0][: shape[0], : shape[1]]
    m = ours.nn.Linear(shape[1], shape[0]).double()
    ours.nn.utils.parametrizations.orthogonal(m, orthogonal_map=kind)
    w = plain(m.weight)
    small = min(shape)
    gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(gram, np.eye(small), atol=1e-12)
    m.weight = ours.tensor(q)
    np.testing.assert_allclose(plain(m.weight), q, atol=1e-12)


def test_transferred_parametrizations_share_their_originals():
    for torch in (theirs, ours):
        P = torch.nn.utils.parametrize
        a, b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        P.register_parametrization(a, "weight", torch.nn.Tanh())
        P.transfer_parametrizations_and_params(a, b)
        assert b.parametrizations.weight.original is a.parametrizations.weight.original
        np.testing.assert_array_equal(plain(a.weight), plain(b.weight))


@pytest.mark.parametrize("kind", ["conv", "no bias", "transposed", "linear", "plain norm"])
def test_fused_layers_equal_pytorchs_and_their_parts(kind):
    rng = np.random.default_rng(4)
    values = rng.normal(size=(5, 3) if kind == "linear" else (2, 3, 6, 6))
    state, found = None, []
    for torch in (theirs, ours):
        layer = {
            "linear": lambda n: n.Linear(3, 4),
            "transposed": lambda n: n.ConvTranspose2d(3, 4, 2),
            "no bias": lambda n: n.Conv2d(3, 4, 3, bias=False),
        }.get(kind, lambda n: n.Conv2d(3, 4, 3))(torch.nn)
        norm = (torch.nn.BatchNorm1d if kind == "linear" else torch.nn.BatchNorm2d)(4, affine=kind != "plain norm")
        model = torch.nn.Sequential(layer, norm).double()
        if state is None:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
        model.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
        utils = torch.nn.utils
        fuse = utils.fuse_linear_bn_eval if kind == "linear" else utils.fuse_conv_bn_eval
        more = (True,) if kind == "transposed" else ()
        with pytest.raises(AssertionError, match="Fusion only for eval"):
            fuse(layer, norm, *more)
        model.eval()
        fused = fuse(layer, norm, *more)
        x = torch.tensor(values)
        np.testing.assert_allclose(plain(fused(x)), plain(model(x)), rtol=1e-9, atol=1e-11)
        found.append([plain(p) for p in fused.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)


def test_clipping_by_a_known_norm_and_modules_without_first_values():
    for torch in (theirs, ours):
        p = torch.ones(4, requires_grad=True)
        (p * 3).sum().backward()
        torch.nn.utils.clip_grads_with_norm_(p, 2.0, torch.tensor(6.0))
        np.testing.assert_allclose(plain(p.grad), np.ones(4), rtol=1e-6)
        torch.nn.utils.clip_grads_with_norm_([p], 20.0, torch.tensor(2.0))
        np.testing.assert_allclose(plain(p.grad), np.ones(4), rtol=1e-6)
        with pytest.warns(FutureWarning, match="clip_grad_norm_"):
            assert float(torch.nn.utils.clip_grad_norm(p, 1.0)) == pytest.approx(2.0)
        torch.manual_seed(1)
        want = torch.rand(2).numpy()
        torch.manual_seed(1)
        assert torch.nn.utils.skip_init(torch.nn.Linear, 3, 2).weight.shape == (2, 3)
        np.testing.assert_array_equal(torch.rand(2).numpy(), want)
        with pytest.raises(RuntimeError, match="Expected a Module"):
            torch.nn.utils.skip_init(int)
        with pytest.raises(RuntimeError, match="'device'"):
            torch.nn.utils.skip_init(torch.nn.ReLU)


def test_the_older_functional_call():
    for torch in (theirs, ours):
        m = torch.nn.Linear(2, 1)
        with pytest.warns(FutureWarning, match="torch.func.functional_call"):
            y = torch.nn.utils.stateless.functional_call(
                m, {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])}, torch.tensor([[10.0, 1.0]])
            )
        assert float(y.detach()) == 15
