"""The cell: one time step of a plain RNN, under the Keras cell contract."""

import math
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import is_number, plain, shown
from kerasrnn.layers.cell_arguments import check_cell
from kerasrnn.layers.equations import Equations
from kerasrnn.layers.recurrent_cell import RecurrentCell, make_equations
from kerasrnn.layers.vanilla_equations import vanilla_equations

_FLAGS = ("use_bias", "use_kernel", "learn_leak_rate", "residual")


@keras.saving.register_keras_serializable(package="kerasrnn")
class VanillaRNNCell(RecurrentCell, keras.layers.SimpleRNNCell):
    """One step of a plain (Elman) RNN: h_t = phi(x_t W_x + h_{t-1} W_h + b).

    Use it in `keras.layers.RNN`, `keras.layers.StackedRNNCells`,
    `keras.layers.Bidirectional` and `kerasrnn.RNN`. `kerasrnn.VanillaRNN` runs the
    same step over a whole sequence faster. The cell extends
    `keras.layers.SimpleRNNCell` and has its constructor, its weights (`kernel` W_x,
    `recurrent_kernel` W_h, `bias` b) and its configuration.

    Args:
        units: positive integer, the size of the state and of the output.
        activation: phi. Default: `"tanh"`. `None` means linear.
        use_bias: whether there is a `bias`. Default: `True`.
        kernel_initializer: initializer of W_x. Default: `"glorot_uniform"`.
        recurrent_initializer: initializer of W_h. `"identity"` with the activation
            `"relu"` makes an IRNN (Le et al. 2015, arXiv:1504.00941);
            `"spectral_radius"` is `kerasrnn.SpectralRadius()`. Default:
            `"orthogonal"`.
        bias_initializer: initializer of b. Default: `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: default
            `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: default
            `None`.
        dropout: fraction of the inputs to drop in training. One mask is drawn per
            sequence and used at every step (Gal & Ghahramani 2016,
            arXiv:1512.05287). In [0, 1). Default: 0.
        recurrent_dropout: fraction of the previous state to drop where W_h reads
            it, in training, with one mask per sequence. In [0, 1). Default: 0.
        seed: seed of the dropout masks and of zoneout. Default: `None`.
        use_kernel: whether the layer has a `kernel`. Without one, the inputs must already be
            x_t W_x and have `units` features. Default: `True`.
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
        ValueError: if `units` is not a positive integer; if a rate is not in [0, 1);
            if `leak_rate` is not in (0, 1]; if inputs do not have `units` features
            although `residual=True` or `use_kernel=False`.

    Reference: J. Elman, "Finding structure in time", Cognitive Science 14(2),
    1990, doi:10.1207/s15516709cog1402_1.

    Example:

    >>> layer = keras.layers.RNN(VanillaRNNCell(4), return_sequences=True)
    >>> layer(keras.ops.zeros((2, 3, 5))).shape
    TensorShape([2, 3, 4])
    """

    _own_arguments = ("use_kernel", "zoneout", "leak_rate", "learn_leak_rate", "residual")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        use_kernel: bool = True,
        zoneout: float = 0.0,
        leak_rate: float = 1.0,
        learn_leak_rate: bool = False,
        residual: bool = False,
        **kwargs: Any,
    ):
        given = check_cell(locals(), _FLAGS)
        if not is_number(leak_rate) or not 0 < leak_rate <= 1:
            raise ValueError(f"leak_rate must lie in (0, 1], got leak_rate={shown(leak_rate)}.")
        if learn_leak_rate and leak_rate == 1:
            raise ValueError(
                "learn_leak_rate=True needs a leak_rate below 1, which gradients can change, "
                "got leak_rate=1. Use leak_rate=0.5, for example."
            )
        given["leak_rate"] = plain(leak_rate)
        super().__init__(**given, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if self.use_kernel:
            super().build(input_shape)
        elif input_shape[-1] == self.units:
            self._build_without_kernel()
        else:
            raise ValueError(
                f"use_kernel=False takes inputs of units={self.units} features, "
                f"got {input_shape[-1]}."
            )
        if self.learn_leak_rate:
            logit = math.log(self.leak_rate / (1 - self.leak_rate))
            self.leak_rate_logit = self.add_weight(
                shape=(self.units,),
                name="leak_rate_logit",
                initializer=keras.initializers.Constant(logit),
            )

    def _build_without_kernel(self) -> None:
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

    def equations(self) -> Equations:
        return make_equations(vanilla_equations, [self.activation])

    @property
    def num_gates(self) -> int:
        return 1

    def leak(self) -> tf.Tensor | None:
        if self.leak_rate == 1:
            return None
        if self.learn_leak_rate:
            return tf.sigmoid(tf.cast(self.leak_rate_logit, self.compute_dtype))
        return tf.fill([self.units], tf.constant(self.leak_rate, self.compute_dtype))
