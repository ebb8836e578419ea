"""What is known of the flow of gradients through recurrent layers, told and drawn."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasrnn.analysis.figures import make_figure
from kerasrnn.analysis.spectrum import KernelSpectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A gradient that has shrunk to a hundredth has vanished for learning beside one that has
# not; clipping is of little use for one that has grown to more than a hundred times.
VANISHED, EXPLODED = 0.01, 100.0


@dataclasses.dataclass(frozen=True, eq=False)
class LayerFlow:
    """The flow of gradients through one recurrent layer, or one cell of a stack."""

    name: str
    norms: np.ndarray
    """||dL/dh_t|| over batch and units, `(time,)`, in the order the layer goes."""
    remaining: np.ndarray
    """What is left, of the gradient that reaches the last h_t, k steps before it, over
    all states of the cell: `(lags,)`, 1 at k = 0. Masked steps are left out."""
    norms_by_lag: np.ndarray
    """`norms`, k steps before the last; masked steps are left out, `(lags,)`."""
    bound: np.ndarray | None
    """(gamma ||W_h||)^k, `(lags,)`; with a leak rate c ((1 - c) + c gamma ||W_h||)^k,
    and alike for the other remedies of `VanillaRNN`; `None` for cells with gates."""
    gamma: float | None
    """The steepest slope of phi that any unit had at any step."""
    spectra: tuple[KernelSpectrum, ...]
    """Of the recurrent kernel."""
    saturated: np.ndarray | None
    """The share of saturated units at each step, `(time,)`; of a cell with gates, of
    the units of all its gates; NaN where all is masked. `None` for cells that do not
    say their activation."""

    @property
    def state(self) -> str:
        """`"vanishing"`, `"healthy"`, `"exploding"`; `"none"` where no gradient comes in,
        `"not finite"` where it is NaN."""
        return self._verdict()[0]

    @property
    def lag(self) -> int:
        """After how many steps it vanishes or explodes; else how many were looked at."""
        return self._verdict()[1]

    @property
    def verdict(self) -> str:
        """The same in words."""
        state, lag = self._verdict()
        words = {
            "not finite": "not finite: the gradient of the last state is NaN or infinite",
            "none": "no gradient reaches the last state",
            "vanishing": f"vanishing: after {lag} steps less than {VANISHED:.0%} is left",
            "exploding": f"exploding: over {EXPLODED:.0f} times as large after {lag} steps",
            "healthy": f"healthy: {self.remaining[lag]:.3g} times as large after {lag} steps",
        }
        return f"{self.name}: {words[state]}"

    def _verdict(self) -> tuple[str, int]:
        if np.isnan(self.remaining[0]):
            return "not finite", 0
        if self.remaining[0] == 0:
            return "none", 0
        beyond = ~((self.remaining >= VANISHED) & (self.remaining <= EXPLODED))
        if not beyond.any():
            return "healthy", len(self.remaining) - 1
        lag = int(np.argmax(beyond))
        return "vanishing" if self.remaining[lag] < VANISHED else "exploding", lag

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON takes them; `None` for those that are not finite."""
        figures = {
            **dataclasses.asdict(self),
            "spectra": [spectrum._asdict() for spectrum in self.spectra],
            "state": self.state,
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
        """One line for each layer: vanishing, healthy or exploding, and at what lag."""
        return "\n".join(layer.verdict for layer in self.layers)

    def __str__(self) -> str:
        return self.verdict

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON takes them."""
        layers = [layer.to_dict() for layer in self.layers]
        return {"loss": _for_json(self.loss), "layers": layers}

    def figure(self) -> "Figure":
        """A matplotlib figure: for each layer what is left of the gradient at each lag.

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
            axes.axhspan(VANISHED, EXPLODED, color="tab:green", alpha=0.07)
            axes.set(
                title=layer.verdict,
                xlabel="steps before the last",
                ylim=(max(min(low, VANISHED / 2), 1e-12), min(max(high, 2 * EXPLODED), 1e12)),
            )
            axes.title.set_fontsize("small")
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
        return figure

    def pixels(self) -> np.ndarray:
        """The `figure` as an image, uint8 `(height, width, 4)`.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        figure = self.figure()
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())

    def plot(self, path: str | Path) -> None:
        """Draws the `figure` into an image file.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        self.figure().savefig(path, dpi=120)


def _draw(axes, lags: np.ndarray, values: np.ndarray, *style: str, **options: Any) -> None:
    """A curve on a logarithmic axis, which ends where values are 0 or not finite."""
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
