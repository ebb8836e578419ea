"""Those that are compared, a file for each library.

A peer is a function that takes a `Problem` and returns it `Prepared`: ready to run.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.options import CELLS, Cell
from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem


class Peer(NamedTuple):
    """Where a peer is, and what it can do."""

    module: str
    """In this package."""
    function: str
    cells: tuple[Cell, ...] = CELLS
    package: str | None = None
    """What must be installed, beside what kerasrnn needs."""

    @property
    def is_installed(self) -> bool:
        return self.package is None or importlib.util.find_spec(self.package) is not None

    def load(self) -> Callable[[Problem], Prepared]:
        """Imports the peer's library."""
        module = importlib.import_module(f"benchmarks.peers.{self.module}")
        return getattr(module, self.function)


OURS, REFERENCE = "kerasrnn", "Keras"
"""The one whose ratios are 1, and the one with whose numbers all must agree."""
PEERS = {
    OURS: Peer("keras_layers", "prepare_ours"),
    REFERENCE: Peer("keras_layers", "prepare_keras"),
    "Keras XLA": Peer("keras_layers", "prepare_keras_with_xla"),
    "BlockLSTM": Peer("block_lstm", "prepare", cells=("lstm",)),
    "PyTorch": Peer("pytorch", "prepare", package="torch"),
    "JAX": Peer("jax_scan", "prepare", package="jax"),
}
PRODUCTS = {
    "XLA products": Peer("products_in_xla", "prepare_part"),
    "PyTorch products": Peer("products_in_pytorch", "prepare_part", package="torch"),
    "JAX products": Peer("products_in_jax", "prepare_part", package="jax"),
}
"""Not layers: only the matrix products that no layer can avoid; their functions take the name
of the part, too."""
PARTS = {
    "forward": ("inputs", "steps"),
    "training": ("inputs", "steps", "steps back", "gradients"),
}
"""The parts of the products of each call."""
