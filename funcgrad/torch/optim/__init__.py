"""`torch.optim`: PyTorch's optimisers and schedules of the learning rate."""

from funcgrad.torch.optim import lr_scheduler as lr_scheduler
from funcgrad.torch.optim import swa_utils as swa_utils
from funcgrad.torch.optim.algorithms import ASGD as ASGD
from funcgrad.torch.optim.algorithms import SGD as SGD
from funcgrad.torch.optim.algorithms import Adadelta as Adadelta
from funcgrad.torch.optim.algorithms import Adagrad as Adagrad
from funcgrad.torch.optim.algorithms import Adam as Adam
from funcgrad.torch.optim.algorithms import Adamax as Adamax
from funcgrad.torch.optim.algorithms import AdamW as AdamW
from funcgrad.torch.optim.algorithms import NAdam as NAdam
from funcgrad.torch.optim.algorithms import RAdam as RAdam
from funcgrad.torch.optim.algorithms import RMSprop as RMSprop
from funcgrad.torch.optim.algorithms import Rprop as Rprop
from funcgrad.torch.optim.lbfgs import LBFGS as LBFGS
from funcgrad.torch.optim.optimizer import Optimizer as Optimizer
