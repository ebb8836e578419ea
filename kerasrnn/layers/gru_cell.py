"""The cell: one time step of a GRU, under the Keras cell contract."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers.cell_arguments import Identifier, check_cell
from kerasrnn.layers.equations import Equations
from kerasrnn.layers.gru_equations import gru_equations
from kerasrnn.layers.recurrent_cell import RecurrentCell, make_equations


@keras.saving.register_keras_serializable(package="kerasrnn")
class GRUCell(RecurrentCell, keras.layers.GRUCell):
    """One step of a GRU; for the equations see `kerasrnn.layers.gru_equations`.

    Use it in `kerasrnn.RNN`, `keras.layers.RNN`, `keras.layers.StackedRNNCells` and
    `keras.layers.Bidirectional`. It extends `keras.layers.GRUCell` and has its constructor,
    its weights (`kernel`, `recurrent_kernel` and `bias`, in which z, r and the candidate lie
    side by side) and its configuration.

    Args:
        units: positive integer, the size of the state and of the output.
        activation: phi, of the candidate. Default: `"tanh"`. `None` means
            linear.
        recurrent_activation: sigma, of the gates. Default: `"sigmoid"`.
        use_bias: whether there is a `bias`. Default: `True`.
        kernel_initializer: initializer of W_x. Default: `"glorot_uniform"`.
        recurrent_initializer: initializer of the recurrent kernel. Default: `"orthogonal"`.
        bias_initializer: initializer of b. Default: `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: default
            `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop in training. One mask is drawn per
            sequence and used at every step (Gal & Ghahramani 2016,
            arXiv:1512.05287). In [0, 1). Default: 0.
        recurrent_dropout: fraction of h_{t-1} to drop where the recurrent kernel reads it, in
            training, with one mask per sequence and gate. In [0, 1). Default: 0.
        reset_after: whether the reset gate is applied after the product with the recurrent
            kernel, as in cuDNN, or before it, as in the paper. Default: `True`.
        seed: seed of the dropout masks and of zoneout. Default: `None`.
        zoneout: the probability that a unit keeps its previous state, drawn for
            each unit at each step in training. In inference the expected value is
            used (Krueger et al. 2016, arXiv:1606.01305). In [0, 1). Default: 0.
        residual: whether to add the input to the output: the output is x_t + h_t,
            the state is h_t. Inputs must have `units` features. Default: `False`.
        **kwargs: `implementation` (1 or 2): with 1, or with recurrent dropout, each gate has
            its own dropout mask, otherwise all gates share one; and what every Keras layer
            takes: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: x_t, `(batch, features)`.
        states: h_{t-1}, `(batch, units)`, or a list that holds it.
        training: whether dropout and zoneout apply. Default: `False`.
        dropout_mask, recurrent_dropout_mask: the masks that `draw_dropout_masks`
            returned for this batch. Default: in training, masks that the cell keeps
            between steps, as `keras.layers.RNN` expects.

    Returns:
        h_t as the output, `(batch, units)` (x_t + h_t with `residual`), and h_t as the new
        state, in a list if `states` was a list.

    Raises:
        ValueError: if `units` is not a positive integer; if a rate is not in [0, 1); if an
            activation is unknown; if inputs do not have `units` features although
            `residual=True`.

    Reference: K. Cho et al., "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation", 2014, arXiv:1406.1078.

    Example:

    >>> layer = keras.layers.RNN(GRUCell(4), return_sequences=True)
    >>> layer(keras.ops.zeros((2, 3, 5))).shape
    TensorShape([2, 3, 4])
    """

    _own_arguments = ("zoneout", "residual")

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        zoneout: float = 0.0,
        residual: bool = False,
        **kwargs: Any,
    ):
        given = check_cell(locals(), ("use_bias", "reset_after", "residual"))
        super().__init__(**given, **kwargs)

    def equations(self) -> Equations:
        functions = [self.activation, self.recurrent_activation]
        return make_equations(
            gru_equations, functions, self.reset_after, self._has_recurrent_bias
        )

    @property
    def _has_recurrent_bias(self):
        return self.reset_after and self.bias is not None

    def input_bias(self) -> Any:
        """What is added to x W_x: without the part of b that the reset gate scales."""
        if not self._has_recurrent_bias:
            return self.bias
        z_and_r, bias = 2 * self.units, tf.convert_to_tensor(self.bias)
        return tf.concat([bias[0, :z_and_r] + bias[1, :z_and_r], bias[0, z_and_r:]], 0)

    def recurrent_biases(self) -> list[Any]:
        """b_n, which is added before the reset gate scales."""
        if not self._has_recurrent_bias:
            return []
        return [tf.convert_to_tensor(self.bias)[1, 2 * self.units :]]
