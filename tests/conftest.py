"""Settings for every test: pictures without a display, one BLAS thread a worker, hypothesis that repeats in CI."""

import os
import signal

os.environ.setdefault("MPLBACKEND", "Agg")
# Set before NumPy is imported: pytest-xdist's workers fill the cores, and more threads only get in each other's way.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# So would processes that compile beside them.
os.environ.setdefault("FUNCGRAD_COMPILE_PROCESSES", "0")

from hypothesis import settings  # noqa: E402  (its plugin reads the environment set above)

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# A shell starts what it puts into the background with Ctrl-C ignored, and Python leaves it so: the tests of it would wait.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
