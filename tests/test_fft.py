"""numpy.fft's names against NumPy: values, jit, vmap, derivatives (also against JAX)."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.testing import check_grads

R = np.random.default_rng(0)
X = R.normal(size=(3, 4, 5))
Z = X + 1j * R.normal(size=X.shape)
LINE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
MANY = ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")
CASES = [
    *[(name, k) for name in LINE for k in ({}, {"n": 3}, {"n": 8, "axis": 0}, {"norm": "ortho"}, {"norm": "forward"})],
    *[(name, k) for name in MANY for k in ({}, {"s": (3, 6), "axes": (0, 1)}, {"norm": "ortho"}, {"axes": (1, 0)})],
    *[(name, k) for name in ("fftshift", "ifftshift") for k in ({}, {"axes": 1}, {"axes": (0, 2)})],
]


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=str)
def test_as_numpy(name, kwargs):
    x = X if name in ("rfft", "rfftn", "rfft2", "ihfft") else Z
    want = getattr(np.fft, name)(x, **kwargs)
    f = lambda x: getattr(jnp.fft, name)(x, **kwargs)
    np.testing.assert_allclose(f(x), want)
    np.testing.assert_allclose(fg.jit(f)(x), want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(fg.vmap(f)(x[None])[0], want, rtol=1e-10, atol=1e-12)
    check_grads(f, (x,), 2, atol=1e-4, rtol=1e-4)


def test_single_precision_stays_single():
    x = X.astype(np.float32)
    assert fg.jit(jnp.fft.fft)(x).dtype == np.complex64
    assert fg.jit(lambda x: jnp.fft.irfft(jnp.fft.rfft(x, norm="ortho"), norm="ortho"))(x).dtype == np.float32


def test_frequencies_and_errors():
    np.testing.assert_allclose(jnp.fft.fftfreq(5, 0.1), np.fft.fftfreq(5, 0.1))
    np.testing.assert_allclose(jnp.fft.rfftfreq(6, 2.0), np.fft.rfftfreq(6, 2.0))
    with pytest.raises(ValueError, match="norm must be"):
        fg.jit(lambda x: jnp.fft.fft(x, norm="other"))(X)
    with pytest.raises(TypeError, match="rfft needs a real array"):
        fg.jit(jnp.fft.rfft)(Z)
    with pytest.raises(ValueError, match="at least 1"):
        fg.jit(lambda x: jnp.fft.fft(x, 0))(X)


def test_gradients_as_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    for name, x in (("fft", Z), ("ifft", Z), ("rfft", X), ("irfft", Z), ("rfftn", X), ("irfftn", Z), ("hfft", Z)):
        loss = lambda np_, x, name=name: np_.sum(np_.abs(getattr(np_.fft, name)(x)) ** 2 * np_.arange(5.0)[0:1] + 1.0)
        weigh = lambda np_, x, name=name: np_.sum(np_.real(getattr(np_.fft, name)(x)) ** 3)
        for f in (loss, weigh):
            want = jax.grad(lambda x: f(jax.numpy, x))(x)
            np.testing.assert_allclose(fg.grad(lambda x: f(jnp, x))(x), np.asarray(want), rtol=1e-8, atol=1e-9)
