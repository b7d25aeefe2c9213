"""`torch.autograd`: running the graph, custom functions, modes, checks."""

from funcgrad.torch.autograd import forward_ad as forward_ad
from funcgrad.torch.autograd import function as function
from funcgrad.torch.autograd import functional as functional
from funcgrad.torch.autograd import graph as graph
from funcgrad.torch.autograd.anomaly import detect_anomaly as detect_anomaly
from funcgrad.torch.autograd.anomaly import is_anomaly_enabled as is_anomaly_enabled
from funcgrad.torch.autograd.anomaly import set_detect_anomaly as set_detect_anomaly
from funcgrad.torch.autograd.backward import backward as backward
from funcgrad.torch.autograd.backward import grad as grad
from funcgrad.torch.autograd.function import Function as Function
from funcgrad.torch.autograd.gradcheck import gradcheck as gradcheck
from funcgrad.torch.autograd.gradcheck import gradgradcheck as gradgradcheck
from funcgrad.torch.autograd.graph import _unsafe_preserve_version_counter as _unsafe_preserve_version_counter
from funcgrad.torch.modes import enable_grad as enable_grad
from funcgrad.torch.modes import inference_mode as inference_mode
from funcgrad.torch.modes import no_grad as no_grad
from funcgrad.torch.modes import set_grad_enabled as set_grad_enabled
from funcgrad.torch.tensor import Variable as Variable
