"""What a `fit` with checkpoints takes, and several replicas."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_fit_and_evaluate_on_two_replicas_are_those_of_one_device():
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.fit_on_two_replicas"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    classifier, sequence_model = map(float, done.stdout.splitlines()[-2:])
    assert max(classifier, sequence_model) < 1e-5
