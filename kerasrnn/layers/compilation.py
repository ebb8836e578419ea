"""How scans over time run: compiled by XLA, as a graph traced once, or as plain ops.

XLA compiles them in training. It compiles again for each new shape, which takes a tenth of a
second and memory that is never freed. Eager inference may see many shapes, so it runs one
graph of plain ops instead. Graphs of inference hold the plain ops
themselves, so that an exported model runs anywhere.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

from kerasrnn.layers.activations import Activation

_compiles_inference = contextvars.ContextVar("compiles_inference", default=False)
_inference_only = contextvars.ContextVar("inference_only", default=False)


def compiled_inference() -> contextlib.AbstractContextManager[None]:
    """XLA compiles scans of inference too, in graphs traced here that are never exported."""
    return _switched_on(_compiles_inference)


def inference_only() -> contextlib.AbstractContextManager[None]:
    """Graphs traced here, to be exported, hold no gradients written by hand."""
    return _switched_on(_inference_only)


@contextlib.contextmanager
def _switched_on(switch: contextvars.ContextVar[bool]) -> Iterator[None]:
    token = switch.set(True)
    try:
        yield
    finally:
        switch.reset(token)


def compiles(training: bool) -> bool:
    """Whether XLA compiles scans forward: in training, and in `compiled_inference`."""
    return training or _compiles_inference.get()


def is_inference_only() -> bool:
    """Whether the graph being traced is to be exported: inside `inference_only`."""
    return _inference_only.get()


def run(
    scan: Callable, phi: Activation, compiled: bool, traced: bool, *tensors: tf.Tensor | None
):
    """Calls `scan`: compiled by XLA, as a graph of its own, or else as plain TensorFlow ops.

    No tape sees inside the first two, since XLA cannot differentiate its loop.
    """
    if not (compiled or traced):
        return scan(*tensors, phi=phi)
    tensors = tuple(None if x is None else tf.stop_gradient(x) for x in tensors)
    kinds = tuple(None if x is None else (x.dtype, len(x.shape)) for x in tensors)
    return _trace(scan, phi, kinds, compiled)(*(x for x in tensors if x is not None))


@functools.cache
def _trace(scan: Callable, phi: Activation, kinds: tuple, compiled: bool) -> Callable:
    """`scan` for tensors of these (dtype, rank): traced once, for all shapes."""

    def run_present(*present):
        remaining = iter(present)
        return scan(*(None if kind is None else next(remaining) for kind in kinds), phi=phi)

    signature = [tf.TensorSpec([None] * kind[1], kind[0]) for kind in kinds if kind]
    with tf.init_scope():  # not a part of whatever graph is being traced
        function = tf.function(run_present, signature, autograph=False, jit_compile=compiled)
        return function.get_concrete_function()


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
