"""`torch.version`: which PyTorch's API this is."""

__version__ = "2.13.0"
"""The version of PyTorch whose behaviour is followed."""
cuda = hip = xpu = git_version = None
debug = False
