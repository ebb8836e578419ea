"""What a measurement of the gradient flow found: numbers, words and a plot."""

import dataclasses
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasrnn.analysis.figures import make_figure, save_figure
from kerasrnn.analysis.spectrum import KernelSpectrum
from kerasrnn.analysis.verdict import (
    EXPLODING,
    FADING,
    GROWING,
    VANISHING,
    describe,
    status_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True, eq=False)
class LayerFlow:
    """The flow of gradients through one recurrent layer, or one cell of a stack."""

    name: str
    norms: np.ndarray
    """||dL/dh_t|| over batch and units, `(time,)`, in the order in which the layer reads."""
    remaining: np.ndarray
    """The share of the last h_t's gradient that is left k steps before it, over all
    states of the cell: `(lags,)`, 1 at k = 0. Masked steps are left out."""
    norms_by_lag: np.ndarray
    """`norms`, k steps before the last: `(lags,)`. Masked steps are left out."""
    bound: np.ndarray | None
    """(gamma ||W_h||)^k, `(lags,)`. With a leak rate c it is
    ((1 - c) + c gamma ||W_h||)^k. The other remedies of `VanillaRNN` change it in a
    similar way. `None` for cells with gates."""
    gamma: float | None
    """The steepest slope of phi that any unit had at any step."""
    spectra: tuple[KernelSpectrum, ...]
    """Of the recurrent kernel."""
    saturated: np.ndarray | None
    """The share of saturated units at each step, `(time,)`; NaN where every sequence is
    masked. For a cell with gates, the units of all gates count. `None` for cells without
    an attribute `activation` or `recurrent_activation`."""
    lags: tuple[int, ...]
    """How many steps back the verdict looks, in order."""

    @property
    def lag(self) -> int:
        """The longest of `lags`."""
        return self.lags[-1]

    @property
    def statuses(self) -> dict[int, str]:
        """The status at each of `lags`: one of `kerasrnn.analysis.verdict.STATUSES`."""
        return {lag: status_of(self.remaining, lag) for lag in self.lags}

    @property
    def status(self) -> str:
        """The status at `lag`: one of `kerasrnn.analysis.verdict.STATUSES`."""
        return self.statuses[self.lag]

    @property
    def verdict(self) -> str:
        """The status at each of `lags`, and in words what is left of the gradient."""
        found = (describe(self.remaining, lag) for lag in self.lags)
        return f"{self.name}: " + "; ".join(found)

    def to_dict(self) -> dict[str, Any]:
        """All values, for JSON; `None` for those that are not finite."""
        figures = {
            **dataclasses.asdict(self),
            "spectra": [spectrum._asdict() for spectrum in self.spectra],
            "statuses": {str(lag): status for lag, status in self.statuses.items()},
            "status": self.status,
            "lag": self.lag,
            "verdict": self.verdict,
        }
        return {name: _for_json(value) for name, value in figures.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class GradientFlowReport:
    """What `gradient_flow` found: `print` it, `plot` it, or read its `layers`."""

    layers: tuple[LayerFlow, ...]
    loss: float

    @property
    def verdict(self) -> str:
        """One line for each layer: the share of its gradient left `lag` steps back."""
        return "\n".join(layer.verdict for layer in self.layers)

    def __str__(self) -> str:
        return self.verdict

    def to_dict(self) -> dict[str, Any]:
        """All values, in a form that JSON can hold."""
        layers = [layer.to_dict() for layer in self.layers]
        return {"loss": _for_json(self.loss), "layers": layers}

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draws for each layer how much of the gradient is left at each lag.

        The green band is where a share is steady.

        Args:
            path: an image file to write. Default: none is written.

        Returns:
            A matplotlib figure, which a notebook shows.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        columns = min(len(self.layers), 2)
        rows = math.ceil(len(self.layers) / columns)
        figure = make_figure(5.5 * columns, 3.8 * rows)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in grid[len(self.layers) :]:
            unused.set_axis_off()
        for axes, layer in zip(grid, self.layers, strict=False):
            lags = np.arange(len(layer.remaining))
            norms = layer.norms_by_lag / (layer.norms_by_lag.max() or 1.0)
            axes.set_yscale("log")
            _draw(axes, lags, layer.remaining, label="left of the last state's gradient")
            _draw(axes, lags, norms, "--", label=r"$||dL/dh_t||$ / its maximum")
            low, high = axes.get_ylim()
            if layer.bound is not None:
                _draw(axes, lags, layer.bound, ":", label="bound")
            axes.axhspan(FADING, GROWING, color="tab:green", alpha=0.07)
            for lag in layer.lags:
                axes.axvline(lag, color="black", lw=0.8, alpha=0.5)
            lowest, highest = VANISHING / 2, 2 * EXPLODING
            axes.set(
                xlabel="steps before the last",
                ylim=(max(min(low, lowest), 1e-12), min(max(high, highest), 1e12)),
            )
            title = "\n".join(textwrap.fill(line, 70) for line in layer.verdict.split("; "))
            axes.set_title(title, fontsize="small")
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
        return save_figure(figure, path)

    def pixels(self) -> np.ndarray:
        """The plot as an image, uint8 `(height, width, 4)`.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        figure = self.plot()
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())


def _draw(axes, lags: np.ndarray, values: np.ndarray, *style: str, **options: Any) -> None:
    """A curve on a logarithmic axis, without values that are 0 or not finite."""
    drawn = np.isfinite(values) & (values > 0)
    axes.plot(lags[: len(values)], np.where(drawn, values, np.nan), *style, **options)


def _for_json(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_for_json(part) for part in value]
    if isinstance(value, dict):
        return {name: _for_json(part) for name, part in value.items()}
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
