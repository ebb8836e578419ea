"""The layer: an LSTM over whole sequences, a drop-in for `keras.layers.LSTM`."""

from collections.abc import Sequence
from typing import Any

import keras

from kerasrnn.layers.cell_arguments import Identifier, check_cudnn
from kerasrnn.layers.cell_layer import CellLayer
from kerasrnn.layers.lstm_cell import LSTMCell
from kerasrnn.layers.truncation import Truncation


@keras.saving.register_keras_serializable(package="kerasrnn")
class LSTM(CellLayer):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), trained fast.

    A drop-in replacement for `keras.layers.LSTM`: arguments, defaults, weights, masks, states,
    dropout and saving are the same. Weights can be copied either way with `set_weights`, and
    both layers then compute the same numbers. For the equations see
    `kerasrnn.layers.lstm_equations`; for how they run, see `kerasrnn.VanillaRNN`.

    Activations may be `tanh`, `relu`, `sigmoid`, `hard_sigmoid` and linear; with any other, or
    with `unroll=True`, the layer uses Keras' own loop, which is slower. What differs from Keras
    on purpose: `seed` is part of the configuration, `reset_state` restores what
    `get_initial_state` returns, `use_cudnn` has no effect, and inference draws no masks.

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
        activity_regularizer: applied to the output. Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop in training. One mask is drawn per
            sequence and used at every step (Gal & Ghahramani 2016,
            arXiv:1512.05287). In [0, 1). Default: 0.
        recurrent_dropout: fraction of h_{t-1} to drop where the recurrent kernel reads it, in
            training, with one mask per sequence and gate. In [0, 1). Default: 0.
        seed: seed of the dropout masks, of zoneout and of a randomized truncation. Default:
            `None`.
        return_sequences: whether to return every output or the last.
            Default: `False`.
        return_state: whether to return the last states too. Default: `False`.
        go_backwards: whether to process time backwards. Outputs come in reversed
            order, too. Default: `False`.
        stateful: whether the last states of a batch are where the next one begins.
            Default: `False`.
        unroll: whether to unroll Keras' own loop. Only for short sequences of a fixed
            length. Default: `False`.
        use_cudnn: `"auto"`, `True` or `False`; has no effect. Default: `"auto"`.
        truncation: how gradients flow back through time: `None` or `"full"`,
            `kerasrnn.TruncatedBPTT(window)` or
            `kerasrnn.RandomizedTruncation(keep_probability)`. Default: `None`.
        zoneout: one probability, or two, for h and for c. In training, at each step, each unit
            keeps its previous h with this probability, and its previous c. In inference the
            expected value is used (Krueger et al. 2016, arXiv:1606.01305). In [0, 1).
            Default: 0.
        residual: whether to add the input to the output: the output is x_t + h_t,
            the state is h_t. Inputs must have `units` features. Default: `False`.
        **kwargs: `zero_output_for_mask` (default `False`);
            `implementation` (1 or 2): with 1, or with recurrent dropout, each gate has its own
            dropout mask, otherwise all gates share one; and what every Keras layer takes:
            `name`, `dtype`, `trainable`.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: a list with two tensors `(batch, units)`: h and c. Default: zeros.
        mask: booleans, `(batch, time)`. A step with `False` is skipped: the states
            stay, and the output of the step before is repeated (zeros before the
            first `True` step, and at every skipped step with
            `zero_output_for_mask`).
        training: whether dropout, zoneout and truncation apply. Default: `False`.

    Returns:
        The outputs, `(batch, time, units)` with `return_sequences`, else
        `(batch, units)`; with `return_state` also the last h and the last c, each
        `(batch, units)`.

    Raises:
        ValueError: if `units` is not a positive integer; if a rate is not in [0, 1); if an
            activation or `use_cudnn` is unknown. When called: if the shapes of inputs, mask
            and initial state do not match; if inputs do not have `units` features although
            `residual=True`; if the length is unknown although `unroll=True`; if the batch
            size changes although `stateful=True`.

    References: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation
    9(8), 1997, doi:10.1162/neco.1997.9.8.1735. F. Gers, J. Schmidhuber and F. Cummins,
    "Learning to forget", Neural Computation 12(10), 2000, doi:10.1162/089976600300015015.

    Example:

    >>> layer = LSTM(4, return_sequences=True, return_state=True)
    >>> outputs, *states = layer(keras.ops.zeros((2, 3, 5)))
    >>> outputs.shape, len(states)
    (TensorShape([2, 3, 4]), 2)
    """

    cell_class = LSTMCell
    cell_name = "lstm_cell"

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
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        truncation: Truncation | str | dict | None = None,
        zoneout: float | Sequence[float] = 0.0,
        residual: bool = False,
        **kwargs: Any,
    ):
        check_cudnn(use_cudnn)
        super().__init__(locals(), kwargs)
        self.use_cudnn = use_cudnn
