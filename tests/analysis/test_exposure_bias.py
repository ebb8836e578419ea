"""What the result of `exposure_bias` shows.

What it measures: see tests/training/test_feedback.py and test_losses.py.
"""

import pytest

import kerasrnn

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
