"""The two loops over time, for the equations of any cell. The first axis is time.

Around a step there may be

    a mask: a step that is not in it carries the states through unchanged;
    shares u of the states that a step renews: with n_t = step(...),

        s_t = (1 - u_t) s_{t-1} + u_t n_t

        (in leaky integration u is the leak rate, and in zoneout it is 0 where a unit keeps
        its state).

Backward, with g_t the gradient that reaches s_t from above and a gate xi_t that says how far
gradients flow back in time (`kerasrnn.layers.truncation`; 1 for full backpropagation through
time):

    delta_t = g_t + back_{t+1}
    dp_t, ds_{t-1} = adjoint(..., u_t * delta_t, ...)
    back_t = xi_t * (ds_{t-1} + (1 - u_t) * delta_t)         du_t = delta_t * (n_t - s_{t-1})

References: P. Werbos, "Backpropagation through time: what it does and how to do it",
Proceedings of the IEEE 78(10), 1990, doi:10.1109/5.58337. D. Krueger et al., "Zoneout", 2016,
arXiv:1606.01305. H. Jaeger et al., "Optimization and applications of echo state networks with
leaky-integrator neurons", Neural Networks 20(3), 2007, doi:10.1016/j.neunet.2007.04.016.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasrnn.layers.equations import BackwardProduct, Equations, Product

Tensors = tuple[tf.Tensor, ...]

BLOCK = 16
"""Steps in one turn of a loop of plain operations."""


class Surroundings(NamedTuple):
    """What stands around the steps; everything but the length may be `None`."""

    length: tf.Tensor
    """int32 scalar, how many leading steps count."""
    mask: tf.Tensor | None = None
    """Booleans, `(time, batch, 1)` or `(time, batch, units)`."""
    gates: tf.Tensor | None = None
    """xi, `(time, batch, 1)` or `(time, 1, 1)`; only for gradients."""
    dropout_masks: tuple[tf.Tensor | None, ...] | None = None
    """m, `(batch, units)` for each weight."""
    updates: tuple[tf.Tensor | None, ...] | None = None
    """u, `(units,)` or `(time, batch, units)` for each state."""


def renew(before: tf.Tensor, new: tf.Tensor, update: tf.Tensor | None) -> tf.Tensor:
    """(1 - u) s_{t-1} + u n_t."""
    return new if update is None else (1 - update) * before + update * new


def scan_forward(
    inputs: Tensors,
    weights: Tensors,
    states: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[tf.Tensor, Tensors]:
    """The outputs and the last states, with nothing kept for gradients.

    A turn of a loop costs about as much as ten operations, so `BLOCK` steps share one turn.
    The steps that are left over have a turn each.

    Args:
        inputs: p of each gate, `(time, batch, units)`.
        weights: W of each product.
        states: those before the first step, each `(batch, units)`.
        around: the surroundings.
        equations: those of the cell.

    Returns:
        The first state after every step, `(time, batch, units)`, and all states after the
        last, each `(batch, units)`.
    """
    run = _make_run(inputs, weights, around, equations)
    whole_blocks = around.length // BLOCK
    blocks, states = run(states, tf.constant(0), whole_blocks, BLOCK)
    start = whole_blocks * BLOCK
    others, states = run(states, start, around.length - start, 1)
    return tf.concat([blocks, others], 0), states


def scan_to_last(
    inputs: Tensors,
    weights: Tensors,
    states: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[None, Tensors]:
    """As `scan_forward`, for the last states alone."""
    run = _make_run(inputs, weights, around, equations)
    whole_blocks = around.length // BLOCK
    _, states = run(states, tf.constant(0), whole_blocks, BLOCK, stores=False)
    start = whole_blocks * BLOCK
    _, states = run(states, start, around.length - start, 1, stores=False)
    return None, states


def _make_run(inputs, weights, around, equations):
    """A function that runs blocks of steps."""
    product = Product(weights, around.dropout_masks)

    def take_block(start, states, size):
        """The first state after each of `size` steps, and the states after the last."""
        outputs = []
        for slices in _slices(start, size, inputs, around, len(states)):
            states, *_ = _step(slices, states, product, equations)
            outputs.append(states[0])
        return outputs, states

    def run(states, start, num_blocks, size, stores=True):
        """The outputs and last states of `num_blocks` times `size` steps from `start`."""
        # A tf.TensorArray notes the element's shape as a constant, in which the batch is left
        # open; converters of exported graphs need to know where it comes from.
        batch_and_units, dtype = tf.shape(states[0]), states[0].dtype
        shape = tf.concat([[size], batch_and_units], 0)

        def body(n, states, *lists):
            outputs, states = take_block(start + n * size, states, size)
            lists = [
                tf.raw_ops.TensorListSetItem(input_handle=x, index=n, item=tf.stack(outputs))
                for x in lists
            ]
            return n + 1, states, *lists

        lists = [
            tf.raw_ops.TensorListReserve(
                element_shape=shape, num_elements=num_blocks, element_dtype=dtype
            )
        ] * stores
        first = (tf.constant(0), states, *lists)
        _, states, *lists = tf.while_loop(lambda n, *_: n < num_blocks, body, first)
        if not stores:
            return None, states
        blocks = tf.raw_ops.TensorListStack(
            input_handle=lists[0], element_shape=shape, element_dtype=dtype
        )
        steps = tf.reshape(blocks, tf.concat([[num_blocks * size], batch_and_units], 0))
        return tf.ensure_shape(steps, [None, *states[0].shape]), states

    return run


def scan_forward_and_keep(
    inputs: Tensors,
    weights: Tensors,
    states: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[Tensors, tuple[tf.Tensor | None, ...], Tensors, Tensors]:
    """The same with all that `scan_backward` needs.

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
        (slices,) = _slices(t, 1, inputs, around, num_states)
        after, new, kept = _step(slices, before, product, equations)
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


