"""In-place operations as functions: `torch.relu_(x)` is `x.relu_()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.torch.tensor import Tensor


def _function(name: str) -> Callable[..., Tensor]:
    method = getattr(Tensor, name)

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return method(input, *args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `Tensor.{name}`: writes into the tensor and returns it."
    return function


abs_, acos_, acosh_, arccos_ = map(_function, ("abs_", "acos_", "acosh_", "arccos_"))
arccosh_, arcsin_, arcsinh_, arctan_ = map(_function, ("arccosh_", "arcsin_", "arcsinh_", "arctan_"))
arctanh_, asin_, asinh_, atan_, atanh_ = map(_function, ("arctanh_", "asin_", "asinh_", "atan_", "atanh_"))
ceil_, clamp_, clamp_max_, clamp_min_ = map(_function, ("ceil_", "clamp_", "clamp_max_", "clamp_min_"))
clip_, conj_physical_, cos_, cosh_ = map(_function, ("clip_", "conj_physical_", "cos_", "cosh_"))
deg2rad_, erf_, erfc_, exp2_, exp_, expm1_ = map(_function, ("deg2rad_", "erf_", "erfc_", "exp2_", "exp_", "expm1_"))
fix_, floor_, frac_, i0_, ldexp_ = map(_function, ("fix_", "floor_", "frac_", "i0_", "ldexp_"))
gcd_, lcm_, log10_, log1p_, log2_, log_ = map(_function, ("gcd_", "lcm_", "log10_", "log1p_", "log2_", "log_"))
logit_, nan_to_num_, neg_, negative_ = map(_function, ("logit_", "nan_to_num_", "neg_", "negative_"))
rad2deg_, reciprocal_, relu_, round_, rsqrt_ = map(_function, ("rad2deg_", "reciprocal_", "relu_", "round_", "rsqrt_"))
sigmoid_, sin_, sinc_, sinh_, sqrt_ = map(_function, ("sigmoid_", "sin_", "sinc_", "sinh_", "sqrt_"))
square_, tan_, tanh_, trunc_, xlogy_ = map(_function, ("square_", "tan_", "tanh_", "trunc_", "xlogy_"))
addmv_ = _function("addmv_")
