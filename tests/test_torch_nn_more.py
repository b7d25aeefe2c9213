"""CTC and other rare losses, lazy modules, rare pools and the like beside PyTorch's."""

import copy

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def plain(t):
    return t.detach().numpy()


def ctc(torch, seed, packed, raw, **options):
    """The losses and the gradient of the scores for random sequences; `raw`: with log_probs as leaf."""
    rng = np.random.default_rng(seed)
    times, batch, symbols, longest = 9, 4, 5, 4
    blank = options.get("blank", 0)
    labels = [c for c in range(symbols) if c != blank]
    targets = rng.choice(labels, (batch, longest))
    counts = rng.integers(0, longest + 1, batch)
    inputs = rng.integers(2 * longest + 1, times + 1, batch)
    if seed == 1:
        targets[0], counts[0], inputs[0] = targets[0, 0], 4, 6  # four equal symbols need seven times
        inputs[1], counts[1] = 0, 0
    scores = torch.tensor(rng.normal(size=(times, batch, symbols)), requires_grad=True)
    given = np.concatenate([row[:n] for row, n in zip(targets, counts, strict=True)]) if packed else targets
    logs = scores.log_softmax(2)
    leaf = logs.detach().requires_grad_() if raw else scores
    lengths = [tuple(map(int, n)) if raw else torch.tensor(n) for n in (inputs, counts)]
    loss = torch.nn.functional.ctc_loss(leaf if raw else logs, torch.tensor(given), *lengths, **options)
    (loss * torch.tensor(rng.normal(size=tuple(loss.shape)))).sum().backward()
    return plain(loss), plain(leaf.grad)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum", "blank": 4},
        {"reduction": "none"},
        {"reduction": "none", "zero_infinity": True, "blank": 2},
        {"zero_infinity": True},
    ],
)
def test_ctc_equals_pytorchs(seed, packed, options):
    for raw in (False, True):
        want, have = ctc(theirs, seed, packed, raw, **options), ctc(ours, seed, packed, raw, **options)
        np.testing.assert_allclose(have[0], want[0], rtol=1e-10)
        # Where the loss is infinite, so is our gradient at the times that count undefined, as theirs is.
        np.testing.assert_allclose(have[1], want[1], rtol=1e-8, atol=1e-12)


def test_ctc_of_one_sequence_and_its_module():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 4))
    found = []
    for torch in (theirs, ours):
        logs = torch.tensor(values).log_softmax(1).detach().requires_grad_()
        one = torch.nn.CTCLoss(reduction="none")(logs, torch.tensor([1, 3, 3]), torch.tensor(7), torch.tensor(3))
        one.backward()
        found.append((plain(one), plain(logs.grad)))
        assert torch.nn.CTCLoss(blank=1, zero_infinity=True).__repr__() == "CTCLoss()"
    assert found[0][0].shape == found[1][0].shape
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12)


BAD_CTC = [
    (((4, 3), (3, 2)), {}, "Expected input_lengths to have value at most 3, but got value 4"),
    (((3, -1), (3, 2)), {}, "Expected input_lengths to have value at least 0, but got value -1"),
    (((3, 3), (4, 2)), {}, "at dimension 1, but got size 3 for argument #2 'targets'"),
    (((3,), (3, 2)), {}, "input_lengths must be of size batch_size"),
    (((3, 3), (3, 2)), {"blank": 7}, "blank must be in label range"),
]


@pytest.mark.parametrize(("lengths", "options", "text"), BAD_CTC)
def test_ctc_refuses_what_pytorch_refuses(lengths, options, text):
    for torch in (theirs, ours):
        logs = torch.zeros(3, 2, 4).log_softmax(2)
        with pytest.raises(RuntimeError, match=text):
            torch.nn.functional.ctc_loss(logs, torch.tensor([[1, 1, 1], [1, 2, 3]]), *lengths, **options)


def test_ctc_names_a_label_out_of_range():
    with pytest.raises(RuntimeError, match="target 9 is out of bounds for 4 labels"):
        ours.nn.functional.ctc_loss(ours.zeros(3, 1, 4), ours.tensor([[1, 9]]), (3,), (2,))


