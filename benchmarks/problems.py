"""What all layers compute: the cells, the shapes, and the same numbers for everyone."""

import dataclasses
from typing import NamedTuple

import numpy as np

from apps.errors import UserError
from benchmarks.options import Call, Cell, Masks

NUM_GATES: dict[Cell, int] = {"vanilla": 1, "lstm": 4, "gru": 3}
REVIEW_LENGTHS = (
    *(10, 64, 91, 110, 120, 127, 134, 142, 151, 162),
    *(174, 188, 206, 227, 252, 284, 325, 376, 458, 598, 2470),
)
"""Words of an IMDB review, `len(text.split())`: the quantiles 0, 0.05, ... 1 over the 25,000
training reviews."""


class Shape(NamedTuple):
    """The sizes of a batch of sequences and of the layer that reads it."""

    batch: int
    time: int
    features: int
    units: int

    def __str__(self) -> str:
        return ",".join(map(str, self))


SHAPES = (
    Shape(1, 200, 128, 128),
    Shape(8, 100, 64, 64),
    Shape(32, 200, 128, 128),
    Shape(128, 200, 128, 128),
    Shape(64, 100, 256, 512),
    Shape(32, 1000, 64, 64),
    Shape(64, 128, 65, 1024),
)
QUICK_SHAPES = (Shape(4, 120, 3, 8),)
"""Long enough that one of the reviews is padded."""


def choose_shapes(chosen: tuple[str, ...], quick: bool) -> tuple[Shape, ...]:
    """The shapes that are named, by position or by their four numbers; all, if none is.

    Raises:
        UserError: if a text is neither.
    """
    known = QUICK_SHAPES if quick else SHAPES
    return tuple(_parse(text, known) for text in chosen) or known


def _parse(text: str, known: tuple[Shape, ...]) -> Shape:
    numbers = text.split(",")
    if all(number.strip().isdecimal() for number in numbers):
        values = [int(number) for number in numbers]
        if len(values) == 1 and values[0] < len(known):
            return known[values[0]]
        if len(values) == 4 and min(values) > 0:
            return Shape(*values)
    raise UserError(
        f"--shapes: expected a position from 0 to {len(known) - 1}, or "
        f"batch,time,features,units, got {text!r}."
    )


class Weights(NamedTuple):
    """The weights of a layer, with the shapes and the order of gates that Keras has."""

    kernel: np.ndarray
    """`(features, gates * units)`."""
    recurrent_kernel: np.ndarray
    """`(units, gates * units)`."""
    bias: np.ndarray
    """`(gates * units,)`; for a GRU `(2, gates * units)`, of the inputs and of the state."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is computed: every process draws the same numbers for it.

    `forward` computes the outputs of all steps. `training` computes the gradients of the
    inputs and of all weights, for the sum of the squares of these outputs. With masks,
    sequences are padded on the right, and outputs at padding do not count.
    """

    cell: Cell
    shape: Shape
    call: Call
    masks: Masks = "none"

    @property
    def num_gates(self) -> int:
        return NUM_GATES[self.cell]

    def inputs(self) -> np.ndarray:
        """`(batch, time, features)`."""
        batch, time, features, _ = self.shape
        x = np.random.default_rng(0).normal(size=(batch, time, features)).astype("float32")
        return self.without_padding(x)

    def lengths(self) -> np.ndarray | None:
        """`(batch,)`: those of reviews, cut to the time of the shape."""
        return None if self.masks == "none" else draw_lengths(self.shape.batch, self.shape.time)

    def mask(self) -> np.ndarray | None:
        """`(batch, time)`, `False` at padding."""
        lengths = self.lengths()
        return None if lengths is None else np.arange(self.shape.time) < lengths[:, None]

    def without_padding(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs with zeros at padding."""
        mask = self.mask()
        return outputs if mask is None else outputs * mask[..., None]

    def weights(self) -> Weights:
        _, _, features, units = self.shape
        rng = np.random.default_rng(2)
        width = self.num_gates * units
        bias_shape = (2, width) if self.cell == "gru" else (width,)
        return Weights(
            (rng.normal(size=(features, width)) / features**0.5).astype("float32"),
            (rng.normal(size=(units, width)) / units**0.5).astype("float32"),
            rng.normal(scale=0.1, size=bias_shape).astype("float32"),
        )


def draw_lengths(count: int, longest: int) -> np.ndarray:
    """Random lengths of reviews, cut: always the same, `(count,)`."""
    draws = np.random.default_rng(1).uniform(size=count)
    quantiles = np.linspace(0, 1, len(REVIEW_LENGTHS))
    lengths = np.interp(draws, quantiles, REVIEW_LENGTHS)
    return np.minimum(lengths.astype("int64"), longest)


def difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest relative difference, ||found - expected|| / ||expected||, of any array."""
    return max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(found, expected, strict=True)
    )
