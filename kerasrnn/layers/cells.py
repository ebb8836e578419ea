"""The cell: one time step of a plain RNN, under the Keras cell contract."""

import math
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import (
    check_flags,
    check_positive_integer,
    check_rate,
    check_seed,
    is_number,
    plain,
    shown,
)
from kerasrnn.layers import initializers, recurrence
from kerasrnn.layers.dropout import DropoutMasks


@keras.saving.register_keras_serializable(package="kerasrnn")
class VanillaRNNCell(keras.layers.SimpleRNNCell):
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
        check_positive_integer("units", units)
        check_rate("dropout", dropout)
        check_rate("recurrent_dropout", recurrent_dropout)
        check_rate("zoneout", zoneout)
        if not is_number(leak_rate) or not 0 < leak_rate <= 1:
            raise ValueError(f"leak_rate must lie in (0, 1], got leak_rate={shown(leak_rate)}.")
        check_seed(seed)
        check_flags(
            use_bias=use_bias,
            use_kernel=use_kernel,
            learn_leak_rate=learn_leak_rate,
            residual=residual,
        )
        if learn_leak_rate and leak_rate == 1:
            raise ValueError(
                "learn_leak_rate=True needs a leak_rate below 1, which gradients can change, "
                "got leak_rate=1. Use leak_rate=0.5, for example."
            )
        super().__init__(
            plain(units),
            activation=activation,
            use_bias=bool(use_bias),
            kernel_initializer=kernel_initializer,
            recurrent_initializer=initializers.named(recurrent_initializer),
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=plain(dropout),
            recurrent_dropout=plain(recurrent_dropout),
            seed=plain(seed),
            **kwargs,
        )
        self.use_kernel = bool(use_kernel)
        self.zoneout = plain(zoneout)
        self.leak_rate = plain(leak_rate)
        self.learn_leak_rate = bool(learn_leak_rate)
        self.residual = bool(residual)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for name, needed in (
            ("use_kernel=False", not self.use_kernel),
            ("residual=True", self.residual),
        ):
            if needed and input_shape[-1] != self.units:
                raise ValueError(
                    f"{name} takes inputs of units={self.units} features, "
                    f"got {input_shape[-1]}."
                )
        if self.use_kernel:
            super().build(input_shape)
        else:
            self._build_without_kernel()
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

    def draw_update(self, shape: Any, training: bool) -> tf.Tensor | None:
        """The update u of leaky integration and zoneout; see `kerasrnn.layers.recurrence`.

        Args:
            shape: the shape of u if zoneout draws it, `(..., units)`.
            training: whether zoneout draws. Otherwise u is its expected value.

        Returns:
            u, `(units,)`, or of the given shape in training with zoneout; `None` if u
            is 1 everywhere.
        """
        if self.leak_rate == 1 and not self.zoneout:
            return None
        dtype = self.compute_dtype
        update = tf.fill([self.units], tf.constant(self.leak_rate, dtype))
        if self.learn_leak_rate:
            update = tf.sigmoid(tf.cast(self.leak_rate_logit, dtype))
        if not self.zoneout:
            return update
        if not training:
            return update * (1 - self.zoneout)
        kept = keras.random.uniform(shape, seed=self.seed_generator) < self.zoneout
        return tf.where(kept, tf.zeros([], dtype), update)

    def draw_dropout_masks(self, batch_size: int | tf.Tensor) -> DropoutMasks:
        """Draws the dropout masks of one batch of sequences. The cell does not keep them.

        Args:
            batch_size: number of sequences.

        Returns:
            The masks to pass to every `call` of this batch.
        """

        def draw(rate, size):
            ones = tf.ones([batch_size, size], self.compute_dtype)
            return keras.random.dropout(ones, rate, seed=self.seed_generator) if rate else None

        num_features = self.units if self.kernel is None else self.kernel.shape[0]
        return DropoutMasks(
            draw(self.dropout, num_features), draw(self.recurrent_dropout, self.units)
        )

    def call(
        self,
        inputs: tf.Tensor,
        states: tf.Tensor | list[tf.Tensor],
        training: bool = False,
        dropout_mask: tf.Tensor | None = None,
        recurrent_dropout_mask: tf.Tensor | None = None,
    ):
        h = states[0] if isinstance(states, (list, tuple)) else states
        if training and dropout_mask is None:  # Keras has the cell keep the masks
            dropout_mask = self.get_dropout_mask(inputs)
        if training and recurrent_dropout_mask is None:
            recurrent_dropout_mask = self.get_recurrent_dropout_mask(h)
        x_t = inputs if dropout_mask is None else inputs * dropout_mask
        p_t = x_t if self.kernel is None else keras.ops.matmul(x_t, self.kernel)
        if self.bias is not None:
            p_t = keras.ops.add(p_t, self.bias)
        h_t = recurrence.step(
            p_t,
            h,
            keras.ops.cast(self.recurrent_kernel, p_t.dtype),
            self.activation,
            recurrent_dropout_mask,
            self.draw_update(tf.shape(h), training),
        )
        output = keras.ops.add(inputs, h_t) if self.residual else h_t
        return output, [h_t] if isinstance(states, (list, tuple)) else h_t

    def get_config(self) -> dict:
        arguments = ("use_kernel", "zoneout", "leak_rate", "learn_leak_rate", "residual")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}
