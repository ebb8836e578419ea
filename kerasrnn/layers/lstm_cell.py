"""The cell: one time step of an LSTM, under the Keras cell contract."""

from collections.abc import Sequence
from typing import Any

import keras

from kerasrnn.layers.cell_arguments import Identifier, check_cell
from kerasrnn.layers.equations import Equations
from kerasrnn.layers.lstm_equations import lstm_equations
from kerasrnn.layers.recurrent_cell import RecurrentCell, make_equations


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTMCell(RecurrentCell, keras.layers.LSTMCell):
    """One step of an LSTM; for the equations see `kerasrnn.layers.lstm_equations`.

    Use it in `kerasrnn.RNN`, `keras.layers.RNN`, `keras.layers.StackedRNNCells` and
    `keras.layers.Bidirectional`. It extends `keras.layers.LSTMCell` and has its constructor,
    its weights (`kernel`, `recurrent_kernel` and `bias`, in which the gates i, f, g and o
    lie side by side) and its configuration.

    Args:
        units: positive integer, the size of each state and of the output.
        activation: phi, of the candidate g, and of c where h reads it. Default:
            `"tanh"`. `None` means linear.
        recurrent_activation: sigma, of the gates. Default: `"sigmoid"`.
        use_bias: whether there is a `bias`. Default: `True`.
        kernel_initializer: initializer of W_x. Default: `"glorot_uniform"`.
        recurrent_initializer: initializer of the recurrent kernel. Default: `"orthogonal"`.
        bias_initializer: initializer of b. Default: `"zeros"`.
        unit_forget_bias: whether the bias of the forget gate is 1 at first (Jozefowicz et al.
            2015). Default: `True`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: default
            `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop in training. One mask is drawn per
            sequence and used at every step (Gal & Ghahramani 2016,
            arXiv:1512.05287). In [0, 1). Default: 0.
        recurrent_dropout: fraction of h_{t-1} to drop where the recurrent kernel reads it, in
            training, with one mask per sequence and gate. In [0, 1). Default: 0.
        seed: seed of the dropout masks and of zoneout. Default: `None`.
        zoneout: one probability, or two, for h and for c. In training, at each step, each unit
            keeps its previous h with this probability, and its previous c. In inference the
            expected value is used (Krueger et al. 2016, arXiv:1606.01305). In [0, 1).
            Default: 0.
        residual: whether to add the input to the output: the output is x_t + h_t,
            the state is h_t. Inputs must have `units` features. Default: `False`.
        **kwargs: `implementation` (1 or 2): with 1, or with recurrent dropout, each gate has
            its own dropout mask, otherwise all gates share one; and what every Keras layer
            takes: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: x_t, `(batch, features)`.
        states: h_{t-1} and c_{t-1}, each `(batch, units)`.
        training: whether dropout and zoneout apply. Default: `False`.
        dropout_mask, recurrent_dropout_mask: the masks that `draw_dropout_masks`
            returned for this batch. Default: in training, masks that the cell keeps
            between steps, as `keras.layers.RNN` expects.

    Returns:
        h_t as the output, `(batch, units)` (x_t + h_t with `residual`), and a list of the new
        states, h_t and c_t.

    Raises:
        ValueError: if `units` is not a positive integer; if a rate is not in [0, 1); if an
            activation is unknown; if inputs do not have `units` features although
            `residual=True`.

    References: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation
    9(8), 1997, doi:10.1162/neco.1997.9.8.1735. F. Gers, J. Schmidhuber and F. Cummins,
    "Learning to forget", Neural Computation 12(10), 2000, doi:10.1162/089976600300015015.

    Example:

    >>> layer = keras.layers.RNN(LSTMCell(4), return_sequences=True)
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
        unit_forget_bias: bool = True,
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        zoneout: float | Sequence[float] = 0.0,
        residual: bool = False,
        **kwargs: Any,
    ):
        given = check_cell(locals(), ("use_bias", "unit_forget_bias", "residual"), num_states=2)
        super().__init__(**given, **kwargs)

    def equations(self) -> Equations:
        functions = [self.activation, self.recurrent_activation]
        return make_equations(lstm_equations, functions)
