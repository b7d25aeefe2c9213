"""`torch.utils`."""

from funcgrad.torch.utils import checkpoint as checkpoint
from funcgrad.torch.utils import data as data
