"""How TensorFlow uses the cores of a small machine."""

import os

_SETTING = "TF_NUM_INTRAOP_THREADS"


def use_one_thread_per_op() -> None:
    """Lets operations run side by side, each in one thread, in a TensorFlow that starts later.

    That is faster for a model that is trained in `parallel_parts`. What the
    user set (`TF_NUM_INTRAOP_THREADS`) wins.
    """
    if _SETTING not in os.environ:
        os.environ[_SETTING] = "1"
        os.environ["TF_NUM_INTEROP_THREADS"] = str(count_cores())


def count_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
