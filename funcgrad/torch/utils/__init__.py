"""`torch.utils`."""

from funcgrad.torch.utils import checkpoint as checkpoint
