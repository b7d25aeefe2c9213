"""Rows of networks: the convolutions of ResNet-18, pooling, attention, and a small CNN, in float32."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compiled import backward, pair, torch_setup
from benchmarks.harness import Setup, row

LAYERS = {
    "3x3, 64 at 56 x 56": (64, 56, 64, 3, 1, 1),
    "3x3, 128 at 28 x 28": (128, 28, 128, 3, 1, 1),
    "3x3, 256 at 14 x 14": (256, 14, 256, 3, 1, 1),
    "3x3, 512 at 7 x 7": (512, 7, 512, 3, 1, 1),
    "stem 7x7, 3 to 64 at 224 x 224": (3, 224, 64, 7, 2, 3),
    "3x3 stride 2, 64 to 128 at 56 x 56": (64, 56, 128, 3, 2, 1),
    "1x1 stride 2, 64 to 128 at 56 x 56": (64, 56, 128, 1, 2, 0),
    "1x1, 256 to 1024 at 14 x 14": (256, 14, 1024, 1, 1, 0),
}
"""channels, height and width, output channels, window, stride, padding; the batch is 8."""
NUMBERS = ("NCHW", "OIHW", "NCHW")
Layer = tuple[int, int, int, int, int, int]


def _layer_data(layer: Layer) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    c, n, o, k, _, _ = layer

    def data(rng: np.random.Generator) -> tuple[Any, ...]:
        x, w = rng.normal(size=(8, c, n, n)), rng.normal(size=(o, c, k, k)) / (c * k * k) ** 0.5
        return x.astype(np.float32), w.astype(np.float32)

    return data


def _layer(layer: Layer, gradient: bool) -> Callable[[Any, Any], Callable[..., Any]]:
    *_, s, p = layer

    def program(lib: Any, jnp: Any) -> Callable[..., Any]:
        def f(x: Any, w: Any) -> Any:
            return lib.lax.conv_general_dilated(x, w, (s, s), [(p, p), (p, p)], dimension_numbers=NUMBERS)

        if not gradient:
            return f
        # By the first layer nobody needs the images' gradient.
        return lib.value_and_grad(lambda x, w: jnp.sum(jnp.square(f(x, w))), argnums=1 if layer[0] == 3 else (0, 1))

    return program


def _layer_torch(layer: Layer, gradient: bool) -> Setup:
    *_, s, p = layer

    def make(torch: Any, tensor: Any) -> Callable[[], object]:
        x, w = map(tensor, _layer_data(layer)(np.random.default_rng(0)))
        conv = torch.nn.functional.conv2d
        if gradient:
            w.requires_grad_()
            leaves = (w,) if layer[0] == 3 else (x.requires_grad_(), w)
            return backward(torch, lambda *_: conv(x, w, None, s, p).square().sum(), leaves)

        def call() -> object:
            with torch.inference_mode():
                return conv(x, w, None, s, p)

        return call

    return torch_setup(make)


for _name, _shape in LAYERS.items():
    for _gradient in (False, True):
        _c, _n, _o, _k, _s, _p = _shape
        _work = 2.0 * 8 * (_n // _s) ** 2 * _o * _c * _k * _k
        row(
            f"conv {_name}, {'gradient' if _gradient else 'forward'}",
            **pair(_layer(_shape, _gradient), _layer_data(_shape)),
            torch=_layer_torch(_shape, _gradient),
            flops=_work * ((2 if _c == 3 else 3) if _gradient else 1),
        )

# ---- pooling ----


def _pool(gradient: bool) -> Callable[[Any, Any], Callable[..., Any]]:
    def program(lib: Any, jnp: Any) -> Callable[..., Any]:
        def f(x: Any) -> Any:
            padding = [(0, 0), (0, 0), (1, 1), (1, 1)]
            return lib.lax.reduce_window(x, -np.inf, lib.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), padding)

        return lib.grad(lambda x: jnp.sum(jnp.square(f(x)))) if gradient else f

    return program


def _images(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.normal(size=(8, 64, 112, 112)).astype(np.float32),)


def _pool_torch(gradient: bool) -> Setup:
    def make(torch: Any, tensor: Any) -> Callable[[], object]:
        (x,) = map(tensor, _images(np.random.default_rng(0)))
        pool = torch.nn.functional.max_pool2d
        if gradient:
            return backward(torch, lambda x: pool(x, 3, 2, 1).square().sum(), (x.requires_grad_(),))

        def call() -> object:
            with torch.inference_mode():
                return pool(x, 3, 2, 1)

        return call

    return torch_setup(make)


for _gradient in (False, True):
    row(
        f"max pooling 3x3 stride 2, 64 at 112 x 112, {'gradient' if _gradient else 'forward'}",
        **pair(_pool(_gradient), _images),
        torch=_pool_torch(_gradient),
    )

# ---- attention ----


def _heads(b: int, h: int, t: int, d: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda rng: tuple(rng.normal(size=(b, h, t, d)).astype(np.float32) for _ in range(3))


def _attention(causal: bool) -> Callable[[Any, Any], Callable[..., Any]]:
    def program(lib: Any, jnp: Any) -> Callable[..., Any]:
        if lib.__name__ == "funcgrad":
            f = importlib.import_module("funcgrad.nn.scaled_attention").scaled_dot_product_attention
            return lib.grad(lambda *a: jnp.sum(jnp.square(f(*a, is_causal=causal))), argnums=(0, 1, 2))

        def loss(*args: Any) -> Any:
            q, k, v = (a.transpose(0, 2, 1, 3) for a in args)
            return jnp.sum(jnp.square(lib.nn.dot_product_attention(q, k, v, is_causal=causal)))

        return lib.grad(loss, argnums=(0, 1, 2))

    return program


def _attention_torch(data: Any, causal: bool) -> Setup:
    def make(torch: Any, tensor: Any) -> Callable[[], object]:
        leaves = tuple(tensor(a).requires_grad_() for a in data(np.random.default_rng(0)))
        f = torch.nn.functional.scaled_dot_product_attention
        return backward(torch, lambda *a: f(*a, is_causal=causal).square().sum(), leaves)

    return torch_setup(make)


for _b, _h, _t, _d, _causal in ((8, 4, 128, 64, False), (1, 4, 2048, 64, True)):
    _data = _heads(_b, _h, _t, _d)
    row(
        f"attention, B={_b}, H={_h}, T={_t}, D={_d}{', causal' if _causal else ''}, gradient",
        **pair(_attention(_causal), _data),
        torch=_attention_torch(_data, _causal),
        flops=(5 if _causal else 10) * 2.0 * _b * _h * _t * _t * _d,
    )

# ---- a small network ----


def small_cnn(lib: Any, jnp: Any) -> Callable[..., Any]:
    def loss(params: Any, x: Any, y: Any) -> Any:
        for w, b in params[:2]:
            x = lib.lax.conv_general_dilated(x, w, (1, 1), [(1, 1), (1, 1)], dimension_numbers=NUMBERS)
            x = lib.nn.relu(x + b[:, None, None])
            x = lib.lax.reduce_window(x, -np.inf, lib.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        w, b = params[2]
        logits = x.reshape(x.shape[0], -1) @ w + b
        return -jnp.mean(jnp.sum(lib.nn.log_softmax(logits) * y, axis=1))

    return lib.value_and_grad(loss)


def _digits(rng: np.random.Generator) -> tuple[Any, ...]:
    f = np.float32
    shapes = [(16, 1, 3, 3), (32, 16, 3, 3), (32 * 49, 10)]
    params = [(rng.normal(size=s).astype(f) * 0.1, np.zeros(s[1] if len(s) == 2 else s[0], f)) for s in shapes]
    return params, rng.normal(size=(64, 1, 28, 28)).astype(f), np.eye(10, dtype=f)[rng.integers(0, 10, 64)]


def _digits_torch(torch: Any, tensor: Any) -> Callable[[], object]:
    params, x0, y0 = _digits(np.random.default_rng(0))
    leaves = tuple(tensor(a).requires_grad_() for p in params for a in p)
    x, y = tensor(x0), tensor(y0).argmax(1)
    functional = torch.nn.functional

    def loss(w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
        h = functional.max_pool2d(torch.relu(functional.conv2d(x, w1, b1, padding=1)), 2)
        h = functional.max_pool2d(torch.relu(functional.conv2d(h, w2, b2, padding=1)), 2)
        return functional.cross_entropy(torch.addmm(b3, h.flatten(1), w3), y)

    return backward(torch, loss, leaves)


row("small CNN on 64 images of 28 x 28, gradient", **pair(small_cnn, _digits), torch=torch_setup(_digits_torch))
