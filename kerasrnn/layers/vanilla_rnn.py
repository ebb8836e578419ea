"""The layer: a plain RNN over whole sequences, a drop-in for `SimpleRNN`."""

import inspect
import operator
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers import call_shapes, compilation, recurrence
from kerasrnn.layers.activations import closed_derivative
from kerasrnn.layers.cells import VanillaRNNCell
from kerasrnn.layers.dropout import DropoutMasks
from kerasrnn.layers.rnn import RNN, by_time
from kerasrnn.layers.truncation import Truncation

# What `keras.initializers.get` and its like take: a name, an object, a configuration.
Identifier = str | dict | Callable | None


# The arguments that the layer passes on to its cell, as the cell names them.
_OF_CELL = tuple(
    name
    for name, parameter in inspect.signature(VanillaRNNCell.__init__).parameters.items()
    if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
)


@keras.saving.register_keras_serializable(package="kerasrnn")
class VanillaRNN(RNN):
    """A plain (Elman) RNN, h_t = phi(x_t W_x + h_{t-1} W_h + b), trained fast.

    A drop-in replacement for `keras.layers.SimpleRNN`: arguments, defaults,
    weights, masks, states, dropout and saving are the same. Weights can be copied
    either way with `set_weights`, and both layers then compute the same numbers.

    Inputs are projected for all time steps at once, and gradients come from a backward scan
    written by hand (`kerasrnn.layers.recurrence`). In training, XLA compiles both scans. In
    inference, an eager call runs a graph that is traced once for all shapes. A graph contains
    only plain TensorFlow ops, so it can be served anywhere.
    `kerasrnn.layers.compilation.scan_mode` changes that. Several threads may call one layer
    at the same time.

    Three things differ on purpose: `seed` is part of the configuration,
    `reset_state` restores what `get_initial_state` returns, and
    `activity_regularizer` has an effect.

    Args:
        units: positive integer, the size of the state and of the output.
        activation: phi. Default: `"tanh"`. `None` means linear. `tanh`, `relu`, `sigmoid` and
            linear use the fast scans; any other activation uses Keras' own loop.
        use_bias: whether there is a `bias`. Default: `True`.
        kernel_initializer: initializer of W_x. Default: `"glorot_uniform"`.
        recurrent_initializer: initializer of W_h. `"identity"` with the activation
            `"relu"` makes an IRNN (Le et al. 2015, arXiv:1504.00941);
            `"spectral_radius"` is `kerasrnn.SpectralRadius()`. Default:
            `"orthogonal"`.
        bias_initializer: initializer of b. Default: `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: default
            `None`.
        activity_regularizer: applied to the output. Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop in training. One mask is drawn per
            sequence and used at every step (Gal & Ghahramani 2016,
            arXiv:1512.05287). In [0, 1). Default: 0.
        recurrent_dropout: fraction of the previous state to drop where W_h reads
            it, in training, with one mask per sequence. In [0, 1). Default: 0.
        return_sequences: whether to return every output or the last.
            Default: `False`.
        return_state: whether to return the last state too. Default: `False`.
        go_backwards: whether to process time backwards. Outputs come in reversed
            order, too. Default: `False`.
        stateful: whether the last state of a batch is the initial state of
            the next. Default: `False`.
        unroll: whether to unroll Keras' own loop. Only for short sequences of a fixed
            length. Default: `False`.
        seed: seed of the dropout masks, of zoneout and of a randomized
            truncation. Default: `None`.
        truncation: how gradients flow back through time in training: `None`
            or `"full"`, `kerasrnn.TruncatedBPTT(window)` or
            `kerasrnn.RandomizedTruncation(keep_probability)`. Default: `None`.
        use_kernel: whether the layer has a `kernel`. Without one, the inputs must already be
            x_t W_x, for example from a look-up table, and have `units` features. Default:
            `True`.
        zoneout: the probability that a unit keeps its previous state, drawn for
            each unit at each step in training. In inference the expected value is
            used (Krueger et al. 2016, arXiv:1606.01305). In [0, 1). Default: 0.
        leak_rate: how fast the state follows, in leaky integration (Jaeger et al.
            2007, doi:10.1016/j.neunet.2007.04.016):
            h_t = (1 - leak_rate) h_{t-1} + leak_rate phi(a_t). With `zoneout` too,
            units that do not keep their state leak. In (0, 1]. Default: 1.
        learn_leak_rate: whether each unit learns its own leak rate,
            sigmoid(`leak_rate_logit`). `leak_rate` is then the initial value and
            must be below 1. Default: `False`.
        residual: whether to add the input to the output: the output is x_t + h_t,
            the state is h_t. Inputs must have `units` features. Default: `False`.
        **kwargs: `zero_output_for_mask` (default `False`), and what every
            Keras layer takes: `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: a list with one tensor `(batch, units)`. Default: zeros.
        mask: booleans, `(batch, time)`. A step with `False` is skipped: the state
            stays, and the output of the step before is repeated (zeros before the
            first `True` step, and at every skipped step with
            `zero_output_for_mask`).
        training: whether dropout, zoneout and truncation apply. Default: `False`.

    Returns:
        The outputs, `(batch, time, units)` with `return_sequences`, else
        `(batch, units)`; with `return_state` also the last state,
        `(batch, units)`.

    Raises:
        ValueError: if `units` is not a positive integer; if a rate is not in [0, 1);
            if `leak_rate` is not in (0, 1]. When called: if the shapes of inputs, mask
            and initial state do not match; if inputs do not have `units` features
            although `residual=True` or `use_kernel=False`; if the length is unknown
            although `unroll=True`; if the batch size changes although `stateful=True`.

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
        given = locals()
        cell = VanillaRNNCell(
            **{name: given[name] for name in _OF_CELL},
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
            inputs = _repeat_where_masked(inputs, mask)
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


def _repeat_where_masked(inputs: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Inputs, where each masked step takes the last one before it that is not masked.

    Args:
        inputs: `(time, batch, units)`.
        mask: `(time, batch or 1, 1)`, or `(time, batch or 1, units)` with a mask a unit.

    Returns:
        `(time, batch, units)`; at masked steps before all others, any step's inputs.
    """
    shape = tf.shape(inputs)
    # 1, or that of the inputs: then each unit is a row of its own.
    width = mask.shape[-1] or inputs.shape[-1]
    mask = tf.broadcast_to(mask, [shape[0], shape[1], width])
    used = tf.transpose(tf.reshape(mask, [shape[0], shape[1] * width]))
    rows = tf.reshape(inputs, [shape[0], shape[1] * width, inputs.shape[-1] // width])
    # For each row the steps that count, in order, and then how many of them there were.
    used_first = tf.argsort(tf.where(used, 0, shape[0]) + tf.range(shape[0]))
    count = tf.cumsum(tf.cast(used, tf.int32), axis=-1)
    latest = tf.gather(used_first, tf.maximum(count - 1, 0), batch_dims=1)
    repeated = tf.gather(tf.transpose(rows, [1, 0, 2]), latest, batch_dims=1)
    return tf.ensure_shape(tf.reshape(tf.transpose(repeated, [1, 0, 2]), shape), inputs.shape)


for _name in _OF_CELL:  # readable as attributes of the layer, too
    setattr(VanillaRNN, _name, property(operator.attrgetter(f"cell.{_name}")))
