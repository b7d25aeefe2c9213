"""`import funcgrad.torch as torch`: PyTorch's imperative API on the engine of funcgrad."""

from funcgrad.torch import autograd as autograd
from funcgrad.torch.dtypes import *  # noqa: F403
from funcgrad.torch.dtypes import bool_ as bool  # noqa: F401
from funcgrad.torch.modes import enable_grad as enable_grad
from funcgrad.torch.modes import inference_mode as inference_mode
from funcgrad.torch.modes import is_grad_enabled as is_grad_enabled
from funcgrad.torch.modes import is_inference_mode_enabled as is_inference_mode_enabled
from funcgrad.torch.modes import no_grad as no_grad
from funcgrad.torch.modes import set_grad_enabled as set_grad_enabled
from funcgrad.torch.ops import indexing as _indexing  # noqa: F401
from funcgrad.torch.ops import operators as _operators  # noqa: F401
from funcgrad.torch.ops.arithmetic import add as add
from funcgrad.torch.ops.arithmetic import div as div
from funcgrad.torch.ops.arithmetic import mul as mul
from funcgrad.torch.ops.arithmetic import sub as sub
from funcgrad.torch.ops.copies import clone as clone
from funcgrad.torch.ops.creation import tensor as tensor
from funcgrad.torch.ops.reductions import sum as sum
from funcgrad.torch.ops.unary import exp as exp
from funcgrad.torch.ops.unary import log as log
from funcgrad.torch.ops.unary import sin as sin
from funcgrad.torch.ops.unary import tanh as tanh
from funcgrad.torch.step import compile as compile
from funcgrad.torch.tensor import Tensor as Tensor
