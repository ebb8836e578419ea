"""How far gradients flow back through time: full, truncated, or randomized.

A policy gives one gate for each step. The gate xi_t multiplies the gradient that flows from
step t back to the state before it:

    delta_h_{t-1} = g_{t-1} + xi_t * (delta_a_t W_h^T)

    full        xi_t = 1
    truncated   xi_t = 0 at the first step of every window but the first, else 1
    randomized  xi_t = 1/pi with probability pi, else 0; its mean is 1, and so
                the gradient is unbiased

Gates only change gradients: the forward pass is the same under every policy.
"""

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import (
    check_flags,
    check_positive_integer,
    from_config_of,
    is_number,
    shown,
)

_imposed: contextvars.ContextVar["Truncation | None"] = contextvars.ContextVar(
    "imposed_truncation", default=None
)


@dataclasses.dataclass(frozen=True)
class Truncation:
    """The base class of all policies: immutable, comparable, serializable."""

    def gates(
        self,
        length: int | tf.Tensor,
        batch_size: int | tf.Tensor = 1,
        seed: int | keras.random.SeedGenerator | None = None,
    ) -> tf.Tensor | None:
        """The gates xi_1 to xi_T.

        Args:
            length: T, the number of steps; may be a scalar tensor.
            batch_size: number of sequences.
            seed: an integer or a `keras.random.SeedGenerator`, for policies that draw their
                gates. Default: the global seed of Keras.

        Returns:
            float32 `(length, batch_size, 1)`, or `(length, 1, 1)` if all sequences
            share them; `None` if all gates are 1.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Truncation":
        """The policy with these arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class FullBPTT(Truncation):
    """Full backpropagation through time: every gate is 1.

    Reference: P. Werbos, "Backpropagation through time: what it does and how
    to do it", Proceedings of the IEEE 78(10), 1990, doi:10.1109/5.58337.
    """

    def gates(self, length, batch_size=1, seed=None):
        return None


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class TruncatedBPTT(Truncation):
    """Stops gradients every `window` steps.

    The states at steps `window`, `2 * window`, ... reach the next step, but no gradient flows
    back across these boundaries. This is simple, but biased: the model never learns
    dependencies across a boundary. With `window >= T` it is full backpropagation through
    time.

    Args:
        window: positive integer, the number of steps between two boundaries.

    Raises:
        ValueError: if `window` is not a positive integer.

    Reference: R. Williams and J. Peng, "An efficient gradient-based algorithm
    for on-line training of recurrent network trajectories", Neural Computation
    2(4), 1990, doi:10.1162/neco.1990.2.4.490.

    Example:

    >>> TruncatedBPTT(2).gates(5).numpy().ravel()
    array([1., 1., 0., 1., 0.], dtype=float32)
    """

    window: int

    def __post_init__(self):
        check_positive_integer("window", self.window, ' Use truncation="full" for full BPTT.')
        object.__setattr__(self, "window", int(self.window))

    def gates(self, length, batch_size=1, seed=None):
        t = tf.range(length)
        closed = (t > 0) & (t % self.window == 0)
        return tf.cast(~closed, tf.float32)[:, None, None]


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class RandomizedTruncation(Truncation):
    """Stops gradients at random steps, without bias.

    At each step the gradient passes with probability `keep_probability`, and is then divided
    by it, so its mean stays the same. Truncations are 1 / (1 - keep_probability) steps apart
    on average. The variance grows with the lag, as `keep_probability ** -lag`.

    Args:
        keep_probability: pi, in (0, 1].
        per_sequence: whether each sequence of a batch draws its own gates, which averages out
            the noise; otherwise all share one draw. Default: `True`.

    Raises:
        ValueError: if `keep_probability` is not in (0, 1].

    Reference: C. Tallec and Y. Ollivier, "Unbiasing truncated backpropagation
    through time", 2017, arXiv:1705.08209.

    Example:

    >>> gates = RandomizedTruncation(0.8).gates(1000, batch_size=4, seed=0)
    >>> gates.shape, sorted(set(gates.numpy().ravel().tolist()))
    (TensorShape([1000, 4, 1]), [0.0, 1.25])
    """

    keep_probability: float
    per_sequence: bool = True

    def __post_init__(self):
        check_flags(per_sequence=self.per_sequence)
        if not (is_number(self.keep_probability) and 0 < self.keep_probability <= 1):
            raise ValueError(
                "keep_probability must lie in (0, 1], "
                f"got keep_probability={shown(self.keep_probability)}."
            )

    def gates(self, length, batch_size=1, seed=None):
        shape = (length, batch_size if self.per_sequence else 1, 1)
        kept = keras.random.uniform(shape, seed=seed) < self.keep_probability
        return tf.cast(kept, tf.float32) / self.keep_probability


def get(identifier: "Truncation | str | dict | None") -> Truncation:
    """The policy for `None` or `"full"` (`FullBPTT`), for a policy or for its configuration.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(identifier, dict):
        identifier = from_config_of("truncation", identifier)
    if identifier is None or (isinstance(identifier, str) and identifier == "full"):
        return FullBPTT()
    if isinstance(identifier, Truncation):
        return identifier
    raise ValueError(
        'truncation must be None, "full", TruncatedBPTT(window) or '
        f"RandomizedTruncation(keep_probability), got truncation={shown(identifier)}."
    )


@contextlib.contextmanager
def imposed(policy: "Truncation | str | dict | None") -> Iterator[None]:
    """While this context is open, every `kerasrnn.RNN` uses this policy instead of its own.

    No layer is changed. Layers read the policy when they are called; a graph keeps the
    one that it was traced with. Other threads are not affected, so each replica of a
    `tf.distribute` strategy has to enter the context itself.

    Args:
        policy: as the `truncation` of a layer; `"full"` imposes full backpropagation
            through time. `None` changes nothing: layers use their own policy, or the
            one that an outer `imposed` gives.

    Raises:
        ValueError: if `policy` is none of these.

    Example:

    >>> with imposed(TruncatedBPTT(2)):
    ...     in_force(FullBPTT())
    TruncatedBPTT(window=2)
    """
    if policy is None:
        yield
        return
    token = _imposed.set(get(policy))
    try:
        yield
    finally:
        _imposed.reset(token)


def in_force(own: Truncation) -> Truncation:
    """The policy of a layer that is called here: the imposed one, else its own."""
    return _imposed.get() or own


@tf.custom_gradient
def gate_gradient(state: tf.Tensor, gate: tf.Tensor) -> tf.Tensor:
    """Returns `state` unchanged, and multiplies its gradient by `gate`.

    A gate of 0 also stops gradients that are infinite or not a number.

    Args:
        state: `(batch, units)`.
        gate: xi_t, `(batch, 1)` or `(1, 1)`. No gradient flows to it.

    Returns:
        `(batch, units)`.
    """

    def gradient(upstream):
        return tf.math.multiply_no_nan(upstream, tf.cast(gate, upstream.dtype)), None

    return tf.identity(state), gradient


def products_between(gates: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """The product of the gates after step `first` up to each step, `(batch, time)`."""
    gates = tf.broadcast_to(gates, tf.shape(first))
    closed = gates == 0
    logarithms = tf.cumsum(tf.math.log(tf.where(closed, tf.ones_like(gates), gates)), axis=1)
    counts = tf.cumsum(tf.cast(closed, tf.int32), axis=1)

    def grown(sums):
        return sums - tf.gather(sums, first, batch_dims=1)

    product = tf.exp(grown(logarithms))
    return tf.where(grown(counts) > 0, tf.zeros_like(product), product)
