"""A program of a user that shows nothing of what TensorFlow says on start."""

import subprocess
import sys

import pytest

STEP = """
import numpy as np
model = keras.Sequential([kerasrnn.VanillaRNN(4), keras.layers.Dense(1)])
model.compile("adam", "mse", jit_compile=True)
model.fit(np.zeros((8, 5, 4), "float32"), np.zeros((8, 1), "float32"), verbose=0)
import os, sys
os.write(2, b"by descriptor\\n")
print("by Python", file=sys.stderr)
"""
WITH_THE_PACKAGE = """
from apps.quiet import quiet_tensorflow
with quiet_tensorflow():
    import keras, kerasrnn
"""
BY_HAND = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"], errors = "3", os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
import keras, kerasrnn
os.dup2(errors, 2)
"""


@pytest.mark.parametrize("beginning", [WITH_THE_PACKAGE, BY_HAND])
def test_imports_and_compiled_steps_say_nothing(user_environment, beginning):
    done = subprocess.run(
        [sys.executable, "-c", beginning + STEP],
        capture_output=True,
        text=True,
        check=False,
        env=user_environment,
    )
    assert (done.returncode, done.stderr) == (0, "by descriptor\nby Python\n")