class _Slices(NamedTuple):
    """What one step reads of the tensors over time."""

    inputs: list[tf.Tensor]
    mask: tf.Tensor | None
    updates: list[tf.Tensor | None]


def _slices(t, size, inputs, around, num_states):
    """The slices of `size` steps from step t."""

    def cut(tensor, over_time=True):
        if tensor is None or not over_time:
            return [tensor] * size
        if size == 1:
            return [tensor[t]]
        # XLA, which compiles loops that never run, too, takes no slice longer than the tensor.
        return tf.unstack(tf.gather(tensor, t + tf.range(size)), num=size)

    of_inputs = [cut(p) for p in inputs]
    of_updates = [
        cut(u, u is not None and len(u.shape) == 3)
        for u in around.updates or (None,) * num_states
    ]
    mask = cut(around.mask)
    return [
        _Slices([p[k] for p in of_inputs], mask[k], [u[k] for u in of_updates])
        for k in range(size)
    ]


def _step(slices, before, product, equations):
    """The states after a step, the n of each, and what the step keeps."""
    new, kept = equations.step(slices.inputs, before, product)
    after = tuple(renew(s, n, u) for s, n, u in zip(before, new, slices.updates, strict=True))
    if slices.mask is not None:
        after = tuple(tf.where(slices.mask, a, s) for a, s in zip(after, before, strict=True))
    return after, new, kept


class Noted(NamedTuple):
    """One product of all steps: dW_k = sum_t (m_k * u_t)^T delta_t."""

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
        (slices,) = _slices(t, 1, (), around, len(deltas))
        updates, mask = slices.updates, slices.mask
        used = [d if u is None else u * d for d, u in zip(deltas, updates, strict=True)]
        product = BackwardProduct(transposed, around.dropout_masks)
        dp, back = equations.adjoint(kept_t, before, after, used, product)
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
