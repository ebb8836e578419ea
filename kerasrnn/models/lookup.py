"""Inputs as rows of a table, instead of a product with one-hot vectors."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer, plain
from kerasrnn.text.characters import UNKNOWN_CHARACTER_ID


def check_whole(name: str, ids: Any) -> None:
    """Raises a `ValueError` for a number that is not whole, in an array of any type."""
    values = np.asarray(ids)
    if np.issubdtype(values.dtype, np.floating):
        wrong = values[values != np.floor(values)]  # NaN, too
        if wrong.size:
            raise ValueError(f"{name} must be whole numbers, got {wrong[0]}.")


def check_ids(name: str, ids: Any, num_ids: int) -> None:
    """Checks the ids of an eager call; in a graph the look-up checks them itself.

    Args:
        name: of what is called, for the message.
        ids: what it is called with.
        num_ids: the size of the vocabulary.

    Raises:
        ValueError: if they are not integers, or an id is out of range.
    """
    if isinstance(ids, (list, tuple)):
        ids = np.asarray(ids)
    if not isinstance(ids, (np.ndarray, np.generic, tf.Tensor)) or not tf.executing_eagerly():
        return
    dtype = tf.as_dtype(ids.dtype)
    if dtype == tf.string:
        raise ValueError(
            f"{name} takes integers as ids, got texts. Encode them first, with "
            "vocabulary.encode."
        )
    if not (dtype.is_integer or dtype.is_floating):
        raise ValueError(f"{name} takes integers as ids, got {dtype.name}.")
    if tf.size(ids) == 0:
        return
    smallest, largest = np.min(ids).item(), np.max(ids).item()
    if not (smallest >= 0 and largest < num_ids):
        raise ValueError(
            f"{name} takes ids from 0 to {num_ids - 1}, the {num_ids} entries of its "
            f"vocabulary, got ids from {smallest} to {largest}."
        )
    if dtype.is_floating:
        check_whole(f"ids of {name}", ids)


def build_from_ids(model: keras.Model) -> None:
    """Gives a model that takes ids its weights, if it has none yet."""
    if not getattr(model, "built", False):
        model(tf.zeros([1, 1], tf.int32))


@keras.saving.register_keras_serializable(package="kerasrnn")
class InputTable(keras.layers.Layer):
    """The projected inputs x_t W_x of ids, as a look-up of rows.

    For one-hot x_t the product x_t W_x is the row of W_x that belongs to the
    id. With an embedding E it is a row of E W_x, a table that is computed once
    for all steps. Either way no step multiplies by a matrix as large as the
    vocabulary. It comes before a `VanillaRNN(use_kernel=False)`.

    The row of id 0, the unknown character, is zero at first. It stays zero unless
    the training text has that id, or a `TiedDense` trains the table, too.

    Args:
        num_ids: the size of the vocabulary.
        units: the size of the rows.
        embedding_dim: the size of E's rows. Default: `None`, no embedding.
        **kwargs: what every Keras layer takes: `name`, `dtype`, `trainable`.

    Call arguments:
        ids: integers, `(batch, time)` or `(batch,)`.
        training: whether gradients are needed; if so, they are computed faster. Default:
            `False`.

    Returns:
        `(batch, time, units)` or `(batch, units)`.

    Raises:
        ValueError: if a size is not a positive integer; in eager calls, for ids out of
            range.

    Example:

    >>> InputTable(5, units=3)(keras.ops.array([[1, 2, 1]])).shape
    TensorShape([1, 3, 3])
    """

    def __init__(
        self, num_ids: int, units: int, embedding_dim: int | None = None, **kwargs: Any
    ):
        check_positive_integer("num_ids", num_ids)
        check_positive_integer("units", units)
        if embedding_dim is not None:
            check_positive_integer("embedding_dim", embedding_dim)
        super().__init__(**kwargs)
        self.autocast = False  # in low precision, ids would be rounded
        self.supports_masking = True
        self.num_ids, self.units = plain(num_ids), plain(units)
        self.embedding_dim = plain(embedding_dim)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        check_ids(self.name, next(iter(arguments), options.get("ids")), self.num_ids)
        return super().__call__(*arguments, **options)

    def build(self, _: Any) -> None:
        size = self.embedding_dim or self.units
        self.embeddings = self.add_weight(
            shape=(self.num_ids, size), initializer=_unknown_is_zero, name="embeddings"
        )
        self.kernel = None
        if self.embedding_dim is not None:
            self.kernel = self.add_weight(
                shape=(size, self.units), initializer="glorot_uniform", name="kernel"
            )

    def table(self) -> tf.Tensor:
        """W_x, or E W_x, `(num_ids, units)`."""
        table = tf.cast(self.embeddings, self.compute_dtype)
        if self.kernel is None:
            return table
        return tf.matmul(table, tf.cast(self.kernel, self.compute_dtype))

    def call(self, ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        table, ids = self.table(), tf.cast(ids, tf.int32)
        return _look_up(table, ids) if training else tf.gather(table, ids)

    def get_config(self) -> dict:
        arguments = ("num_ids", "units", "embedding_dim")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}


class TiedDense(keras.layers.Layer):
    """Logits of ids from the table that they are looked up in: h_t W_x^T + b.

    Args:
        input_table: the `InputTable`; its rows have the size of h_t.
        **kwargs: `name`, `dtype`.

    Call arguments:
        inputs: h_t, `(batch, time, units)` or `(batch, units)`.

    Returns:
        `(batch, time, num_ids)` or `(batch, num_ids)`.

    Reference: O. Press and L. Wolf, "Using the output embedding to improve
    language models", 2017, arXiv:1608.05859.
    """

    def __init__(self, input_table: InputTable, **kwargs: Any):
        if not isinstance(input_table, InputTable):
            raise ValueError(f"input_table must be an InputTable, got {input_table!r}.")
        super().__init__(**kwargs)
        self.supports_masking = True
        self.input_table = input_table

    def build(self, _: Any) -> None:
        self.bias = self.add_weight(
            shape=(self.input_table.num_ids,), initializer="zeros", name="bias"
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        table = tf.cast(self.input_table.table(), inputs.dtype)
        return keras.ops.matmul(inputs, tf.transpose(table)) + self.bias


@tf.custom_gradient
def _look_up(table, ids):
    """Rows of a small table; its gradient is dense, which is faster for small ones."""

    def gradient(upstream):
        rows = tf.reshape(upstream, [-1, table.shape[1]])
        return tf.math.unsorted_segment_sum(rows, tf.reshape(ids, [-1]), table.shape[0]), None

    return tf.gather(table, ids), gradient


def _unknown_is_zero(shape, dtype=None):
    """Glorot's uniform initial values, and zeros for the unknown character."""
    values = keras.initializers.GlorotUniform()(shape, dtype)
    known = tf.range(shape[0])[:, None] != UNKNOWN_CHARACTER_ID
    return tf.where(known, values, tf.zeros_like(values))