@pytest.mark.parametrize("target", [[0, 3, 7, 11, 4, 2, 9], [1, 2, 0, 1], [11, 10], 5])
def test_adaptive_softmax_equals_pytorchs(target):
    rng = np.random.default_rng(4)
    shape = (len(target), 16) if isinstance(target, list) else (16,)
    values = rng.normal(size=shape)
    weights, found = None, []
    for torch in (theirs, ours):
        loss = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 12, [3, 8], div_value=2.0, head_bias=True).double()
        if weights is None:
            weights = {k: v.numpy() for k, v in loss.state_dict().items()}
        loss.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        x = torch.tensor(values, requires_grad=True)
        output, mean = loss(x, torch.tensor(target))
        (mean + output.sum()).backward()
        rows = x if x.ndim == 2 else x.unsqueeze(0)
        grads = {k: plain(p.grad) for k, p in loss.named_parameters() if p.grad is not None and plain(p.grad).any()}
        found.append(
            (plain(output), plain(mean), plain(x.grad), plain(loss.log_prob(rows)), plain(loss.predict(rows)), grads)
        )
    assert repr(loss) == repr(theirs.nn.AdaptiveLogSoftmaxWithLoss(16, 12, [3, 8], div_value=2.0, head_bias=True))
    for a, b in zip(found[0][:5], found[1][:5], strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)
    assert found[0][5].keys() == found[1][5].keys()
    for key, grad in found[0][5].items():
        np.testing.assert_allclose(found[1][5][key], grad, rtol=1e-10, atol=1e-13)


