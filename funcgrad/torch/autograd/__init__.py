"""`torch.autograd`: running the graph, custom functions, modes, checks."""

from funcgrad.torch.autograd.backward import backward as backward
from funcgrad.torch.autograd.backward import grad as grad
from funcgrad.torch.modes import enable_grad as enable_grad
from funcgrad.torch.modes import inference_mode as inference_mode
from funcgrad.torch.modes import no_grad as no_grad
from funcgrad.torch.modes import set_grad_enabled as set_grad_enabled
