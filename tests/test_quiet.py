"""A program of a user that shows nothing of what TensorFlow says on start."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

COMPILED_STEPS = """
import numpy as np
model = keras.Sequential([kerasrnn.VanillaRNN(4), keras.layers.Dense(1)])
model.compile("adam", "mse", jit_compile=True)
model.fit(np.zeros((8, 5, 4), "float32"), np.zeros((8, 1), "float32"), verbose=0)
"""
LATER_ERRORS = """
import os, sys
os.write(2, b"by descriptor\\n")
print("by Python", file=sys.stderr)
"""
WITH_THE_PACKAGE = """
from apps.quiet import quiet_tensorflow
with quiet_tensorflow():
    import keras, kerasrnn
"""
GUIDE = (Path(__file__).parents[1] / "docs" / "serving.md").read_text("utf-8")
BY_HAND = next(b for b in re.findall(r"```python\n(.*?)```", GUIDE, re.S) if "os.dup2" in b)


@pytest.mark.slow
@pytest.mark.parametrize("program", [WITH_THE_PACKAGE + COMPILED_STEPS, BY_HAND])
def test_imports_and_compiled_steps_say_nothing(user_environment, program):
    done = subprocess.run(
        [sys.executable, "-c", program + LATER_ERRORS],
        capture_output=True,
        text=True,
        check=False,
        env=user_environment,
    )
    assert (done.returncode, done.stderr) == (0, "by descriptor\nby Python\n")
