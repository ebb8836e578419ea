"""Look-up tables in files: assets of an exported graph."""

from pathlib import Path

import tensorflow as tf


def read_table(
    path: str | Path, num_lines: int, default: int, *, key: tf.DType, column: int
) -> tf.lookup.StaticHashTable:
    """A table from a column of a text file to the numbers of its lines, from 0.

    Args:
        path: the file.
        num_lines: how many lines it has; a file cut short is noticed.
        default: what any other key gives.
        key: the type of the keys.
        column: the number of a column, from 0; columns are separated by tabs.
            `tf.lookup.TextFileIndex.WHOLE_LINE` is the whole line.
    """
    initializer = tf.lookup.TextFileInitializer(
        str(path),
        key,
        column,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
        vocab_size=num_lines,
    )
    return tf.lookup.StaticHashTable(initializer, default)
