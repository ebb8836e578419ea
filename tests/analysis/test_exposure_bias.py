"""What `exposure_bias` measures, and what its result shows.

Its losses: see tests/training/test_losses.py.
"""

import keras
import numpy as np
import pytest

import kerasrnn
from tests.training.echo_models import EchoCell, id_model

BATCH, TIME = 4, 12

RESULT = kerasrnn.ExposureBias([1.0, 1.5], [1.0, 2.0], num_sequences=3)


def test_the_gap_is_the_difference_at_each_horizon():
    assert RESULT.gap == [0.0, 0.5]
    assert RESULT.to_dict()["gap"] == RESULT.gap


def test_a_plot_is_a_figure_and_with_a_path_a_file(tmp_path):
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = RESULT.plot()
    assert isinstance(figure, matplotlib.Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert not list(tmp_path.iterdir())
    assert isinstance(RESULT.plot(tmp_path / "bias.png"), matplotlib.Figure)
    assert (tmp_path / "bias.png").read_bytes().startswith(b"\x89PNG")


def test_exposure_bias_shows_errors_that_feed_on_themselves(tmp_path):
    # The model multiplies by 1.1 where the truth stays: its error grows as it runs freely.
    scale = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([echo, scale])
    model.compile("sgd", "mse")
    inputs = np.ones((300, 8, 1), "float32")
    model(inputs)
    scale.set_weights([np.array([[1.1]])])
    for context in (1, 3):
        report = kerasrnn.exposure_bias(model, inputs, inputs, context=context)
        horizons = np.arange(1, 8 - context + 2)
        np.testing.assert_allclose(report.teacher_forcing, 0.1**2, rtol=1e-4)
        np.testing.assert_allclose(report.free_running, (1.1**horizons - 1) ** 2, rtol=1e-4)
        assert report.gap[0] == pytest.approx(0, abs=1e-6)
        assert report.to_dict()["num_sequences"] == 300
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "bias.png")
    assert (tmp_path / "bias.png").read_bytes().startswith(b"\x89PNG")


def test_exposure_bias_is_there_for_ids():
    model = id_model(1.0)
    start = np.arange(5, 5 + BATCH)[:, None]
    counting = (start + np.arange(TIME + 1)) % 20
    report = kerasrnn.exposure_bias(model, counting[:, :-1], counting[:, 1:], draw="sample")
    np.testing.assert_allclose(report.free_running, 0, atol=1e-5)  # it never errs
    constant = np.repeat(start, TIME + 1, 1)
    report = kerasrnn.exposure_bias(model, constant[:, :-1], constant[:, 1:])
    np.testing.assert_allclose(report.teacher_forcing, 50, rtol=1e-3)
