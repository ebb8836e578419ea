"""What a peer makes of a problem."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Prepared(NamedTuple):
    """A call that can be timed."""

    run: Callable[[], Any]
    """Makes the call, and waits for its end."""
    read: Callable[[Any], list[np.ndarray]] = lambda _: []
    """What `run` returned, as Keras has it: the outputs, zero at padding; or the gradients of
    the inputs, the kernel, the recurrent kernel and the bias."""
