"""Modules, losses, optimisers and models beside PyTorch's: the same weights give the same values, gradients and text."""

import io
import pathlib
import warnings

import numpy as np
import pytest

import funcgrad.models as models
import funcgrad.torch as ours

theirs = pytest.importorskip("torch")

IMAGES = (2, 4, 9, 9)
MODULES = {
    "Linear(5, 3)": [(4, 5)],
    "Linear(5, 3, bias=False)": [(2, 3, 5)],
    "Bilinear(3, 4, 2)": [(5, 3), (5, 4)],
    "Conv1d(4, 6, 3, padding=1)": [(2, 4, 10)],
    "Conv2d(4, 6, 3)": [IMAGES],
    "Conv2d(4, 6, 3, stride=2, padding=1, bias=False)": [IMAGES],
    "Conv2d(4, 8, 3, groups=4, dilation=2, padding='same')": [IMAGES],
    "Conv2d(4, 6, 1)": [IMAGES],
    "Conv2d(4, 6, 3, padding=1, padding_mode='reflect')": [IMAGES],
    "Conv3d(2, 3, 2)": [(1, 2, 4, 4, 4)],
    "ConvTranspose1d(4, 2, 3, stride=2)": [(2, 4, 6)],
    "ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1)": [IMAGES],
    "MaxPool1d(2)": [(2, 4, 9)],
    "MaxPool2d(3, 2, 1)": [IMAGES],
    "MaxPool2d(2, ceil_mode=True)": [IMAGES],
    "AvgPool2d(3, 2, 1)": [IMAGES],
    "AvgPool2d(2, count_include_pad=False, padding=1)": [IMAGES],
    "AvgPool1d(3)": [(2, 4, 9)],
    "AdaptiveAvgPool2d((1, 1))": [IMAGES],
    "AdaptiveAvgPool2d(4)": [IMAGES],
    "AdaptiveMaxPool2d((3, 2))": [IMAGES],
    "LPPool2d(2, 3)": [IMAGES],
    "BatchNorm1d(4)": [(6, 4)],
    "BatchNorm2d(4)": [IMAGES],
    "BatchNorm2d(4, momentum=None)": [IMAGES],
    "BatchNorm2d(4, affine=False)": [IMAGES],
    "LayerNorm(5)": [(3, 5)],
    "LayerNorm((9, 9))": [IMAGES],
    "GroupNorm(2, 4)": [IMAGES],
    "InstanceNorm2d(4, affine=True)": [IMAGES],
    "RMSNorm(5, eps=1e-6)": [(3, 5)],
    "LocalResponseNorm(3)": [IMAGES],
    "ReLU()": [(3, 4)],
    "ReLU6()": [(3, 4)],
    "LeakyReLU(0.2)": [(3, 4)],
    "ELU(0.7)": [(3, 4)],
    "SELU()": [(3, 4)],
    "CELU(1.3)": [(3, 4)],
    "GELU()": [(3, 4)],
    "GELU('tanh')": [(3, 4)],
    "SiLU()": [(3, 4)],
    "Mish()": [(3, 4)],
    "Hardtanh()": [(3, 4)],
    "Hardswish()": [(3, 4)],
    "Hardsigmoid()": [(3, 4)],
    "Softplus(2)": [(3, 4)],
    "Softsign()": [(3, 4)],
    "Softshrink()": [(3, 4)],
    "Tanhshrink()": [(3, 4)],
    "LogSigmoid()": [(3, 4)],
    "Sigmoid()": [(3, 4)],
    "Tanh()": [(3, 4)],
    "GLU()": [(3, 4)],
    "Softmax(dim=1)": [(3, 4)],
    "LogSoftmax(dim=0)": [(3, 4)],
    "PReLU()": [(3, 4)],
    "PReLU(4)": [(3, 4)],
    "Threshold(0.1, 2.0)": [(3, 4)],
    "Hardshrink()": [(3, 4)],
    "Flatten()": [IMAGES],
    "Unflatten(1, (2, 2))": [(3, 4)],
    "PixelShuffle(2)": [(1, 8, 3, 3)],
    "PixelUnshuffle(3)": [IMAGES],
    "Upsample(scale_factor=2)": [IMAGES],
    "Upsample(size=(5, 7), mode='bilinear')": [IMAGES],
    "Upsample(scale_factor=2, mode='bicubic', align_corners=True)": [IMAGES],
    "Unfold(3)": [IMAGES],
    "Fold((5, 5), 3)": [(1, 18, 9)],
    "ZeroPad2d(1)": [IMAGES],
    "ReflectionPad2d((1, 2, 3, 0))": [IMAGES],
    "ReplicationPad1d(2)": [(2, 4, 5)],
    "CircularPad2d(1)": [IMAGES],
    "ConstantPad1d(1, 3.5)": [(2, 4, 5)],
    "CosineSimilarity()": [(3, 4), (3, 4)],
    "PairwiseDistance()": [(3, 4), (3, 4)],
    "Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))": [(3, 5)],
    "Dropout(0.0)": [(3, 4)],
    "Identity()": [(3, 4)],
    "RNN(4, 3)": [(5, 2, 4)],
    "RNN(4, 3, 2, nonlinearity='relu', batch_first=True)": [(2, 5, 4)],
    "LSTM(4, 3)": [(5, 2, 4)],
    "LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)": [(2, 5, 4)],
    "GRU(4, 3, bias=False)": [(5, 2, 4)],
    "GRU(4, 3, bidirectional=True)": [(5, 2, 4)],
    "LSTM(4, 5, proj_size=2)": [(5, 2, 4)],
    "RNNCell(4, 3)": [(2, 4)],
    "GRUCell(4, 3)": [(2, 4)],
    "LSTMCell(4, 3)": [(2, 4)],
    "MultiheadAttention(8, 2)": [(5, 2, 8), (6, 2, 8), (6, 2, 8)],
    "MultiheadAttention(8, 2, batch_first=True, kdim=3, vdim=4)": [(2, 5, 8), (2, 6, 3), (2, 6, 4)],
    "TransformerEncoderLayer(8, 2, 16, 0.0)": [(5, 2, 8)],
    "TransformerEncoderLayer(8, 2, 16, 0.0, 'gelu', norm_first=True, batch_first=True)": [(2, 5, 8)],
    "TransformerDecoderLayer(8, 2, 16, 0.0)": [(5, 2, 8), (6, 2, 8)],
    "TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0), 2)": [(5, 2, 8)],
    "Transformer(8, 2, 1, 1, 16, 0.0)": [(5, 2, 8), (4, 2, 8)],
}

