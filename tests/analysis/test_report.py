"""The report of a measurement: JSON, plots and images."""

import json
import sys

import keras
import numpy as np
import pytest

import kerasrnn
from tests.analysis.models import TIME, UNITS, compiled, linear_rnn


@pytest.fixture
def report(batch):
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    return kerasrnn.gradient_flow(model, *batch, lag=(2, 5))


def test_figures_go_into_json(report, batch):
    figures = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    layer = figures["layers"][0]
    assert len(layer["remaining"]) == TIME
    assert layer["verdict"] == str(report)
    assert layer["lags"] == [2, 5]
    assert layer["status"] == layer["statuses"]["5"] == report.layers[0].status
    json.dumps(kerasrnn.gradient_flow(linear_rnn(np.nan), *batch).to_dict(), allow_nan=False)


def test_a_plot_is_a_figure_and_with_a_path_a_file(report, tmp_path):
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = report.plot()
    assert isinstance(figure, matplotlib.Figure)
    assert not list(tmp_path.iterdir())
    assert report.layers[0].status in figure.axes[0].get_title()
    low, high = figure.axes[0].get_ylim()
    assert low == pytest.approx(min(report.layers[0].remaining.min(), 0.005), rel=0.9)
    assert high >= 200
    (band,) = figure.axes[0].patches  # where a gradient is steady
    assert (band.get_y(), band.get_y() + band.get_height()) == (0.5, 2)
    assert isinstance(report.plot(tmp_path / "flow.png"), matplotlib.Figure)
    assert (tmp_path / "flow.png").stat().st_size > 10_000
    assert report.pixels().shape[2] == 4


def test_without_matplotlib_a_plot_says_how_to_install_it(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        report.plot(tmp_path / "flow.png")
