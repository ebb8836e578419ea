"""Importing TensorFlow without the lines it prints on start."""

import contextlib
import os
import sys
import tempfile

_LOG_LEVEL, _QUIETEST = "TF_CPP_MIN_LOG_LEVEL", "3"


@contextlib.contextmanager
def quiet_tensorflow():
    """Imports of TensorFlow inside this context say nothing on standard error.

    TensorFlow's C++ log ignores its level until it is initialized, so the file
    descriptor itself is diverted meanwhile; what it received is shown if the
    import fails. If the user set a level that shows more (`TF_CPP_MIN_LOG_LEVEL` below
    3), it wins, and nothing is diverted.
    """
    if os.environ.get(_LOG_LEVEL, _QUIETEST) != _QUIETEST or "tensorflow" in sys.modules:
        yield
        return
    os.environ[_LOG_LEVEL] = _QUIETEST
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as diverted:
        os.dup2(diverted.fileno(), 2)
        try:
            yield
        except ImportError:
            sys.stderr.flush()
            diverted.seek(0)
            os.write(saved, diverted.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
