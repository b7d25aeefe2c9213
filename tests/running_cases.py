"""What the tests of running compiled programs share: which machines they are for, and the number of threads they begin with."""

import pytest

from funcgrad.compile import execute, native

marks = [
    pytest.mark.skipif(native.native() is None, reason="this machine runs no machine code of ours"),
    # JAX, where an earlier test imported it, warns at every fork.
    pytest.mark.filterwarnings("ignore:os.fork"),
]


@pytest.fixture(autouse=True)
def same_threads():
    """Each test finds and leaves the number of threads as it was, on two at least."""
    before = native.native().threads
    native.native().set_threads(max(before, 2))
    yield
    native.native().set_threads(before)


def compiled(jitted, *args):
    """The compiled form of a jitted function for these arguments."""
    found = execute.compiled(jitted.trace(*args).program)
    assert found is not None
    return found
