"""Figures, for those who have matplotlib."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make_figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches, which needs no display.

    Raises:
        ImportError: if matplotlib is not installed; it says how to install it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Plots need matplotlib: python -m pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")
