"""Figures, for users who have matplotlib."""

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120


def make_figure(width: float, height: float) -> "Figure":
    """An empty figure that needs no display and can be shown in a notebook.

    Args:
        width, height: in inches.

    Raises:
        ImportError: if matplotlib is not installed; it says how to install it.
    """
    try:
        from matplotlib.figure import Figure  # noqa: F401
    except ImportError as error:
        raise ImportError("Plots need matplotlib: python -m pip install matplotlib") from error
    return _notebook_figure()(figsize=(width, height), layout="constrained")


@functools.cache
def _notebook_figure() -> type["Figure"]:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A `Figure` that Jupyter shows before anything has imported pyplot."""

        def _repr_png_(self) -> bytes:
            png = io.BytesIO()
            self.savefig(png, format="png", dpi=DOTS_PER_INCH)
            return png.getvalue()

    return NotebookFigure


def save_figure(figure: "Figure", path: str | Path | None) -> "Figure":
    """Writes the figure into an image file, unless `path` is `None`; returns the figure."""
    if path is not None:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    return figure
