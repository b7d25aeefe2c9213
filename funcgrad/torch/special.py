"""`torch.special`: special functions under SciPy's names."""

from funcgrad.torch.ops.activations import log_softmax as log_softmax
from funcgrad.torch.ops.activations import softmax as softmax
from funcgrad.torch.ops.arithmetic import xlogy as xlogy
from funcgrad.torch.ops.reductions import logsumexp as logsumexp
from funcgrad.torch.ops.special import entr as entr
from funcgrad.torch.ops.special import erfcx as erfcx
from funcgrad.torch.ops.special import i0e as i0e
from funcgrad.torch.ops.special import i1 as i1
from funcgrad.torch.ops.special import i1e as i1e
from funcgrad.torch.ops.special import igamma as gammainc  # noqa: F401
from funcgrad.torch.ops.special import igammac as gammaincc  # noqa: F401
from funcgrad.torch.ops.special import log_ndtr as log_ndtr
from funcgrad.torch.ops.special import ndtr as ndtr
from funcgrad.torch.ops.special import ndtri as ndtri
from funcgrad.torch.ops.special import xlog1py as xlog1py
from funcgrad.torch.ops.special import zeta as zeta
from funcgrad.torch.ops.unary import digamma as digamma
from funcgrad.torch.ops.unary import digamma as psi  # noqa: F401
from funcgrad.torch.ops.unary import erf as erf
from funcgrad.torch.ops.unary import erfc as erfc
from funcgrad.torch.ops.unary import erfinv as erfinv
from funcgrad.torch.ops.unary import exp2 as exp2
from funcgrad.torch.ops.unary import expm1 as expm1
from funcgrad.torch.ops.unary import i0 as i0
from funcgrad.torch.ops.unary import lgamma as gammaln  # noqa: F401
from funcgrad.torch.ops.unary import log1p as log1p
from funcgrad.torch.ops.unary import logit as logit
from funcgrad.torch.ops.unary import mvlgamma as multigammaln  # noqa: F401
from funcgrad.torch.ops.unary import polygamma as polygamma
from funcgrad.torch.ops.unary import round as round
from funcgrad.torch.ops.unary import sigmoid as expit  # noqa: F401
from funcgrad.torch.ops.unary import sinc as sinc
