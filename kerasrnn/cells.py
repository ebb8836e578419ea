"""The cell: one time step of a plain RNN, under the Keras cell contract."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn import recurrence


@keras.saving.register_keras_serializable(package="kerasrnn")
class VanillaRNNCell(keras.layers.SimpleRNNCell):
    """One step of a plain (Elman) RNN: h_t = phi(x_t W_x + h_{t-1} W_h + b).

    For use in `keras.layers.RNN`, `keras.layers.StackedRNNCells` and
    `keras.layers.Bidirectional`; `kerasrnn.VanillaRNN` runs the same step
    over a whole sequence faster. Constructor, weights (`kernel` W_x,
    `recurrent_kernel` W_h, `bias` b), dropout and configuration are those of
    `keras.layers.SimpleRNNCell`, which it extends: that is also what makes
    Keras draw its dropout masks once per sequence.

    Args:
        units: positive integer, the size of the state and of the output.
        activation: phi. Default: `"tanh"`. `None` means linear.
        use_bias: whether there is a `bias`. Default: `True`.
        kernel_initializer: of W_x. Default: `"glorot_uniform"`.
        recurrent_initializer: of W_h. Default: `"orthogonal"`.
        bias_initializer: of b. Default: `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: default
            `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop, one mask per sequence
            (Gal & Ghahramani 2016, arXiv:1512.05287). Default: 0.
        recurrent_dropout: the same for the previous state. Default: 0.
        seed: seed of the dropout masks. Default: `None`.
        use_kernel: whether inputs are projected. Without a kernel they are
            taken as projected already, x_t W_x, and must have `units`
            features. Default: `True`.

    Call arguments:
        inputs: x_t, `(batch, features)`.
        states: h_{t-1}, `(batch, units)`, or a list that holds it.
        training: whether dropout applies. Default: `False`.

    Returns:
        h_t as the output, `(batch, units)`, and h_t as the new state, in a
        list where `states` was one.

    Raises:
        ValueError: if `units` is not positive; without a kernel, if inputs do
            not have `units` features.

    Reference: J. Elman, "Finding structure in time", Cognitive Science 14(2),
    1990, doi:10.1207/s15516709cog1402_1.

    Example:

    >>> layer = keras.layers.RNN(VanillaRNNCell(4), return_sequences=True)
    >>> layer(keras.ops.zeros((2, 3, 5))).shape
    TensorShape([2, 3, 4])
    """

    def __init__(self, units: int, *args: Any, use_kernel: bool = True, **kwargs: Any):
        super().__init__(units, *args, **kwargs)
        self.use_kernel = use_kernel

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.use_kernel:
            super().build(input_shape)
            return
        if input_shape[-1] != self.units:
            raise ValueError(
                f"use_kernel=False takes inputs of units={self.units} features, "
                f"got {input_shape[-1]}."
            )
        self.kernel = None
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units),
            name="recurrent_kernel",
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.units,),
                name="bias",
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(
        self, inputs: tf.Tensor, states: tf.Tensor | list[tf.Tensor], training: bool = False
    ):
        h = states[0] if isinstance(states, (list, tuple)) else states
        dropout_mask = self.get_dropout_mask(inputs) if training else None
        recurrent_dropout_mask = self.get_recurrent_dropout_mask(h) if training else None
        if dropout_mask is not None:
            inputs = inputs * dropout_mask
        p_t = inputs if self.kernel is None else keras.ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            p_t = keras.ops.add(p_t, self.bias)
        h_t = recurrence.step(
            p_t,
            h,
            keras.ops.cast(self.recurrent_kernel, p_t.dtype),
            self.activation,
            recurrent_dropout_mask,
        )
        return h_t, [h_t] if isinstance(states, (list, tuple)) else h_t

    def get_config(self) -> dict:
        return {**super().get_config(), "use_kernel": self.use_kernel}