def test_adaptive_softmax_refuses_what_pytorch_refuses():
    for torch in (theirs, ours):
        for cutoffs in ([], [3, 3], [0, 2], [5, 12], [4, 2]):
            with pytest.raises(ValueError, match="cutoffs should be a sequence of"):
                torch.nn.AdaptiveLogSoftmaxWithLoss(4, 12, cutoffs)
        loss = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 8], div_value=2.0)
        with pytest.raises(RuntimeError, match=r"Target values should be in \[0, 11\]"):
            loss(torch.ones(2, 8), torch.tensor([1, 12]))
        with pytest.raises(RuntimeError, match="same size in the batch dimension"):
            loss(torch.ones(3, 8), torch.tensor([1, 11]))
        with pytest.raises(RuntimeError, match="expects 2D input tensors"):
            loss(torch.ones(1), torch.tensor([1]))


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, 0.5, float("inf")])
def test_distances_of_all_pairs_equal_pytorchs(p):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5, 3))
    values[3] = values[1]
    found = []
    for torch in (theirs, ours):
        x = torch.tensor(values, requires_grad=True)
        d = torch.nn.functional.pdist(x, p)
        (d * torch.arange(10)).sum().backward()
        found.append((plain(d), plain(x.grad)))
        with pytest.raises(RuntimeError, match="pdist only supports 2D tensors"):
            torch.nn.functional.pdist(x[0])
        with pytest.raises(RuntimeError, match="non-negative p"):
            torch.nn.functional.pdist(x, -1.0)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_triplets_with_a_distance_equal_pytorchs(swap, reduction):
    rng = np.random.default_rng(2)
    values = [rng.normal(size=(6, 3)) for _ in range(3)]
    found = []
    for torch in (theirs, ours):
        for distance in (None, lambda a, b: 1 - (a * b).sum(-1)):
            xs = [torch.tensor(v, requires_grad=True) for v in values]
            loss = torch.nn.TripletMarginWithDistanceLoss(
                distance_function=distance, margin=0.7, swap=swap, reduction=reduction
            )(*xs)
            loss.sum().backward()
            found.append([plain(loss), *(plain(x.grad) for x in xs)])
        with pytest.raises(ValueError, match="margin"):
            torch.nn.TripletMarginWithDistanceLoss(margin=0)
    for want, have in zip(found[:2], found[2:], strict=True):
        for a, b in zip(want, have, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", ["classes", "probabilities", "one", "wide"])
@pytest.mark.parametrize(
    "options", [{}, {"reduction": "sum", "label_smoothing": 0.2}, {"bias": True, "weight": [1.0, 2.0, 0.5, 1.5]}]
)
def test_linear_cross_entropy_equals_pytorchs(kind, options):
    rng = np.random.default_rng(6)
    n, wide = (1, 3) if kind == "one" else (5, 3), (2,) if kind == "wide" else ()
    values = rng.normal(size=3 if kind == "one" else n)
    target = rng.integers(0, 4, (5, *wide))
    if kind == "probabilities":
        target = rng.dirichlet(np.ones(4), 5)
    elif kind == "one":
        target = target[0]
    elif kind == "classes":
        target[1] = -100
    weights, found = None, []
    for torch in (theirs, ours):
        given = dict(options)
        if "weight" in given:
            given["weight"] = torch.tensor(given["weight"], dtype=torch.float64)
        loss = torch.nn.LinearCrossEntropyLoss(3, 4, out_features=wide, dtype=torch.float64, **given)
        weights = weights or {k: v.numpy() for k, v in loss.state_dict().items()}
        loss.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
        x = torch.tensor(values, requires_grad=True)
        result = loss(x, torch.tensor(target))
        result.backward()
        found.append([plain(result), plain(x.grad), *(plain(p.grad) for p in loss.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)


LAZY = {
    "LazyLinear(3)": (4, 5),
    "LazyLinear(3, bias=False)": (2, 4, 5),
    "LazyConv1d(4, 3, 2)": (2, 6, 9),
    "LazyConv2d(4, 3, groups=2, padding=1)": (2, 6, 5, 5),
    "LazyConv2d(4, 3, 1, 1, 2, 2, False, 'reflect')": (2, 6, 9, 9),
    "LazyConv3d(2, 2, bias=False)": (1, 3, 4, 4, 4),
    "LazyConvTranspose1d(4, 2)": (2, 3, 5),
    "LazyConvTranspose2d(4, 2, stride=2, groups=2)": (2, 6, 4, 4),
    "LazyConvTranspose3d(2, 2)": (1, 3, 3, 3, 3),
    "LazyBatchNorm1d()": (5, 3),
    "LazyBatchNorm2d(eps=0.1, momentum=0.3)": (2, 3, 4, 4),
    "LazyBatchNorm3d(affine=False)": (2, 3, 2, 2, 2),
    "LazyInstanceNorm1d(affine=True)": (2, 3, 4),
    "LazyInstanceNorm2d(track_running_stats=True)": (2, 3, 4, 4),
    "LazyInstanceNorm3d()": (2, 3, 2, 2, 2),
}


@pytest.mark.parametrize("text", LAZY)
def test_lazy_modules_become_what_pytorchs_become(text):
    values = np.random.default_rng(0).normal(size=LAZY[text])
    state, found = None, []
    for torch in (theirs, ours):
        nn = torch.nn
        model = eval(f"nn.{text}")
        before = repr(model)
        assert all(repr(p) == "<UninitializedParameter>" for p in model.parameters())
        model = model.double()
        parameters = list(model.parameters())
        x = torch.tensor(values, requires_grad=True)
        model.eval()
        model(x)
        assert [id(p) for p in model.parameters()] == [id(p) for p in parameters]
        assert type(model) is getattr(nn, text.partition("(")[0].removeprefix("Lazy"))
        assert not model._forward_pre_hooks and not model._load_state_dict_pre_hooks
        state = state or {k: v.numpy().copy() for k, v in model.state_dict().items()}
        model.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
        model.train()
        y = model(x)
        y.sin().sum().backward()
        shapes = [(k, tuple(v.shape), str(v.dtype)) for k, v in model.state_dict().items()]
        found.append(
            [before, repr(model), shapes, plain(y), plain(x.grad), *(plain(p.grad) for p in model.parameters())]
        )
    assert found[0][:3] == found[1][:3]
    for a, b in zip(found[0][3:], found[1][3:], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_lazy_modules_load_copy_and_refuse():
    for torch in (theirs, ours):
        nn = torch.nn
        model = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2))
        twin = copy.deepcopy(model)
        optimizer = torch.optim.SGD(list(twin.parameters()), lr=0.1)
        twin(torch.ones(2, 5)).sum().backward()
        optimizer.step()
        assert isinstance(model[0], nn.LazyLinear) and not isinstance(twin[0], nn.LazyLinear)
        assert isinstance(model[0].weight, nn.UninitializedParameter)
        with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
            _ = model[0].weight.shape
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            model[0].weight + 1
        with pytest.raises(RuntimeError, match="uninitialized parameter"):
            twin.load_state_dict(model.state_dict())
        fresh = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2))
        fresh.load_state_dict(model.state_dict())
        assert isinstance(fresh[0].weight, nn.UninitializedParameter)
        fresh.load_state_dict(twin.state_dict())
        assert tuple(fresh[0].weight.shape) == (3, 5) and fresh[0].in_features == 0
        with pytest.raises(AssertionError, match="in_features inferred from input: 4 is not equal"):
            fresh(torch.ones(1, 4))
        np.testing.assert_array_equal(plain(fresh(torch.ones(1, 5))), plain(twin(torch.ones(1, 5))))
        assert type(fresh[0]) is nn.Linear and fresh[0].in_features == 5
        with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\) input to LazyConv2d"):
            nn.LazyConv2d(2, 2)(torch.ones(3, 3))
        with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
            nn.LazyConv2d(2, 2, groups=2)(torch.ones(1, 3, 4, 4))