LOSSES = {
    "MSELoss()": "same",
    "L1Loss(reduction='sum')": "same",
    "SmoothL1Loss(beta=0.5)": "same",
    "HuberLoss(reduction='none')": "same",
    "BCEWithLogitsLoss()": "binary",
    "BCEWithLogitsLoss(pos_weight=W)": "binary",
    "BCELoss()": "probability",
    "NLLLoss()": "classes",
    "NLLLoss(weight=W, ignore_index=1)": "classes",
    "CrossEntropyLoss()": "classes",
    "CrossEntropyLoss(weight=W, reduction='sum')": "classes",
    "CrossEntropyLoss(label_smoothing=0.1)": "classes",
    "CrossEntropyLoss(weight=W, label_smoothing=0.1)": "classes",
    "CrossEntropyLoss(reduction='none')": "classes",
    "CrossEntropyLoss(label_smoothing=0.2, weight=W)": "soft",
    "KLDivLoss(reduction='batchmean')": "soft",
    "PoissonNLLLoss()": "counts",
    "PoissonNLLLoss(log_input=False, full=True)": "positive",
    "HingeEmbeddingLoss()": "signs",
    "SoftMarginLoss()": "signs",
    "MultiMarginLoss()": "classes",
    "MultiMarginLoss(p=2, weight=W)": "classes",
    "MultiLabelSoftMarginLoss()": "binary",
}


def plain(t):
    return np.array(t.detach().numpy())


def leaves(out):
    return [t for o in out for t in leaves(o)] if isinstance(out, (tuple, list)) else [] if out is None else [out]


