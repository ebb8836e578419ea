"""How scans over time run: compiled by XLA, as a graph traced once, or as plain ops.

XLA compiles again for each new shape, which takes from a tenth of a second to two seconds,
and memory that is never freed. Training meets few shapes, and is worth it. Eager inference
may meet many, so it runs one graph of plain ops instead. Graphs of inference hold the plain
ops themselves. `scan_mode` asks for something else.
"""

import contextlib
import contextvars
import enum
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kerasrnn.checks import check_one_of
from kerasrnn.layers.equations import Equations

MODES = ("auto", "compiled", "portable")

_mode = contextvars.ContextVar("scan_mode", default="auto")


class Execution(enum.Enum):
    """How one scan runs."""

    COMPILED = "compiled by XLA, once for every shape"
    TRACED = "a graph of its own, traced once for all shapes, as eager calls need it"
    IN_PLACE = "plain ops where it is called, with gradients written by hand"
    PORTABLE = "plain ops where it is called, and nothing written by hand"

    @property
    def is_opaque(self) -> bool:
        """Whether a tape sees none of the ops inside."""
        return self in (Execution.COMPILED, Execution.TRACED)


@contextlib.contextmanager
def scan_mode(mode: str) -> Iterator[None]:
    """Inside, scans over time run in this mode, in this thread.

    It is read when a layer is called; a graph keeps the mode that it was traced in.

    Args:
        mode: `"auto"`: XLA compiles scans in training; an eager call of inference runs a
            graph that is traced once; graphs of inference hold plain ops. `"compiled"`:
            XLA compiles scans in inference, too, as evaluation within a training does.
            `"portable"`: plain ops alone, without gradients written by hand and without
            gates on gradients, for models that are exported.

    Raises:
        ValueError: for any other mode.
    """
    check_one_of("mode", mode, MODES)
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)


def choose_execution(training: bool) -> Execution:
    """How a scan that is called here runs: by the mode, and by what calls it."""
    mode = _mode.get()
    if mode == "portable":
        return Execution.PORTABLE
    if training or mode == "compiled":
        return Execution.COMPILED
    return Execution.TRACED if tf.executing_eagerly() else Execution.IN_PLACE


def run(scan: Callable, equations: Equations, execution: Execution, *arguments: Any) -> Any:
    """Calls `scan(*arguments, equations)` as `execution` says.

    Args:
        scan: a function of nests of tensors, in which an entry may be `None`.
        equations: those of the cell.
        execution: how it runs.
        *arguments: the nests.

    Returns:
        What `scan` returns: any nest of tensors and other objects.
    """
    if not execution.is_opaque:
        return scan(*arguments, equations)
    flat = [None if x is None else tf.stop_gradient(x) for x in tf.nest.flatten(arguments)]
    kinds = tuple(None if x is None else (x.dtype, len(x.shape)) for x in flat)
    empty = tf.nest.map_structure(lambda _: None, arguments)
    trace = _trace(scan, equations, empty, kinds, execution is Execution.COMPILED)
    return trace(*(x for x in flat if x is not None))


@functools.cache
def _trace(
    scan: Callable, equations: Equations, structure: tuple, kinds: tuple, compiled: bool
) -> Callable:
    """`scan` for tensors of these (dtype, rank): traced once, for all shapes."""
    found: list = []

    def run_present(*present):
        remaining = iter(present)
        flat = [None if kind is None else next(remaining) for kind in kinds]
        found.append(scan(*tf.nest.pack_sequence_as(structure, flat), equations))
        return _distinct_tensors(found[-1])

    signature = [tf.TensorSpec([None] * kind[1], kind[0]) for kind in kinds if kind]
    with tf.init_scope():  # not a part of whatever graph is being traced
        function = tf.function(run_present, signature, autograph=False, jit_compile=compiled)
        concrete = function.get_concrete_function()
    traced = _distinct_tensors(found[-1])

    def call(*present):
        results = dict(zip(map(id, traced), concrete(*present), strict=True))
        return tf.nest.map_structure(lambda x: results.get(id(x), x), found[-1])

    return call


def _distinct_tensors(nest: Any) -> list[tf.Tensor]:
    """The tensors of a nest that may hold other objects, each once."""
    return list({id(x): x for x in tf.nest.flatten(nest) if tf.is_tensor(x)}.values())


# XLA compiles once for every shape. Where the length is not fixed, buffers are
# therefore made a little longer, at most by a quarter above 32 steps, so that
# any mixture of lengths meets few shapes; the scan still runs `length` steps.
_BUFFER_LENGTHS = (*range(8, 64, 8), *(k * 2**e for e in range(3, 20) for k in (8, 10, 12, 14)))


def pad_time(tensor: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Pads a tensor of `length` time steps to the next of a few lengths."""
    lengths = tf.constant(_BUFFER_LENGTHS)
    index = tf.searchsorted(lengths, length[None])[0]
    padded = tf.maximum(length, tf.gather(lengths, tf.minimum(index, len(_BUFFER_LENGTHS) - 1)))
    return tf.pad(tensor, [[0, padded - length], [0, 0], [0, 0]])
