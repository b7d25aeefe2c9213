"""What networks refuse, and what they take at the edge, beside PyTorch: the same kinds of error, naming what is wrong."""

import warnings

import numpy as np
import pytest

import funcgrad.torch as ft

torch = pytest.importorskip("torch")


def load(t):
    model = t.nn.Sequential(t.nn.Linear(2, 2), t.nn.Linear(2, 3))
    model.load_state_dict(
        {"0.weight": t.ones(2, 3), "1.weight": t.ones(3, 2), "1.bias": t.ones(4), "more": t.ones(1), "yet": t.ones(1)}
    )


REFUSED = [
    (lambda t: t.nn.Conv2d(3, 4, 3)(t.ones(1, 2, 8, 8)), ["3 channels", "2 channels"]),
    (lambda t: t.nn.Conv2d(3, 4, 5, padding=1)(t.ones(1, 3, 2, 2)), ["ernel", "padded input", "5", "4"]),
    (lambda t: t.nn.MaxPool2d(3)(t.ones(1, 3, 2, 2)), ["2", "3"]),
    (lambda t: t.nn.Linear(3, 4)(t.ones(1, 2)), ["mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"]),
    (lambda t: t.nn.BatchNorm1d(3)(t.ones(1, 3)), ["Expected more than 1 value per channel", "[1, 3]"]),
    (lambda t: t.nn.BatchNorm2d(3)(t.ones(2, 4, 2, 2)), ["running_mean", "4", "3"]),
    (lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([1, 7])), ["Target 7 is out of bounds"]),
    (lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([1, -2])), ["Target -2 is out of bounds"]),
    (lambda t: t.nn.functional.nll_loss(t.ones(2, 3), t.tensor([3, 0])), ["Target 3 is out of bounds"]),
    (lambda t: t.nn.Embedding(3, 2)(t.tensor([1, 3])), ["index out of range in self"]),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), weight=t.ones(2)),
        ["either for all 3 classes or no classes", "[2]"],
    ),
    (lambda t: t.nn.functional.nll_loss(t.ones(2, 3), t.tensor([0, 1]), weight=t.ones(2)), ["for all 3 classes"]),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), label_smoothing=1.5),
        ["label_smoothing must be between 0.0 and 1.0. Got: 1.5"],
    ),
    (lambda t: t.nn.Conv2d(1, 1, 3, padding="same", stride=2), ["padding='same' is not supported for strided"]),
    (lambda t: t.nn.functional.huber_loss(t.ones(2), t.ones(2), delta=0), ["does not support non-positive values"]),
    (lambda t: t.nn.functional.smooth_l1_loss(t.ones(2), t.ones(2), beta=-1), ["does not support negative values"]),
    (lambda t: t.nn.functional.kl_div(t.ones(2), t.ones(2), reduction="x"), ["x is not a valid value for reduction"]),
    (load, ["Missing key(s)", '"0.bias"', "Unexpected key(s)", '"more", "yet"', "for 0.weight", "for 1.bias"]),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_bad_input_is_refused_with_pytorchs_kind_of_error(case):
    function, phrases = REFUSED[case]
    with pytest.raises((RuntimeError, ValueError, IndexError)) as theirs:
        function(torch)
    with pytest.raises(theirs.type) as ours:
        function(ft)
    for phrase in phrases:
        assert phrase in str(ours.value)


EMPTY = [
    lambda t: t.nn.Conv2d(3, 4, 3, padding=1),
    lambda t: t.nn.Conv2d(3, 4, 3, stride=2),
    lambda t: t.nn.MaxPool2d(2),
    lambda t: t.nn.BatchNorm2d(3),
    lambda t: t.nn.Sequential(t.nn.Flatten(), t.nn.Linear(48, 5), t.nn.ReLU()),
]


@pytest.mark.parametrize("case", range(len(EMPTY)))
def test_an_empty_batch_goes_through_and_back(case):
    found = []
    for t in (torch, ft):
        model = EMPTY[case](t)
        x = t.ones(0, 3, 4, 4, requires_grad=True)
        y = model(x)
        y.sum().backward()
        grads = [(tuple(p.grad.shape), float(p.grad.abs().sum())) for p in model.parameters()]
        found.append((tuple(y.shape), tuple(x.grad.shape), grads))
    assert found[0] == found[1]


def test_the_mean_loss_of_no_example_is_nan():
    for t in (torch, ft):
        assert np.isnan(t.nn.functional.cross_entropy(t.ones(0, 3), t.ones(0).long()).item())


def test_anomaly_names_the_operation_and_the_line():
    for t in (torch, ft):
        with warnings.catch_warnings(record=True) as said, pytest.raises(RuntimeError) as error:
            warnings.simplefilter("always")
            with t.autograd.detect_anomaly():
                x = t.tensor([-1.0], requires_grad=True)
                loss = x.sqrt().sum()  # the culprit
                loss.backward()
        assert "Function 'SqrtBackward0' returned nan values in its 0th output" in str(error.value)
        (told,) = [str(w.message) for w in said if "Error detected in SqrtBackward0" in str(w.message)]
        assert "loss = x.sqrt().sum()  # the culprit" in told and "test_torch_bad_input.py" in told


TWINS = {
    "leaky_relu_": (0.2,),
    "elu_": (0.7,),
    "celu_": (0.7,),
    "selu_": (),
    "hardtanh_": (-0.5, 0.8),
    "threshold_": (0.1, 3.0),
    "rrelu_": (0.1, 0.4),
}


@pytest.mark.parametrize("name", TWINS)
def test_activations_in_place_equal_pytorchs(name):
    values = np.random.default_rng(0).normal(size=(4, 5))
    found = []
    for t in (torch, ft):
        leaf = t.tensor(values, requires_grad=True)
        x = leaf * 1
        assert getattr(t.nn.functional, name)(x, *TWINS[name]) is x
        x.sum().backward()
        found.append((x.detach().numpy(), leaf.grad.numpy()))
        with pytest.raises(RuntimeError, match=r"leaf Variable that requires grad .*in-place operation"):
            getattr(t.nn.functional, name)(leaf, *TWINS[name])
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    rtol = 1e-7 if name == "celu_" else 1e-12  # PyTorch's backward rounds celu's 1 / alpha to float32
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=rtol)
