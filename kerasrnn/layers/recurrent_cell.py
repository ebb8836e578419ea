"""The base class of cells that run over whole sequences fast."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers.activations import Activation, closed_derivative
from kerasrnn.layers.cell_arguments import check_input_size, check_rates
from kerasrnn.layers.dropout import DropoutMasks
from kerasrnn.layers.equation_checks import check_step
from kerasrnn.layers.equations import Equations, JoinedProduct, Product, masked
from kerasrnn.layers.projection import Projection, affine
from kerasrnn.layers.surroundings import renew

Masks = Sequence[tf.Tensor | None]


class RecurrentCell(keras.layers.Layer):
    """A cell that is defined by its step and the adjoint of the step.

    A subclass sets, as every Keras cell does, `state_size`; also `units`; and, in `build`,
    `kernel` `(features, gates * units)`, `recurrent_kernel` `(units, gates * units)` and
    `bias` `(gates * units,)` or `None`. It also
    defines the method `equations`. All states have
    `units` features. The base class does the rest: one step under the Keras cell contract
    (`call`), and what `kerasrnn.RNN` needs to run the steps of a whole sequence as two loops
    compiled by XLA. If `equations` gives no adjoint, `kerasrnn.RNN` runs `call` step by step,
    and TensorFlow differentiates it.

    A subclass may also set `dropout`, `recurrent_dropout`, `zoneout` (one rate, or one for
    each state) and `residual`, in the class or in its constructor. The first three draw
    random numbers, and need a `seed_generator`, a `keras.random.SeedGenerator`. Outside
    `kerasrnn.RNN`, a cell with dropout must be given its masks in training.

    Call arguments:
        inputs: x_t, `(batch, features)`.
        states: those before the step, each `(batch, units)`: a list, or the only one.
        training: whether dropout and zoneout apply. Default: `False`.
        dropout_mask, recurrent_dropout_mask: the masks that `draw_dropout_masks`
            returned for this batch. Default: in training, masks that cells of Keras keep
            between steps, as `keras.layers.RNN` expects.

    Returns:
        The first state as the output, `(batch, units)` (plus x_t with `residual`), and the
        new states, in a list if `states` was a list.

    Raises:
        ValueError: if inputs do not have `units` features although `residual` is true; if
            there is dropout in training, but no mask, and the cell is not one of Keras.

    Example: a cell with one gate, in `docs/cells.md`.
    """

    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float | Sequence[float] = 0.0
    residual: bool = False

    _own_arguments: tuple[str, ...] = ()
    """The arguments of a constructor that the Keras class behind a cell does not have: they
    become attributes, and part of the configuration."""

    units: int
    kernel: Any
    recurrent_kernel: Any
    bias: Any

    def __init__(self, *arguments: Any, **options: Any):
        own = {name: options.pop(name) for name in self._own_arguments}
        super().__init__(*arguments, **options)
        for name, value in own.items():
            setattr(self, name, value)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        check_input_size(self, input_shape)
        super().build(input_shape)

    def get_config(self) -> dict:
        names = [*self._own_arguments, *(["implementation"] * hasattr(self, "implementation"))]
        own = {name: getattr(self, name) for name in names}
        # Keras makes lists that are attributes its own, which cannot be copied or pickled.
        own = {n: list(v) if isinstance(v, (list, tuple)) else v for n, v in own.items()}
        return {**super().get_config(), **own}

    def equations(self) -> Equations:
        """The step and its adjoint, the same objects at each call."""
        raise NotImplementedError(
            f"{type(self).__name__} has no method `equations`, which returns "
            "kerasrnn.Equations(step, adjoint)."
        )

    @property
    def num_gates(self) -> int:
        """How many products with the state there are."""
        return self.recurrent_kernel.shape[-1] // self.units

    @property
    def num_states(self) -> int:
        """How many states there are."""
        return 1 if isinstance(self.state_size, int) else len(self.state_size)

    def input_bias(self) -> Any:
        """What is added to x W_x, `(gates * units,)`, or `None`."""
        return self.bias

    def recurrent_biases(self) -> Sequence[Any]:
        """What `equations` count as weights after the matrices, each `(units,)`."""
        return ()

    def recurrent_weights(self, dtype: Any) -> tuple[tf.Tensor, ...]:
        """The weights that `equations` number: W_k of each gate, then the biases."""
        matrices = tf.split(tf.cast(self.recurrent_kernel, dtype), self.num_gates, axis=1)
        return (*matrices, *(tf.cast(bias, dtype) for bias in self.recurrent_biases()))

    def project(self, inputs: tf.Tensor, masks: Masks | None = None) -> tuple[tf.Tensor, ...]:
        """p_k = (m_k * x) W_x^k + b^k of each gate.

        Args:
            inputs: x, `(batch, features)` or `(time, batch, features)`.
            masks: a dropout mask for each gate, `(batch, features)`. Default: none.

        Returns:
            One tensor for each gate, with `units` features. For sequences, each comes from a
            product of its own, so that none has to be copied.
        """
        check_input_size(self, inputs.shape)
        dtype, gates, bias = inputs.dtype, self.num_gates, self.input_bias()
        masks = masks or [None] * gates
        bias = None if bias is None else tf.cast(bias, dtype)
        if self.kernel is None:
            inputs = masked(inputs, masks[0])
            return (inputs if bias is None else tf.nn.bias_add(inputs, bias),)
        shared = all(m is masks[0] for m in masks)
        if shared and len(inputs.shape) == 2:
            projected = affine(masked(inputs, masks[0]), tf.cast(self.kernel, dtype), bias)
            return tuple(tf.split(projected, gates, axis=1))
        projection = self.projection(dtype)
        if shared:
            return projection(masked(inputs, masks[0]))
        return tuple(
            affine(inputs * mask, kernel, bias)
            for mask, kernel, bias in zip(masks, *projection, strict=True)
        )

    def projection(self, dtype: Any) -> Projection:
        """The weights of `project`, of a cell that has a kernel."""
        kernels, bias = tf.split(tf.cast(self.kernel, dtype), self.num_gates, axis=1), None
        if self.input_bias() is not None:
            bias = tf.split(tf.cast(self.input_bias(), dtype), self.num_gates)
        return Projection(tuple(kernels), tuple(bias or [None] * self.num_gates))

    def draw_updates(self, shape: Any, training: bool) -> tuple[tf.Tensor | None, ...] | None:
        """The shares of the states that steps renew; see `kerasrnn.layers.surroundings`.

        Args:
            shape: the shape of a share if zoneout draws it, `(..., units)`.
            training: whether zoneout draws. Otherwise a share is its expected value.

        Returns:
            For each state alpha, `(units,)`, or of the given shape in training with zoneout;
            `None` where alpha is 1 everywhere, or if all are.

        Raises:
            ValueError: if a rate of the cell is not in [0, 1), if the number of zoneout's
                rates is wrong, or if there is a rate and no `seed_generator`.
        """
        check_rates(self)
        rates = self.zoneout
        rates = rates if isinstance(rates, Sequence) else [rates] * self.num_states
        updates = tuple(self._draw_update(rate, shape, training) for rate in rates)
        return None if all(update is None for update in updates) else updates

    def leak(self) -> tf.Tensor | None:
        """The share of a state that a step renews without zoneout, `(units,)`; `None`: all."""
        return None

    def _draw_update(self, rate, shape, training):
        share, dtype = self.leak(), self.compute_dtype
        if not rate:
            return share
        if share is None:
            share = tf.ones([self.units], dtype)
        if not training:
            return share * (1 - rate)
        kept = keras.random.uniform(shape, seed=self.seed_generator) < rate
        return tf.where(kept, tf.zeros([], dtype), share)

    def draw_dropout_masks(self, batch_size: int | tf.Tensor) -> DropoutMasks:
        """Draws the dropout masks of one batch of sequences. The cell does not keep them.

        Args:
            batch_size: number of sequences.

        Returns:
            The masks to pass to every `call` of this batch, one for each gate, as Keras
            draws them: the gates share one, or, with recurrent dropout, each has its own.
        """
        count = getattr(self, "dropout_mask_count", None)

        def draw(rate, size):
            if not rate:
                return None
            ones = tf.ones([batch_size, size], self.compute_dtype)
            masks = [
                keras.random.dropout(ones, rate, seed=self.seed_generator)
                for _ in range(count or 1)
            ]
            return tuple(masks if count else masks * self.num_gates)

        num_features = self.units if self.kernel is None else self.kernel.shape[0]
        return DropoutMasks(
            draw(self.dropout, num_features), draw(self.recurrent_dropout, self.units)
        )

    def call(
        self,
        inputs: tf.Tensor,
        states: tf.Tensor | list[tf.Tensor],
        training: bool = False,
        dropout_mask: tf.Tensor | Masks | None = None,
        recurrent_dropout_mask: tf.Tensor | Masks | None = None,
    ):
        several = isinstance(states, (list, tuple))
        before = tuple(states) if several else (states,)
        if len(before) != self.num_states:
            raise ValueError(
                f"{type(self).__name__} needs a list of {self.num_states} states, got "
                f"{len(before)}. Pass the list that get_initial_state returns."
            )
        if training and dropout_mask is None and self.dropout:
            dropout_mask = self._kept_mask("get_dropout_mask", inputs)
        if training and recurrent_dropout_mask is None and self.recurrent_dropout:
            recurrent_dropout_mask = self._kept_mask("get_recurrent_dropout_mask", before[0])
        projected = self.project(inputs, self._of_each_gate(dropout_mask))
        dtype, masks = projected[0].dtype, self._of_each_gate(recurrent_dropout_mask)
        product: Callable
        if masks is None:
            kernel = tf.cast(self.recurrent_kernel, dtype)
            biases = [tf.cast(bias, dtype) for bias in self.recurrent_biases()]
            product = JoinedProduct(kernel, self.num_gates, biases)
        else:
            product = Product(self.recurrent_weights(dtype), masks)
        new, _ = check_step(self.equations().step(projected, before, product), before)
        updates = self.draw_updates(tf.shape(before[0]), training) or [None] * len(new)
        after = [renew(s, n, u) for s, n, u in zip(before, new, updates, strict=True)]
        output = inputs + after[0] if self.residual else after[0]
        return output, after if several else after[0]

    def _kept_mask(self, getter, tensor):
        """The mask that the cell keeps between steps, as `keras.layers.RNN` expects."""
        if not hasattr(self, getter):
            raise ValueError(
                f"{type(self).__name__} has dropout, and got no mask in training. Run it in "
                "kerasrnn.RNN, or pass the masks that draw_dropout_masks returns."
            )
        return getattr(self, getter)(tensor)

    def _of_each_gate(self, mask):
        """A mask for each gate, from one for all of them, or from a list."""
        if mask is None or isinstance(mask, (list, tuple)):
            return mask
        return [mask] * self.num_gates


def make_equations(
    maker: Callable[..., Equations], functions: Sequence[Callable], *options: Any
) -> Equations:
    """The equations for some activation functions of Keras.

    Args:
        maker: a function of `Activation`s and of the options, with `functools.cache`.
        functions: what `keras.activations.get` returns.
        *options: more arguments.

    Returns:
        Equations with an adjoint if all derivatives are known here, else without one.
    """
    closed = [closed_derivative(function) for function in functions]
    if all(closed):
        return maker(*closed, *options)
    unknown = [Activation(function, None) for function in functions]
    return maker.__wrapped__(*unknown, *options)._replace(adjoint=None)  # type: ignore
