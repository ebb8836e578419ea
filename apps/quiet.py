"""Importing TensorFlow without the lines it prints on start."""

import contextlib
import os
import sys
import tempfile

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def quiet_tensorflow():
    """Imports of TensorFlow inside this context say nothing on standard error.

    TensorFlow's C++ log ignores its level until it is initialized, so the file
    descriptor itself is diverted meanwhile; what it received is shown if the
    import fails. A level that the user set (`TF_CPP_MIN_LOG_LEVEL`) wins, and
    nothing is diverted.
    """
    if _LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        yield
        return
    os.environ[_LOG_LEVEL] = "3"
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