FRACTIONAL = [
    (2, (2, 3, 11, 9), {"kernel_size": 2, "output_size": (5, 4)}),
    (2, (3, 12, 12), {"kernel_size": (3, 2), "output_ratio": (0.5, 0.6)}),
    (2, (1, 2, 7, 7), {"kernel_size": 3, "output_size": 1}),
    (3, (2, 2, 7, 8, 9), {"kernel_size": 2, "output_size": (3, 4, 5)}),
    (3, (2, 6, 6, 6), {"kernel_size": (2, 1, 3), "output_ratio": 0.5}),
]


@pytest.mark.parametrize("case", range(len(FRACTIONAL)))
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_fractional_pools_equal_pytorchs(case, kind):
    rank, shape, options = FRACTIONAL[case]
    rng = np.random.default_rng(case)
    values, batch = rng.normal(size=shape).astype(kind), shape[:2] if len(shape) == rank + 2 else (1, shape[0])
    samples = rng.uniform(size=(*batch, rank)).astype(kind)
    found = []
    for torch in (theirs, ours):
        x = torch.tensor(values, requires_grad=True)
        pool = getattr(torch.nn, f"FractionalMaxPool{rank}d")(
            **options, return_indices=True, _random_samples=torch.tensor(samples)
        )
        y, places = pool(x)
        y.sin().sum().backward()
        more = getattr(torch.nn.functional, f"fractional_max_pool{rank}d")(x, **options)
        assert more.shape == y.shape
        found.append([plain(y), places.numpy(), plain(x.grad)])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_fractional_pools_refuse_what_pytorch_refuses():
    for torch in (theirs, ours):
        with pytest.raises(ValueError, match="requires specifying either"):
            torch.nn.FractionalMaxPool2d(2)
        with pytest.raises(ValueError, match="only one of output_size and output_ratio"):
            torch.nn.FractionalMaxPool2d(2, 3, 0.5)
        with pytest.raises(ValueError, match="output_ratio must be between 0 and 1"):
            torch.nn.FractionalMaxPool3d(2, output_ratio=1.5)
        with pytest.raises(RuntimeError, match="too large relative to input"):
            torch.nn.functional.fractional_max_pool2d(torch.ones(1, 1, 4, 4), 3, (3, 3))


RARE = {
    "nn.LPPool3d(2, 2)": [(2, 3, 4, 5, 6)],
    "nn.LPPool3d(3.0, (1, 2, 2), stride=1, ceil_mode=True)": [(2, 4, 4, 4)],
    "nn.DataParallel(nn.Tanh())": [(2, 3)],
    "F.conv_tbc": [(7, 2, 3), (3, 3, 4), (4,)],
    "lambda x, w, b: F.conv_tbc(x, w, b, 2)": [(4, 2, 3), (3, 3, 4), (4,)],
    "lambda x: F.max_pool1d_with_indices(x, 2)": [(2, 3, 8)],
    "lambda x: F.max_pool2d_with_indices(x, 3, 2, 1)": [(2, 3, 8, 7)],
    "lambda x: F.max_pool3d_with_indices(x, 2)": [(2, 3, 4, 4, 4)],
    "lambda x: F.adaptive_max_pool1d_with_indices(x, 3)": [(2, 3, 8)],
    "lambda x: F.adaptive_max_pool2d_with_indices(x, (3, 2))": [(2, 3, 8, 7)],
    "lambda x: F.upsample_nearest(x, scale_factor=2)": [(2, 3, 4, 4)],
    "lambda x: F.upsample_bilinear(x, (5, 7))": [(2, 3, 4, 4)],
}


