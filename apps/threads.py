"""How TensorFlow uses the cores of a small machine."""

import os

_SETTING = "TF_NUM_INTRAOP_THREADS"
FEWEST_ROWS = 4
"""Rows of a batch that are still worth a core of their own."""


def count_parts(batch_size: int) -> int:
    """Into how many equal parts to split a batch, to be computed side by side."""
    most = min(_count_cores(), max(batch_size // FEWEST_ROWS, 1))
    return max(n for n in range(1, most + 1) if batch_size % n == 0)


def use_cores_for_parts(batch_size: int) -> None:
    """Gives each part of a batch its share of the cores, in a TensorFlow that starts later.

    Many threads for each operation are slower than several operations at once.
    What the user set (`TF_NUM_INTRAOP_THREADS`) wins.
    """
    parts = count_parts(batch_size)
    if parts > 1 and _SETTING not in os.environ:
        os.environ[_SETTING] = str(_count_cores() // parts)
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(_count_cores()))


def _count_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