def run(torch, text, shapes, state, train=True):
    """(outputs, gradients of inputs and parameters, buffers, text) of a module in float64 with the given weights."""
    rng = np.random.default_rng(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = eval("nn." + text, {"nn": torch.nn}).double()
    if state is not None:
        module.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    module.train(train)
    inputs = [torch.tensor(rng.normal(size=s)).requires_grad_() for s in shapes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outs = leaves(module(*inputs))
    total = sum((o * torch.tensor(rng.normal(size=tuple(o.shape)))).sum() for o in outs if o.requires_grad)
    total.backward()
    grads = [None if t.grad is None else plain(t.grad) for t in (*inputs, *module.parameters())]
    return [plain(o) for o in outs], grads, {k: plain(b) for k, b in module.named_buffers()}, repr(module), module


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("text", MODULES)
def test_module(text, train):
    shapes = MODULES[text]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = {k: plain(v) for k, v in eval("nn." + text, {"nn": theirs.nn}).double().state_dict().items()}
    want, have = run(theirs, text, shapes, state, train), run(ours, text, shapes, state, train)
    assert have[3] == want[3]
    assert len(have[0]) == len(want[0])
    for a, b in zip(have[0], want[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    for a, b in zip(have[1], want[1], strict=True):
        assert (a is None or not a.any()) if b is None else True
        if b is not None:
            np.testing.assert_allclose(np.zeros_like(b) if a is None else a, b, rtol=1e-7, atol=1e-8)
    assert have[2].keys() == want[2].keys()
    for k, b in want[2].items():
        np.testing.assert_allclose(have[2][k], b, rtol=1e-9, err_msg=k)


@pytest.mark.parametrize("text", LOSSES)
def test_loss(text):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6, 4))
    kind = LOSSES[text]
    target = {
        "same": rng.normal(size=(6, 4)), "binary": rng.uniform(size=(6, 4)), "probability": rng.uniform(size=(6, 4)),
        "classes": rng.integers(0, 4, 6), "soft": rng.dirichlet(np.ones(4), 6), "counts": rng.integers(0, 5, (6, 4)) * 1.0,
        "positive": rng.integers(0, 5, (6, 4)) * 1.0, "signs": np.sign(rng.normal(size=(6, 4))),
    }[kind]  # fmt: skip
    x = rng.uniform(0.1, 0.9, (6, 4)) if kind in ("probability", "positive") else x
    found = []
    for torch in (theirs, ours):
        loss = eval("nn." + text, {"nn": torch.nn, "W": torch.tensor([0.5, 1.5, 2.0, 1.0]).double()})
        inputs = torch.tensor(x).requires_grad_()
        out = loss(inputs, torch.tensor(target))
        out.sum().backward()
        found.append((plain(out), plain(inputs.grad)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


OPTIMIZERS = [
    ("SGD", {}), ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}), ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}), ("AdamW", {"lr": 0.1}), ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.01}), ("RAdam", {"lr": 0.1}), ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}), ("Adadelta", {}),
    ("Rprop", {"lr": 0.01}), ("ASGD", {"lr": 0.1, "t0": 5.0}),
]  # fmt: skip


def train(torch, name, options, optimizer_state=None):
    rng = np.random.default_rng(0)
    p = [torch.tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 2), (4,))]
    optimizer = getattr(torch.optim, name)(p, **options)
    for i in range(20):
        optimizer.zero_grad()
        ((p[0].sin() * p[0]).sum() + (p[1] ** 2).sum() * (i + 1) / 3).backward()
        optimizer.step()
    return np.concatenate([plain(q).ravel() for q in p]), optimizer


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer(name, options):
    want, have = train(theirs, name, options), train(ours, name, options)
    np.testing.assert_allclose(have[0], want[0], rtol=1e-7, atol=1e-9)
    assert have[1].state_dict()["state"].get(0, {}).keys() >= want[1].state_dict()["state"].get(0, {}).keys()


