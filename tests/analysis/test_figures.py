"""Figures without pyplot."""

import pytest

from kerasrnn.analysis.figures import make_figure

pytest.importorskip("matplotlib")


def test_a_notebook_shows_a_figure_as_an_image():
    figure = make_figure(2, 1)
    figure.subplots().plot([1, 2])
    assert figure._repr_png_().startswith(b"\x89PNG")  # the method that Jupyter calls
    assert make_figure(2, 1)._repr_png_() != figure._repr_png_()
