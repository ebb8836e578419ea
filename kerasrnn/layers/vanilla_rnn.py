"""The layer: a plain RNN over whole sequences, a drop-in for `SimpleRNN`."""

from typing import Any

import keras

from kerasrnn.layers.cell_arguments import Identifier
from kerasrnn.layers.cell_layer import CellLayer
from kerasrnn.layers.truncation import Truncation
from kerasrnn.layers.vanilla_cell import VanillaRNNCell


@keras.saving.register_keras_serializable(package="kerasrnn")
class VanillaRNN(CellLayer):
    """A plain (Elman) RNN, h_t = phi(x_t W_x + h_{t-1} W_h + b), trained fast.

    A drop-in replacement for `keras.layers.SimpleRNN`: arguments, defaults,
    weights, masks, states, dropout and saving are the same. Weights can be copied
    either way with `set_weights`, and both layers then compute the same numbers.

    In training, inputs are projected for all time steps at once, and gradients come from a
    backward scan written by hand (`kerasrnn.layers.recurrence`). XLA compiles both scans. In
    inference, an eager call runs a graph that is traced once for all shapes. A graph contains
    only plain TensorFlow ops, so it can be served anywhere.
    `kerasrnn.layers.compilation.scan_mode` changes that. Several threads may call one layer
    at the same time.

    Three things differ on purpose: `seed` is part of the configuration,
    `reset_state` restores what `get_initial_state` returns, and
    `activity_regularizer` has an effect.

    Args:
        units: positive integer, the size of the state and of the output.
        activation: phi. Default: `"tanh"`. `None` means linear. `tanh`, `relu`, `sigmoid`,
            `hard_sigmoid` and linear use the fast scans; any other uses Keras' own loop.
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

    cell_class = VanillaRNNCell
    cell_name = "vanilla_rnn_cell"

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
        super().__init__(locals(), kwargs)