SCHEDULES = [
    ("StepLR", {"step_size": 3}), ("MultiStepLR", {"milestones": [2, 5]}), ("ConstantLR", {}), ("LinearLR", {}),
    ("ExponentialLR", {"gamma": 0.9}), ("PolynomialLR", {"total_iters": 8, "power": 2.0}), ("CosineAnnealingLR", {"T_max": 5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}), ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "mode": "triangular2"}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 20, "three_phase": True, "anneal_strategy": "linear"}),
    ("LambdaLR", {"lr_lambda": lambda e: 0.9**e}), ("MultiplicativeLR", {"lr_lambda": lambda e: 0.9}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedule(name, options):
    found = []
    for torch in (theirs, ours):
        optimizer = torch.optim.SGD([torch.tensor([1.0], requires_grad=True)], lr=0.1, momentum=0.9)
        schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
        rates = []
        for _ in range(15):
            rates.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
            optimizer.step()
            schedule.step()
        found.append(np.array(rates))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


def test_files_go_both_ways():
    module = ours.nn.Sequential(ours.nn.Linear(3, 2), ours.nn.BatchNorm1d(2))
    file = io.BytesIO()
    ours.save({"model": module.state_dict(), "epoch": 3, "list": [ours.ones(2)[1:]]}, file)
    file.seek(0)
    read = theirs.load(file)
    assert read["epoch"] == 3
    assert read["model"]["0.weight"].numpy().tolist() == plain(module[0].weight).tolist()
    assert read["list"][0].tolist() == [1.0]
    back = io.BytesIO()
    base = theirs.arange(6.0).reshape(2, 3)
    theirs.save({"a": base.t(), "b": base[0], "p": theirs.nn.Parameter(base), "h": base.bfloat16()}, back)
    back.seek(0)
    mine = ours.load(back)
    assert mine["a"].tolist() == base.t().tolist()
    assert mine["a"].data_ptr() == mine["b"].data_ptr()
    assert isinstance(mine["p"], ours.nn.Parameter)
    assert mine["h"].tolist() == base.tolist()


def test_a_malicious_file_is_refused_and_nothing_runs(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return open, (str(marker), "w")

    file = io.BytesIO()
    theirs.save({"x": Evil()}, file)
    file.seek(0)
    with pytest.raises(Exception, match="Weights only load failed"):
        ours.load(file)
    assert not marker.exists()
    with pytest.raises(RuntimeError, match="no zip archive"):
        ours.load(io.BytesIO(b"nothing"))


def test_state_dict_errors_list_every_key():
    module = ours.nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="size mismatch for weight") as error:
        module.load_state_dict({"weight": ours.zeros(3, 3), "extra": ours.zeros(1)})
    assert "Missing key(s)" in str(error.value)
    assert "Unexpected key(s)" in str(error.value)
    found = module.load_state_dict({"weight": ours.zeros(2, 2), "extra": ours.zeros(1)}, strict=False)
    assert found.missing_keys == ["bias"]
    assert found.unexpected_keys == ["extra"]


def resnet(torch, namespace):
    """torchvision's ResNet-18 as our file writes it, on either library."""
    if torch is ours:
        return models.resnet18(num_classes=10)
    source = pathlib.Path(models.resnet.__file__).read_text(encoding="utf-8")
    source = source.replace("from funcgrad.models.weights import load_weights", "")
    source = source.replace("from funcgrad.torch import nn", "from torch import nn")
    exec(source.replace("from funcgrad.torch.ops.shapes import flatten", "from torch import flatten"), namespace)
    return namespace["ResNet"](namespace["BasicBlock"], [2, 2, 2, 2], num_classes=10)


def test_the_worked_example_trains_only_the_head():
    ours.manual_seed(0)
    start = {k: plain(v) for k, v in resnet(ours, {}).state_dict().items()}
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 64, 64)).astype(np.float32), np.array([3, 7])
    head = rng.normal(size=(100, 512)).astype(np.float32) * 0.04
    found = []
    for torch in (theirs, ours):
        model = resnet(torch, {"__name__": "copy"})
        model.load_state_dict({k: torch.tensor(v) for k, v in start.items()})
        for param in model.parameters():
            param.requires_grad = False
        model.fc = torch.nn.Linear(512, 100)
        with torch.no_grad():
            model.fc.weight.copy_(torch.tensor(head))
            model.fc.bias.zero_()
        optimizer = torch.optim.SGD(model.fc.parameters(), lr=1e-2, momentum=0.9)
        before = plain(model.bn1.running_var)
        for _ in range(10):
            out = model(torch.tensor(x))
            loss = torch.nn.functional.cross_entropy(out, torch.tensor(y))
            node = out.grad_fn
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert model.conv1.weight.grad is None
        assert not np.array_equal(before, plain(model.bn1.running_var))
        chain = [node.name(), *[n.name() if n else None for n, _ in node.next_functions]]
        found.append((plain(out), loss.item(), plain(model.fc.weight.grad), plain(model.fc.weight), chain))
    (out, loss, grad, weight, chain), mine = found
    assert mine[4] == chain
    assert abs(mine[1] - loss) < 1e-4
    for a, b in zip((mine[0], mine[2], mine[3]), (out, grad, weight), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("size", [(4, 5), (300, 200)])  # run by NumPy, and compiled
@pytest.mark.parametrize("name", ["gelu", "silu", "softplus", "mish", "logsigmoid"])
def test_what_forward_computed_serves_backward_and_a_second_one(name, size):
    x = np.random.default_rng(0).normal(size=size) * 3
    found = []
    for torch in (ours, theirs):
        f = getattr(torch.nn.functional, name)
        leaf = torch.tensor(x, requires_grad=True)
        f(leaf).sum().backward()  # a cotangent that is one number
        (slope,) = torch.autograd.grad((f(leaf) * torch.tensor(x)).sum(), leaf, create_graph=True)
        (curve,) = torch.autograd.grad(slope.sum(), leaf)
        found.append([plain(v) for v in (leaf.grad, slope, curve)])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layout", [False, True])
def test_attention_in_either_layout(layout):
    x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("f")
    pair = [t.nn.MultiheadAttention(8, 2, batch_first=layout, add_bias_kv=not layout) for t in (theirs, ours)]
    pair[1].load_state_dict({k: ours.tensor(v.detach().numpy()) for k, v in pair[0].state_dict().items()})
    found = []
    for torch, model in zip((theirs, ours), pair, strict=True):
        t = torch.tensor(x, requires_grad=True)
        out, weights = model(t, t, t)
        (out * out).sum().backward()
        found.append([plain(v) for v in (out, weights, t.grad, model.in_proj_weight.grad)])
    for other, mine in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div poisson_nll_loss "
    "cross_entropy".split(),
)
def test_losses_have_gradients_by_their_targets(name):
    found = []
    for torch in (ours, theirs):
        a = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
        b = torch.tensor([0.1, 0.7, 0.4], dtype=torch.float64, requires_grad=True)
        getattr(torch.nn.functional, name)(a, b, reduction="sum").backward()
        found.append((a.grad.numpy(), b.grad.numpy()))
    for x, y in zip(*found, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
