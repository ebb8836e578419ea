"""Pictures of forecasts, with what came before and their intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from examples.forecast_data import Problem, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(axes: "Axes", problem: Problem, result: Result, origin: int, color: str) -> None:
    """The last forecast of the first variable, its interval, and the series around it.

    Args:
        axes: to draw on.
        problem: the series.
        result: its forecasts.
        origin: the first step of the last forecast; after the end of a series, its length.
        color: of the forecast.
    """
    values, horizon = problem.values[:, 0], problem.horizon
    shown = np.arange(max(0, origin - 3 * horizon), len(values))
    axes.plot(shown, values[shown], "k", lw=1, label=problem.variables[0])
    steps = np.arange(origin, origin + horizon)
    low, high = result.low[-1, :, 0], result.high[-1, :, 0]
    axes.fill_between(steps, low, high, color=color, alpha=0.25)
    axes.plot(steps, result.values[-1, :, 0], color, lw=1.5, label=result.method)
    axes.set(title=problem.name, xlabel="step")
    axes.grid(alpha=0.3)


def save(figure: "Figure", path: Path) -> None:
    """Writes a picture, and says where."""
    figure.savefig(path, dpi=90)
    print(f"figure: {path}")
