"""`torch.nn.utils`: gradients and parameters as a whole."""

from funcgrad.torch.nn.utils import rnn as rnn
from funcgrad.torch.nn.utils.gradients import clip_grad_norm_ as clip_grad_norm_
from funcgrad.torch.nn.utils.gradients import clip_grad_value_ as clip_grad_value_
from funcgrad.torch.nn.utils.gradients import get_total_norm as get_total_norm
from funcgrad.torch.nn.utils.gradients import parameters_to_vector as parameters_to_vector
from funcgrad.torch.nn.utils.gradients import vector_to_parameters as vector_to_parameters
