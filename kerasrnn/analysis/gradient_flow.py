"""Why recurrent networks forget: gradients measured on their way back through time.

With a loss L and states h_t, the gradient that reaches a state k steps before the last
one passes through k Jacobians. For a plain RNN, with gamma the steepest slope of phi,

    dh_t/dh_{t-k} = prod_i diag(phi'(a_i)) W_h^T      its norm <= (gamma ||W_h||)^k

References: Y. Bengio et al., "Learning long-term dependencies with gradient descent
is difficult", IEEE Transactions on Neural Networks 5(2), 1994,
doi:10.1109/72.279181. R. Pascanu et al., "On the difficulty of training recurrent
neural networks", 2013, arXiv:1211.5063.
"""

from collections.abc import Sequence
from typing import Any

import keras

from kerasrnn.analysis.measurement import Measurement
from kerasrnn.analysis.report import GradientFlowReport


def gradient_flow(
    model: keras.Model,
    inputs: Any,
    targets: Any = None,
    *,
    training: bool = False,
    lag: int | Sequence[int] | None = None,
) -> GradientFlowReport:
    """Measures how far gradients reach back through time in each recurrent layer.

    Use sequences as long as those that the model should remember, and set `lag` to how
    far back the task looks. The layers may have any Keras cell, or stacks of cells, and
    may be anywhere in the model. No weight and no state of the model changes. Do not use
    the model in another thread during the measurement.

    The verdict says what share of the last state's gradient is left `lag` steps back,
    and gives this share a name; `kerasrnn.analysis.verdict` explains the names. A large
    share does not guarantee that the layer learns.

    Args:
        model: a compiled model; its loss is differentiated.
        inputs: one batch, `(batch, time, ...)`, as `fit` takes it. Or a
            `tf.data.Dataset` or `keras.utils.PyDataset` of `(inputs, targets)` or
            `(inputs, targets, sample_weight)`: the first batch is used. Or, for a
            model that was compiled with a window, a `kerasrnn.Stream`: its first window
            is used.
        targets: the targets of the batch, if `inputs` are arrays.
        training: whether dropout, zoneout and truncation apply, including the
            truncation of `SequenceModel.compile`. Default: `False`.
        lag: how many steps back the task looks, or several such numbers. A layer that
            runs over fewer steps is judged at its own first step. Default: the longest
            lag of the batch.

    Returns:
        A `GradientFlowReport`.

    Raises:
        ValueError: if the model is not compiled or has no recurrent layer, if the
            batch does not fit it, or if `lag` is longer than the batch.

    References: see `kerasrnn.analysis.gradient_flow`.

    Example:

    >>> model = keras.Sequential([keras.layers.SimpleRNN(32), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = keras.random.normal((8, 100, 2), seed=0)
    >>> report = gradient_flow(model, x, keras.ops.ones((8, 1)), lag=90)
    >>> report.layers[0].status
    'vanishing'
    """
    return Measurement(model, training=training, lag=lag)(inputs, targets)
