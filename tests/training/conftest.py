"""Ids to train on, and a run that has come to its end."""

import shutil

import pytest

import kerasrnn
from tests.training.models import BATCH, TIME, VOCABULARY
from tests.training.runs import fit


@pytest.fixture
def ids(rng):
    return rng.integers(1, VOCABULARY, size=(BATCH, TIME + 1))


@pytest.fixture
def stream(ids):
    return kerasrnn.Stream(list(ids), batch_size=BATCH)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder, the model and the history of a run; to be read only."""
    run_dir = tmp_path_factory.mktemp("finished")
    model, history = fit(run_dir)
    return run_dir, model, history


@pytest.fixture
def run_dir(finished, tmp_path):
    """A copy of the folder of a finished run."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"
