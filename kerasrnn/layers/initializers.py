"""Initial recurrent kernels that keep the size of the state and of its gradient.

Keras has two: `"orthogonal"` and `"identity"`, whose singular values are all 1.
Identity, with ReLU units, makes an IRNN (Le et al. 2015, arXiv:1504.00941).
"""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_seed, is_number, plain, shown


@keras.saving.register_keras_serializable(package="kerasrnn")
class SpectralRadius(keras.initializers.Initializer):
    """A square matrix of normal values, scaled to a given spectral radius.

    The spectral radius, the largest absolute eigenvalue, decides whether powers of the
    matrix shrink or grow in the long run. The layers and cells of this package also accept
    the name `"spectral_radius"` for this initializer. In the kernel of a layer with gates,
    the square matrices of the gates lie side by side, and each gets this radius.

    Args:
        radius: the spectral radius, positive. Default: 1.
        seed: an integer. Default: `None`, drawn from the global seed of Keras.

    Raises:
        ValueError: if `radius` is not positive, or the shape is not that of one or more
            square matrices side by side.

    Reference: H. Jaeger, "The echo state approach to analysing and training
    recurrent neural networks", GMD Report 148, 2001.

    Example:

    >>> kernel = SpectralRadius(0.9, seed=0)((50, 50))
    >>> round(float(keras.ops.max(keras.ops.abs(tf.linalg.eigvals(kernel)))), 3)
    0.9
    """

    def __init__(self, radius: float = 1.0, seed: int | None = None):
        if not (is_number(radius) and 0 < radius < float("inf")):
            raise ValueError(f"radius must be positive, got radius={shown(radius)}.")
        check_seed(seed)
        self.radius, self.seed = plain(radius), plain(seed)
        self._normal = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        if len(shape) != 2 or not shape[0] or not shape[1] or shape[1] % shape[0]:
            raise ValueError(
                f"A spectral radius is that of a square matrix, got shape={tuple(shape)}."
            )
        values = tf.cast(self._normal(shape, "float32"), tf.float64)
        matrices = tf.split(values, shape[1] // shape[0], axis=1)
        scaled = [
            matrix * (self.radius / tf.reduce_max(tf.abs(tf.linalg.eigvals(matrix))))
            for matrix in matrices
        ]
        return tf.cast(tf.concat(scaled, 1), dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {"radius": self.radius, "seed": self.seed}


def named(identifier: Any) -> Any:
    """`SpectralRadius()` for `"spectral_radius"`; any other initializer stays as it is."""
    return SpectralRadius() if _is_name(identifier) else identifier


def _is_name(identifier: Any) -> bool:
    return isinstance(identifier, str) and identifier == "spectral_radius"
