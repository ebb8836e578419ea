"""The two loops over time of training, for the equations of any cell. The first axis is time.

Forward, the steps keep what their adjoints need. Backward, with g_t the gradient that reaches
s_t from above and a gate xi_t that says how far gradients flow back in time
(`kerasrnn.layers.truncation`; 1 for full backpropagation through time):

    delta_t = g_t + back_{t+1}
    dp_t, ds_{t-1} = adjoint(..., alpha_t * delta_t, ...)
    back_t = xi_t * (ds_{t-1} + (1 - alpha_t) * delta_t)
    dalpha_t = delta_t * (n_t - s_{t-1})

with n_t and alpha_t as in `kerasrnn.layers.surroundings`.

Reference: P. Werbos, "Backpropagation through time: what it does and how to do it",
Proceedings of the IEEE 78(10), 1990, doi:10.1109/5.58337.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasrnn.layers.equation_checks import check_adjoint
from kerasrnn.layers.equations import BackwardProduct, Equations, Product
from kerasrnn.layers.surroundings import Surroundings, Tensors, slices_of, take_step


def scan_forward_and_keep(
    inputs: Tensors,
    weights: Tensors,
    states: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[Tensors, tuple[tf.Tensor | None, ...], Tensors, Tensors]:
    """The last states, and all that `scan_backward` needs.

    Args:
        inputs: p of each gate, `(time, batch, units)`.
        weights: W of each product.
        states: those before the first step, each `(batch, units)`.
        around: the surroundings.
        equations: those of the cell.

    Returns:
        For each state s_0 to s_T, `(time + 1, batch, units)`; n of each state with an update,
        `None` for the others; what the steps kept, `(time, batch, units)`; and the last
        states, each `(batch, units)`.
    """
    product = Product(weights, around.dropout_masks)
    num_states = len(states)
    renewed = [j for j, u in enumerate(around.updates or ()) if u is not None]
    num_steps = tf.shape(inputs[0])[0]

    def take(t, before):
        (slices,) = slices_of(t, 1, inputs, around, num_states)
        after, new, kept = take_step(slices, before, product, equations)
        return after, [*(new[j] for j in renewed), *kept]

    def body(t, before, histories, arrays):
        after, recorded = take(t, before)
        histories = tuple(a.write(t + 1, s) for a, s in zip(histories, after, strict=True))
        arrays = tuple(a.write(t, x) for a, x in zip(arrays, recorded, strict=True))
        return t + 1, after, histories, arrays

    histories = tuple(_array(num_steps + 1, s).write(0, s) for s in states)
    # One step outside the loop, which is never run, says how many tensors a step records.
    arrays = tuple(_array(num_steps, x) for x in take(0, states)[1])
    first = (tf.constant(0), states, histories, arrays)
    _, last, histories, arrays = tf.while_loop(lambda t, *_: t < around.length, body, first)
    recorded = [array.stack() for array in arrays]
    new = dict(zip(renewed, recorded, strict=False))
    return (
        tuple(history.stack() for history in histories),
        tuple(new.get(j) for j in range(num_states)),
        tuple(recorded[len(renewed) :]),
        last,
    )


class Noted(NamedTuple):
    """One product of all steps: dW_k = sum_t (m_k * u_t)^T d_t."""

    k: int
    """The number of the weight."""
    state: int | None
    """The number of the state that the product reads, if that is what it reads."""
    read: tf.Tensor | None
    """u, `(time, batch, units)`, if it is anything else; `None` for a bias, too."""
    delta: tf.Tensor
    """`(time, batch, units)`."""


def scan_backward(
    output_gradients: tf.Tensor | None,
    last_gradients: Tensors,
    kept: Tensors,
    histories: Tensors,
    new: tuple[tf.Tensor | None, ...],
    weights: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[Tensors, list[Noted], Tensors, Tensors | None]:
    """The gradients of inputs and states, and what those of the weights are made of.

    Args:
        output_gradients: g, the gradients that reach the outputs from above,
            `(time, batch, units)`; `None`, if nothing but the last states was used.
        last_gradients: those that reach the last states.
        kept, histories, new: from `scan_forward_and_keep`.
        weights, around, equations: as given to `scan_forward_and_keep`.

    Returns:
        dp of each gate, `(time, batch, units)`; the products of all steps; the gradients of
        the first states; with updates, for each state delta, `(time, batch, units)`, 0 at
        masked steps.
    """

    transposed = [w if len(w.shape) == 1 else tf.transpose(w) for w in weights]

    def take(t, deltas):
        if output_gradients is not None:
            deltas = (deltas[0] + output_gradients[t], *deltas[1:])
        before = [history[t] for history in histories]
        after = [
            history[t + 1] if n is None else n[t]
            for history, n in zip(histories, new, strict=True)
        ]
        kept_t = [x[t] for x in kept]
        (slices,) = slices_of(t, 1, (), around, len(deltas))
        updates, mask = slices.updates, slices.mask
        used = [d if u is None else u * d for d, u in zip(deltas, updates, strict=True)]
        product = BackwardProduct(transposed, around.dropout_masks)
        returned = equations.adjoint(kept_t, before, after, used, product)
        dp, back = check_adjoint(returned, before)
        back = [
            b if u is None else b + (1 - u) * d
            for b, d, u in zip(back, deltas, updates, strict=True)
        ]
        if mask is not None:
            back = [tf.where(mask, b, d) for b, d in zip(back, deltas, strict=True)]
        if around.gates is not None:  # a gate of 0 stops infinite gradients, too
            back = [tf.math.multiply_no_nan(b, around.gates[t]) for b in back]
        return tuple(back), _Record(
            dp, product.noted, before, deltas if around.updates else None, mask
        )

    # One step outside the loop, which is never run, says what a step records.
    template = take(around.length - 1, last_gradients)[1]

    def body(t, deltas, arrays):
        deltas, record = take(t, deltas)
        arrays = tuple(a.write(t, x) for a, x in zip(arrays, record.tensors, strict=True))
        return t - 1, deltas, arrays

    num_steps = tf.shape(histories[0])[0] - 1
    arrays = tuple(_array(num_steps, x) for x in template.tensors)
    start = (around.length - 1, last_gradients, arrays)
    _, first_gradients, arrays = tf.while_loop(lambda t, *_: t >= 0, body, start)
    dp, noted, deltas = template.unpack([array.stack() for array in arrays])
    return dp, noted, first_gradients, deltas


class _Record:
    """What the adjoint of one step hands out, each tensor once, and 0 at masked steps."""

    def __init__(self, dp, noted, before, deltas, mask):
        self._tensors: list[tf.Tensor] = []
        self._dp = [self._place(x) for x in dp]
        self._noted = [
            (k, *self._find(read, before), self._place(delta)) for k, read, delta in noted
        ]
        self._deltas = None if deltas is None else [self._place(x) for x in deltas]
        self.tensors = self._tensors
        if mask is not None:
            self.tensors = [tf.where(mask, x, tf.zeros_like(x)) for x in self._tensors]

    def _place(self, tensor):
        """The place of a tensor in the list."""
        for place, other in enumerate(self._tensors):
            if other is tensor:
                return place
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _find(self, read, before):
        """What a product reads: the number of a state, or a place; neither for a bias."""
        for number, state in enumerate(before):
            if read is state:
                return number, None
        return None, None if read is None else self._place(read)

    def unpack(self, stacked):
        """The same of all steps, from the stacked tensors."""
        noted = [
            Noted(k, state, None if place is None else stacked[place], stacked[delta])
            for k, state, place, delta in self._noted
        ]
        deltas = None if self._deltas is None else tuple(stacked[x] for x in self._deltas)
        return tuple(stacked[x] for x in self._dp), noted, deltas


def _array(size: tf.Tensor, element: tf.Tensor) -> tf.TensorArray:
    return tf.TensorArray(element.dtype, size, element_shape=element.shape)
