"""What happens around each step, for every cell. The first axis is time.

Masks: where a mask is `False`, the states stay unchanged. Partial updates: a step renews only a
share alpha_t of a state, with n_t = step(...):

    s_t = (1 - alpha_t) s_{t-1} + alpha_t n_t

(In leaky integration alpha is the leak rate. In zoneout it is 0 where a unit keeps its state.)

References: D. Krueger et al., "Zoneout", 2016, arXiv:1606.01305. H. Jaeger et al.,
"Optimization and applications of echo state networks with leaky-integrator neurons", Neural
Networks 20(3), 2007, doi:10.1016/j.neunet.2007.04.016.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasrnn.layers.equation_checks import check_step
from kerasrnn.layers.equations import Equations, Product

Tensors = tuple[tf.Tensor, ...]


class Surroundings(NamedTuple):
    """What stands around the steps; everything but the length may be `None`."""

    length: tf.Tensor | int
    """int32 scalar, how many leading steps count."""
    mask: tf.Tensor | None = None
    """Booleans, `(time, batch, 1)`."""
    gates: tf.Tensor | None = None
    """xi, `(time, batch, 1)` or `(time, 1, 1)`; only for gradients."""
    dropout_masks: tuple[tf.Tensor | None, ...] | None = None
    """m, `(batch, units)` for each weight."""
    updates: tuple[tf.Tensor | None, ...] | None = None
    """alpha, `(units,)` or `(time, batch, units)` for each state."""


def renew(before: tf.Tensor, new: tf.Tensor, update: tf.Tensor | None) -> tf.Tensor:
    """(1 - alpha) s_{t-1} + alpha n_t."""
    return new if update is None else (1 - update) * before + update * new


class Slices(NamedTuple):
    """What one step reads of the tensors over time."""

    inputs: list[tf.Tensor]
    mask: tf.Tensor | None
    updates: list[tf.Tensor | None]


def at_steps(tensor: tf.Tensor, t: tf.Tensor, size: int) -> tf.Tensor:
    """`size` steps of a tensor `(time, ...)`, from step t on."""
    # XLA, which compiles loops that never run, too, takes no slice longer than the tensor.
    return tf.gather(tensor, t + tf.range(size))


def slices_of(
    t: tf.Tensor,
    size: int,
    inputs: Tensors,
    around: Surroundings,
    num_states: int,
    first_input: tf.Tensor | int = 0,
) -> list[Slices]:
    """What `size` steps read, from step t on; `inputs` begin with step `first_input`."""

    def cut(tensor, t=t):
        if tensor is None or len(tensor.shape) < 3:
            return [tensor] * size
        if size == 1:
            return [tensor[t]]
        return tf.unstack(at_steps(tensor, t, size), num=size)

    of_inputs = [cut(p, t - first_input) for p in inputs]
    of_updates = [cut(u) for u in around.updates or (None,) * num_states]
    mask = cut(around.mask)
    return [
        Slices([p[k] for p in of_inputs], mask[k], [u[k] for u in of_updates])
        for k in range(size)
    ]


def take_step(
    slices: Slices, before: Tensors, product: Product, equations: Equations
) -> tuple[Tensors, list[tf.Tensor], list[tf.Tensor]]:
    """The states after a step, the n of each, and what the step keeps."""
    new, kept = check_step(equations.step(slices.inputs, before, product), before)
    after = tuple(renew(s, n, u) for s, n, u in zip(before, new, slices.updates, strict=True))
    if slices.mask is not None:
        after = tuple(tf.where(slices.mask, a, s) for a, s in zip(after, before, strict=True))
    return after, new, kept
