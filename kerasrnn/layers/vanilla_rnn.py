"""The layer: a plain RNN over whole sequences, a drop-in for `SimpleRNN`."""

import operator
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers import call_shapes, compilation, recurrence
from kerasrnn.layers.activations import closed_derivative
from kerasrnn.layers.cells import VanillaRNNCell
from kerasrnn.layers.rnn import RNN, by_time
from kerasrnn.layers.steps import DropoutMasks
from kerasrnn.layers.truncation import Truncation

# What `keras.initializers.get` and its like take: a name, an object, a configuration.
Identifier = str | dict | Callable | None


def _of_cell(name: str) -> property:
    """A constructor argument of the cell, readable as an attribute of the layer."""
    return property(operator.attrgetter(f"cell.{name}"))


@keras.saving.register_keras_serializable(package="kerasrnn")
class VanillaRNN(RNN):
    """A plain (Elman) RNN, h_t = phi(x_t W_x + h_{t-1} W_h + b), trained fast.

    A drop-in replacement for `keras.layers.SimpleRNN`: arguments, defaults,
    weights, masks, states, dropout and saving are the same, so that
    `layer.set_weights(simple_rnn.get_weights())` and its reverse give the same
    numbers. Inputs are projected for all time steps at once, and gradients
    come from a backward scan written by hand (`kerasrnn.layers.recurrence`). XLA
    compiles both scans in training. An eager call of inference runs a graph that
    is traced once for all shapes; a graph traced for inference holds plain
    TensorFlow ops, so that it can be served anywhere.

    Different on purpose: `seed` is part of the configuration, `reset_state`
    restores what `get_initial_state` gives, and `activity_regularizer` has an
    effect.

    Args:
        units: positive integer, the size of the state and of the output.
        activation: phi. Default: `"tanh"`. `None` means linear. For `tanh`,
            `relu`, `sigmoid` and linear the gradient is written by hand; any
            other activation gives the same numbers through Keras' own loop.
        use_bias: whether there is a `bias`. Default: `True`.
        kernel_initializer: of W_x. Default: `"glorot_uniform"`.
        recurrent_initializer: of W_h. `"identity"` with the activation `"relu"`
            makes an IRNN (Le et al. 2015, arXiv:1504.00941);
            `"spectral_radius"` is `kerasrnn.SpectralRadius()`. Default:
            `"orthogonal"`.
        bias_initializer: of b. Default: `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: default
            `None`.
        activity_regularizer: applied to the output. Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop, one mask per sequence
            (Gal & Ghahramani 2016, arXiv:1512.05287). In [0, 1). Default: 0.
        recurrent_dropout: the same for what a step reads of the previous
            state. Default: 0.
        return_sequences: whether to return every output or the last.
            Default: `False`.
        return_state: whether to return the last state too. Default: `False`.
        go_backwards: whether to go through time backwards; the outputs come
            in that order. Default: `False`.
        stateful: whether the last state of a batch is the initial state of
            the next. Default: `False`.
        unroll: whether to unroll the loop, through Keras' own code; only for
            short sequences of a fixed length. Default: `False`.
        seed: seed of the dropout masks, of zoneout and of a randomized
            truncation. Default: `None`.
        truncation: how gradients flow back through time in training: `None`
            or `"full"`, `kerasrnn.TruncatedBPTT(window)` or
            `kerasrnn.RandomizedTruncation(keep_probability)`. Default: `None`.
        use_kernel: whether inputs are projected. Without a kernel they are
            taken as x_t W_x, as a look-up table gives them, and must have
            `units` features. Default: `True`.
        zoneout: the chance that a unit keeps its state at a step, drawn anew at
            each; in inference the state takes the expectation (Krueger et al.
            2016, arXiv:1606.01305). In [0, 1). Default: 0.
        leak_rate: the share of the state that a step renews, a skip connection
            over time: h_t = (1 - leak_rate) h_{t-1} + leak_rate phi(a_t). The shares
            of zoneout and leak_rate multiply. In (0, 1]. Default: 1.
        learn_leak_rate: whether leak_rate is learned, one for each unit, as
            sigmoid(`leak_rate_logit`), beginning with the given `leak_rate`, which
            must be below 1. Default: `False`.
        residual: a skip connection over the layer: the output is x_t + h_t, and
            the state h_t. Inputs must have `units` features. Default: `False`.
        **kwargs: `zero_output_for_mask` (default `False`), and what every
            Keras layer takes: `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: a list with one tensor `(batch, units)`. Default: zeros.
        mask: booleans, `(batch, time)`. A `False` step is skipped: the state
            stays, and the output is the previous one (zeros before the first
            `True` step, and everywhere with `zero_output_for_mask`).
        training: whether dropout, zoneout and truncation apply.

    Returns:
        The outputs, `(batch, time, units)` with `return_sequences`, else
        `(batch, units)`; with `return_state` also the last state,
        `(batch, units)`.

    Raises:
        ValueError: if `units` is not positive; if a rate is not in [0, 1), or
            `leak_rate` not in (0, 1]; if `unroll` meets sequences of unknown
            length; if `stateful` meets another batch size; without a kernel or
            with `residual`, if inputs do not have `units` features; if inputs, mask and
            initial state do not fit one another.

    Reference: J. Elman, "Finding structure in time", Cognitive Science 14(2),
    1990, doi:10.1207/s15516709cog1402_1.

    Example:

    >>> layer = VanillaRNN(4, return_sequences=True, return_state=True)
    >>> outputs, state = layer(keras.ops.zeros((2, 3, 5)))
    >>> outputs.shape, state.shape
    (TensorShape([2, 3, 4]), TensorShape([2, 4]))
    """

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        truncation: Truncation | str | dict | None = None,
        use_kernel: bool = True,
        zoneout: float = 0.0,
        leak_rate: float = 1.0,
        learn_leak_rate: bool = False,
        residual: bool = False,
        **kwargs: Any,
    ):
        cell = VanillaRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            use_kernel=use_kernel,
            zoneout=zoneout,
            leak_rate=leak_rate,
            learn_leak_rate=learn_leak_rate,
            residual=residual,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="vanilla_rnn_cell",
        )
        super().__init__(
            cell,
            truncation=truncation,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = [keras.layers.InputSpec(ndim=3)]

    units = _of_cell("units")
    activation = _of_cell("activation")
    use_bias = _of_cell("use_bias")
    kernel_initializer = _of_cell("kernel_initializer")
    recurrent_initializer = _of_cell("recurrent_initializer")
    bias_initializer = _of_cell("bias_initializer")
    kernel_regularizer = _of_cell("kernel_regularizer")
    recurrent_regularizer = _of_cell("recurrent_regularizer")
    bias_regularizer = _of_cell("bias_regularizer")
    kernel_constraint = _of_cell("kernel_constraint")
    recurrent_constraint = _of_cell("recurrent_constraint")
    bias_constraint = _of_cell("bias_constraint")
    dropout = _of_cell("dropout")
    recurrent_dropout = _of_cell("recurrent_dropout")
    seed = _of_cell("seed")
    use_kernel = _of_cell("use_kernel")
    zoneout = _of_cell("zoneout")
    leak_rate = _of_cell("leak_rate")
    learn_leak_rate = _of_cell("learn_leak_rate")
    residual = _of_cell("residual")

    def inner_loop(self, sequences, initial_state, mask, training=False, dropout_masks=None):
        cell = self.cell
        phi = closed_derivative(cell.activation)
        if phi is None or self.unroll:
            return super().inner_loop(sequences, initial_state, mask, training, dropout_masks)

        execution = compilation.choose_execution(bool(training))
        if execution is compilation.Execution.COMPILED:
            with call_shapes.required_steps(sequences, mask):
                sequences = tf.identity(sequences)
        gates = self.gates(sequences, training)
        dtype = cell.compute_dtype
        h_0 = initial_state[0]
        skipped, mask = by_time(self, tf.cast(sequences, dtype), mask)
        masks = dropout_masks or DropoutMasks()
        inputs = skipped if masks.inputs is None else skipped * masks.inputs

        shape = tf.concat([tf.shape(inputs)[:2], [cell.units]], 0)
        states = recurrence.recur(
            self._project(inputs),
            tf.cast(cell.recurrent_kernel, dtype),
            h_0,
            phi,
            gates=gates,
            mask=mask,
            dropout_mask=masks.states,
            update=cell.draw_update(shape, training),
            every_state=self.return_sequences,
            execution=execution,
        )
        last_state = states[-1] if self.return_sequences else states
        last_output, outputs = last_state, states
        if cell.residual:
            last_output, outputs = self._skip_layer(last_state, states, skipped, mask)
        last_output, outputs = self._mask_outputs(last_output, outputs, mask)
        if self.return_sequences:
            outputs = tf.transpose(outputs, [1, 0, 2])
        else:
            outputs = last_output[:, None]
        return last_output, outputs, [last_state]

    def _project(self, inputs):
        """p = x W_x + b for all time steps, as one matrix product."""
        cell = self.cell
        time, batch, features = inputs.shape
        projected = tf.reshape(inputs, [-1, features])
        if cell.kernel is not None:
            projected = tf.matmul(projected, tf.cast(cell.kernel, inputs.dtype))
        if cell.bias is not None:
            projected = tf.nn.bias_add(projected, tf.cast(cell.bias, inputs.dtype))
        shape = tf.concat([tf.shape(inputs)[:2], [cell.units]], 0)
        return tf.ensure_shape(tf.reshape(projected, shape), [time, batch, cell.units])

    def _skip_layer(self, last_state, states, inputs, mask):
        """x + h, where masked steps repeat the x of the step before."""
        if mask is not None:
            mask = tf.broadcast_to(
                mask, tf.concat([tf.shape(inputs)[:2], tf.shape(mask)[2:]], 0)
            )
            each_unit = mask.shape[-1] != 1
            order = [1, 2, 0] if each_unit else [1, 0, 2]
            used = tf.transpose(mask, [1, 2, 0]) if each_unit else tf.transpose(mask[..., 0])
            length = tf.shape(used)[-1]
            used_first = tf.argsort(tf.where(used, 0, length) + tf.range(length))
            count = tf.cumsum(tf.cast(used, tf.int32), axis=-1)
            axes = len(used.shape) - 1
            latest = tf.gather(used_first, tf.maximum(count - 1, 0), batch_dims=axes)
            inputs = tf.gather(tf.transpose(inputs, order), latest, batch_dims=axes)
            inputs = tf.transpose(inputs, [2, 0, 1] if each_unit else order)
        return last_state + inputs[-1], states + inputs if self.return_sequences else None

    def _mask_outputs(self, last_output, outputs, mask):
        """Outputs where steps are masked: the previous one, or zeros."""
        if mask is None:
            return last_output, outputs
        if self.zero_output_for_mask:
            shown, shown_last = mask, mask[-1]
        else:  # the previous output, and zeros before there is one
            shown = tf.cumsum(tf.cast(mask, tf.int32), axis=0) > 0
            shown_last = tf.reduce_any(mask, axis=0)
        last_output = tf.where(shown_last, last_output, tf.zeros_like(last_output))
        if not self.return_sequences:
            return last_output, None
        return last_output, tf.where(shown, outputs, tf.zeros_like(outputs))

    def reset_state(self) -> None:
        """Restores the states that `get_initial_state` gives."""
        if self.states is not None:
            initial_state = self.get_initial_state(self.states[0].shape[0])
            for state, value in zip(self.states, initial_state, strict=True):
                state.assign(value)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["cell"]
        arguments_of_cell = self.cell.get_config()  # the seed, too
        for key in ("name", "trainable", "dtype"):
            arguments_of_cell.pop(key)
        activity_regularizer = keras.regularizers.serialize(self.activity_regularizer)
        return {**config, **arguments_of_cell, "activity_regularizer": activity_regularizer}

    @classmethod
    def from_config(cls, config: dict) -> "VanillaRNN":
        return cls(**config)
