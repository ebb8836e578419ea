"""Draws how much of a gradient is left after k steps back through time, in four layers.

    python -m examples.gradient_flow_picture docs/images/gradient_flow.png

All layers have 64 units and initial weights, and read the same random sequences. Each curve
is `remaining` of `kerasrnn.gradient_flow`. Takes a few seconds; needs the extra viz.
"""

import sys

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np

    import kerasrnn

from matplotlib.figure import Figure

UNITS, BATCH_SIZE, STEPS, FEATURES = 64, 32, 100, 2
VANISHED = 0.01
"""A gradient of which less than this share is left counts as vanished."""
LOWEST = 1e-9
"""Where the vertical axis begins."""


def make_layers() -> dict[str, keras.layers.Layer]:
    """The layers, each under the name that the picture gives it."""
    keras.utils.set_random_seed(0)
    return {
        "VanillaRNN, leak_rate=0.02": kerasrnn.VanillaRNN(UNITS, leak_rate=0.02),
        "VanillaRNN, ReLU and identity": kerasrnn.VanillaRNN(
            UNITS, activation="relu", recurrent_initializer="identity"
        ),
        "SimpleRNN": keras.layers.SimpleRNN(UNITS),
        "LSTM": keras.layers.LSTM(UNITS),
    }


def measure_remaining(layer: keras.layers.Layer) -> np.ndarray:
    """The share of the last state's gradient that is left k steps before, for each k."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=[BATCH_SIZE, STEPS, FEATURES])
    targets = np.ones([BATCH_SIZE, 1])
    model = keras.Sequential([keras.Input([STEPS, FEATURES]), layer, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return kerasrnn.gradient_flow(model, inputs, targets).layers[0].remaining


def draw(curves: dict[str, np.ndarray]) -> Figure:
    """One curve for each layer, with its name at the end."""
    figure = Figure(figsize=(9, 4.5), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set_title("How much of a gradient is left on its way back, before training")
    axes.axhspan(LOWEST, VANISHED, color="black", alpha=0.05)
    axes.text(1, 2 * LOWEST, "vanished: less than 1 % is left", color="dimgray")
    colors = ("C0", "C2", "C3", "C1")
    offsets = (8, -8, 0, 0)  # the first two curves end close together
    for (name, remaining), color, offset in zip(curves.items(), colors, offsets, strict=True):
        last = len(remaining) - 1
        axes.plot(remaining, color=color, linewidth=2.5)
        axes.annotate(
            name,
            (last, remaining[last]),
            xytext=(6, offset),
            textcoords="offset points",
            va="center",
            color=color,
            fontweight="bold",
        )
    axes.set(
        xlabel="steps back through time",
        ylabel="share of the last state's gradient",
        yscale="log",
        xlim=(0, 1.4 * STEPS),
        ylim=(LOWEST, 10),
        xticks=range(0, STEPS + 1, 20),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure


def main(path: str) -> None:
    """Measures, prints a line for each layer, and draws into `path`."""
    curves = {name: measure_remaining(layer) for name, layer in make_layers().items()}
    for name, remaining in curves.items():
        print(f"{name}: {remaining[-1]:.1e} is left after {len(remaining) - 1} steps")
    draw(curves).savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1])