@pytest.mark.filterwarnings("ignore:`nn.functional.upsample")
@pytest.mark.parametrize("text", RARE)
def test_rare_layers_and_functions_equal_pytorchs(text):
    rng = np.random.default_rng(3)
    values, found = [rng.normal(size=s) for s in RARE[text]], []
    for torch in (theirs, ours):
        function = eval(text, {"nn": torch.nn, "F": torch.nn.functional})
        xs = [torch.tensor(v, requires_grad=True) for v in values]
        y = function(*xs)
        several = y if isinstance(y, tuple) else (y,)
        several[0].sin().sum().backward()
        found.append([*(plain(t) for t in several), *(plain(x.grad) for x in xs)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2, "dilation": 2, "padding": 2}])
def test_gradients_of_convolutions_as_functions(rank, options):
    rng = np.random.default_rng(rank)
    size, weight = (2, 4, *(6,) * rank), (6, 4 // options.get("groups", 1), *(3,) * rank)
    x, w, found = rng.normal(size=size), rng.normal(size=weight), []
    for torch in (theirs, ours):
        grads, F = torch.nn.grad, torch.nn.functional
        tx, tw = torch.tensor(x), torch.tensor(w, requires_grad=True)
        out = getattr(F, f"conv{rank}d")(tx, tw.detach(), **options)
        g = torch.tensor(np.cos(out.numpy()))
        dx = getattr(grads, f"conv{rank}d_input")(size, tw, g, **options)
        dw = getattr(grads, f"conv{rank}d_weight")(tx, weight, g, **options)
        (dx**2).sum().backward()
        found.append([plain(dx), plain(dw), plain(tw.grad)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11)


def test_batch_norm_of_one_process():
    model = ours.nn.Sequential(
        ours.nn.Conv2d(2, 3, 1), ours.nn.Sequential(ours.nn.BatchNorm2d(3)), ours.nn.BatchNorm2d(3)
    )
    x = ours.rand(2, 2, 4, 4)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    want = model(x)
    sync = ours.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    sync.load_state_dict(state)
    assert [type(m).__name__ for m in sync.modules()].count("SyncBatchNorm") == 2
    assert repr(sync[2]) == repr(theirs.nn.SyncBatchNorm(3))
    np.testing.assert_allclose(plain(sync(x)), plain(want), rtol=1e-6)
    with pytest.raises(NotImplementedError, match="one process"):
        ours.nn.SyncBatchNorm(3, process_group=object())
    parallel = ours.nn.DataParallel(model)
    assert next(iter(parallel.state_dict())) == "module.0.weight"
    with pytest.raises(RuntimeError, match="there is no GPU"):
        ours.nn.DataParallel(model, device_ids=[0, 1])
    assert isinstance(ours.nn.GRUCell(2, 3), ours.nn.RNNCellBase)


def test_local_response_by_its_older_name_differs_from_pytorchs_in_the_first_channel_only():
    values = np.random.default_rng(0).normal(size=(2, 7, 3, 3))
    values[:, 0] = 0  # PyTorch's sums never lose the first channel
    found = [plain(t.nn.CrossMapLRN2d(3, 0.1, 0.6, 2.0)(t.tensor(values))) for t in (theirs, ours)]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
    values[:, 0] = 1
    want = theirs.nn.LocalResponseNorm(3, 0.1, 0.6, 2.0)(theirs.tensor(values))
    np.testing.assert_allclose(
        plain(ours.nn.CrossMapLRN2d(3, 0.1, 0.6, 2.0)(ours.tensor(values))), plain(want), rtol=1e-12
    )
    with pytest.raises(ValueError, match="Expected input to be 4D"):
        ours.nn.CrossMapLRN2d(3)(ours.ones(3, 4, 4))


def test_channels_are_shuffled_under_either_name():
    for torch in (theirs, ours):
        F, x = torch.nn.functional, torch.arange(8.0).reshape(1, 4, 2)
        np.testing.assert_array_equal(F.native_channel_shuffle(x, 2).numpy(), F.channel_shuffle(x, 2).numpy())


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_second_derivatives_of_recurrent_networks(kind):
    found = []
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 2, 3))
    for torch in (ours, theirs):
        net = getattr(torch.nn, kind)(3, 4).double()
        with torch.no_grad():
            for n, p in enumerate(net.parameters()):
                p.copy_(torch.tensor(np.sin(np.arange(p.numel()) + n)).reshape(p.shape))
        leaf = torch.tensor(x, requires_grad=True)
        (slope,) = torch.autograd.grad((net(leaf)[0] ** 2).sum(), leaf, create_graph=True)
        (curve,) = torch.autograd.grad((slope**2).sum(), leaf)
        found.append((slope.detach().numpy(), curve.numpy()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
