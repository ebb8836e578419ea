"""Fixed seeds and a quiet TensorFlow for all tests."""

import gc
import os

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import numpy as np
    import pytest

    from kerasrnn.layers import inference_scan, scans
    from tests import quick_graphs  # noqa: F401 (sets how graphs are compiled)
    from tests.seeds import set_seed

pytest.register_assert_rewrite("tests.conformance", "tests.paired_layers")


KEPT = 5
"""Of the parameters of a slow test, every fifth is run, unless THOROUGH is set."""


def pytest_collection_modifyitems(config, items):
    if os.environ.get("THOROUGH"):
        return
    seen: dict[str, int] = {}
    left_out = []
    for item in items:
        name, bracket, _ = item.nodeid.partition("[")
        if bracket and item.get_closest_marker("slow"):
            seen[name] = seen.get(name, -1) + 1
            if seen[name] % KEPT:
                left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in gone]


@pytest.fixture(autouse=True)
def _seed():
    set_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _quick_collection():
    """What one file leaves behind is not searched for garbage in the next: it is a lot."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def user_environment():
    """The environment of a user who set no level of TensorFlow's log.

    Without it a process started by a test inherits the level that was set here.
    """
    return {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


@pytest.fixture
def scan_calls(monkeypatch):
    """The names of the hand-written scans, in the order in which they are called."""
    calls = []
    for module, name in (
        (inference_scan, "scan_forward"),
        (inference_scan, "scan_to_last"),
        (scans, "scan_forward_and_keep"),
        (scans, "scan_backward"),
    ):
        original = getattr(module, name)

        def spy(*arguments, _original=original, _name=name, **options):
            calls.append(_name)
            return _original(*arguments, **options)

        monkeypatch.setattr(module, name, spy)
    return calls
